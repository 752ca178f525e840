package remote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/yamux"
)

// A request may take long: a store of a million mailboxes is listed before a
// word can be said of it. Who serves it says now and then that it is being
// worked on; who asked gives up where nothing at all comes any more, although
// the connection stands.

// signOfWork is how often it is said, where nothing else is sent.
const signOfWork = patience / 4

// alive has the other end told that a request is being worked on, until stop is
// called, after which nothing more is sent.
func (f *frames) alive() (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ended, seen := false, f.sent
	var t *time.Timer
	t = time.AfterFunc(signOfWork, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if ended {
			return
		}
		if seen == f.sent && f.write(frameWorking, nil) == nil {
			_ = f.w.Flush()
		}
		seen = f.sent
		t.Reset(signOfWork)
	})
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		ended = true
		t.Stop()
	}
}

// patient is the stream of a request, for the one who asked: each read and each
// write ends after patience.
type patient struct {
	ctx context.Context
	*yamux.Stream
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if p.ctx.Err() != nil { // its end may have set a deadline before this one
		return 0, context.Cause(p.ctx)
	}
	n, err := p.Stream.Read(b)
	return n, silent(err)
}

// Write implements io.Writer.
func (p *patient) Write(b []byte) (int, error) {
	_ = p.SetWriteDeadline(time.Now().Add(patience))
	if p.ctx.Err() != nil {
		return 0, context.Cause(p.ctx)
	}
	n, err := p.Stream.Write(b)
	return n, silent(err)
}

// silent says what a deadline that has passed means.
func silent(err error) error {
	if errors.Is(err, yamux.ErrTimeout) {
		return fmt.Errorf("%w: the connection stands, and for %s nobody has worked on the request", ErrLost, patience)
	}
	return err
}
