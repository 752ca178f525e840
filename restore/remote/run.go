package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"mailsync/restore"
)

// Run is a run on the other host, which has the disks of the target: its journal,
// quarantine and locks are there. It does what a restore.Run does; an action is
// told as done only after it is durable there. Its methods are for one goroutine.
//
// Where the connection breaks, what was done is journalled there, the run has
// ended as interrupted, and the same command goes on from there.
type Run struct {
	Progress restore.Progress

	p       *Peer
	a       *answer
	id      string
	store   string // how the caller names the target
	source  *runSource
	offered *Offered
	counts  restore.Counts
	err     error // nothing more can be asked for

	mu sync.Mutex // of what is sent
}

// Begin begins a run on the other host: the errors are those of restore.Begin, or
// ErrRefused where that host does not let itself be written into.
func (p *Peer) Begin(ctx context.Context, o *RunOptions) (*Run, error) {
	r := &Run{p: p, store: o.Target.Name, source: new(runSource)}
	var err error
	if r.offered, err = p.Offer(&Served{Messages: r.source}); err != nil {
		return nil, err
	}
	// A run is ended in order, also when ctx has ended: it is told to stop, and
	// what was in flight is still heard of.
	if r.a, err = p.ask(context.WithoutCancel(ctx), methodRun, 0, runRequest{Options: *o, Source: r.offered.opened}); err != nil {
		_ = r.offered.Close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = r.a.stream.SetDeadline(time.Unix(1, 0)) })
	var begun runItem
	err = r.a.item(&begun)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err == nil && !restore.ValidRunID(begun.Begun) {
		err = fmt.Errorf("%w: a run %q", ErrProtocol, begun.Begun)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	r.id = begun.Begun
	return r, nil
}

func (r *Run) close() {
	r.a.close()
	_ = r.offered.Close()
}

// ID names the run for undo and runs.
func (r *Run) ID() string { return r.id }

// Counts returns the outcomes so far, as they were told.
func (r *Run) Counts() restore.Counts { return r.counts }

// Apply carries out a plan, as restore.Run.Apply.
func (r *Run) Apply(ctx context.Context, plan *restore.Plan, src restore.Source) iter.Seq2[restore.Action, error] {
	return func(yield func(restore.Action, error) bool) {
		err := r.send(runInput{Plan: &runPlan{Fresh: plan.Fresh()}})
		if err == nil {
			_, err = plan.WriteTo(&planWriter{ctx: ctx, r: r})
		}
		if err != nil {
			yield(restore.Action{}, r.failed(ctx, err))
			return
		}
		r.carry(ctx, runInput{Apply: true}, src, yield)
	}
}

// Deliver carries out actions that were decided elsewhere, as restore.Run.Deliver.
func (r *Run) Deliver(ctx context.Context, list []restore.Action, src restore.Source) iter.Seq2[restore.Action, error] {
	return func(yield func(restore.Action, error) bool) {
		for len(list) > 0 {
			n, err := r.sendActions(list)
			if err != nil {
				yield(restore.Action{}, r.failed(ctx, err))
				return
			}
			list = list[n:]
			if !r.carry(ctx, runInput{Deliver: true}, src, yield) {
				return
			}
		}
	}
}

// sendActions sends as many actions as travel together.
func (r *Run) sendActions(list []restore.Action) (n int, err error) {
	var part actions
	size := 0
	for n < len(list) && n < maxDelivery && size < maxDeliveryBytes-maxFrame {
		before := part.size
		if err := part.add(&list[n]); err != nil {
			return n, err
		}
		size += part.size - before
		if n++; part.size >= actionBytes {
			if err := r.send(runInput{Actions: part.take()}); err != nil {
				return n, err
			}
		}
	}
	if part.size > 0 {
		err = r.send(runInput{Actions: part.take()})
	}
	return n, err
}

