package manifest

import (
	"bytes"
	"encoding/binary"
	"hash"
	"slices"

	"mailsync/manifest/pack"
)

// The roots of a mailbox. docs/manifest-format.md has their definition.
//
// The content root is a digest of the sorted content digests of each folder:
// a multiset, because the order of entries is that of their names, and names
// differ between replicas. Sums or products of digests need no sorting, but a
// sender could make two mailboxes collide at little cost.
//
// The state root is a digest of the entries in their order.

// rooter computes both roots as entries pass. Entries come in order.
type rooter struct {
	alg            Alg
	content, state hash.Hash
	folder         []byte
	sums           [][32]byte // of the folder so far
	buf            []byte
	chunk          [rootBuffer]byte // of sums, to be hashed at once
	begun          bool
	unknown        bool // an entry's content is not known, or not what it should be
}

// rootBuffer is how much is collected before it is hashed.
const rootBuffer = 4 << 10

func (r *rooter) reset(alg Alg) {
	if r.alg != alg {
		r.alg, r.content, r.state = alg, alg.New(), alg.New()
	}
	r.content.Reset()
	r.state.Reset()
	r.content.Write([]byte("mailsync content root 1\n"))
	r.buf = append(r.buf[:0], "mailsync state root 1\n"...)
	r.folder = r.folder[:0]
	r.sums = r.sums[:0]
	r.begun, r.unknown = false, false
}

func (r *rooter) add(e *Entry) {
	d := e.Content()
	if e.Status == Unread || e.Status == Damaged || d.IsZero() {
		r.unknown = true
		r.sums = r.sums[:0]
	}
	if r.unknown {
		return // both roots are zero, whatever follows
	}
	b := r.buf
	if !r.begun || string(r.folder) != e.Folder {
		r.endFolder()
		r.begun = true
		r.folder = append(r.folder[:0], e.Folder...)
		b = append(b, 'F')
		b = pack.Text(b, e.Folder)
	}
	r.sums = append(r.sums, d.Sum)
	b = append(b, 'E', byte(e.Sub))
	b = pack.Text(b, e.Name)
	b = pack.Text(b, e.Flags)
	b = pack.Uint(b, uint64(len(e.Keywords)))
	for _, k := range e.Keywords {
		b = pack.Text(b, k)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(e.MTime))
	b = binary.LittleEndian.AppendUint32(b, e.UID)
	b = append(b, d.Sum[:]...)
	if len(b) >= rootBuffer {
		r.state.Write(b)
		b = b[:0]
	}
	r.buf = b
}

// endFolder hashes the folder that has ended into the content root.
func (r *rooter) endFolder() {
	if !r.begun {
		return
	}
	sortSums(r.sums)
	var head [64]byte
	b := pack.Uint(head[:0], uint64(len(r.folder)))
	r.content.Write(b)
	r.content.Write(r.folder)
	r.content.Write(pack.Uint(head[:0], uint64(len(r.sums))))
	// One Write of many sums: a Write costs more than hashing 32 bytes.
	n := 0
	for i := range r.sums {
		n += copy(r.chunk[n:], r.sums[i][:])
		if n == len(r.chunk) {
			r.content.Write(r.chunk[:])
			n = 0
		}
	}
	r.content.Write(r.chunk[:n])
	r.sums = r.sums[:0]
}

// roots returns both roots, zero where the content is not known. Of mb the
// folders and subscriptions count.
func (r *rooter) roots(mb *Mailbox) (content, state Digest) {
	if r.unknown {
		return Digest{}, Digest{}
	}
	r.endFolder()
	r.begun = false
	content.Alg, state.Alg = r.alg, r.alg
	r.content.Sum(content.Sum[:0])
	b := r.buf
	for i := range mb.Folders {
		b = append(b, 'V')
		b = pack.Text(b, mb.Folders[i].Name)
		b = binary.LittleEndian.AppendUint32(b, mb.Folders[i].Validity())
		if mb.Folders[i].KeywordsStamp.Kept() {
			b = append(b, 'K') // names that nobody has on disk are no server's state
		}
	}
	b = append(b, 'S')
	b = pack.Bool(b, mb.Subscribed)
	for _, s := range mb.Subscriptions {
		b = pack.Text(b, s)
	}
	r.state.Write(b)
	r.buf = b[:0]
	r.state.Sum(state.Sum[:0])
	return content, state
}

// sortSums sorts digests as bytes. Their first eight bytes nearly always decide.
func sortSums(s [][32]byte) {
	slices.SortFunc(s, func(a, b [32]byte) int {
		x, y := binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(b[:8])
		if x != y {
			if x < y {
				return -1
			}
			return 1
		}
		return bytes.Compare(a[8:], b[8:])
	})
}
