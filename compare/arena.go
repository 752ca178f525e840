package compare

import (
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
	inSpill    = 1 << 63
)

// place is where a record lies in an arena.
type place struct {
	pos uint64 // chunk<<32 | offset, or inSpill | offset in the file
	n   uint32
}

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
			return place{}, fmt.Errorf("temporary file for a large mailbox: %w", err)
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
	p := place{pos: uint64(k)<<32 | uint64(len(a.chunks[k])), n: uint32(len(rec))}
	a.chunks[k] = append(a.chunks[k], rec...)
	return p
}

func (a *arena) putFile(rec []byte) (place, error) {
	p := place{pos: inSpill | uint64(a.written+int64(len(a.pending))), n: uint32(len(rec))}
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
	if p.pos&inSpill == 0 {
		off := p.pos & (1<<32 - 1)
		return a.chunks[p.pos>>32][off : off+uint64(p.n)], nil
	}
	at := int64(p.pos &^ inSpill)
	if at >= a.written {
		at -= a.written
		return a.pending[at : at+int64(p.n)], nil
	}
	return a.through(at, int64(p.n))
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