// carry has the other end carry something out, and yields each action as it
// ends. It tells whether all went on in order.
func (r *Run) carry(ctx context.Context, what runInput, src restore.Source, yield func(restore.Action, error) bool) bool {
	r.source.set(src)
	defer r.source.set(nil)
	stop := context.AfterFunc(ctx, func() { _ = r.send(runInput{Stop: true}) })
	defer stop()
	if err := r.send(what); err != nil {
		yield(restore.Action{}, r.failed(ctx, err))
		return false
	}
	wanted := true
	for {
		var x runItem
		if err := r.a.item(&x); err != nil {
			if wanted {
				yield(restore.Action{}, r.failed(ctx, err))
			}
			return false
		}
		for _, p := range x.Actions {
			a, err := parseAction(p)
			if err != nil {
				if wanted {
					yield(a, r.failed(ctx, err))
				}
				return false
			}
			a.Ref.Store = r.store
			r.counts.Add(&a)
			if wanted && !yield(a, nil) {
				wanted = false
				_ = r.send(runInput{Stop: true})
			}
		}
		if g := x.Progress; g != nil {
			r.Progress.Done.Store(g.Done)
			r.Progress.Failed.Store(g.Failed)
			r.Progress.Bytes.Store(g.Bytes)
		}
		if x.Over == nil {
			continue
		}
		r.counts.Planned = x.Over.Planned
		err := r.p.fromWire(x.Over.Err)
		if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = context.Cause(ctx)
		}
		if err != nil && wanted {
			yield(restore.Action{}, err)
		}
		return wanted && err == nil
	}
}

// failed keeps what makes the run useless.
func (r *Run) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return err
	}
	r.err = err
	return err
}

// End ends the run and its journal. err is why it ends, nil where everything was
// tried. Where the connection is lost the other end has done so by itself.
func (r *Run) End(err error) error {
	if r.a == nil {
		return nil
	}
	defer func() {
		r.close()
		r.a = nil
	}()
	if r.err != nil {
		return nil
	}
	if err := r.send(runInput{End: &runEnd{r.p.toWire(err)}}); err != nil {
		return err
	}
	var x runItem
	if err := r.a.item(&x); err != nil {
		return err
	}
	if !x.Ended {
		return fmt.Errorf("%w: the end of a run is not confirmed", ErrProtocol)
	}
	return r.a.finish()
}

func (r *Run) send(v runInput) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.a.f.sendValue(frameItem, v)
	if err == nil {
		err = r.a.f.flush()
	}
	if err != nil {
		return r.a.failed(err)
	}
	return nil
}

// planWriter sends a plan as data.
type planWriter struct {
	ctx context.Context
	r   *Run
}

// Write implements io.Writer.
func (w *planWriter) Write(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	pk := newPacker()
	defer pk.release()
	d := data{f: w.r.a.f, pack: pk.pack}
	n, err := d.Write(p)
	if err != nil {
		err = w.r.a.failed(err)
	}
	return n, err
}

// runSource is what a run may read of this host: the source of what is being
// carried out, and nothing between.
type runSource struct {
	mu  sync.Mutex
	src restore.Source
}

func (s *runSource) set(src restore.Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.src = src
}

func (s *runSource) get() (restore.Source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.src == nil {
		return nil, fmt.Errorf("%w: nothing is being carried out", ErrRefused)
	}
	return s.src, nil
}

// Open implements restore.Source.
func (s *runSource) Open(ctx context.Context, a *restore.Action) (io.ReadCloser, error) {
	src, err := s.get()
	if err != nil {
		return nil, err
	}
	return src.Open(ctx, a)
}

// SmallFile implements restore.SmallFiles.
func (s *runSource) SmallFile(ctx context.Context, a *restore.Action, name string) ([]byte, error) {
	src, err := s.get()
	if err != nil {
		return nil, err
	}
	small, ok := src.(restore.SmallFiles)
	if !ok {
		return nil, fmt.Errorf("%w: it hands out messages only", restore.ErrNoSource)
	}
	return small.SmallFile(ctx, a, name)
}
