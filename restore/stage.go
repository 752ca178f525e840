package restore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"mailsync/restore/place"
	"mailsync/scan/beneath"
)

// item is one action on its way through a batch.
type item struct {
	a Action

	ahead   bool // read ahead: data or readErr is there
	data    []byte
	readErr error

	f   *folder // held until the batch has ended
	box *mbox   // likewise

	temp   string // name in tmp; unlinking it is the probe
	inode  uint64 // of the new file
	victim found  // Replace, Quarantine: what is there now
	aside  string // its name in quarantine
	list   string // UID: temporary name of a list that is ready
	alone  bool   // it is synced by itself: the batch's barrier does not reach it
	make   *newDir

	shown bool // visible: what must be taken back where the batch fails
	sub   found
}

// pending tells whether an item still waits for the batch.
func (t *item) pending() bool { return t.a.State == Planned }

func (t *item) end(s State, format string, args ...any) {
	t.a.State = s
	if format != "" {
		t.a.Detail = fmt.Sprintf(format, args...)
	}
}

// batch is what becomes durable together.
type batch struct {
	n       uint64
	items   []*item
	disk    *place.Disk
	root    *beneath.Dir // held: where the barrier is opened again
	barrier *place.Barrier
	folders map[folderKey]bool
	locks   map[*folder]*place.Ready // of folders that a server serves: durable with the first barrier
	tables  []*folder                // whose keyword tables were drafted
	subs    []*mbox                  // whose subscriptions were
	count   int
	bytes   int64
}

// unmade is how the making of a directory ended.
type unmade struct {
	state State
	why   string
}

// stager turns actions into batches whose temporary files are written.
type stager struct {
	r    *Run
	ctx  context.Context
	src  Source
	out  chan<- *batch
	b    *batch
	full map[string]bool // mailboxes whose owner is over quota
	// unmade is why directories of one mailbox could not be made, "" being its root.
	unmade map[string]unmade
	box    string
	rest   int64 // actions that were not begun
	err    error // of the plan's stream
}

