package remote

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// input is what a caller goes on to say after its request. Of most requests that
// is nothing; it may hang up, which is noticed while the answer is being made.
type input struct {
	open bool // the method takes input
	c    chan inFrame
	gone chan struct{} // the answer is complete: nobody listens any more
	once sync.Once
	stop func() // what Stop does; set before the first frame is waited for

	mu      sync.Mutex
	stopped bool
}

type inFrame struct {
	kind byte
	p    []byte
	word runInput // of an item
}

func newInput(open bool) *input {
	return &input{open: open, c: make(chan inFrame), gone: make(chan struct{})}
}

func (in *input) close() { in.once.Do(func() { close(in.gone) }) }

// watch reads what the caller says until it hangs up, and returns why the answer
// need not go on.
func (in *input) watch(f *frames) error {
	for {
		if !in.open {
			if _, err := f.r.ReadByte(); err != nil {
				return hungUp(err)
			}
			return fmt.Errorf("%w: the other end says more than was asked for", ErrProtocol)
		}
		kind, p, err := f.next()
		switch {
		case errors.Is(err, ErrProtocol):
			return err
		case err != nil:
			return hungUp(err)
		}
		x := inFrame{kind: kind}
		switch kind {
		case frameItem:
			if err := Decode(p, &x.word); err != nil {
				return err
			}
			if x.word.Stop {
				in.halt()
				continue
			}
		case frameData, framePacked:
			x.p = append([]byte(nil), p...)
		default:
			return fmt.Errorf("%w: a frame of kind %d where input belongs", ErrProtocol, kind)
		}
		select {
		case in.c <- x:
		case <-in.gone:
		}
	}
}

// hungUp says what the end of a caller's words means. That this end has closed
// the stream is no word of the caller's.
func hungUp(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	return fmt.Errorf("%w: the other end wants no more", ErrLost)
}

// halt does what Stop asks for: what is being carried out, or will be, ends with
// what is in flight.
func (in *input) halt() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stopped = true
	if in.stop != nil {
		in.stop()
	}
}

// during has Stop call stop, until the returned function is called; at once where
// it was said before.
func (in *input) during(stop func()) (over func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stop = stop
	if in.stopped {
		stop()
	}
	return func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.stop = nil
	}
}
