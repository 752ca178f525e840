package restore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/manifest/durable"
	"mailsync/restore/place"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// RunOptions describe a run.
type RunOptions struct {
	Site    *Site
	State   string   // state directory
	Command string   // restore, replay, apply, undo
	Args    []string // the command line, printed as the way to resume
	Of      string   // undo: the run that is taken back
	Root    uint64   // inode of the store's root, which must be what is at Site.Path; 0 = whatever is there
	Now     func() time.Time
	Host    string // of unique names and lock files; "" = os.Hostname

	BatchMessages int           // default 512
	BatchBytes    int64         // default 64 MiB
	LockWait      time.Duration // for a server that holds a folder's lock; default 30 s
	Readers       int           // of the sources, at a time; default 4
	FS            durable.FS    // of the state directory; nil = the real one

	// Risky is told of each file system that is written to and of which less can
	// be promised than of others after a power cut: the store's own when the run
	// begins, those of mailboxes elsewhere when they are met. It may be called by
	// several goroutines. Nil: nobody wants to know.
	Risky func(dir, why string)
}

func (o *RunOptions) complete() error {
	if o.State == "" || o.Command == "" {
		return fmt.Errorf("%w: a run needs a state directory and a command", ErrOptions)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FS == nil {
		o.FS = durable.System()
	}
	if o.Host == "" {
		o.Host, _ = os.Hostname()
	}
	if o.BatchMessages <= 0 {
		o.BatchMessages = 512
	}
	if o.BatchBytes <= 0 {
		o.BatchBytes = 64 << 20
	}
	if o.Readers <= 0 {
		o.Readers = 4
	}
	return nil
}

// Counts are the outcomes of a run's actions.
type Counts struct {
	Planned int64 `json:"planned"`
	Done    int64 `json:"done"`
	Already int64 `json:"already"`
	Skipped int64 `json:"skipped"`
	Refused int64 `json:"refused"`
	Failed  int64 `json:"failed"`
	Open    int64 `json:"open"`  // of Skipped: something is left to decide
	Bytes   int64 `json:"bytes"` // of messages added and replaced
}

// Add counts an action by its state.
func (c *Counts) Add(a *Action) {
	switch a.State {
	case Done:
		c.Done++
		if a.Op == Add || a.Op == Replace {
			c.Bytes += a.Post.Size
		}
	case Already:
		c.Already++
	case Skipped:
		c.Skipped++
		if a.Open() {
			c.Open++
		}
	case Refused:
		c.Refused++
	case Failed:
		c.Failed++
	default:
		c.Planned++
	}
}

// Progress may be read while a run goes on.
type Progress struct {
	Done, Failed, Bytes atomic.Int64
}

// Run is one journalled series of changes to a store. Its methods are for one
// goroutine.
type Run struct {
	Progress Progress

	o      RunOptions
	id     string
	dir    string
	open   *opener
	ops    *place.Ops
	j      *durable.Journal
	lock   durable.File
	cache  *cache
	aside  *quarantine
	locker *place.Locker
	namer  *maildir.Namer
	fine   bool // directory stamps tell every change
	temps  atomic.Uint64
	batchN uint64
	whole  map[string]bool    // mailboxes begun whole and not finished
	opened map[folderKey]bool // journalled as such
	counts Counts
	recalc bool                         // what comes back was counted before it was lost: servers must count anew
	plan   string                       // of the plan that is applied
	disks  map[*place.Disk]*beneath.Dir // written to, whose barrier takes in everything
	begun  map[string]bool              // mailboxes that earlier runs of the same plan have begun
	dead   []RunInfo                    // runs whose temporary names may still lie about
	swept  map[[2]uint64]bool           // directories (device, inode) in which what dead runs were making was looked for

	mu    sync.Mutex
	fatal error           // nothing more is written after it
	held  map[string]bool // mailboxes of which a lock was waited for in vain
	ended bool
}

// Begin starts a run and its journal. Temporary names that dead runs on the
// same store have left are removed before the first write. ErrBusy where another
// run writes into the store, ErrNoTarget, ErrReadOnly.
func Begin(o RunOptions) (*Run, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	open, err := newOpener(o.Site)
	if err != nil {
		return nil, err
	}
	if st, err := open.store.Self(); o.Root != 0 && (err != nil || st.Inode != o.Root) {
		open.Close()
		return nil, fmt.Errorf("%w: something else lies at %s now", ErrNoTarget, o.Site.Path)
	}
	if f, err := open.store.FileSystem(); err == nil && f.ReadOnly {
		open.Close()
		return nil, fmt.Errorf("%w: %s: %w", ErrReadOnly, o.Site.Path, unix.EROFS)
	}
	if o.Risky != nil {
		open.disks.Risky = func(dir string, d *place.Disk) { o.Risky(dir, d.Risk) }
		_, _ = open.disks.Of(open.store) // what fails is said by what cannot do without
	}
	r := &Run{o: o, open: open, ops: open.ops, whole: map[string]bool{}}
	if err := r.begin(); err != nil {
		r.release()
		return nil, err
	}
	return r, nil
}

// runsDir holds a directory for each run.
func runsDir(state string) string { return filepath.Join(state, "runs") }

func newRunID(now time.Time) string {
	var p [4]byte
	_, _ = rand.Read(p[:])
	return now.UTC().Format("20060102-150405.000") + "-" + hex.EncodeToString(p[:])
}

func (r *Run) begin() error {
	o := &r.o
	if err := durable.MkdirAll(o.FS, runsDir(o.State), 0o700); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	var err error
	if r.lock, err = lockStore(o.FS, o.State, o.Site.Path); err != nil {
		return err
	}
	runs, err := Runs(o.FS, o.State)
	if err != nil {
		return err
	}
	for _, x := range runs {
		if x.died(o.Site.Path) {
			r.dead = append(r.dead, x)
		}
	}
	r.id = newRunID(o.Now())
	r.dir = filepath.Join(runsDir(o.State), r.id)
	if err := durable.MkdirAll(o.FS, r.dir, 0o700); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if r.j, err = durable.OpenJournal(filepath.Join(r.dir, journalName), journalOptions(o.FS)); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	r.cache = newCache(r.open)
	r.aside = newQuarantine(r.open, r.id)
	r.locker = place.NewLocker(r.ops, o.Host, r.temp)
	r.locker.Wait = o.LockWait
	r.namer = maildir.NewNamer(o.Host, os.Getpid(), o.Now)
	r.fine = fineStamps()
	return nil
}

// start writes the journal's first record; it waits for the first action, so
// that the plan's name is known.
func (r *Run) start(ctx context.Context) error {
	if r.j.Seq() > 0 {
		return nil
	}
	o := &r.o
	t := entry{kind: recBegin, begin: beginRecord{
		Command: o.Command, Store: o.Site.Store, Path: o.Site.Path, Of: o.Of, Plan: r.plan, Host: o.Host, Args: o.Args, Began: o.Now().UTC(), PID: os.Getpid(),
	}}
	if err := r.j.Append(t.encode()); err != nil {
		return err
	}
	if err := r.j.Sync(); err != nil {
		return err
	}
	if r.plan != "" {
		r.begun = begunBy(o.FS, o.State, r.plan)
	}
	return r.sweep(ctx)
}

// Tidy removes the temporary names of dead runs, as the first action would:
// for a run that has none.
func (r *Run) Tidy(ctx context.Context) error { return r.start(ctx) }

// fineStamps tells whether the kernel gives every change of a directory that
// somebody has looked at a stamp of its own (multigrain timestamps, Linux 6.13).
func fineStamps() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 6 || major == 6 && minor >= 13
}

