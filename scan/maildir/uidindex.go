package maildir

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
)

// UIDIndex finds the UID of a base name. It needs 16 bytes a message: 96 bits
// of a keyed hash of the name, and the UID. With a million names the chance of
// one wrong answer is about 10^-17, and the key is random, so that names cannot
// be made to collide.
type UIDIndex struct {
	seed [2]maphash.Seed
	recs []uidHash
	dups []UIDDuplicate
	// sizes is of the messages whose sizes stand here and not in their names,
	// by UID.
	sizes []uidSizes
}

type uidSizes struct {
	uid uint32
	UIDSizes
}

// maxUIDs is more messages than a folder can be worked with, and what a list
// may take of memory: up to 200 MB.
const maxUIDs = 4 << 20

// UIDSizes is what a list says of a message's size: S and W as in file names.
type UIDSizes struct {
	S, W       int64
	HasS, HasW bool
}

type uidHash struct {
	hi  uint64
	lo  uint32
	uid uint32
}

// UIDDuplicate is a base name that a UID list holds twice. A server lets the
// later line win.
type UIDDuplicate struct{ Lost, Kept uint32 }

// IndexUIDs reads all records. On a broken list, or one of too many messages, it
// returns the index of the valid prefix together with the error.
func IndexUIDs(l *UIDList) (*UIDIndex, error) {
	x := &UIDIndex{seed: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	var failed error
	for r, err := range l.Records() {
		if err != nil {
			failed = err
			break
		}
		if len(x.recs) == maxUIDs {
			failed = l.broken(fmt.Sprintf("more than %d messages", maxUIDs))
			break
		}
		h := x.hash(r.Base)
		h.uid = r.UID
		x.recs = append(x.recs, h)
		if r.HasS || r.HasW {
			x.sizes = append(x.sizes, uidSizes{r.UID, UIDSizes{S: r.S, W: r.W, HasS: r.HasS, HasW: r.HasW}})
		}
	}
	// stable: of equal names the later line stays behind the earlier
	slices.SortStableFunc(x.recs, compareHash)
	kept := x.recs[:0]
	for i, r := range x.recs {
		if i+1 < len(x.recs) && compareHash(r, x.recs[i+1]) == 0 {
			x.dups = append(x.dups, UIDDuplicate{Lost: r.uid, Kept: x.recs[i+1].uid})
			continue
		}
		kept = append(kept, r)
	}
	x.recs = kept
	slices.SortFunc(x.dups, func(a, b UIDDuplicate) int { return cmp.Compare(a.Lost, b.Lost) })
	return x, failed
}

func (x *UIDIndex) hash(base string) uidHash {
	return uidHash{hi: maphash.String(x.seed[0], base), lo: uint32(maphash.String(x.seed[1], base))}
}

func compareHash(a, b uidHash) int {
	if c := cmp.Compare(a.hi, b.hi); c != 0 {
		return c
	}
	return cmp.Compare(a.lo, b.lo)
}

// UID returns the UID of a base name (Name.ServerBase), 0 when the list does
// not hold it.
func (x *UIDIndex) UID(base string) uint32 {
	h := x.hash(base)
	i, ok := slices.BinarySearchFunc(x.recs, h, compareHash)
	if !ok {
		return 0
	}
	return x.recs[i].uid
}

// Sizes returns what the list says of the size of the message with a UID.
func (x *UIDIndex) Sizes(uid uint32) UIDSizes {
	// Only lists whose UIDs ascend have keys.
	i, ok := slices.BinarySearchFunc(x.sizes, uid, func(s uidSizes, uid uint32) int { return cmp.Compare(s.uid, uid) })
	if !ok {
		return UIDSizes{}
	}
	return x.sizes[i].UIDSizes
}

// Duplicates returns the base names that stand in the list twice, by UID.
func (x *UIDIndex) Duplicates() []UIDDuplicate { return x.dups }
