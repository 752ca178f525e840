package scan

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
)

// tree is a store in a temporary directory.
type tree struct {
	t    testing.TB
	path string
}

func newTree(t testing.TB) *tree {
	t.Helper()
	return &tree{t: t, path: t.TempDir()}
}

func (b *tree) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *tree) at(path string) string { return filepath.Join(b.path, path) }

// maildir makes directories cur, new and tmp.
func (b *tree) maildir(paths ...string) {
	b.t.Helper()
	for _, p := range paths {
		for _, sub := range []string{"cur", "new", "tmp"} {
			b.check(os.MkdirAll(b.at(p+"/"+sub), 0o700))
		}
	}
}

func (b *tree) write(path, text string) {
	b.t.Helper()
	b.check(os.MkdirAll(filepath.Dir(b.at(path)), 0o700))
	b.check(os.WriteFile(b.at(path), []byte(text), 0o600))
}

// old moves the times of everything back, so that no stamp is racy.
func (b *tree) old() {
	b.t.Helper()
	then := time.Now().Add(-time.Hour)
	b.check(filepath.WalkDir(b.path, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.Type()&os.ModeSymlink != 0 {
			return err
		}
		return os.Chtimes(p, then, then)
	}))
}

// mail is a message of about n bytes whose text tells messages apart.
func mail(id string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: a@example.org\nTo: b@example.org\nSubject: %s\nMessage-ID: <%s@example.org>\nDate: Mon, 5 Jan 2026 10:00:00 +0000\n\n", id, id)
	for b.Len() < n {
		b.WriteString("A line of text for message " + id + ".\n")
	}
	return b.String()
}

// named is a file name as Dovecot gives it.
func named(unique, text, info string) string {
	return fmt.Sprintf("%s,S=%d,W=%d%s", unique, len(text), len(text)+strings.Count(text, "\n"), info)
}

// put writes a message into a folder under the name that Dovecot would give.
func (b *tree) put(dir, unique, text, info string) string {
	b.t.Helper()
	name := named(unique, text, info)
	b.write(dir+"/"+name, text)
	return dir + "/" + name
}

// later is a clock that is far from every stamp on disk: nothing is racy.
type later struct{ d time.Duration }

func (c *later) now() time.Time { return time.Now().Add(c.d) }

func scanner(t testing.TB, path string, opt Options) *Scanner {
	t.Helper()
	return configured(t, Config{Name: "primary", Path: path}, opt)
}

func configured(t testing.TB, cfg Config, opt Options) *Scanner {
	t.Helper()
	if opt.Now == nil {
		opt.Now = (&later{time.Hour}).now
	}
	s, err := New(cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// memory is a mailbox as one look left it: a record in memory.
type memory struct {
	mb       manifest.Mailbox
	entries  []manifest.Entry
	absences []manifest.Absence
	findings []manifest.Finding
	counts   Counts
	watch    []byte
	mass     bool
}

func (m *memory) Mailbox() *manifest.Mailbox { return &m.mb }
func (m *memory) Close() error               { return nil }

func (m *memory) Entries(context.Context) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for _, e := range m.entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (m *memory) Absences(context.Context) iter.Seq2[manifest.Absence, error] {
	return func(yield func(manifest.Absence, error) bool) {
		for _, a := range m.absences {
			if !yield(a, nil) {
				return
			}
		}
	}
}

// look looks at a mailbox against an earlier look.
func look(t testing.TB, s *Scanner, mailbox string, old *memory, o LookOptions) (*memory, error) {
	t.Helper()
	m := new(memory)
	if old != nil {
		o.Record = old
	} else {
		o.NoRecord = true
	}
	o.Finding = func(f manifest.Finding) { m.findings = append(m.findings, f) }
	v, err := s.Look(t.Context(), mailbox, o)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	for e, err := range v.Entries(t.Context()) {
		if err != nil {
			return nil, err
		}
		if n := len(m.entries); n > 0 && m.entries[n-1].Compare(&e) >= 0 {
			t.Fatalf("entries out of order: %q after %q", e.Name, m.entries[n-1].Name)
		}
		m.entries = append(m.entries, e)
	}
	for a, err := range v.Absences(t.Context()) {
		if err != nil {
			return nil, err
		}
		if n := len(m.absences); n > 0 && m.absences[n-1].Entry.Compare(&a.Entry) >= 0 {
			t.Fatalf("absences out of order: %q after %q", a.Entry.Name, m.absences[n-1].Entry.Name)
		}
		m.absences = append(m.absences, a)
	}
	m.mb, m.counts, m.watch, m.mass = *v.Mailbox(), v.Counts(), v.watch(), v.Mass()
	return m, nil
}

func mustLook(t testing.TB, s *Scanner, mailbox string, old *memory, o LookOptions) *memory {
	t.Helper()
	m, err := look(t, s, mailbox, old, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *memory) entry(t testing.TB, unique string) *manifest.Entry {
	t.Helper()
	for i := range m.entries {
		if m.entries[i].Unique == unique {
			return &m.entries[i]
		}
	}
	t.Fatalf("no entry %q", unique)
	return nil
}

// kinds lists the findings as "kind folder file".
func (m *memory) kinds() []string {
	var out []string
	for _, f := range m.findings {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Kind, f.Folder, f.File)))
	}
	slices.Sort(out)
	return out
}

var (
	_ compare.Source  = (*Scanner)(nil)
	_ compare.Witness = (*Scanner)(nil)
	_ compare.View    = (*View)(nil)
	_ compare.View    = (*memory)(nil)
)

// decideLeave reads nothing: only the structure is looked at.
func decideLeave(_, _ *manifest.Entry, _ bool) Choice { return Leave }
