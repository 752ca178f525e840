package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/remote"
	"mailsync/scan"
	"mailsync/scan/budget"
	"mailsync/scan/maildir"
)

// This file is the only place where it is decided whether a store is looked at
// on disk, taken from its record, or looked at by mailsync on another host.

// side is one store as the other rooms see it.
type side struct {
	store    *config.Store
	scanner  *scan.Scanner          // nil when the store is taken from its record
	recorded *compare.RecordedStore // nil when there is no record
	base     *manifest.Store        // the record itself; nil when there is none
	far      *remote.Store          // on another host: it takes the scanner's place
	farCopy  *nearCopy              // of it, where this host keeps a copy of its record that may stand for it
	farBase  compare.Source         // what is recorded of it, here or there; nil when nothing is
	listing  *compare.Listing       // of the source, where sums of its parts are wanted
	down     error                  // why nobody answers for it
	set      *budget.Set            // of the disks that are read
}

func (s *side) close() {
	if s.listing != nil {
		_ = s.listing.Close()
	}
	if s.far != nil {
		_ = s.far.Close()
	}
	if s.scanner != nil {
		s.scanner.Close()
	}
}

// source is where entries come from.
func (s *side) source() compare.Source {
	switch {
	case s.listing != nil:
		return s.listing
	case s.scanner != nil:
		return s.scanner
	case s.farCopy != nil:
		return s.farCopy
	case s.far != nil:
		return s.far
	case s.down != nil:
		return &downStore{s.store, s.down}
	}
	return s.recorded
}

// witness looks again.
func (s *side) witness() compare.Witness {
	switch {
	case s.scanner != nil:
		return s.scanner
	case s.far != nil:
		return s.far
	case s.down != nil:
		return nil
	}
	return s.recorded
}

// recordedAt tells when the last look that was recorded began, on the host
// where the store lies.
func (s *side) recordedAt() (time.Time, bool) {
	switch {
	case s.base != nil:
		return scanned(s.base.Record()), true
	case s.far != nil && s.far.Record() != nil:
		return s.far.Record().Info().Recorded, true
	}
	return time.Time{}, false
}

// hasRecord tells whether anything is recorded of the store.
func (s *side) hasRecord() bool {
	_, ok := s.recordedAt()
	return ok
}

// compared is the side in a comparison.
func (s *side) compared() compare.Side {
	c := compare.Side{Source: s.source(), Witness: s.witness()}
	if s.far != nil && s.farBase != nil {
		c.Base = s.farBase
	}
	if s.scanner != nil && s.recorded != nil {
		c.Base = s.recorded
	}
	return c
}

// memoryLimit is where the collector stops letting the heap grow to twice what
// is in use and works harder instead. Only mailboxes of millions of messages
// come near it.
const memoryLimit = 448 << 20

// budgets makes the one budget of a run, shared by all its stores. Reading
// mail from a disk, and writing, need more threads than processors: each waits.
func (a *app) budgets() *budget.Set {
	a.manyThreads()
	return a.newBudgets()
}

// readingBudgets is budgets for a run that reads only. What lies in the page
// cache is read faster by no more threads than there are processors.
func (a *app) readingBudgets() *budget.Set {
	set := a.newBudgets()
	set.OnDisk(a.manyThreads)
	return set
}

func (a *app) manyThreads() { runtime.GOMAXPROCS(scan.Procs(a.flags.readers)) }

func (a *app) newBudgets() *budget.Set {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // unless GOMEMLIMIT says otherwise
		debug.SetMemoryLimit(memoryLimit)
	}
	a.set = budget.NewSet(budget.Limits{Readers: a.flags.readers, BytesPerSec: int64(a.flags.limitRate)}, nil)
	return a.set
}

// limits are those of a store: the command line before the store's own before
// the configuration's.
func (a *app) limits(s *config.Store) budget.Limits {
	first := func(v ...int64) int64 {
		for _, x := range v {
			if x > 0 {
				return x
			}
		}
		return 0
	}
	return budget.Limits{
		Readers:     int(first(int64(a.flags.readers), int64(s.Readers), int64(a.cfg.Readers))),
		BytesPerSec: first(int64(a.flags.limitRate), int64(s.LimitRate), int64(a.cfg.LimitRate)),
		FilesPerSec: int64(s.FilesPerSec),
		Target:      s.Latency.Duration,
	}
}

