package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"time"

	"mailsync/restore"
)

// running is a run of this host that a caller steers.
type running struct {
	r   *reply
	in  *input
	run *restore.Run
	src restore.Source

	mu   sync.Mutex // of the reply
	held actions
	err  error // of what was told
}

// run lets the caller write into a store of this host, in a run of its own.
func (s *served) run(h Writable, r *reply, body []byte, in *input) error {
	var q runRequest
	if err := Decode(body, &q); err != nil {
		return err
	}
	src, closeSources, err := s.runSources(h, r.ctx, &q)
	if err != nil {
		return err
	}
	defer closeSources()
	run, release, err := h.Begin(r.ctx, &q.Options)
	if err != nil {
		return err
	}
	defer release()
	t := &running{r: r, in: in, run: run, src: src}
	why, err := t.serve()
	if err != nil {
		// Nobody hears how the run ends; its journal says that it can go on.
		why = fmt.Errorf("%w: %w", context.Canceled, err)
	}
	if e := run.End(why); e != nil {
		return errors.Join(err, e)
	}
	if err != nil {
		return err
	}
	return r.sendValue(frameItem, runItem{Ended: true})
}

// runSources is where the bytes of a run come from: stores of this host, which
// are closed after it, and everything else from the caller.
func (s *served) runSources(h Host, ctx context.Context, q *runRequest) (restore.Source, func(), error) {
	if len(q.Options.Here) > maxSides {
		return nil, nil, fmt.Errorf("%w: %d sources", ErrProtocol, len(q.Options.Here))
	}
	src := &runSources{here: restore.BySource{}, caller: s.p.store("", &q.Source).Messages()}
	var open []*Served
	closeAll := func() {
		for _, x := range open {
			if x.Close != nil {
				_ = x.Close()
			}
		}
	}
	for _, x := range q.Options.Here {
		st, err := h.OpenStore(ctx, x.Store)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		open = append(open, st)
		src.here[x.Name] = st.Messages
	}
	return src, closeAll, nil
}

// runSources chooses by Action.From.
type runSources struct {
	here   restore.BySource
	caller restore.Source
}

func (m *runSources) of(a *restore.Action) (restore.Source, error) {
	name, _, _ := strings.Cut(a.From, "\x00")
	if src, ok := m.here[name]; ok && src != nil {
		return src, nil
	}
	if m.caller == nil {
		return nil, fmt.Errorf("%w: %q", restore.ErrNoSource, name)
	}
	return m.caller, nil
}

// Open implements restore.Source.
func (m *runSources) Open(ctx context.Context, a *restore.Action) (io.ReadCloser, error) {
	src, err := m.of(a)
	if err != nil {
		return nil, err
	}
	return src.Open(ctx, a)
}

// SmallFile implements restore.SmallFiles.
func (m *runSources) SmallFile(ctx context.Context, a *restore.Action, name string) ([]byte, error) {
	src, err := m.of(a)
	if err != nil {
		return nil, err
	}
	small, ok := src.(restore.SmallFiles)
	if !ok {
		return nil, fmt.Errorf("%w: %q hands out messages only", restore.ErrNoSource, a.From)
	}
	return small.SmallFile(ctx, a, name)
}

// serve does what the caller says, up to its word that the run ends, and returns
// why that is. An error says that there was no such word.
func (t *running) serve() (why, err error) {
	if err := t.tell(&runItem{Begun: t.run.ID()}); err != nil {
		return nil, err
	}
	var list []restore.Action
	size := 0
	for {
		x, err := t.next()
		if err != nil {
			return nil, err
		}
		w := &x.word
		switch {
		case w.Plan != nil:
			if err := t.plan(w.Plan.Fresh); err != nil {
				return nil, err
			}
		case len(w.Actions) > 0:
			for _, p := range w.Actions {
				a, err := parseAction(p)
				if err != nil {
					return nil, err
				}
				list, size = append(list, a), size+len(p)
			}
			if len(list) > maxDelivery || size > maxDeliveryBytes {
				return nil, fmt.Errorf("%w: %d actions of %d bytes at once", ErrProtocol, len(list), size)
			}
		case w.Deliver:
			err := t.carry(func(ctx context.Context) iter.Seq2[restore.Action, error] { return t.run.Deliver(ctx, list, t.src) })
			if err != nil {
				return nil, err
			}
			list, size = list[:0], 0
		case w.End != nil:
			return t.r.p.fromWire(w.End.Err), nil
		default:
			return nil, fmt.Errorf("%w: a word of a run that says nothing", ErrProtocol)
		}
	}
}

