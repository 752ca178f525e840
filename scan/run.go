package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mailsync/manifest"
)

// RunOptions say how a store is scanned. The zero value is the nightly scan.
type RunOptions struct {
	Mailbox func(name string) bool // nil: all
	Rehash  bool                   // read everything
	// RehashFraction reads this share of the store again, whole mailboxes,
	// oldest-checked first: 1/30 makes a monthly scrub of nightly scans.
	RehashFraction float64
	// MaxDuration ends the scan early. Mailboxes that are being looked at are
	// finished; the next scan goes on. 0 = no limit.
	MaxDuration time.Duration
	// Accept takes changed content as the new truth. Reason is journalled with
	// every case and must not be empty.
	Accept bool
	Reason string
	// Adopt starts a new generation of the record for what lies at the store's
	// path now.
	Adopt    bool
	Workers  int // mailboxes at once; 0 = a number that keeps the readers busy
	Progress *Progress
	// Finding receives findings: those of one mailbox together, sorted by
	// folder and file, when the mailbox is finished. Calls do not overlap.
	Finding func(manifest.Finding)
	// Vanished receives what is recorded, gone, and without evidence either
	// way. It is no finding. Calls do not overlap with those of Finding.
	Vanished func(manifest.Finding)
}

// Partial is one reason why a scan is not complete.
type Partial struct {
	Mailbox string // "" = the store
	Err     error
}

// Result is the outcome of a scan.
type Result struct {
	Counts
	Skipped    int64     // mailboxes that stamps proved untouched
	Partial    []Partial // at most maxPartial of them
	Partials   int64     // all of them; not 0 means that the scan is not complete
	Refused    error     // the store looks empty or half gone: nothing was concluded from it
	Crashed    bool      // a crash may lie between the last scan and this one
	Resumed    bool      // an unfinished scan was continued
	TimeUp     bool      // MaxDuration ended it; the next scan goes on
	Accepted   int64
	Generation uint32
}

// Complete tells whether everything was looked at.
func (r *Result) Complete() bool { return r.Partials == 0 && r.Refused == nil && !r.TimeUp }

const maxPartial = 1000

// run is one scan of a store.
type run struct {
	s       *Scanner
	o       RunOptions
	session *manifest.Session
	store   *manifest.Store // what is recorded
	from    *manifest.Store // whose mailboxes digests are compared with; the older generation after Adopt
	before  manifest.StoreRecord
	limit   int64 // of messages gone without evidence
	rehash  map[int]bool
	heads   []manifest.Head // all of them, where they are few; nil = to be streamed

	gone   atomic.Int64
	mu     sync.Mutex // guards result, held, and the caller's callbacks
	result Result
	held   []*looked
}

// job is one mailbox to look at.
type job struct {
	found
	head   *manifest.Head // nil: not recorded
	rehash bool
}

// Run scans the store and records what it finds. An error means that it could
// not go on; the record is whole, and the next scan continues. It wraps
// ErrOtherFilesystem where the store was replaced (Adopt accepts that), and is
// the context's cause where that ended it. Everything else that is not
// complete is in the Result.
func Run(ctx context.Context, s *Scanner, repo *manifest.Repo, o RunOptions) (Result, error) {
	if o.Accept && o.Reason == "" {
		return Result{}, fmt.Errorf("%w: accepting changed content needs a reason", ErrConfig)
	}
	r := &run{s: s, o: o}
	if r.o.Progress == nil {
		r.o.Progress = new(Progress)
	}
	if r.o.Workers <= 0 {
		r.o.Workers = 8
	}
	if err := r.begin(repo); err != nil {
		return r.result, err
	}
	err := r.scan(ctx)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = r.session.Finish(r.whole())
	} else if keep := r.session.Finish(false); keep != nil && !errors.Is(keep, manifest.ErrEnded) && !errors.Is(err, keep) {
		err = errors.Join(err, keep)
	}
	if cerr := r.session.Close(); err == nil {
		err = cerr
	}
	return r.result, err
}