// idle puts the process behind everybody else who reads from the disks, where a
// store asks for that. A kernel that has no such class is no reason not to read.
func (a *app) idle(s *config.Store) {
	if !s.Idle {
		return
	}
	if err := budget.Idle(); err != nil {
		a.out.Warn("%s: %s", ui.Name(s.Name), ui.Oneline(err, 200))
	}
}

// scanConfig describes a store to the scanner.
func (a *app) scanConfig(s *config.Store) scan.Config {
	file, command := s.Users()
	c := scan.Config{
		Name: s.Name, Path: s.Path, Layout: s.Layout, Users: file, UsersCommand: command,
		Control: s.Control, Index: s.Index, UTF8: s.UTF8, Symlinks: s.Symlinks,
		Alg: s.Digest.Alg, FailureDomain: s.FailureDomain, Role: s.Role.String(),
		Limits: a.limits(s), Breaker: float64(s.Breaker), KeepAbsences: s.Absences.Duration,
	}
	if !config.IsPath(s.Name) {
		c.Known = s.Name
	}
	c.Folders = folders(s)
	if c.Alg == manifest.NoAlg {
		c.Alg = a.cfg.Digest.Alg
	}
	if c.Breaker == 0 {
		c.Breaker = float64(a.cfg.Breaker)
	}
	if c.KeepAbsences == 0 {
		c.KeepAbsences = a.cfg.Absences.Duration
	}
	return c
}

// trust says what a look at a store may take from its record unread.
type trust bool

const (
	// trustStamps: directories that have not moved are as recorded, and so are
	// the files in them. For looks that compare a million mailboxes.
	trustStamps trust = false
	// trustFiles: every file answers for itself by its own stamps. Before a
	// write, so that what was damaged in place is seen.
	trustFiles trust = true
)

// folders is how folders lie below a mailbox.
func folders(s *config.Store) maildir.Layout {
	if s.Folders == config.FS {
		return maildir.FS
	}
	return maildir.PlusPlus
}

// openLive opens a store on disk, with its record where there is one.
func (a *app) openLive(s *config.Store, set *budget.Set, t trust) (*side, error) {
	sd, err := a.openAs(s, s.Name, set, t)
	if err != nil {
		return nil, a.openProblem(s, err, a.hasRecord(s))
	}
	a.logStore(s, sd.base, false)
	return sd, nil
}

// openAs opens a store under a name of somebody else's, which findings and refs
// then bear.
func (a *app) openAs(s *config.Store, name string, set *budget.Set, t trust) (*side, error) {
	rec, err := a.record(s)
	if err != nil && !errors.Is(err, manifest.ErrNoRecord) {
		return nil, err
	}
	sd := &side{store: s, base: rec, set: set}
	doubt, err := a.doubts(s)
	if err != nil {
		return nil, err
	}
	taken, err := a.takenBack(s)
	if err != nil {
		return nil, err
	}
	logs, err := a.savedLogs(s)
	if err != nil {
		return nil, err
	}
	opt := scan.Options{Budgets: set, OnAtime: a.atimeWarning, Doubted: doubt.doubted, TakenBack: taken, SavedLogs: logs, Stat: bool(t)}
	if rec != nil {
		sd.recorded = a.recordedStore(s, rec, time.Time{})
		opt.Record = rec
	}
	c := a.scanConfig(s)
	c.Name = name
	sd.scanner, err = scan.New(c, opt)
	return sd, err
}

// openStore opens a store where it lies.
func (a *app) openStore(ctx context.Context, s *config.Store, set *budget.Set, t trust) (*side, error) {
	if s.Host() != "" {
		return a.openFar(ctx, s, t)
	}
	return a.openLive(s, set, t)
}

