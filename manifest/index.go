package manifest

import (
	"bytes"
	"cmp"
	"hash"
	"slices"
	"strings"
)

// IndexVersion is the version of shard index files.
const IndexVersion = 1

// maxIndex bounds an index file, in bytes and therefore in rows.
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

// shard is an index in memory.
type shard struct {
	no         int
	generation uint32
	alg        Alg
	rows       []row // sorted by name
	dirty      bool
	obsolete   []string // files to remove once the index is durable
}

func (s *shard) find(name string) (int, bool) {
	return slices.BinarySearchFunc(s.rows, name, func(r row, name string) int { return strings.Compare(r.Name, name) })
}

// put replaces or adds a row, and returns the one that was there.
func (s *shard) put(r row) (old row, had bool) {
	i, had := s.find(r.Name)
	if had {
		old, s.rows[i] = s.rows[i], r
	} else {
		s.rows = slices.Insert(s.rows, i, r)
	}
	s.dirty = true
	return old, had
}

func (s *shard) sum() shardSum {
	t := shardSum{shard: s.no, mailboxes: int64(len(s.rows))}
	known := true
	content, state := newRoot(s.alg, "shard content"), newRoot(s.alg, "shard state")
	for i := range s.rows {
		r := &s.rows[i]
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
	r.h.Write(appendUvarint(b[:0], uint64(len(name))))
	r.h.Write([]byte(name))
	r.h.Write(d.Sum[:])
}

func (r root) sum() Digest {
	d := Digest{Alg: r.alg}
	r.h.Sum(d.Sum[:0])
	return d
}

func appendShardSum(b, raw []byte, t *shardSum) (packed, rawOut []byte) {
	b = appendUvarint(b, uint64(t.shard))
	for _, v := range [...]int64{t.mailboxes, t.gone, t.messages, t.bytes} {
		b = appendVarint(b, v)
	}
	b = appendBool(b, !t.content.IsZero())
	return b, appendRoots(raw, t.content, t.state)
}

func (c *cursor) shardSum(raw *cursor, alg Alg) shardSum {
	t := shardSum{shard: c.length(Shards - 1)}
	for _, p := range [...]*int64{&t.mailboxes, &t.gone, &t.messages, &t.bytes} {
		*p = c.varint()
	}
	if c.bool() {
		t.content, t.state = raw.digest(alg), raw.digest(alg)
	}
	if raw.bad {
		c.fail()
	}
	return t
}

// encode makes the index file.
func (s *shard) encode() []byte {
	salt := newSalt()
	out := appendPreamble(make([]byte, 0, 512+192*len(s.rows)), kindIndex, IndexVersion, salt)
	sealer := sealer{salt: salt}
	t := s.sum()
	packed, raw := appendString(nil, s.alg.String()), []byte(nil)
	packed = appendUvarint(packed, uint64(s.generation))
	packed, raw = appendShardSum(packed, raw, &t)
	out = append(out, sealer.seal(blockHeader, 0, 0, packed, raw)...)
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
	for i := range s.rows {
		r := &s.rows[i]
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

// decodeIndex reads an index file; the shard is the one that it belongs to.
func decodeIndex(data []byte, no int) (*shard, error) {
	u, err := openSealed(bytes.NewReader(data), kindIndex, IndexVersion)
	if err != nil {
		return nil, err
	}
	b, err := u.next()
	if err != nil {
		return nil, err
	}
	if err := u.expect(b, blockHeader, 0); err != nil {
		return nil, err
	}
	c, raw := cursor{b: b.data}, cursor{b: b.raw}
	name := c.string(64)
	alg, err := ParseAlg(name)
	if err != nil && !c.bad {
		return nil, err
	}
	s := &shard{no: no, alg: alg, generation: c.uint32()}
	told := c.shardSum(&raw, alg)
	if !c.done() || !raw.done() || told.shard != no {
		return nil, corrupt("head of index %03x", no)
	}
	// A row takes more than 20 bytes even compressed, whatever the head says.
	if told.mailboxes >= 0 && told.mailboxes < int64(len(data)) {
		s.rows = make([]row, 0, min(told.mailboxes, 4096))
	}
	for n := 0; ; n++ {
		b, err := u.next()
		if err != nil {
			return nil, err
		}
		if b.typ == blockEnd {
			if err := u.end(b); err != nil {
				return nil, err
			}
			break
		}
		if err := u.expect(b, blockRows, n); err != nil {
			return nil, err
		}
		if err := s.decodeRows(b); err != nil {
			return nil, err
		}
	}
	if s.sum() != told {
		return nil, corrupt("index %03x tells of other mailboxes", no)
	}
	return s, nil
}

func (s *shard) decodeRows(b block) error {
	c, raw := cursor{b: b.data}, cursor{b: b.raw}
	var prev *row
	for range b.items {
		r := c.row(&raw, prev, s.alg)
		if c.bad {
			return corrupt("row of index %03x", s.no)
		}
		if n := len(s.rows); n > 0 && cmp.Compare(s.rows[n-1].Name, r.Name) >= 0 || ShardOf(r.Name) != s.no {
			return corrupt("rows of index %03x out of order", s.no)
		}
		s.rows = append(s.rows, r)
		prev = &s.rows[len(s.rows)-1]
	}
	if !c.done() || !raw.done() {
		return corrupt("rows of index %03x", s.no)
	}
	return nil
}