// whole tells whether every mailbox of the store had its turn.
func (r *run) whole() bool {
	return r.o.Mailbox == nil && !r.result.TimeUp && r.result.Refused == nil
}

// ManifestIdentity returns what the record keeps to know this store again.
func (s *Scanner) ManifestIdentity(name string) manifest.Identity {
	host, _ := os.Hostname()
	return manifest.Identity{
		Name: name, Path: s.cfg.Path, FSID: s.fs.ID, FSType: s.fs.Type, Device: s.self.Dev,
		RootInode: s.self.Inode, Host: host, BootID: s.opt.BootID,
	}
}

func (r *run) begin(repo *manifest.Repo) error {
	s := r.s
	id := s.ManifestIdentity(s.cfg.Known)
	if old, err := repo.Store(manifest.StoreKey(id.Name, id.Path)); err == nil {
		r.before = old.Record()
		r.from = old
	} else if !errors.Is(err, manifest.ErrNoRecord) {
		return err
	}
	policy := ""
	if r.o.Rehash {
		policy = "rehash"
	}
	r.result.Crashed = s.Crashed(r.before)
	var err error
	r.session, err = repo.Begin(id, manifest.SessionOptions{
		Alg: s.cfg.Alg, Adopt: r.o.Adopt && r.from != nil, Policy: policy, Now: s.opt.Now, Unbroken: !r.result.Crashed,
	})
	if errors.Is(err, manifest.ErrOther) {
		return fmt.Errorf("%w: %w", ErrOtherFilesystem, err)
	}
	if err != nil {
		return err
	}
	r.store = r.session.Store()
	if r.from == nil || !r.o.Adopt {
		r.from = r.store
	}
	r.result.Resumed = r.session.Resumed()
	r.result.Generation = r.store.Record().Generation
	return nil
}

// scan looks at every mailbox.
func (r *run) scan(ctx context.Context) error {
	all, incomplete := r.s.discover(ctx)
	if errors.Is(incomplete, ErrIncomplete) {
		r.partial("", incomplete)
	} else if incomplete != nil {
		return incomplete
	}
	if err := r.census(ctx, all, incomplete); err != nil || r.result.Refused != nil {
		return err
	}
	deadline := time.Time{}
	if r.o.MaxDuration > 0 {
		deadline = r.s.opt.Now().Add(r.o.MaxDuration)
	}
	if err := r.each(ctx, func(yield func(job) bool) error { return r.merge(ctx, all, deadline, yield) }); err != nil {
		return err
	}
	if r.result.Refused != nil {
		return nil
	}
	return r.release(ctx)
}

// release commits what was held back, once it is known that what went without
// evidence is no more than the usual share of the store.
func (r *run) release(ctx context.Context) error {
	slices.SortFunc(r.held, func(a, b *looked) int { return manifest.CompareMailboxes(a.name, b.name) })
	for _, l := range r.held {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := r.commit(l); err != nil {
			return err
		}
	}
	return nil
}

// each hands jobs to the workers.
func (r *run) each(ctx context.Context, jobs func(yield func(job) bool) error) error {
	g, gctx := errgroup.WithContext(ctx)
	ch := make(chan job)
	g.Go(func() error {
		defer close(ch)
		return jobs(func(j job) bool {
			select {
			case ch <- j:
				return !r.refused()
			case <-gctx.Done():
				return false
			}
		})
	})
	for range r.o.Workers {
		g.Go(func() error {
			for j := range ch {
				if gctx.Err() != nil {
					return context.Cause(gctx)
				}
				if r.refused() {
					continue
				}
				if err := r.mailbox(gctx, &j); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (r *run) refused() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.result.Refused != nil
}

func (r *run) partial(mailbox string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Partials++
	if len(r.result.Partial) < maxPartial {
		r.result.Partial = append(r.result.Partial, Partial{Mailbox: mailbox, Err: err})
	}
}

func (r *run) wanted(name string) bool { return r.o.Mailbox == nil || r.o.Mailbox(name) }
