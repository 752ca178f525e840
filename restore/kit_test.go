package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore/place"
	"mailsync/scan"
	"mailsync/scan/maildir"
)

// tb is what testing and rapid have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
}

// world is a few stores on disk and one state directory.
type world struct {
	t      tb
	dir    string
	calls  *place.Calls
	layout maildir.Layout
	tune   func(*PlanOptions)
	wait   time.Duration
	// bare: no configuration says where mailboxes lie that are not there yet.
	bare bool
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return &world{t: t, dir: t.TempDir()}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v", err)
	}
}

func (w *world) state() string            { return filepath.Join(w.dir, "state") }
func (w *world) store(name string) string { return filepath.Join(w.dir, name) }
func (w *world) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

// maildir makes a mailbox or folder.
func (w *world) maildir(store, mailbox, dir string) string {
	w.t.Helper()
	p := w.path(store, mailbox, dir)
	for _, sub := range []string{"cur", "new", "tmp"} {
		w.must(os.MkdirAll(filepath.Join(p, sub), 0o700))
	}
	return p
}

// body is a message that is unlike any other.
func body(n int) string {
	return fmt.Sprintf("From: a@example.org\nTo: b@example.org\nMessage-ID: <%d@example.org>\nDate: Mon, 1 Jan 2024 00:00:00 +0000\nSubject: %d\n\n", n, n) +
		strings.Repeat(fmt.Sprintf("line %d\n", n), 5+n%40)
}

var epoch = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)

// msgName is the file name of message n, without flags.
func msgName(n int) string {
	b := body(n)
	return maildir.Sized(fmt.Sprintf("%d.M%dP1.host", epoch.Unix()+int64(n), n), int64(len(b)), int64(len(b)+strings.Count(b, "\n")))
}

// put writes message n into a store; info is ":2,S" or the like, or "" for new/.
func (w *world) put(store, mailbox, dir string, n int, info string) string {
	w.t.Helper()
	sub := "cur"
	if info == "" {
		sub = "new"
	}
	p := w.path(store, mailbox, dir, sub, msgName(n)+info)
	w.write(p, body(n), epoch.Add(time.Duration(n)*time.Second))
	return p
}

func (w *world) write(path, text string, at time.Time) {
	w.t.Helper()
	w.must(os.WriteFile(path, []byte(text), 0o600))
	w.must(os.Chtimes(path, at, at))
}

// copy makes one store a replica of another, times and all, hard links cut.
func (w *world) copy(from, to string) {
	w.t.Helper()
	src := w.store(from)
	w.must(filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(src, p)
		dst := filepath.Join(w.store(to), rel)
		if d.IsDir() {
			return os.MkdirAll(dst, 0o700)
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dst, b, st.Mode().Perm()); err != nil {
			return err
		}
		return os.Chtimes(dst, st.ModTime(), st.ModTime())
	}))
}

func (w *world) site(store string) *Site {
	return &Site{
		Store: store, Path: w.store(store), Calls: w.calls,
		Folders: maildir.FolderNames{Layout: w.layout},
		Place: func(mailbox string) (maildir.Place, error) {
			if _, err := os.Stat(w.path(store, mailbox)); w.bare && err != nil {
				return maildir.Place{}, fmt.Errorf("%w: %q", compare.ErrNoMailbox, mailbox)
			}
			return maildir.Place{Mailbox: mailbox, Store: w.store(store), Root: filepath.Join(w.store(store), mailbox), Known: true, Layout: w.layout}, nil
		},
	}
}

func (w *world) config(store string) scan.Config {
	return scan.Config{Name: store, Known: store, Path: w.store(store), Folders: w.layout}
}

// scan records a store.
func (w *world) scan(stores ...string) {
	w.t.Helper()
	repo, err := manifest.OpenRepo(w.state(), manifest.RepoOptions{})
	w.must(err)
	for _, s := range stores {
		sc, err := scan.New(w.config(s), scan.Options{TakenBack: NewTakenBack(nil, w.state(), w.store(s)).Since})
		w.must(err)
		_, err = scan.Run(context.Background(), sc, repo, scan.RunOptions{})
		w.must(err)
		_ = sc.Close()
	}
}

// side opens a store for a comparison, with its record where there is one.
func (w *world) side(store string) (compare.Side, func()) {
	w.t.Helper()
	var rec *manifest.Store
	if _, err := os.Stat(w.state()); err == nil {
		repo, err := manifest.OpenRepo(w.state(), manifest.RepoOptions{ReadOnly: true})
		w.must(err)
		rec, err = repo.Store(manifest.StoreKey(store, w.store(store)))
		if err != nil && !errors.Is(err, manifest.ErrNoRecord) {
			w.must(err)
		}
	}
	opt := scan.Options{Stat: true, TakenBack: NewTakenBack(nil, w.state(), w.store(store)).Since}
	if rec != nil {
		opt.Record = rec
	}
	sc, err := scan.New(w.config(store), opt)
	w.must(err)
	side := compare.Side{Source: sc, Witness: sc}
	if rec != nil {
		side.Base = compare.Recorded(rec, compare.RecordedOptions{Name: store})
	}
	return side, func() { _ = sc.Close() }
}