// openFar has the host of a store look at it.
func (a *app) openFar(ctx context.Context, s *config.Store, t trust) (*side, error) {
	p, err := a.peer(ctx, s.Host())
	if err != nil {
		return nil, err
	}
	sd := &side{store: s}
	if sd.far, err = p.Open(ctx, a.spec(s, t)); err != nil {
		if cancelled(ctx) != nil {
			return nil, context.Cause(ctx)
		}
		return nil, a.openProblem(s, err, a.hasRecord(s))
	}
	rec, err := a.record(s)
	if err != nil {
		rec = nil
	}
	a.logStore(s, rec, false)
	if rec != nil && t == trustStamps {
		sd.farCopy = newNearCopy(sd.far, rec, a.recordedStore(s, rec, time.Time{}))
	}
	if there := sd.far.Record(); there != nil {
		sd.farBase = there
		// The same look, where this host keeps a copy of its record: that one need not travel.
		if about, err := there.About(); err == nil && rec != nil && !about.Complete.Began.IsZero() && about.Complete.Began.Equal(rec.Record().Complete.Began) {
			sd.farBase = a.recordedStore(s, rec, time.Time{})
		}
	}
	return sd, nil
}

// takenBack is what undo has moved away in a store: nobody has deleted it.
func (a *app) takenBack(s *config.Store) (func(mailbox, folder, base string, since time.Time) bool, error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	return restore.NewTakenBack(state, s.Path).Since, nil
}

func (a *app) hasRecord(s *config.Store) bool {
	_, err := a.record(s)
	return err == nil
}

// openRecorded takes a store from its record and says of what age it is.
func (a *app) openRecorded(s *config.Store) (*side, error) {
	rec, err := a.record(s)
	if err != nil {
		return nil, err
	}
	if at := scanned(rec.Record()); at.IsZero() {
		a.out.Warn("the record of %s is of a scan that never finished", ui.Name(s.Name))
	} else {
		a.out.Note("%s is taken from its record, %s old (%s)", ui.Name(s.Name), ui.Duration(time.Since(at)), ui.Time(at))
	}
	a.logStore(s, rec, true)
	return &side{store: s, base: rec, recorded: a.recordedStore(s, rec, time.Time{})}, nil
}

func (a *app) recordedStore(s *config.Store, rec *manifest.Store, crash time.Time) *compare.RecordedStore {
	return compare.Recorded(rec, compare.RecordedOptions{
		Name: s.Name, FailureDomain: s.FailureDomain, Role: s.Role.String(), CrashAt: crash,
	})
}

// openProblem says why a store cannot be opened, and what can be done.
func (a *app) openProblem(s *config.Store, err error, recorded bool) error {
	p := &ui.Problem{What: "store " + s.Name, Why: err}
	var told *ui.Problem
	switch {
	case errors.As(err, &told):
		return err
	case errors.Is(err, remote.ErrLost):
		p.Code, p.Hint = exitPartial, broken+a.again()
	case errors.Is(err, remote.ErrRefused):
		p.Hint = "what " + s.Host() + " serves is said there, by the flags of its mailsync serve"
	case errors.Is(err, scan.ErrConfig):
		p.Code, p.Hint = exitConfig, "mailsync config check"
	case errors.Is(err, fs.ErrPermission):
		p.Code, p.Hint = exitNoPerm, "run mailsync as root, or as the user that owns the mail"
	case errors.Is(err, scan.ErrNoStore):
		p.Code = exitNoInput
		p.Hint = "is it mounted?"
		if recorded {
			p.Hint += " Its record is there: diff, restore, replay and audit take it with " + ui.Command("--recorded", s.Name)
		}
	}
	return p
}

// broken is the hint where a connection broke.
const broken = "what was done is kept; the same command goes on: "

// atimeWarning is said once a store.
func (a *app) atimeWarning(path string) {
	a.out.Warn("access times below %s move while they are read: only the owner of a file, or root, may read without", ui.Escape(path))
}

// resolveRecorded finds which of the stores of a command --recorded names.
func (a *app) resolveRecorded(names []string, stores ...*config.Store) (map[string]bool, error) {
	paths := map[string]bool{}
	for _, name := range names {
		s, err := a.store(name)
		if err != nil {
			return nil, err
		}
		known := false
		for _, x := range stores {
			known = known || x.Path == s.Path
		}
		if !known {
			return nil, usage("--recorded %s: the command does not name this store", ui.Name(name))
		}
		paths[s.Path] = true
	}
	return paths, nil
}

