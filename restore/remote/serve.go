package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"mailsync/compare"
)

// served is what one end hands out to the other.
type served struct {
	p    *Peer
	ctx  context.Context // ends with the connection
	stop context.CancelCauseFunc

	places chan struct{} // of the requests that are answered at once

	mu      sync.Mutex
	next    uint64
	stores  map[uint64]*servedStore
	opening int // stores that are being opened
}

// servedStore is a store that the other end has opened.
type servedStore struct {
	*Served
	mu      sync.Mutex
	listing *compare.Listing // made when it is first asked for
}

func newServed(p *Peer) *served {
	s := &served{p: p, stores: map[uint64]*servedStore{}, places: make(chan struct{}, maxServing)}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	return s
}

// loop answers requests until the connection ends.
func (s *served) loop() {
	var busy sync.WaitGroup
	waiting := make(chan struct{}, maxWaiting)
	for {
		waiting <- struct{}{}
		stream, err := s.p.session.AcceptStream()
		if err != nil {
			break
		}
		busy.Go(func() {
			defer func() { <-waiting }()
			s.stream(stream)
		})
	}
	s.stop(fmt.Errorf("%w: the other end has hung up", ErrLost))
	busy.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, st := range s.stores {
		_ = st.close()
		delete(s.stores, id)
	}
}

func (st *servedStore) close() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.listing != nil {
		_ = st.listing.Close()
		st.listing = nil
	}
	if st.Close == nil {
		return nil
	}
	return st.Served.Close()
}

// reply is where an answer goes.
type reply struct {
	*frames
	p   *Peer
	ctx context.Context // ends where the caller loses interest
}

// stream answers one request.
func (s *served) stream(stream *yamux.Stream) {
	defer stream.Close()
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { _ = stream.SetWriteDeadline(time.Unix(1, 0)) })()
	r := &reply{frames: newFrames(stream), p: s.p, ctx: ctx}
	_ = stream.SetReadDeadline(time.Now().Add(patience))
	kind, p, err := r.next()
	if err != nil || kind != frameRequest {
		return
	}
	var q request
	err = Decode(p, &q)
	_ = stream.SetReadDeadline(time.Time{})
	in := newInput(q.Method == methodRun)
	watched := make(chan struct{})
	go func() { // the caller goes on, or says no more; it may hang up
		defer close(watched)
		err := in.watch(r.frames)
		if !errors.Is(err, net.ErrClosed) {
			cancel(err)
		}
	}()
	rest := r.alive()
	if err == nil {
		err = s.inTurn(ctx, func() error { return s.handle(r, &q, in) })
	}
	rest()
	in.close()
	if err != nil && errors.Is(context.Cause(ctx), ErrLost) {
		err = context.Cause(ctx)
	}
	if err = r.sendValue(frameEnd, end{s.p.toWire(err)}); err == nil {
		_ = r.flush()
	}
	_ = stream.Close()
	_ = stream.SetReadDeadline(time.Now().Add(patience))
	<-watched
}

// inTurn does something when there is a place for it.
func (s *served) inTurn(ctx context.Context, do func() error) error {
	select {
	case s.places <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-s.places }()
	return do()
}

func (s *served) handle(r *reply, q *request, in *input) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("bug in what serves %q: %v", q.Method, x)
		}
	}()
	switch q.Method {
	case methodOpen, methodTask:
		if s.p.o.Host == nil {
			return fmt.Errorf("%w: nothing is served here", ErrRefused)
		}
		if q.Method == methodTask {
			return s.task(r, q.Body)
		}
		return s.open(r, q.Body)
	case methodArchive, methodWalk, methodFile:
		return s.archive(r, q)
	case methodPlan, methodUndo, methodRuns, methodRun:
		h, ok := s.p.o.Host.(Writable)
		if !ok {
			return fmt.Errorf("%w: nothing is written here", ErrRefused)
		}
		return s.write(h, r, q, in)
	}
	s.mu.Lock()
	st := s.stores[q.Store]
	s.mu.Unlock()
	if st == nil {
		return fmt.Errorf("%w: store %d is not open", ErrProtocol, q.Store)
	}
	switch q.Method {
	case methodClose:
		return s.drop(q.Store)
	case methodMessage:
		return st.message(r, q.Body)
	case methodSmall:
		return st.small(r, q.Body)
	}
	if st.Source == nil {
		return fmt.Errorf("%w: it hands out messages only", ErrRefused)
	}
	switch q.Method {
	case methodSums:
		return st.sums(r, q.Body)
	case methodHeads:
		return st.heads(r, q.Body)
	case methodRecord:
		return st.record(r)
	case methodView:
		return st.view(r, q.Body)
	case methodLookup:
		return st.lookup(r, q.Body)
	case methodEvidence:
		return st.evidence(r, q.Body)
	}
	return fmt.Errorf("%w: method %q is not known", ErrProtocol, q.Method)
}