// lockStore keeps a second run of the same state directory out of a store.
func lockStore(fsys durable.FS, state, path string) (durable.File, error) {
	sum := manifest.BLAKE3.Sum([]byte(path))
	name := filepath.Join(runsDir(state), ".lock-"+hex.EncodeToString(sum.Sum[:8]))
	f, err := fsys.Open(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if err := f.Lock(); err != nil {
		_ = f.Close()
		if errors.Is(err, durable.ErrLocked) {
			return nil, fmt.Errorf("%w: %s", ErrBusy, path)
		}
		return nil, err
	}
	return f, nil
}

// ID names the run for undo and runs; ids sort by time.
func (r *Run) ID() string { return r.id }

// Counts returns the outcomes so far.
func (r *Run) Counts() Counts { return r.counts }

// tempPrefix begins all our temporary names in tmp directories and beside
// lock files; the run and a number follow.
const tempPrefix = "mailsync."

// temp returns a name that nobody else uses.
func (r *Run) temp() string {
	return fmt.Sprintf("%s%s.%d", tempPrefix, r.id, r.temps.Add(1))
}

func (r *Run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fatal == nil {
		r.fatal = err
	}
}

func (r *Run) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fatal
}

// Apply carries out a plan and yields each action as it ends, with State set,
// in the plan's order. Cancelled, or stopped by a full file system (ErrNoSpace),
// a failing one (ErrDisk) or a source that does not answer (ErrUnreachable), it
// ends what is in flight, counts the rest as planned and yields the error.
func (r *Run) Apply(ctx context.Context, p *Plan, src Source) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		r.plan = p.header.ID
		r.recalc = p.header.Command != "replay" && p.header.Command != "undo"
		if st, err := r.open.store.Self(); err != nil || p.header.Root != 0 && st.Inode != p.header.Root {
			if err == nil {
				err = fmt.Errorf("%w since the plan was made: %s", manifest.ErrOther, r.o.Site.Path)
			}
			yield(Action{}, err)
			return
		}
		if err := r.start(ctx); err != nil {
			yield(Action{}, err)
			return
		}
		r.run(ctx, r.guard(ctx, p), src, yield)
	}
}

