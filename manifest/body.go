package manifest

import (
	"fmt"
	"sync"

	"mailsync/manifest/pack"
)

// body writes what follows the header of a manifest: entries, their sums,
// absences, the end mark. It holds one block at most.
type body struct {
	alg     Alg
	sink    func(block []byte) error
	sealer  sealer
	cols    columns
	roots   rooter
	packed  []byte
	sums    sums
	entries int // blocks written
	gone    int // absence blocks written
	state   int
	prev    lastEntry
	err     error
}

// The states of a body.
const (
	inEntries = iota
	inAbsences
	ended
)

// bodies keeps the buffers of writers that have ended: many small manifests
// are written one after the other.
var bodies = sync.Pool{New: func() any { return new(body) }}

func newBody(alg Alg, salt uint64, sink func([]byte) error) *body {
	b, ok := bodies.Get().(*body)
	if !ok {
		b = new(body)
	}
	b.alg, b.sink, b.sealer.salt = alg, sink, salt
	b.cols.alg = alg
	b.cols.reset()
	b.roots.reset(alg)
	b.sums = sums{}
	b.entries, b.gone, b.state, b.err = 0, 0, inEntries, nil
	b.prev.reset()
	return b
}

// maxKept is the size of a multiset above which its memory is given back.
const maxKept = 1 << 15

func (b *body) release() {
	b.sink = nil
	if cap(b.roots.sums) > maxKept {
		b.roots.sums = nil
	}
	bodies.Put(b)
}

// lastEntry is the place of the entry before: a copy, since names may lie in
// memory that their owner uses again.
type lastEntry struct {
	folder, unique, name []byte
	sub                  Sub
	any                  bool
}

func (l *lastEntry) reset() { l.any = false }

// ascends tells whether e comes after the entry before, and remembers it.
func (l *lastEntry) ascends(e *Entry) bool {
	if l.any && l.compare(e) >= 0 {
		return false
	}
	l.folder = append(l.folder[:0], e.Folder...)
	l.unique = append(l.unique[:0], e.Unique...)
	l.name = append(l.name[:0], e.Name...)
	l.sub, l.any = e.Sub, true
	return true
}

// compare is Entry.Compare.
func (l *lastEntry) compare(e *Entry) int {
	if c := compareBytes(l.folder, e.Folder); c != 0 {
		return c
	}
	if c := compareBytes(l.unique, e.Unique); c != 0 {
		return c
	}
	if l.sub != e.Sub {
		return int(l.sub) - int(e.Sub)
	}
	return compareBytes(l.name, e.Name)
}

// compareBytes compares without making a string of b.
func compareBytes(b []byte, s string) int {
	switch {
	case string(b) == s:
		return 0
	case string(b) < s:
		return -1
	}
	return 1
}

func (b *body) fail(err error) error {
	if b.err == nil {
		b.err = err
	}
	return b.err
}

func (b *body) add(e *Entry) error {
	if b.err != nil {
		return b.err
	}
	if b.state != inEntries {
		return b.fail(fmt.Errorf("%w: an entry after an absence or the end", ErrOrder))
	}
	if err := b.put(e, 0); err != nil {
		return err
	}
	b.sums.count(e)
	b.roots.add(e)
	return nil
}

func (b *body) absent(a *Absence) error {
	if b.err != nil {
		return b.err
	}
	if b.state == ended {
		return b.fail(fmt.Errorf("%w: an absence after the end", ErrOrder))
	}
	if a.Evidence > MassDisappearing {
		return b.fail(fmt.Errorf("%w: evidence %d of an absence", ErrInvalid, a.Evidence))
	}
	if b.state == inEntries {
		if err := b.endEntries(); err != nil {
			return err
		}
	}
	if err := b.put(&a.Entry, 64); err != nil {
		return err
	}
	c := b.cols.col[colAbsence]
	c = append(c, byte(a.Evidence))
	c = pack.Uint(c, uint64(a.UIDValidity))
	c = appendTime(c, a.LastSeen)
	b.cols.col[colAbsence] = appendTime(c, a.FirstAbsent)
	b.sums.absences++
	return nil
}

// put adds an entry or the entry of an absence to the block, and writes the
// block first where it has no room.
func (b *body) put(e *Entry, extra int) error {
	n, err := checkEntry(e, b.alg)
	if err != nil {
		return b.fail(err)
	}
	if !b.prev.ascends(e) {
		return b.fail(fmt.Errorf("%w: an entry or absence is not after the one before it", ErrOrder))
	}
	if b.cols.size()+n+extra > MaxBlock {
		if err := b.flush(); err != nil {
			return err
		}
	}
	b.cols.add(e)
	return nil
}

// flush writes the block that is being filled.
func (b *body) flush() error {
	if b.cols.items == 0 {
		return nil
	}
	typ, number := byte(blockEntries), &b.entries
	if b.state == inAbsences {
		typ, number = blockAbsences, &b.gone
	}
	b.packed = b.cols.pack(b.packed)
	err := b.write(typ, *number, b.cols.items, b.packed, b.cols.raw)
	*number++
	b.cols.reset()
	return err
}

func (b *body) write(typ byte, number, items int, packed, raw []byte) error {
	if err := b.sink(b.sealer.seal(typ, number, items, packed, raw)); err != nil {
		return b.fail(err)
	}
	return nil
}

// endEntries writes the last block of entries and the mark after it, which
// tells how many there were: a reader that stops there has all of them.
func (b *body) endEntries() error {
	if err := b.flush(); err != nil {
		return err
	}
	b.state = inAbsences
	b.prev.reset()
	b.packed = pack.Int(b.packed[:0], b.sums.messages)
	b.packed = pack.Int(b.packed, b.sums.bytes)
	return b.write(blockSums, 0, b.entries, b.packed, nil)
}

// finish writes the last block and fills the sums of mb. Only the end mark is
// left then.
func (b *body) finish(mb *Mailbox) error {
	if b.err != nil {
		return b.err
	}
	if b.state == inEntries {
		if err := b.endEntries(); err != nil {
			return err
		}
	}
	if err := b.flush(); err != nil {
		return err
	}
	b.state = ended
	b.sums.content, b.sums.state = b.roots.roots(mb)
	mb.Messages, mb.Bytes = b.sums.messages, b.sums.bytes
	mb.Content, mb.State = b.sums.content, b.sums.state
	return nil
}

// end writes the end mark after finish; headers is the number of header blocks.
func (b *body) end(headers int) error {
	if b.err != nil {
		return b.err
	}
	b.packed = b.sums.append(b.packed[:0])
	raw := appendRoots(b.cols.raw[:0], b.sums.content, b.sums.state)
	err := b.write(blockEnd, 0, headers+b.entries+b.gone+1, b.packed, raw)
	if err == nil {
		b.err = ErrEnded
	}
	return err
}
