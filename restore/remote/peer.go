package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"mailsync/compare"
)

// Options say how two ends talk.
type Options struct {
	Program     string  // version of the program, for people
	Name        string  // of the other end, in errors; "" = it is not named
	Host        Host    // what this end serves; nil = nothing
	BytesPerSec int64   // over the pipe, both directions together; 0 = no limit
	Classes     []Class // errors of the caller's rooms that keep their meaning
	// Spill makes the temporary file that holds a listing.
	Spill func() (compare.Spill, error)
}

// Peer is one end's view of the other. Both ends may ask and both may serve;
// its methods may be called by several goroutines.
type Peer struct {
	o       Options
	classes []Class
	conn    *meter
	session *yamux.Session
	version int
	other   hello
	host    *served // what this end serves

	once sync.Once
	done chan struct{} // the serving loop has ended
}

// The limits of a connection.
const (
	maxServing  = 128     // requests that are answered at once
	maxWaiting  = 1024    // those, and others that wait for their turn
	maxStores   = 64      // stores that a peer holds open
	streamBytes = 1 << 20 // that a stream may have on its way
	patience    = 60 * time.Second
)

// Connect greets the other end of a pipe as the one that calls. It closes conn
// where that fails. The error is ErrLost, ErrHello or ErrVersion.
func Connect(ctx context.Context, conn io.ReadWriteCloser, o Options) (*Peer, error) {
	return begin(ctx, conn, o, "call")
}

// Serve greets the other end of a pipe as the one that serves, and answers
// until it has gone or ctx ends, or gives no sign of life. A caller that hangs
// up is no error. Closing conn must end what reads from it or writes to it.
func Serve(ctx context.Context, conn io.ReadWriteCloser, o Options) error {
	first, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%w: no word from the caller", ErrLost))
	defer cancel()
	p, err := begin(first, conn, o, "serve")
	if err != nil {
		return err
	}
	defer p.Close()
	select {
	case <-p.session.CloseChan():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func begin(ctx context.Context, conn io.ReadWriteCloser, o Options, role string) (*Peer, error) {
	p := &Peer{o: o, classes: slices.Concat(classes, o.Classes), conn: newMeter(conn, o.BytesPerSec), done: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = p.conn.Close() })
	own := hello{OldestVersion, NewestVersion, o.Program, role}
	var err error
	p.version, p.other, err = greet(p.conn, own)
	if !stop() && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		_ = p.conn.Close()
		return nil, err
	}
	c := yamux.DefaultConfig()
	c.LogOutput, c.Logger = io.Discard, nil
	c.MaxStreamWindowSize = streamBytes
	c.AcceptBacklog = maxServing
	c.KeepAliveInterval = patience / 4
	c.ConnectionWriteTimeout = patience
	c.StreamOpenTimeout = 0 // a request may wait for its place as long as others are being answered
	if role == "call" {
		p.session, err = yamux.Client(p.conn, c)
	} else {
		p.session, err = yamux.Server(p.conn, c)
	}
	if err != nil {
		_ = p.conn.Close()
		return nil, err
	}
	p.host = newServed(p)
	go func() {
		defer close(p.done)
		p.host.loop()
	}()
	return p, nil
}

// Close hangs up, and waits for what was being served to end.
func (p *Peer) Close() error {
	p.once.Do(func() {
		_ = p.session.Close()
		<-p.done
	})
	return nil
}

// Traffic is how many bytes came and went over the pipe so far.
func (p *Peer) Traffic() (in, out int64) { return p.conn.in.Load(), p.conn.sent.Load() }

// request is the first frame of a stream.
type request struct {
	Method string `cbor:"1,keyasint"`
	Store  uint64 `cbor:"2,keyasint,omitempty"`
	Body   []byte `cbor:"3,keyasint,omitempty"`
}

// answer is a stream on which a request was sent.
type answer struct {
	p      *Peer
	ctx    context.Context
	stream *yamux.Stream
	f      *frames
	stop   func() bool
	err    error // the answer has ended; io.EOF: in order
}