// Deliver carries out actions that were decided elsewhere (replay): Add with an
// empty Post.Name gets a new unique name with true sizes. It may be called many
// times in a run.
func (r *Run) Deliver(ctx context.Context, actions []Action, src Source) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		r.recalc = false
		if err := r.start(ctx); err != nil {
			yield(Action{}, err)
			return
		}
		r.run(ctx, func(yield func(Action, error) bool) {
			for i := range actions {
				if !yield(actions[i], nil) {
					return
				}
			}
		}, src, yield)
	}
}

// How a run ended.
const (
	HowComplete    = "complete"
	HowInterrupted = "interrupted"
	HowFailed      = "failed"
	HowKilled      = "killed"
	HowRunning     = "running"
)

// End closes the journal. err is why the run ended, nil where everything was tried.
func (r *Run) End(err error) error {
	if r.ended {
		return nil
	}
	r.ended = true
	defer r.release()
	if e := r.start(context.Background()); e != nil {
		return e
	}
	r.settle()
	t := entry{kind: recEnd, end: endRecord{How: HowComplete, Ended: r.o.Now().UTC(), Counts: r.counts}}
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		t.end.How = HowInterrupted
	case err != nil:
		t.end.How, t.end.Error = HowFailed, err.Error()
	}
	if e := r.j.Append(t.encode()); e != nil {
		return e
	}
	if e := r.j.Close(); e != nil {
		return e
	}
	r.j = nil
	return nil
}

// wrote remembers a file system whose names this run has changed.
func (r *Run) wrote(d *beneath.Dir, disk *place.Disk) {
	if !disk.Batches || r.disks[disk] != nil {
		return
	}
	root, err := d.OpenDir(".")
	if err != nil {
		return
	}
	if r.disks == nil {
		r.disks = map[*place.Disk]*beneath.Dir{}
	}
	r.disks[disk] = root
}

// settle makes durable that our temporary names are gone. A run that has ended
// has left none, so nobody looks for them again.
func (r *Run) settle() {
	for disk, root := range r.disks {
		// Everything that was acknowledged is durable: a failure costs names only.
		if b, err := r.open.disks.Open(root, disk); err == nil {
			_ = b.Sync()
			b.Close()
		}
		_ = root.Close()
	}
	r.disks = nil
}

func (r *Run) release() {
	if r.cache != nil {
		r.cache.close()
	}
	if r.aside != nil {
		r.aside.close()
	}
	for _, root := range r.disks {
		_ = root.Close()
	}
	if r.j != nil {
		_ = r.j.Close()
	}
	if r.lock != nil {
		_ = r.lock.Close()
	}
	r.open.Close()
}