// run drives actions through reading, writing and committing. Four things go
// on at a time: sources are read ahead, one batch is written, the one before it
// is made durable and visible, and what has ended is told. Batches are committed
// one after the other, and nothing of a batch is told before its commit has
// ended: telling takes part in no promise, and holds up no sync.
func (r *Run) run(ctx context.Context, actions iter.Seq2[Action, error], src Source, yield func(Action, error) bool) {
	out := make(chan *batch)
	stop, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &stager{r: r, ctx: stop, src: src, out: out, full: map[string]bool{}}
	go func() {
		defer close(out)
		s.stage(actions)
	}()
	finished := make(chan *batch)
	go func() {
		defer close(finished)
		for b := range out {
			r.finish(ctx, b, src)
			finished <- b
		}
	}()
	going := true
	for b := range finished {
		for _, t := range b.items {
			if t.a.State == Planned {
				r.counts.Planned++
				continue
			}
			r.counts.Add(&t.a)
			switch t.a.State {
			case Done:
				r.Progress.Done.Add(1)
				r.Progress.Bytes.Add(t.a.Post.Size)
			case Failed, Refused:
				r.Progress.Failed.Add(1)
			}
			if going && !yield(t.a, nil) {
				going = false
				cancel(errStopped)
			}
		}
	}
	r.counts.Planned += s.rest
	if !going {
		return
	}
	err := s.err
	if err == nil {
		err = r.failed()
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil && len(s.full) > 0 {
		err = fmt.Errorf("%w: mailboxes over their owners' quota: %d", ErrNoSpace, len(s.full))
	}
	if err != nil {
		yield(Action{}, err)
		return
	}
	r.wholeDone(ctx)
}

// errStopped: the consumer wants no more.
var errStopped = errors.New("not asked for any more")

// stage reads ahead and writes batches until the actions end.
func (s *stager) stage(actions iter.Seq2[Action, error]) {
	ordered := make(chan *load, loadsMax)
	work := make(chan *load, loadsMax)
	var readers sync.WaitGroup
	for range s.r.o.Readers {
		readers.Go(func() {
			f := fetcher{ctx: s.ctx, src: s.src}
			for l := range work {
				f.fetch(l)
			}
		})
	}
	go func() {
		defer close(ordered)
		defer close(work)
		for l := range s.loads(actions) {
			if l.ready != nil {
				work <- l
			}
			ordered <- l
		}
	}()
	for l := range ordered {
		if l.ready != nil {
			<-l.ready
		}
		for _, t := range l.items {
			s.take(t)
			t.data = nil
		}
		l.free()
	}
	readers.Wait()
	s.seal()
}

func (s *stager) stopped() bool { return s.ctx.Err() != nil || s.r.failed() != nil }

// take prepares one item and puts it into the batch.
func (s *stager) take(t *item) {
	if t.pending() && s.stopped() {
		s.rest++
		return
	}
	if t.pending() && s.full[t.a.Ref.Mailbox] {
		s.rest++
		return
	}
	s.without(t)
	if t.pending() {
		if err := s.prepare(t); err != nil {
			s.r.drop(t)
			s.judge(t, err)
		}
	}
	s.note(t)
	s.batch().items = append(s.b.items, t)
	if t.temp != "" {
		s.b.count++
		s.b.bytes += t.a.Post.Size
	}
	o := &s.r.o
	if s.b.count >= o.BatchMessages || s.b.bytes >= o.BatchBytes || len(s.b.folders) >= s.r.cache.max || len(s.b.items) >= 8*o.BatchMessages {
		s.seal()
	}
}

// note remembers why a mailbox or folder could not be made: what was to come
// into it fails for the same reason.
func (s *stager) note(t *item) {
	if t.a.Op != Mkdir || t.a.State != Failed && t.a.State != Refused {
		return
	}
	if s.box != t.a.Ref.Mailbox || s.unmade == nil {
		s.box, s.unmade = t.a.Ref.Mailbox, map[string]unmade{}
	}
	s.unmade[t.a.Dir] = unmade{t.a.State, t.a.Detail}
}

// without ends an item that has no folder to come into.
func (s *stager) without(t *item) {
	if !t.pending() || s.box != t.a.Ref.Mailbox || s.unmade == nil {
		return
	}
	u, ok := s.unmade[""]
	if !ok && t.a.Op != Subscribe && t.a.Op != Remove {
		u, ok = s.unmade[t.a.Dir]
	}
	if ok {
		t.end(u.state, "its folder could not be made: %s", u.why)
	}
}

// judge says what an error of preparing means for the item and the run.
func (s *stager) judge(t *item, err error) {
	switch {
	case s.ctx.Err() != nil:
	case place.OverQuota(err):
		s.full[t.a.Ref.Mailbox] = true
		t.a.Detail = "the owner's quota on the file system is used up"
	case place.Full(err):
		s.r.fail(fmt.Errorf("%w on the file system of mailbox %q: make room, then run the same command again: %w", ErrNoSpace, t.a.Ref.Mailbox, err))
	case errors.Is(err, errState), errors.Is(err, ErrUnreachable):
		s.r.fail(err)
	default:
		t.end(Failed, "%v", err)
	}
}

// batch returns the batch that is being filled.
func (s *stager) batch() *batch {
	if s.b == nil {
		s.b = &batch{folders: map[folderKey]bool{}}
	}
	return s.b
}

// enter makes the batch one of the given file system, before anything is
// written there.
func (s *stager) enter(dir *beneath.Dir, disk *place.Disk) error {
	if s.b != nil && s.b.disk != nil && s.b.disk != disk {
		s.seal()
	}
	b := s.batch()
	if b.barrier != nil {
		return nil
	}
	root, err := dir.OpenDir(".")
	if err != nil {
		return err
	}
	bar, err := s.r.open.disks.Open(root, disk)
	if err != nil {
		_ = root.Close()
		return err
	}
	b.disk, b.barrier, b.root = disk, bar, root
	return nil
}

// seal hands the batch on. It waits for the batch before to be finished.
func (s *stager) seal() {
	if s.b != nil {
		s.out <- s.b
		s.b = nil
	}
}

// enterFolder opens an item's folder, for the batch.
func (s *stager) enterFolder(t *item) (*folder, error) {
	key := folderKey{t.a.Ref.Mailbox, t.a.Dir}
	f, err := s.r.cache.folder(key)
	if err != nil {
		return nil, err
	}
	t.f = f
	if err := s.enter(f.self, f.box.disk); err != nil {
		return nil, err
	}
	if !s.b.folders[key] {
		s.b.folders[key] = true
		s.r.sweepAlso(f.self, f.tmp, f.control)
		if err := s.r.noteOpen(key); err != nil {
			return nil, err
		}
		if f.server {
			if err := s.lockLater(f); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// lockLater makes the lock file ready that the folder's messages will be
// linked under. It becomes durable with the batch, before the lock exists.
func (s *stager) lockLater(f *folder) error {
	if f.hidden || f.control == nil || s.b.locks[f] != nil {
		return nil
	}
	ready, err := s.r.lockerOf(f).Prepare(f.control, !s.b.covers(f.control))
	if err != nil {
		return err
	}
	if s.b.locks == nil {
		s.b.locks = map[*folder]*place.Ready{}
	}
	s.r.cache.hold(f)
	s.b.locks[f] = ready
	return nil
}

// lockerOf makes lock files that the folder's server can judge and remove. A
// mailbox of which one lock was waited for in vain is waited for no more.
func (r *Run) lockerOf(f *folder) *place.Locker {
	l := r.lockerFor(f.own)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[f.box.name] {
		l.Wait = time.Millisecond
	}
	return l
}

// noteHeld notes where a lock was waited for in vain: whoever owns a mailbox can
// put a lock file of a live process into each of its folders.
func (r *Run) noteHeld(f *folder, err error) {
	if !errors.Is(err, place.ErrHeld) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == nil {
		r.held = map[string]bool{}
	}
	r.held[f.box.name] = true
}

func (r *Run) lockerFor(own place.Owner) *place.Locker {
	l := *r.locker
	l.UID, l.GID = own.UID, own.GID
	return &l
}

// unready removes the lock files of a batch.
func (r *Run) unready(b *batch) {
	for f, ready := range b.locks {
		r.locker.Drop(ready)
		r.cache.release(f)
	}
	b.locks = nil
}

// noteOpen journals that a folder may hold our temporary names. It need not be
// durable: what a power cut leaves in tmp the server removes after 36 hours.
func (r *Run) noteOpen(key folderKey) error {
	if r.opened == nil {
		r.opened = map[folderKey]bool{}
	}
	if r.opened[key] {
		return nil
	}
	t := entry{kind: recOpen, folders: []folderKey{key}}
	if err := r.j.Append(t.encode()); err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	r.opened[key] = true
	return nil
}

// errState: the journal cannot be written. Nothing may become visible any more.
var errState = errors.New("the run's journal cannot be written")

// drop lets go of what an item holds.
func (r *Run) drop(t *item) {
	if t.make != nil {
		t.make.drop(r)
		t.make = nil
	}
	if t.f != nil {
		r.cache.release(t.f)
		t.f = nil
	}
	if t.box != nil {
		r.cache.releaseBox(t.box)
		t.box = nil
	}
}

// groups yields the runs of items of one folder.
func groups(items []*item) iter.Seq[[]*item] {
	return func(yield func([]*item) bool) {
		for i := 0; i < len(items); {
			n := slices.IndexFunc(items[i:], func(t *item) bool { return t.f != items[i].f })
			if n < 0 {
				n = len(items) - i
			}
			if !yield(items[i : i+n]) {
				return
			}
			i += n
		}
	}
}
