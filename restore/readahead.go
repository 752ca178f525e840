package restore

import (
	"context"
	"io"
	"iter"
	"sync"
)

// Sources are read ahead of the writing, small messages in loads: enough that
// handing a load over costs nothing beside reading it, little enough that what
// is in memory stays bounded, whatever the plan holds.
const (
	loadItems = 32
	loadBytes = 256 << 10 // from which on a load is full; one message more may go in
	loadsMax  = 24        // loads under way
)

// load is a few consecutive actions, whose small messages are read together.
type load struct {
	items []*item
	bytes int           // of its small messages
	ready chan struct{} // closed when they have been read; nil: there are none
	arena *[]byte
}

var arenas = sync.Pool{New: func() any { b := make([]byte, 0, loadBytes); return &b }}

// loads groups the actions of a plan. The error of the stream is kept.
func (s *stager) loads(actions iter.Seq2[Action, error]) iter.Seq[*load] {
	return func(yield func(*load) bool) {
		l := &load{}
		for a, err := range actions {
			if err != nil {
				s.err = err
				break
			}
			if a.State == "" {
				a.State = Planned
			}
			t := &item{a: a}
			if a.readAhead() && !s.stopped() {
				t.ahead = true
				l.bytes += int(a.Post.Size) + 1
				if l.ready == nil {
					l.ready = make(chan struct{})
				}
			}
			l.items = append(l.items, t)
			if len(l.items) >= loadItems || l.bytes >= loadBytes {
				if !yield(l) {
					return
				}
				l = &load{}
			}
		}
		if len(l.items) > 0 {
			yield(l)
		}
	}
}

// readAhead tells whether an action's message is read before its turn.
func (a *Action) readAhead() bool {
	return a.State == Planned && (a.Op == Add || a.Op == Replace) && a.From != fromQuarantine &&
		a.Post.Size >= 0 && a.Post.Size <= smallMessage
}

// fetcher reads loads, one at a time.
type fetcher struct {
	ctx  context.Context
	src  Source
	cold int // messages to go for which asking ahead is worth while
	open [loadItems]io.ReadCloser
}

// ahead is how many messages are opened and asked for before they are read,
// while messages are found not to be cached: a disk answers many requests at
// once, and opening waits for inodes, too.
const ahead = 16

// What a source's messages can do where they are files.
type (
	asked interface {
		// WillNeed begins to fetch the first n bytes.
		WillNeed(n int64)
	}
	cached interface {
		// Cached reads what is there without waiting; ok is false where nothing is.
		Cached(p []byte, off int64) (n int, ok, known bool)
	}
)

// fetch reads the small messages of a load.
func (f *fetcher) fetch(l *load) {
	defer close(l.ready)
	l.arena = arenas.Get().(*[]byte)
	if cap(*l.arena) < l.bytes {
		*l.arena = make([]byte, 0, l.bytes)
	}
	free := (*l.arena)[:0:l.bytes]
	opened := 0
	for i, t := range l.items {
		until := i + 1
		if f.cold > 0 {
			until = i + ahead
		}
		for ; opened < min(until, len(l.items)); opened++ {
			f.begin(opened, l.items[opened])
		}
		if rc := f.open[i]; rc != nil {
			size := int(t.a.Post.Size) + 1
			t.data, t.readErr = f.read(rc, &t.a, free[:0:size])
			free = free[size:size:cap(free)]
			_ = rc.Close()
			f.open[i] = nil
		}
	}
}

// begin opens a message, and asks for its bytes where they will not be there.
func (f *fetcher) begin(i int, t *item) {
	f.open[i] = nil
	if !t.ahead {
		return
	}
	rc, err := f.src.Open(f.ctx, &t.a)
	if err != nil {
		t.readErr = err
		return
	}
	if w, ok := rc.(asked); ok && f.cold > 0 && t.a.Post.Size > 0 {
		w.WillNeed(t.a.Post.Size)
	}
	f.open[i] = rc
}

// read takes the message from the page cache in one call, else from the disk.
func (f *fetcher) read(rc io.ReadCloser, a *Action, buf []byte) ([]byte, error) {
	c, ok := rc.(cached)
	if !ok {
		return readSmall(rc, a, buf)
	}
	n, ok, known := c.Cached(buf[:cap(buf)], 0)
	if ok && int64(n) == a.Post.Size {
		f.cold = max(f.cold-1, 0)
		return checkSmall(buf[:n], a)
	}
	if known {
		f.cold = 4 * loadItems
	}
	return readSmall(rc, a, buf)
}

// free gives a load's memory back.
func (l *load) free() {
	if l.arena != nil {
		arenas.Put(l.arena)
		l.arena = nil
	}
}
