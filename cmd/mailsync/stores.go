package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"time"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
)

// stores resolves STORE arguments. The same store twice is an error: compared
// with itself it proves nothing.
func (a *app) stores(args []string) ([]*config.Store, error) {
	list := make([]*config.Store, 0, len(args))
	seen := map[string]string{}
	for _, arg := range args {
		s, err := a.store(arg)
		if err != nil {
			return nil, err
		}
		if other, ok := seen[s.Path]; ok {
			return nil, usage("%s and %s are the same store", ui.Name(other), ui.Name(arg))
		}
		seen[s.Path] = arg
		list = append(list, s)
	}
	return list, nil
}

// store resolves one STORE argument.
func (a *app) store(arg string) (*config.Store, error) {
	s, err := a.cfg.Store(arg)
	if err != nil {
		return nil, a.nameProblem(err, arg, "store", a.cfg.StoreNames())
	}
	return s, nil
}

// nameProblem says which names there are.
func (a *app) nameProblem(err error, arg, what string, names []string) error {
	p := &ui.Problem{Why: err}
	switch {
	case errors.Is(err, config.ErrHost):
		p.Hint = "a local path with a ':' is written ./a:b"
	case errors.Is(err, config.ErrNoName) && a.cfg.File == "":
		p.Hint = fmt.Sprintf("there is no configuration; a %s given as a path has a '/': ./%s", what, arg)
	case errors.Is(err, config.ErrNoName):
		known := "none"
		if len(names) > 0 {
			known = strings.Join(names, ", ")
		}
		p.Hint = fmt.Sprintf("%s in %s: %s; a path has a '/': ./%s", what+"s", a.cfg.File, known, arg)
	}
	return p
}

// key is the directory of a store's record.
func key(s *config.Store) string { return manifest.StoreKey(known(s), recordPath(s)) }

// known is the name of a store in the configuration, "" for one by path.
func known(s *config.Store) string {
	if config.IsPath(s.Name) {
		return ""
	}
	return s.Name
}

// recordPath stands for a store's place in its record: absolute, also where it
// lies on another host.
func recordPath(s *config.Store) string {
	if s.Host() != "" {
		return "/" + s.Host() + ":" + s.Dir()
	}
	return s.Path
}

// openRepo opens the state directory.
func (a *app) openRepo(readOnly bool) (*manifest.Repo, error) {
	dir, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	repo, err := manifest.OpenRepo(dir, manifest.RepoOptions{ReadOnly: readOnly, FS: a.std.files})
	if err != nil {
		p := &ui.Problem{What: "state directory " + dir, Why: err, Hint: "--state DIR names another one"}
		if code := errorCode(err); !readOnly && code != exitNoPerm && code != exitData {
			p.Code = exitCantCreate
		}
		return nil, p
	}
	return repo, nil
}

// record opens the record of one store: of the state directory, or where it has
// none, or an older one, of a state_copy.
func (a *app) record(s *config.Store) (*manifest.Store, error) {
	repo, err := a.openRepo(true)
	if err != nil {
		return nil, err
	}
	best, err := repo.Store(key(s))
	if err != nil && !errors.Is(err, manifest.ErrNoRecord) {
		p := &ui.Problem{What: "record of " + s.Name, Why: err, Hint: a.cmdline("manifest", "check", s.Name) + " says which part is broken"}
		if errors.Is(err, fs.ErrPermission) {
			p.Hint = "run mailsync as the user that owns the state directory, or name another one with --state"
		}
		return nil, p
	}
	for _, dir := range a.cfg.StateCopies {
		if config.IsRemote(dir) {
			continue
		}
		copied, cerr := manifest.OpenRepo(dir, manifest.RepoOptions{ReadOnly: true, FS: a.std.files})
		if cerr != nil {
			a.out.Warn("state copy %s: %s", ui.Escape(dir), ui.Oneline(cerr, 300))
			continue
		}
		st, cerr := copied.Store(key(s))
		switch {
		case errors.Is(cerr, manifest.ErrNoRecord):
		case cerr != nil:
			a.out.Warn("state copy %s: %s", ui.Escape(dir), ui.Oneline(cerr, 300))
		case best == nil || scanned(st.Record()).After(scanned(best.Record())):
			best = st
		}
	}
	if best == nil {
		return nil, &ui.Problem{
			What: "record of " + s.Name, Why: manifest.ErrNoRecord, Code: exitNoInput,
			Hint: "make one with: " + a.cmdline("scan", s.Name),
		}
	}
	return best, nil
}

// scanned is when the last look that saw everything began.
func scanned(r manifest.StoreRecord) time.Time {
	if !r.Complete.Began.IsZero() {
		return r.Complete.Began
	}
	return r.Open.Began
}

// matched wraps the patterns of --mailbox and remembers whether any mailbox
// matched: a misspelt pattern must not end as a clean bill of health.
type matched struct {
	globs config.Globs
	any   atomic.Bool
}

func (m *matched) match(name string) bool {
	ok := m.globs.Match(name)
	if ok {
		m.any.Store(true)
	}
	return ok
}

// filter is the function for a room: nil where no pattern was given.
func (m *matched) filter() func(string) bool {
	if len(m.globs) == 0 {
		return nil
	}
	return m.match
}

// nothing is the error of patterns that matched no mailbox.
func (m *matched) nothing(a *app, store string) error {
	if len(m.globs) == 0 || m.any.Load() {
		return nil
	}
	return &ui.Problem{
		What: "no mailbox matches " + m.globs.String(), Code: exitNoInput,
		Hint: a.cmdline("manifest", "ls", store) + " lists the mailboxes that are recorded",
	}
}

// ended tells whether err only says that the run was ended from outside: by a
// signal, or by an output that takes no more. Nothing is to be added to it.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, errOutput)
}

// cancelled returns the cause when ctx has ended.
func cancelled(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
