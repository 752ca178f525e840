package compare

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// memory is the room that all workers of a comparison share.
type memory struct {
	left  atomic.Int64
	spill func() (Spill, error)
}

// take asks for n bytes. Without a way to spill it always succeeds.
func (m *memory) take(n int64) bool {
	if m.spill == nil {
		m.left.Add(-n)
		return true
	}
	if m.left.Add(-n) < 0 {
		m.left.Add(n)
		return false
	}
	return true
}

func (m *memory) give(n int64) { m.left.Add(n) }

const (
	firstChunk = 4 << 10
	lastChunk  = 1 << 20
	spillChunk = 128 << 10
)

// place is where a record lies in an arena, in one word, since there may be
// millions: bit 63 tells that it is in the file, 39 bits say where (in the
// file, or chunk<<20 | offset), 24 bits how long it is.
type place uint64

const (
	inSpill   place = 1 << 63
	placeLen        = 24
	placePos        = 39
	maxRecord       = 1<<placeLen - 1
)

func newPlace(pos uint64, n int) place { return place(pos<<placeLen | uint64(n)) }

func (p place) pos() uint64 { return uint64(p&^inSpill) >> placeLen }
func (p place) len() int64  { return int64(p & maxRecord) }

// errLarge: 32 copies of a message with all that a server may say of it need
// less than half of either limit.
var errLarge = errors.New("a mailbox is too large to be compared")

// arena holds encoded records of one mailbox: in memory as far as there is
// room, then in a temporary file. Chunks hold no pointers, so that the
// collector has nothing to follow.
type arena struct {
	mem    *memory
	chunks [][]byte
	taken  int64

	file    Spill
	written int64  // in the file
	pending []byte // not yet written
	windows [4]window
	clock   uint64
}

// window is a part of the temporary file that is held in memory: records are
// mostly read in the order in which they were written, in a few places at once.
type window struct {
	at   int64
	data []byte
	used uint64
}

const windowSize = 32 << 10

// put keeps a copy of rec.
func (a *arena) put(rec []byte) (place, error) {
	if len(rec) > maxRecord || uint64(a.written) >= 1<<placePos-lastChunk {
		return 0, errLarge
	}
	if a.file != nil {
		return a.putFile(rec)
	}
	if k := len(a.chunks); k > 0 && len(rec) <= cap(a.chunks[k-1])-len(a.chunks[k-1]) {
		return a.append(rec), nil
	}
	size := firstChunk << min(len(a.chunks), 8)
	size = max(min(size, lastChunk), len(rec))
	if !a.mem.take(int64(size)) {
		f, err := a.mem.spill()
		if err != nil {
			return 0, fmt.Errorf("temporary file for a large mailbox: %w", err)
		}
		a.file = f
		return a.putFile(rec)
	}
	a.taken += int64(size)
	a.chunks = append(a.chunks, make([]byte, 0, size))
	return a.append(rec), nil
}

func (a *arena) append(rec []byte) place {
	k := len(a.chunks) - 1
	p := newPlace(uint64(k)<<20|uint64(len(a.chunks[k])), len(rec))
	a.chunks[k] = append(a.chunks[k], rec...)
	return p
}

func (a *arena) putFile(rec []byte) (place, error) {
	p := inSpill | newPlace(uint64(a.written)+uint64(len(a.pending)), len(rec))
	a.pending = append(a.pending, rec...)
	if len(a.pending) >= spillChunk {
		return p, a.flush()
	}
	return p, nil
}

func (a *arena) flush() error {
	n, err := a.file.Write(a.pending)
	if err != nil {
		return fmt.Errorf("temporary file for a large mailbox: %w", err)
	}
	a.written += int64(n)
	a.pending = a.pending[:0]
	return nil
}

// get returns a record. What it returns is valid until the next get.
func (a *arena) get(p place) ([]byte, error) {
	if p&inSpill == 0 {
		off := p.pos() & (lastChunk - 1)
		return a.chunks[p.pos()>>20][off : int64(off)+p.len()], nil
	}
	at := int64(p.pos())
	if at >= a.written {
		at -= a.written
		return a.pending[at : at+p.len()], nil
	}
	return a.through(at, p.len())
}

// through reads from the file through a window.
func (a *arena) through(at, n int64) ([]byte, error) {
	a.clock++
	oldest := &a.windows[0]
	for i := range a.windows {
		w := &a.windows[i]
		if at >= w.at && at+n <= w.at+int64(len(w.data)) {
			w.used = a.clock
			return w.data[at-w.at : at-w.at+n], nil
		}
		if w.used < oldest.used {
			oldest = w
		}
	}
	size := min(max(n, windowSize), a.written-at)
	if int64(cap(oldest.data)) < size {
		oldest.data = make([]byte, max(size, windowSize))
	}
	oldest.at, oldest.data, oldest.used = at, oldest.data[:size], a.clock
	if _, err := a.file.ReadAt(oldest.data, at); err != nil {
		oldest.data = oldest.data[:0]
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("temporary file for a large mailbox: %w", err)
	}
	return oldest.data[:n], nil
}

func (a *arena) release() {
	a.mem.give(a.taken)
	a.taken, a.chunks, a.pending, a.windows = 0, nil, nil, [4]window{}
	if a.file != nil {
		_ = a.file.Close()
		a.file = nil
	}
}