func (w *world) plan(target string, sources ...string) *Plan {
	w.t.Helper()
	p, err := w.tryPlan(target, sources...)
	w.must(err)
	return p
}

func (w *world) tryPlan(target string, sources ...string) (*Plan, error) {
	w.t.Helper()
	var o PlanOptions
	side, done := w.side(target)
	defer done()
	o.Target, o.Site = side, w.site(target)
	o.Site.Calls = nil
	for _, s := range sources {
		side, done := w.side(s)
		defer done()
		o.Sources = append(o.Sources, side)
	}
	var err error
	if o.Resume, err = Interrupted(nil, w.state(), w.store(target)); err != nil {
		return nil, err
	}
	if w.tune != nil {
		w.tune(&o)
	}
	return NewPlan(context.Background(), o)
}

func (w *world) sources(names ...string) Source {
	m := BySource{}
	for _, n := range names {
		s := w.site(n)
		s.Calls = nil
		m[n] = FromSite(s)
	}
	return m
}

// result is what a run did.
type result struct {
	id      string
	counts  Counts
	actions []Action
	err     error
}

func (w *world) begin(target, command string) (*Run, error) {
	return Begin(RunOptions{Site: w.site(target), State: w.state(), Command: command, LockWait: w.wait, Host: "testhost"})
}

// apply carries out a plan.
func (w *world) apply(p *Plan, target string, sources ...string) result {
	w.t.Helper()
	r, err := w.begin(target, "restore")
	w.must(err)
	return w.finish(r, p, sources...)
}

func (w *world) finish(r *Run, p *Plan, sources ...string) result {
	w.t.Helper()
	var out result
	for a, err := range r.Apply(context.Background(), p, w.sources(sources...)) {
		if err != nil {
			out.err = err
			break
		}
		out.actions = append(out.actions, a)
	}
	out.id, out.counts = r.ID(), r.Counts()
	if err := r.End(out.err); err != nil && out.err == nil {
		out.err = err
	}
	return out
}

// restore plans and applies, and fails the test where anything fails.
func (w *world) restore(target string, sources ...string) result {
	w.t.Helper()
	p := w.plan(target, sources...)
	defer p.Close()
	res := w.apply(p, target, sources...)
	w.must(res.err)
	for _, a := range res.actions {
		if a.State == Failed || a.State == Refused {
			w.t.Errorf("%s %s/%s %q: %s: %s", a.Op, a.Ref.Mailbox, a.Ref.Folder, a.Post.Name, a.State, a.Detail)
		}
	}
	return res
}

func (w *world) undo(target, run string) result {
	w.t.Helper()
	p, err := NewUndo(context.Background(), nil, w.state(), run)
	w.must(err)
	defer p.Close()
	r, err := Begin(RunOptions{Site: w.site(target), State: w.state(), Command: "undo", Of: run, Host: "testhost"})
	w.must(err)
	return w.finish(r, p)
}

func (w *world) actions(p *Plan) []Action {
	w.t.Helper()
	var out []Action
	for a, err := range p.Actions(context.Background()) {
		w.must(err)
		out = append(out, a)
	}
	return out
}

// tree is every message file of a store with its content and date, without
// what servers and mailsync keep beside them.
func (w *world) tree(store string) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	root := w.store(store)
	w.must(filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if d.Name() == QuarantineDir {
			return filepath.SkipDir
		}
		if d.IsDir() {
			return nil
		}
		parent := filepath.Base(filepath.Dir(p))
		if parent != "cur" && parent != "new" && parent != "tmp" {
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
		out[rel] = st.ModTime().UTC().Format(time.RFC3339Nano) + "\n" + string(b)
		return nil
	}))
	return out
}

func (w *world) sameTree(a, b map[string]string) {
	w.t.Helper()
	if d := cmp.Diff(a, b); d != "" {
		w.t.Errorf("trees differ (-want +got):\n%s", d)
	}
}

// noLeftovers fails where a temporary name of ours is in a store.
func (w *world) noLeftovers(store string) {
	w.t.Helper()
	w.must(filepath.WalkDir(w.store(store), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == QuarantineDir {
			return filepath.SkipDir
		}
		if strings.Contains(d.Name(), tempPrefix) || strings.HasSuffix(d.Name(), ".lock") {
			w.t.Errorf("left over: %s", p)
		}
		return nil
	}))
}

func summary(list []Action) []string {
	var out []string
	for _, a := range list {
		s := fmt.Sprintf("%s %s %s/%s", a.State, a.Op, a.Ref.Mailbox, a.Ref.Folder)
		if a.Why != "" {
			s += " " + string(a.Why)
		}
		out = append(out, s)
	}
	sort.Strings(out)
	return out
}

func itoa(n int) string { return fmt.Sprint(n) }

// swap puts one store's directory in the place of another's.
func (w *world) swap(store, by string) {
	w.t.Helper()
	w.must(os.Rename(w.store(store), w.store(store+".old")))
	w.must(os.Rename(w.store(by), w.store(store)))
}