func (s *served) open(r *reply, body []byte) error {
	var spec Spec
	if err := Decode(body, &spec); err != nil {
		return err
	}
	s.mu.Lock()
	many := len(s.stores)+s.opening >= maxStores
	if !many {
		s.opening++
	}
	s.mu.Unlock()
	if many {
		return fmt.Errorf("%w: %d stores are open", ErrRefused, maxStores)
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.opening--
	}()
	h, err := s.p.o.Host.OpenStore(r.ctx, spec)
	if err != nil {
		return err
	}
	out, err := s.add(h)
	if err != nil {
		if h.Close != nil {
			err = errors.Join(err, h.Close())
		}
		return err
	}
	return r.sendValue(frameItem, out)
}

func (s *served) task(r *reply, body []byte) error {
	var q taskRequest
	if err := Decode(body, &q); err != nil {
		return err
	}
	var mu sync.Mutex
	t := &Task{Name: q.Name, Body: q.Body, Event: func(p []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if err := r.sendValue(frameItem, taskItem{Event: p}); err != nil {
			return err
		}
		return r.flush()
	}}
	result, err := s.p.o.Host.Run(r.ctx, t)
	if err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	return r.sendValue(frameItem, taskItem{Result: result})
}

// list returns the store's listing, which is made once.
func (st *servedStore) list(ctx context.Context, spill func() (compare.Spill, error)) (*compare.Listing, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.listing == nil {
		l, err := compare.List(ctx, st.Source, spill)
		if err != nil {
			return nil, err
		}
		st.listing = l
	}
	return st.listing, nil
}

func (st *servedStore) sums(r *reply, body []byte) error {
	var q runsRequest
	if err := Decode(body, &q); err != nil {
		return err
	}
	l, err := st.list(r.ctx, r.p.o.Spill)
	if err != nil {
		return err
	}
	list, err := l.Sums(r.ctx, q.runs())
	if err != nil {
		return err
	}
	out := make([]sum, len(list))
	for i, s := range list {
		out[i] = sum{ID: s.ID[:], Known: s.Known, Mailboxes: s.Mailboxes, Messages: s.Messages}
	}
	return r.sendValue(frameItem, out)
}

func (st *servedStore) heads(r *reply, body []byte) error {
	var q runsRequest
	if err := Decode(body, &q); err != nil {
		return err
	}
	l, err := st.list(r.ctx, r.p.o.Spill)
	if err != nil {
		return err
	}
	var out heads
	for h, err := range l.Parts(r.ctx, q.runs()) {
		if err != nil {
			return errors.Join(out.send(r, true), err)
		}
		out.Heads = append(out.Heads, head{
			Name: h.Name, State: digestOf(h.State), Content: digestOf(h.Content), Messages: h.Messages, Damaged: h.Damaged,
		})
		if err := out.send(r, false); err != nil {
			return err
		}
	}
	return out.send(r, true)
}

// record lists what is recorded of the store; what is gone is left out.
func (st *servedStore) record(r *reply) error {
	if st.Heads == nil {
		return fmt.Errorf("%w: nothing is recorded here", ErrRefused)
	}
	var out heads
	for h, err := range st.Heads(r.ctx) {
		if err != nil {
			return err
		}
		if !h.Gone.IsZero() {
			continue
		}
		out.Heads = append(out.Heads, head{
			Name: h.Name, State: digestOf(h.State), Content: digestOf(h.Content), Messages: h.Messages, Damaged: h.Damaged,
			Ended: nanos(h.Ended), Absences: h.Absences,
		})
		if err := out.send(r, false); err != nil {
			return err
		}
	}
	return out.send(r, true)
}

// send sends the heads where there are enough of them, or all is set.
func (h *heads) send(r *reply, all bool) error {
	if len(h.Heads) == 0 || !all && len(h.Heads) < headsAFrame {
		return nil
	}
	err := r.sendValue(frameItem, h)
	h.Heads = h.Heads[:0]
	return err
}
