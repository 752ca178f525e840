package manifest

import (
	"bytes"
	"hash"
	"slices"
	"strings"
	"time"

	"mailsync/manifest/pack"
)

// IndexVersion is the version of shard index files.
const IndexVersion = 1

// maxIndex bounds an index file, in bytes.
const maxIndex = 1 << 30

// shardSum is what is told of a shard as a whole.
type shardSum struct {
	shard          int
	mailboxes      int64 // those that are gone too
	gone           int64
	messages       int64
	bytes          int64
	content, state Digest // zero where a mailbox is gone, or its content not known
}

// A bundle is 64 neighbouring shards: one directory and one index. Most stores
// have fewer mailboxes than there are shards, and a directory and an index for
// each shard would cost more than the manifests.
const (
	bundles    = 64
	bundleSize = Shards / bundles
)

func bundleOf(shard int) int { return shard / bundleSize }

func bundleName(no int) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[no>>4&15], digits[no&15]})
}

// parseBundleName is the inverse of bundleName.
func parseBundleName(name string) (no int, ok bool) {
	for no := range bundles {
		if bundleName(no) == name {
			return no, true
		}
	}
	return 0, false
}

// bundle is an index in memory. Its rows are never changed, only replaced.
type bundle struct {
	no         int
	generation uint32
	alg        Alg
	rows       []*row // in the order of CompareMailboxes
	dirty      bool
	obsolete   []string // files to remove once the index is durable
}

// find returns the place of a mailbox.
func (b *bundle) find(shard int, name string) (int, bool) {
	return slices.BinarySearchFunc(b.rows, name, func(r *row, name string) int {
		if r.shard != shard {
			return r.shard - shard
		}
		return strings.Compare(r.Name, name)
	})
}

func (b *bundle) get(name string) *row {
	if i, had := b.find(ShardOf(name), name); had {
		return b.rows[i]
	}
	return nil
}

// ofShard returns the rows of one shard.
func (b *bundle) ofShard(shard int) []*row {
	i, _ := b.find(shard, "")
	n := i
	for n < len(b.rows) && b.rows[n].shard == shard {
		n++
	}
	return b.rows[i:n:n]
}

// put replaces or adds a row, and returns the one that was there.
func (b *bundle) put(r *row) (old *row) {
	i, had := b.find(r.shard, r.Name)
	if had {
		old, b.rows[i] = b.rows[i], r
	} else {
		b.rows = slices.Insert(b.rows, i, r)
	}
	b.dirty = true
	return old
}

// setGone replaces a row by one that is gone since t, or is there for a zero t.
func (b *bundle) setGone(i int, t time.Time) {
	r := *b.rows[i]
	r.Gone = t
	b.rows[i] = &r
	b.dirty = true
}

// sums returns the sums of each of its shards.
func (b *bundle) sums() []shardSum {
	list := make([]shardSum, 0, bundleSize)
	for no := b.no * bundleSize; no < (b.no+1)*bundleSize; no++ {
		list = append(list, sumShard(b.alg, no, b.ofShard(no)))
	}
	return list
}

func sumShard(alg Alg, no int, rows []*row) shardSum {
	t := shardSum{shard: no, mailboxes: int64(len(rows))}
	if len(rows) == 0 {
		return t
	}
	known := true
	content, state := newRoot(alg, "shard content"), newRoot(alg, "shard state")
	for _, r := range rows {
		if !r.Gone.IsZero() {
			t.gone++
			known = false
			continue
		}
		t.messages += r.Messages
		t.bytes += r.Bytes
		if r.Content.IsZero() {
			known = false
		}
		if known {
			content.add(r.Name, r.Content)
			state.add(r.Name, r.State)
		}
	}
	if known {
		t.content, t.state = content.sum(), state.sum()
	}
	return t
}

// emptyShard returns the roots of a shard without mailboxes.
func emptyShard(alg Alg) (content, state Digest) {
	return newRoot(alg, "shard content").sum(), newRoot(alg, "shard state").sum()
}

// root is a digest over named digests: a shard's over its mailboxes, a
// store's over its shards.
type root struct {
	alg Alg
	h   hash.Hash
}

func newRoot(alg Alg, domain string) root {
	h := alg.New()
	h.Write([]byte("mailsync " + domain + " root 1\n"))
	return root{alg: alg, h: h}
}

func (r root) add(name string, d Digest) {
	var b [64]byte
	r.h.Write(pack.Uint(b[:0], uint64(len(name))))
	r.h.Write([]byte(name))
	r.h.Write(d.Sum[:])
}

