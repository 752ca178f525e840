package remote_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mailsync/compare"
	"mailsync/restore"
	"mailsync/restore/remote"
	"mailsync/scan"
	"mailsync/scan/maildir"
)

// tb is what testing and rapid have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// machine is a host with stores on its disk and a state directory: a
// remote.Writable.
type machine struct {
	t        tb
	dir      string
	readOnly bool
	before   func(*restore.Action) // each message that is handed out; may be nil
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("%v", err)
	}
}

func (m *machine) path(parts ...string) string {
	return filepath.Join(append([]string{m.dir}, parts...)...)
}

func (m *machine) state() string { return m.path("state") }

// put writes message n into a mailbox, and the mailbox where there is none.
func (m *machine) put(store, mailbox string, n int, info string) string {
	m.t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		m.must(os.MkdirAll(m.path(store, mailbox, sub), 0o700))
	}
	p := m.path(store, mailbox, "cur", fmt.Sprintf("%d.M%dP1.host%s", 1700000000+n, n, info))
	m.must(os.WriteFile(p, []byte(mailText(n)), 0o600))
	at := time.Unix(1700000000+int64(n), 0)
	m.must(os.Chtimes(p, at, at))
	return p
}

func mailText(n int) string {
	return fmt.Sprintf("From: a@example.org\nMessage-ID: <%d@example.org>\nDate: Mon, 1 Jan 2024 00:00:00 +0000\nSubject: %d\n\n", n, n) +
		strings.Repeat(fmt.Sprintf("line %d\n", n), 5+n%40)
}

// tree is every message of a store with its content and date.
func (m *machine) tree(store string) map[string]string {
	m.t.Helper()
	out := map[string]string{}
	root := m.path(store)
	m.must(filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == restore.QuarantineDir {
			return filepath.SkipDir
		}
		if parent := filepath.Base(filepath.Dir(p)); d.IsDir() || parent != "cur" && parent != "new" && parent != "tmp" {
			return nil
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		out[rel] = st.ModTime().UTC().Format(time.RFC3339Nano) + "\n" + string(b)
		return nil
	}))
	return out
}

func (m *machine) site(store string) *restore.Site {
	return &restore.Site{
		Store: store, Path: m.path(store),
		Place: func(mailbox string) (maildir.Place, error) {
			return maildir.Place{Mailbox: mailbox, Store: m.path(store), Root: m.path(store, mailbox), Known: true}, nil
		},
	}
}

func (m *machine) scanner(store string) (*scan.Scanner, error) {
	return scan.New(scan.Config{Name: store, Path: m.path(store)}, scan.Options{Stat: true})
}

// served hands out a store of this machine.
func (m *machine) served(store string) (*remote.Served, error) {
	sc, err := m.scanner(store)
	if err != nil {
		return nil, err
	}
	return &remote.Served{Source: sc, Witness: sc, Messages: m.source(store), Close: sc.Close}, nil
}

// source hands out messages, and may do something before each.
func (m *machine) source(store string) restore.Source {
	return &slow{restore.FromSite(m.site(store)), m.before}
}

// OpenStore implements remote.Host; paths are names of stores.
func (m *machine) OpenStore(_ context.Context, s remote.Spec) (*remote.Served, error) {
	return m.served(s.Path)
}

// Run implements remote.Host.
func (m *machine) Run(context.Context, *remote.Task) ([]byte, error) {
	return nil, remote.ErrRefused
}

func (m *machine) writable(writes bool) error {
	if writes && m.readOnly {
		return fmt.Errorf("%w: it is read-only", remote.ErrRefused)
	}
	return nil
}

// Plan implements remote.Writable.
func (m *machine) Plan(ctx context.Context, r *remote.Restoration, p *restore.PlanProgress) (*remote.Planned, error) {
	if err := m.writable(r.Writes); err != nil {
		return nil, err
	}
	sc, err := m.scanner(r.Target.Path)
	if err != nil {
		return nil, err
	}
	defer sc.Close()
	o := restore.PlanOptions{
		Target: compare.Side{Source: sc, Witness: sc}, Site: m.site(r.Target.Path), Header: r.Header, Undecided: r.Undecided, MergeFlags: r.MergeFlags,
		CrashAt: r.CrashAt, Progress: p,
	}
	for _, s := range r.Sources {
		if s.Here == nil {
			o.Sources = append(o.Sources, compare.Side{Source: s.Store, Witness: s.Store})
			continue
		}
		own, err := m.scanner(s.Here.Path)
		if err != nil {
			return nil, err
		}
		defer own.Close()
		o.Sources = append(o.Sources, compare.Side{Source: own, Witness: own})
	}
	if o.Resume, err = restore.Interrupted(nil, m.state(), o.Site.Path); err != nil {
		return nil, err
	}
	plan, err := restore.NewPlan(ctx, o)
	if err != nil {
		return nil, err
	}
	left, err := restore.LeftBehind(nil, m.state(), o.Site.Path)
	return &remote.Planned{Plan: plan, Matched: true, Left: left}, err
}

// PlanUndo implements remote.Writable.
func (m *machine) PlanUndo(ctx context.Context, u *remote.Undo) (*restore.Plan, restore.RunInfo, error) {
	if err := m.writable(u.Writes); err != nil {
		return nil, restore.RunInfo{}, err
	}
	info, err := restore.FindRun(nil, m.state(), u.Run)
	if err != nil {
		return nil, info, err
	}
	plan, err := restore.NewUndo(ctx, nil, m.state(), u.Run)
	return plan, info, err
}

// Runs implements remote.Writable.
func (m *machine) Runs(context.Context) ([]restore.RunInfo, error) {
	return restore.Runs(nil, m.state())
}

// Begin implements remote.Writable.
func (m *machine) Begin(_ context.Context, o *remote.RunOptions) (*restore.Run, func(), error) {
	if err := m.writable(true); err != nil {
		return nil, nil, err
	}
	run, err := restore.Begin(restore.RunOptions{
		Site: m.site(o.Target.Path), State: m.state(), Command: o.Command, Args: o.Args, Of: o.Of, Host: "testhost", BatchMessages: 4,
	})
	return run, func() {}, err
}
