package scan

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/budget"
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
	Devices    []*budget.Device
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
	} else if keep := r.session.Finish(false); keep != nil && !errors.Is(keep, manifest.ErrEnded) {
		err = errors.Join(err, keep)
	}
	if cerr := r.session.Close(); err == nil {
		err = cerr
	}
	r.result.Devices = s.opt.Budgets.Devices()
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
	var err error
	r.session, err = repo.Begin(id, manifest.SessionOptions{
		Alg: s.cfg.Alg, Adopt: r.o.Adopt && r.from != nil, Policy: policy, Now: s.opt.Now,
	})
	if errors.Is(err, manifest.ErrOther) {
		return fmt.Errorf("%w: %w", ErrOtherFilesystem, err)
	}
	if err != nil {
		return err
	}
	r.store = r.session.Store()
	if !r.o.Adopt {
		r.from = r.store
	}
	r.result.Resumed = r.session.Resumed()
	r.result.Generation = r.store.Record().Generation
	r.result.Crashed = s.Crashed(r.before)
	return nil
}

// Crashed tells whether a crash may lie between what is recorded and now: the
// machine was started since, and nobody recorded that it was stopped in good
// order.
func (s *Scanner) Crashed(rec manifest.StoreRecord) bool {
	if rec.Complete.ID == 0 && rec.Open.ID == 0 || s.opt.BootID == "" {
		return false
	}
	crash := func(l manifest.Look) bool {
		if l.ID == 0 || l.BootID == "" || l.BootID == s.opt.BootID {
			return false
		}
		return rec.Stop.BootID != l.BootID || rec.Stop.At.Before(l.Ended)
	}
	return crash(rec.Complete) || crash(rec.Open)
}