func (r root) sum() Digest {
	d := Digest{Alg: r.alg}
	r.h.Sum(d.Sum[:0])
	return d
}

func appendShardSum(b, raw []byte, t *shardSum) (packed, rawOut []byte) {
	b = pack.Uint(b, uint64(t.shard))
	for _, v := range [...]int64{t.mailboxes, t.gone, t.messages, t.bytes} {
		b = pack.Int(b, v)
	}
	b = pack.Bool(b, !t.content.IsZero())
	return b, appendRoots(raw, t.content, t.state)
}

func (c *cursor) shardSum(raw *cursor, alg Alg) shardSum {
	t := shardSum{shard: c.Length(Shards - 1)}
	for _, p := range [...]*int64{&t.mailboxes, &t.gone, &t.messages, &t.bytes} {
		*p = c.Int()
	}
	if c.Bool() {
		t.content, t.state = raw.digest(alg), raw.digest(alg)
	}
	if raw.Bad {
		c.Fail()
	}
	return t
}

// encode makes the index file.
func (b *bundle) encode() []byte {
	salt := newSalt()
	out := appendPreamble(make([]byte, 0, 512+192*len(b.rows)), kindIndex, IndexVersion, salt)
	sealer := sealer{salt: salt}
	packed, raw := pack.Text(nil, b.alg.String()), []byte(nil)
	packed = pack.Uint(packed, uint64(b.generation))
	packed = pack.Uint(packed, uint64(b.no))
	packed = pack.Uint(packed, uint64(len(b.rows)))
	out = append(out, sealer.seal(blockHeader, 0, 0, packed, nil)...)
	number, items := 0, 0
	packed, raw = packed[:0], raw[:0]
	flush := func() {
		if items > 0 {
			out = append(out, sealer.seal(blockRows, number, items, packed, raw)...)
			number++
		}
		packed, raw, items = packed[:0], raw[:0], 0
	}
	var prev *row
	for _, r := range b.rows {
		if len(packed)+len(raw)+len(r.Name)+len(r.Path)+len(r.Watch)+400 > MaxBlock {
			flush()
			prev = nil
		}
		packed, raw = appendRow(packed, raw, r, prev)
		items++
		prev = r
	}
	flush()
	return append(out, sealer.seal(blockEnd, 0, number+1, nil, nil)...)
}

// decodeIndex reads the index of bundle no.
func decodeIndex(data []byte, no int) (*bundle, error) {
	u, err := openSealed(bytes.NewReader(data), kindIndex, IndexVersion)
	if err != nil {
		return nil, err
	}
	blk, err := u.next()
	if err != nil {
		return nil, err
	}
	if err := u.expect(blk, blockHeader, 0); err != nil {
		return nil, err
	}
	c := cursorOver(blk.data)
	alg, err := ParseAlg(c.String(64))
	if err != nil && !c.Bad {
		return nil, err
	}
	b := &bundle{no: no, alg: alg, generation: c.U32()}
	told, count := c.Length(bundles-1), c.Uint()
	if !c.Done() || len(blk.raw) > 0 || told != no {
		return nil, corrupt("head of index %02x", no)
	}
	for n := 0; ; n++ {
		blk, err := u.next()
		if err != nil {
			return nil, err
		}
		if blk.typ == blockEnd {
			if err := u.end(blk); err != nil {
				return nil, err
			}
			break
		}
		if err := u.expect(blk, blockRows, n); err != nil {
			return nil, err
		}
		if err := b.decodeRows(blk); err != nil {
			return nil, err
		}
	}
	if uint64(len(b.rows)) != count {
		return nil, corrupt("index %02x counts %d mailboxes, has %d", no, count, len(b.rows))
	}
	return b, nil
}

func (b *bundle) decodeRows(blk block) error {
	c, raw := cursorOver(blk.data), cursorOver(blk.raw)
	var prev *row
	for range blk.items {
		r := c.row(&raw, prev, b.alg)
		if c.Bad {
			return corrupt("row of index %02x", b.no)
		}
		if bundleOf(r.shard) != b.no || len(b.rows) > 0 && compareRows(b.rows[len(b.rows)-1], r) >= 0 {
			return corrupt("rows of index %02x out of order", b.no)
		}
		b.rows = append(b.rows, r)
		prev = r
	}
	if !c.Done() || !raw.Done() {
		return corrupt("rows of index %02x", b.no)
	}
	return nil
}

// compareRows is CompareMailboxes.
func compareRows(a, b *row) int {
	if a.shard != b.shard {
		return a.shard - b.shard
	}
	return strings.Compare(a.Name, b.Name)
}
