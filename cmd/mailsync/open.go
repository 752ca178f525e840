package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/remote"
	"mailsync/scan"
	"mailsync/scan/beneath"
	"mailsync/scan/budget"
	"mailsync/scan/maildir"
)

// This file is the only place where it is decided whether a store is looked at
// on disk, taken from its record, or looked at by mailsync on another host.

// readCalls are the system calls that look at a store.
func (a *app) readCalls() beneath.Calls {
	if a.std.calls == nil {
		return beneath.Calls{}
	}
	return a.std.calls.Read
}

// scanConfig describes a store to the scanner.
func (a *app) scanConfig(s *config.Store) scan.Config {
	file, command := s.Users()
	c := scan.Config{
		Name: s.Name, Path: s.Path, Layout: s.Layout, Users: file, UsersCommand: command,
		Control: s.Control, Index: s.Index, UTF8: s.UTF8, Symlinks: s.Symlinks,
		Alg: s.Digest.Alg, FailureDomain: s.FailureDomain, Role: s.Role.String(),
		Limits: a.limits(s), Breaker: a.breaker(s), KeepAbsences: s.Absences.Duration,
	}
	if !config.IsPath(s.Name) {
		c.Known = s.Name
	}
	c.Folders = folders(s)
	if c.Alg == manifest.NoAlg {
		c.Alg = a.cfg.Digest.Alg
	}
	if c.KeepAbsences == 0 {
		c.KeepAbsences = a.cfg.Absences.Duration
	}
	return c
}

// breaker is the share of a store that may be gone at once.
func (a *app) breaker(s *config.Store) float64 {
	return float64(cmp.Or(s.Breaker, a.cfg.Breaker))
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
	sd := &side{store: s, base: rec, set: set, calls: a.std.calls, breaker: a.breaker(s)}
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
	opt := scan.Options{Budgets: set, OnAtime: a.atimeWarning, Doubted: doubt.doubted, TakenBack: taken, SavedLogs: logs, Stat: bool(t), Calls: a.readCalls()}
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
	sd := &side{store: s, breaker: a.breaker(s)}
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

// takenBack is what undo has moved away in a store: nobody has deleted it. That
// it is not known is said once a store.
func (a *app) takenBack(s *config.Store) (func(mailbox, folder, base string, since time.Time) (bool, error), error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	t := restore.NewTakenBack(a.std.files, state, s.Path)
	var once sync.Once
	return func(mailbox, folder, base string, since time.Time) (bool, error) {
		back, err := t.Since(mailbox, folder, base, since)
		if err != nil {
			once.Do(func() {
				a.out.Warn("whether an undo took back what is gone from %s is not known, so none of it is called deleted without other evidence: %s", ui.Name(s.Name), ui.Oneline(err, 500))
			})
		}
		return back, err
	}, nil
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