// ask sends a request.
func (p *Peer) ask(ctx context.Context, method string, store uint64, body any) (*answer, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	raw, err := encMode.Marshal(body)
	if err != nil {
		return nil, err
	}
	stream, err := p.session.OpenStream()
	if err != nil {
		return nil, p.gone(err)
	}
	a := &answer{p: p, ctx: ctx, stream: stream, f: newFrames(&patient{ctx, stream})}
	a.stop = context.AfterFunc(ctx, func() { _ = stream.SetDeadline(time.Unix(1, 0)) })
	err = a.f.sendValue(frameRequest, request{Method: method, Store: store, Body: raw})
	if err == nil {
		err = a.f.flush()
	}
	if err != nil {
		a.close()
		return nil, a.failed(err)
	}
	return a, nil
}

// gone names the other end in an error of the connection.
func (p *Peer) gone(err error) error {
	if p.o.Name == "" {
		return lost(err)
	}
	return fmt.Errorf("%s: %w", p.o.Name, lost(err))
}

func (a *answer) failed(err error) error {
	if a.ctx.Err() != nil {
		return context.Cause(a.ctx)
	}
	if errors.Is(err, ErrLost) {
		return a.p.gone(err)
	}
	return err
}

// next returns the next item or data of the answer, valid until the next call;
// io.EOF after its end, and what the other end says went wrong.
func (a *answer) next() (kind byte, p []byte, err error) {
	if a.err != nil {
		return 0, nil, a.err
	}
	kind = frameWorking
	for err == nil && kind == frameWorking {
		kind, p, err = a.f.next()
	}
	switch {
	case err != nil:
		a.err = a.failed(err)
	case kind == frameEnd:
		var e end
		if a.err = Decode(p, &e); a.err == nil {
			a.err = io.EOF
			if e.Err != nil {
				a.err = a.p.fromWire(e.Err)
			}
		}
	case kind == frameRequest:
		a.err = fmt.Errorf("%w: a request where an answer belongs", ErrProtocol)
	case a.ctx.Err() != nil:
		a.err = context.Cause(a.ctx)
	}
	if a.err != nil {
		return 0, nil, a.err
	}
	return kind, p, nil
}

// item reads one item into v.
func (a *answer) item(v any) error {
	kind, p, err := a.next()
	if err != nil {
		return ended(err)
	}
	if kind != frameItem {
		return fmt.Errorf("%w: data where an item belongs", ErrProtocol)
	}
	return Decode(p, v)
}

// finish reads the end of an answer.
func (a *answer) finish() error {
	_, _, err := a.next()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%w: more than was asked for", ErrProtocol)
	}
	return err
}

// ended: the answer is in order and lacks something.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: an answer lacks something", ErrProtocol)
	}
	return err
}

func (a *answer) close() {
	a.stop()
	_ = a.stream.Close()
}

// one asks for an answer of one item.
func (p *Peer) one(ctx context.Context, method string, store uint64, body, v any) error {
	a, err := p.ask(ctx, method, store, body)
	if err != nil {
		return err
	}
	defer a.close()
	if v != nil {
		if err := a.item(v); err != nil {
			return err
		}
	}
	return a.finish()
}

// Do has the other end do a task. event receives what it tells meanwhile.
func (p *Peer) Do(ctx context.Context, name string, body any, event func([]byte) error) ([]byte, error) {
	raw, err := encMode.Marshal(body)
	if err != nil {
		return nil, err
	}
	a, err := p.ask(ctx, methodTask, 0, taskRequest{Name: name, Body: raw})
	if err != nil {
		return nil, err
	}
	defer a.close()
	for {
		var t taskItem
		if err := a.item(&t); err != nil {
			return nil, err
		}
		if t.Result != nil {
			return t.Result, a.finish()
		}
		if err := event(t.Event); err != nil {
			return nil, err
		}
	}
}