// scan looks at every mailbox.
func (r *run) scan(ctx context.Context) error {
	all, err := r.s.discover(ctx)
	if errors.Is(err, ErrIncomplete) {
		r.partial("", err)
	} else if err != nil {
		return err
	}
	if err := r.census(ctx, all); err != nil || r.result.Refused != nil {
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

// merge yields every mailbox that is found or recorded, in order.
func (r *run) merge(ctx context.Context, all []found, deadline time.Time, yield func(job) bool) error {
	i, n := 0, 0
	give := func(j job) bool {
		if !r.wanted(j.name) {
			return true
		}
		if !deadline.IsZero() && !r.s.opt.Now().Before(deadline) {
			r.mu.Lock()
			r.result.TimeUp = true
			r.mu.Unlock()
			return false
		}
		return yield(j)
	}
	for h, err := range r.recordedHeads(ctx) {
		if err != nil {
			return err
		}
		for i < len(all) && manifest.CompareMailboxes(all[i].name, h.Name) < 0 {
			if !give(job{found: all[i]}) {
				return nil
			}
			i++
		}
		again := r.rehash[n]
		n++
		if i < len(all) && all[i].name == h.Name {
			if !give(job{found: all[i], head: &h, rehash: again}) {
				return nil
			}
			i++
			continue
		}
		if h.Gone.IsZero() && r.wanted(h.Name) && !r.o.Adopt {
			if err := r.lost(ctx, &h); err != nil {
				return err
			}
		}
	}
	for ; i < len(all); i++ {
		if !give(job{found: all[i]}) {
			return nil
		}
	}
	return nil
}

// maxHeads is how many recorded mailboxes are kept in memory between the census
// and the scan, so that the indexes are read once.
const maxHeads = 20_000

func (r *run) recordedHeads(ctx context.Context) iter.Seq2[manifest.Head, error] {
	if r.heads == nil {
		return r.from.Heads(ctx)
	}
	return func(yield func(manifest.Head, error) bool) {
		for i := range r.heads {
			if !yield(r.heads[i], nil) {
				return
			}
		}
	}
}

// lost deals with a mailbox that was recorded and not found.
func (r *run) lost(ctx context.Context, h *manifest.Head) error {
	if r.s.cfg.Users != "" || len(r.s.cfg.UsersCommand) > 0 {
		u, err := r.s.userList(ctx)
		if err != nil {
			return err
		}
		if _, ok := u.path(h.Name); !ok {
			return nil // its owner is gone with it: Finish marks it so
		}
	}
	r.partial(h.Name, fmt.Errorf("%w: its root is not there any more", compare.ErrUnknown))
	return r.session.Unknown(h.Name)
}

// census compares what was found with what is recorded before anything is
// concluded, and chooses what is read again.
func (r *run) census(ctx context.Context, all []found) error {
	type row struct {
		at      int
		checked int64
		bytes   int64
	}
	var rows []row
	var boxes, missing, messages, bytes, total int64
	i, n := 0, 0
	r.heads = []manifest.Head{}
	for h, err := range r.from.Heads(ctx) {
		if err != nil {
			return err
		}
		if len(r.heads) < maxHeads && r.heads != nil {
			r.heads = append(r.heads, h)
		} else {
			r.heads = nil
		}
		for i < len(all) && manifest.CompareMailboxes(all[i].name, h.Name) < 0 {
			i++
		}
		there := i < len(all) && all[i].name == h.Name
		if r.o.RehashFraction > 0 && there && h.Messages > 0 && r.wanted(h.Name) {
			rows = append(rows, row{at: n, checked: h.Checked, bytes: h.Bytes})
			total += h.Bytes
		}
		n++
		if !h.Gone.IsZero() {
			continue
		}
		boxes++
		messages += h.Messages
		bytes += h.Bytes
		if !there {
			missing++
		}
	}
	p := r.o.Progress
	p.TotalMailboxes.Store(int64(len(all)))
	p.TotalMessages.Store(messages)
	p.TotalBytes.Store(bytes)
	if boxes > 0 && !r.o.Adopt && (len(all) == 0 || missing*2 >= boxes && missing > 1) {
		r.result.Refused = fmt.Errorf("%w: of %d recorded mailboxes %d are not there (is everything mounted?)", ErrHalfGone, boxes, missing)
		return nil
	}
	r.limit = breaker(messages, r.s.cfg.Breaker)
	slices.SortFunc(rows, func(a, b row) int {
		if a.checked != b.checked {
			if a.checked < b.checked {
				return -1
			}
			return 1
		}
		return a.at - b.at
	})
	r.rehash = make(map[int]bool)
	var sum int64
	for _, row := range rows {
		if float64(sum) >= r.o.RehashFraction*float64(total) {
			break
		}
		sum += row.bytes
		r.rehash[row.at] = true
	}
	return nil
}

// mailbox looks at one mailbox and records it.
func (r *run) mailbox(ctx context.Context, j *job) error {
	crashed := r.result.Crashed && j.head != nil && j.head.Ended.Before(r.s.opt.BootAt)
	if r.skip(j, crashed) {
		return r.keep(j)
	}
	l, err := r.look(ctx, j, crashed)
	if err == nil {
		if l.unexplained > 0 && !r.o.Adopt {
			r.hold(l)
			return nil
		}
		return r.commit(l)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch {
	case errors.Is(err, compare.ErrNoMailbox), errors.Is(err, compare.ErrUnknown):
		if j.head == nil && errors.Is(err, compare.ErrNoMailbox) {
			return nil // it went as it was found
		}
	case errors.Is(err, manifest.ErrCorrupt), errors.Is(err, manifest.ErrOrder):
		// Without its record nothing can be said of the mailbox but by
		// forgetting what it held.
		err = fmt.Errorf("%w: %w", compare.ErrUnknown, err)
	default:
		return err
	}
	r.partial(j.name, err)
	r.o.Progress.Mailboxes.Add(1)
	if j.head == nil {
		return nil
	}
	return r.session.Unknown(j.name)
}

// skip tells whether the stamps prove that the mailbox is as recorded and
// nothing stands that must be told again.
func (r *run) skip(j *job, crashed bool) bool {
	h := j.head
	if h == nil || crashed || r.s.opt.Stat || r.s.doubted(j.name) || r.o.Adopt || r.o.Accept || !h.Gone.IsZero() || len(h.Watch) == 0 {
		return false
	}
	if (r.o.Rehash || j.rehash) && !h.Done {
		return false
	}
	place, err := r.s.placeAt(j.name, j.path, true)
	return err == nil && r.s.unchanged(j.path, &place, h.Watch)
}

func (r *run) keep(j *job) error {
	if err := r.session.Keep(j.name); err != nil {
		return err
	}
	h := j.head
	r.o.Progress.Mailboxes.Add(1)
	r.o.Progress.note(h.Messages, h.Bytes, 0)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Skipped++
	r.result.Add(&Counts{Mailboxes: 1, Folders: h.Folders, Messages: h.Messages, Bytes: h.Bytes, Reused: h.Messages})
	return nil
}

// looked is what one look at a mailbox leaves to record and to tell.
type looked struct {
	name        string
	draft       *manifest.Draft // sealed
	counts      Counts
	findings    []manifest.Finding
	vanished    []manifest.Finding
	accepted    []manifest.Acceptance
	unexplained int64
	mass        bool
}

// look looks at a mailbox and writes its manifest, which is not committed yet.
func (r *run) look(ctx context.Context, j *job, crashed bool) (*looked, error) {
	out := &looked{name: j.name}
	o := LookOptions{
		Progress: r.o.Progress, Crashed: crashed, Adopted: r.o.Adopt, Accept: r.o.Accept,
		Finding: func(f manifest.Finding) { out.findings = append(out.findings, f) },
		Accepted: func(a Acceptance) {
			out.accepted = append(out.accepted, manifest.Acceptance{
				At: r.s.opt.Now().UTC(), Mailbox: a.Ref.Mailbox, Folder: a.Ref.Folder, File: a.File,
				Reason: r.o.Reason, Old: a.Old, New: a.New,
			})
		},
	}
	if (r.o.Rehash || j.rehash) && (j.head == nil || !j.head.Done) {
		o.Decide = DecideRead
	}
	if j.head != nil {
		m, err := r.from.OpenMailbox(j.name)
		if err != nil && !errors.Is(err, manifest.ErrNoMailbox) {
			return nil, fmt.Errorf("record of mailbox %q: %w", j.name, err)
		}
		if err == nil {
			o.Record = &opened{m}
		}
	}
	if o.Record == nil {
		o.NoRecord = true
	}
	v, err := r.s.lookAt(ctx, j.name, j.path, true, o)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	v.mb.Generation = r.result.Generation
	d, err := r.session.Create(j.name)
	if err != nil {
		return nil, err
	}
	if err := r.write(ctx, v, d, out); err != nil {
		d.Abort()
		return nil, err
	}
	out.draft = d
	return out, nil
}

// write puts what a look sees into a draft.
func (r *run) write(ctx context.Context, v *View, d *manifest.Draft, out *looked) error {
	for e, err := range v.Entries(ctx) {
		if err != nil {
			return err
		}
		if err := d.Add(&e); err != nil {
			return fmt.Errorf("mailbox %q: %w", out.name, err)
		}
	}
	for a, err := range v.Absences(ctx) {
		if err != nil {
			return err
		}
		if f, ok := MissingFinding(r.s.cfg.Name, out.name, &a); ok {
			v.finding(f)
			v.standing = true
		} else if v.Vanished(&a) {
			out.vanished = append(out.vanished, vanishedFinding(r.s.cfg.Name, out.name, &a))
		}
		if err := d.Absent(&a); err != nil {
			return fmt.Errorf("mailbox %q: %w", out.name, err)
		}
	}
	if err := d.Seal(v.Mailbox(), manifest.Extra{Watch: v.watch(), Disordered: v.counts.Disordered}); err != nil {
		return fmt.Errorf("mailbox %q: %w", out.name, err)
	}
	out.counts, out.unexplained, out.mass = v.counts, v.Unexplained(), v.Mass()
	return nil
}

// commit records a look and tells what it found.
func (r *run) commit(l *looked) error {
	if len(l.accepted) > 0 {
		if err := r.session.Accept(l.accepted...); err != nil {
			return err
		}
	}
	if err := l.draft.Commit(nil, manifest.Extra{}); err != nil {
		return fmt.Errorf("mailbox %q: %w", l.name, err)
	}
	r.publish(l)
	return nil
}

func vanishedFinding(store, mailbox string, a *manifest.Absence) manifest.Finding {
	return manifest.Finding{
		Store: store, Mailbox: mailbox, Folder: a.Entry.Folder, File: a.Entry.File(),
		Kind: manifest.Missing, Detail: "recorded and gone: " + a.Evidence.String(),
	}
}

// hold keeps a mailbox back whose messages are gone without evidence, until it
// is known how much of the store went with them.
func (r *run) hold(l *looked) {
	gone := r.gone.Add(l.unexplained)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = append(r.held, l)
	if gone > r.limit && r.result.Refused == nil {
		r.result.Refused = fmt.Errorf("%w: at least %d recorded messages are not there and nothing says that anybody deleted them (at most %d may be)", ErrHalfGone, gone, r.limit)
	}
}

// publish tells what a committed look has found.
func (r *run) publish(l *looked) {
	if l.mass {
		r.partial(l.name, fmt.Errorf("%w: it lost most of its mail at once, and nothing says that anybody deleted it", compare.ErrUnknown))
	}
	if l.counts.Unreadable > 0 {
		r.partial(l.name, fmt.Errorf("%d things could not be read", l.counts.Unreadable))
	}
	slices.SortStableFunc(l.findings, func(a, b manifest.Finding) int {
		if c := strings.Compare(a.Folder, b.Folder); c != 0 {
			return c
		}
		return strings.Compare(a.File, b.File)
	})
	r.o.Progress.Mailboxes.Add(1)
	r.o.Progress.Findings.Add(int64(len(l.findings)))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Add(&l.counts)
	r.result.Accepted += int64(len(l.accepted))
	if r.o.Finding != nil {
		for _, f := range l.findings {
			r.o.Finding(f)
		}
	}
	if r.o.Vanished != nil {
		for _, f := range l.vanished {
			r.o.Vanished(f)
		}
	}
}