// next waits for the caller.
func (t *running) next() (inFrame, error) {
	select {
	case x := <-t.in.c:
		return x, nil
	case <-t.r.ctx.Done():
		return inFrame{}, context.Cause(t.r.ctx)
	}
}

// plan takes up a plan, which goes to a file as it comes, and carries it out.
func (t *running) plan(fresh bool) error {
	in := &planInput{t: t}
	plan, err := restore.ReadPlan(in, fresh)
	if !errors.Is(in.err, io.EOF) {
		if err == nil {
			_ = plan.Close()
		}
		return errors.Join(in.err, err)
	}
	if err != nil {
		return t.over(err)
	}
	defer plan.Close()
	return t.carry(func(ctx context.Context) iter.Seq2[restore.Action, error] { return t.run.Apply(ctx, plan, t.src) })
}

// planInput is the data of a plan, up to the word to apply it.
type planInput struct {
	t    *running
	rest []byte
	buf  []byte
	err  error // io.EOF: that word came
}

// Read implements io.Reader.
func (d *planInput) Read(p []byte) (int, error) {
	for len(d.rest) == 0 && d.err == nil {
		var x inFrame
		if x, d.err = d.t.next(); d.err == nil {
			d.take(x)
		}
	}
	if len(d.rest) == 0 {
		return 0, d.err
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

func (d *planInput) take(x inFrame) {
	switch {
	case x.word.Apply:
		d.err = io.EOF
	case x.kind == framePacked:
		d.buf, d.err = unpack(x.p, d.buf)
		d.rest = d.buf
	case x.kind == frameData && len(x.p) <= maxData:
		d.rest = x.p
	default:
		d.err = fmt.Errorf("%w: something else in the middle of a plan", ErrProtocol)
	}
}

// carry carries something out and tells of it. The error is that of telling:
// then nobody listens.
func (t *running) carry(do func(context.Context) iter.Seq2[restore.Action, error]) error {
	ctx, cancel := context.WithCancelCause(t.r.ctx)
	defer cancel(nil)
	defer t.in.during(func() { cancel(context.Canceled) })()
	stop := t.every(tellEvery)
	var failed error
	for a, err := range do(ctx) {
		if err != nil {
			failed = err
			break
		}
		t.action(&a)
	}
	stop()
	if t.r.ctx.Err() != nil {
		return context.Cause(t.r.ctx)
	}
	return t.over(failed)
}

// over tells that something was carried out, or why it ended early.
func (t *running) over(err error) error {
	return t.tell(&runItem{Over: &runOver{Err: t.r.p.toWire(err), Planned: t.run.Counts().Planned}})
}

// tellEvery is how long what is done waits for company at most.
const tellEvery = 200 * time.Millisecond

// every tells now and then what was done, and how far the run is, until stop is
// called.
func (t *running) every(d time.Duration) (stop func()) {
	end, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				p := &t.run.Progress
				_ = t.tell(&runItem{Progress: &runProgress{Done: p.Done.Load(), Failed: p.Failed.Load(), Bytes: p.Bytes.Load()}})
			}
		}
	}()
	return func() {
		close(end)
		<-over
	}
}

// action takes up an action that has ended.
func (t *running) action(a *restore.Action) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = t.held.add(a)
	}
	if t.held.size >= actionBytes {
		t.flush()
	}
}

// flush sends what was taken up.
func (t *running) flush() {
	if len(t.held.list) == 0 || t.err != nil {
		return
	}
	if t.err = t.r.sendValue(frameItem, runItem{Actions: t.held.take()}); t.err == nil {
		t.err = t.r.flush()
	}
}

// tell sends an item, after the actions that were taken up.
func (t *running) tell(x *runItem) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	if t.err == nil {
		if t.err = t.r.sendValue(frameItem, x); t.err == nil {
			t.err = t.r.flush()
		}
	}
	return t.err
}