// openSides opens stores, live or recorded. Hosts are asked side by side; down
// is how many of the stores may be unknown because their hosts do not answer.
// What lies on the host of a target there is left for that host to open.
func (a *app) openSides(ctx context.Context, stores []*config.Store, recorded map[string]bool, set *budget.Set, t trust, down int, there *farTarget) ([]*side, error) {
	sides, errs := make([]*side, len(stores)), make([]error, len(stores))
	var far sync.WaitGroup
	for i, s := range stores {
		switch {
		case recorded[s.Path]:
			sides[i], errs[i] = a.openRecorded(s)
		case there.beside(s):
			sides[i] = &side{store: s}
		case s.Host() != "":
			far.Go(func() { sides[i], errs[i] = a.openFar(ctx, s, t) })
		default:
			sides[i], errs[i] = a.openLive(s, set, t)
		}
	}
	far.Wait()
	for i, err := range errs {
		if errorCode(err) == exitUnavailable && down > 0 {
			down--
			a.out.Problem(a.command, err, ui.Hint(err))
			sides[i], err = &side{store: stores[i], down: err}, nil
		}
		if err != nil {
			closeSides(sides)
			return nil, err
		}
	}
	return sides, nil
}

// sumUp lists the stores of this host where one of another host is compared
// with them: equal parts of them all then cost a few bytes.
func sumUp(ctx context.Context, sides []*side) error {
	if !slices.ContainsFunc(sides, func(s *side) bool { return s.far != nil }) {
		return nil
	}
	for _, s := range sides {
		if s.far != nil || s.down != nil {
			continue
		}
		l, err := compare.List(ctx, s.source(), spill)
		if err != nil {
			return err
		}
		s.listing = l
	}
	return nil
}

// downStore is a store whose host does not answer: nothing of it is known.
type downStore struct {
	store *config.Store
	err   error
}

// Info implements compare.Source.
func (d *downStore) Info() compare.Info {
	return compare.Info{Name: d.store.Name, FailureDomain: d.store.FailureDomain, Role: d.store.Role.String()}
}

// Mailboxes implements compare.Source.
func (d *downStore) Mailboxes(context.Context) iter.Seq2[compare.Head, error] {
	return func(yield func(compare.Head, error) bool) { yield(compare.Head{}, d.err) }
}

// Open implements compare.Source.
func (d *downStore) Open(context.Context, string) (compare.View, error) {
	return nil, fmt.Errorf("%w: its host cannot be reached", compare.ErrUnknown)
}

func closeSides(sides []*side) {
	for _, s := range sides {
		if s != nil {
			s.close()
		}
	}
}

// spill makes a temporary file that has no name, for what does not fit in
// memory.
func spill() (compare.Spill, error) {
	f, err := os.CreateTemp("", "mailsync-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// messages hands out the mail of a store; nil where only its record is there.
func (s *side) messages() restore.Source {
	switch {
	case s.scanner != nil:
		return restore.FromSite(s.site())
	case s.far != nil:
		return s.far.Messages()
	}
	return nil
}

// farAskers fill a link of 100 Mbit/s and 50 ms with messages of 20 KB.
const farAskers = 32

// askers is how many messages a run asks its sources for at a time.
func askers(sides []*side) int {
	if slices.ContainsFunc(sides, func(s *side) bool { return s.far != nil }) {
		return farAskers
	}
	return 0
}

// farComparers hide the way there and back of every mailbox that is opened.
const farComparers = 16

// comparers is how many mailboxes a run compares at a time; 0 = as compare has
// it. Each of them holds two requests open with the host of every far side.
func comparers(sides []*side) int {
	far := 0
	for _, s := range sides {
		if s.far != nil {
			far++
		}
	}
	if far == 0 {
		return 0
	}
	return max(farComparers/far, 1)
}

// site is a live store as restore sees it.
func (s *side) site() *restore.Site {
	if s.scanner == nil {
		return nil
	}
	return &restore.Site{
		Store: s.store.Name, Path: s.store.Path, Symlinks: s.store.Symlinks,
		Disk:    s.set.For,
		Layout:  s.store.Layout != "" || len(s.store.UsersAsGiven) > 0,
		Folders: maildir.FolderNames{Layout: folders(s.store), UTF8: s.store.UTF8},
		Place:   func(mailbox string) (maildir.Place, error) { return s.scanner.Place(context.Background(), mailbox) },
	}
}
