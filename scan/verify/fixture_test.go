package verify_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailsync/manifest"
	"mailsync/scan"
	"mailsync/scan/beneath"
	"mailsync/scan/verify"
)

// estate is a store, its record, and the clock and boot of the host.
type estate struct {
	t     testing.TB
	path  string
	state string
	now   time.Time
	boot  string
	since time.Time // when the host was started
	calls beneath.Calls
}

func newEstate(t testing.TB) *estate {
	t.Helper()
	e := &estate{t: t, path: filepath.Join(t.TempDir(), "store"), state: filepath.Join(t.TempDir(), "state"), now: time.Now().Add(time.Hour), boot: "boot-1", since: time.Now().Add(-240 * time.Hour)}
	e.check(os.Mkdir(e.path, 0o700))
	return e
}

func (e *estate) check(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *estate) at(path string) string { return filepath.Join(e.path, path) }

func (e *estate) write(path, text string) {
	e.t.Helper()
	e.check(os.MkdirAll(filepath.Dir(e.at(path)), 0o700))
	e.check(os.WriteFile(e.at(path), []byte(text), 0o600))
}

// box makes a Maildir and its folders.
func (e *estate) box(name string, folders ...string) {
	e.t.Helper()
	for _, f := range append([]string{""}, folders...) {
		dir := name
		if f != "" {
			dir += "/." + f
		}
		for _, sub := range []string{"cur", "new", "tmp"} {
			e.check(os.MkdirAll(e.at(dir+"/"+sub), 0o700))
		}
	}
}

// text is a message of about n bytes that tells itself apart.
func text(id string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: a@example.org\nTo: b@example.org\nSubject: %s\nMessage-ID: <%s@example.org>\nDate: Mon, 5 Jan 2026 10:00:00 +0000\n\n", id, id)
	for b.Len() < n {
		b.WriteString("A line of text for message " + id + ".\n")
	}
	return b.String()
}

// base is the name that Dovecot gives to a message.
func base(unique, text string) string {
	bare := strings.Count(text, "\n") - strings.Count(text, "\r\n")
	return fmt.Sprintf("%s,S=%d,W=%d", unique, len(text), len(text)+bare)
}

// put stores a message as Dovecot would, and returns its path.
func (e *estate) put(dir, unique, text, info string) string {
	e.t.Helper()
	path := dir + "/" + base(unique, text) + info
	e.write(path, text)
	return path
}

// uidlist lists the messages of a folder as the server would.
func (e *estate) uidlist(dir string, names ...string) {
	e.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "3 V77 N%d G%032x\n", len(names)+1, 5)
	for i, n := range names {
		n, _, _ = strings.Cut(filepath.Base(n), ":")
		fmt.Fprintf(&b, "%d :%s\n", i+1, n)
	}
	e.write(dir+"/dovecot-uidlist", b.String())
}

// age moves everything on disk into the past, so that no stamp is racy.
func (e *estate) age(d time.Duration) {
	e.t.Helper()
	then := time.Now().Add(-d)
	e.check(filepath.WalkDir(e.path, func(p string, f os.DirEntry, err error) error {
		if err != nil || f.Type()&os.ModeSymlink != 0 {
			return err
		}
		return os.Chtimes(p, then, then)
	}))
}

func (e *estate) clock() time.Time { return e.now }

func (e *estate) repo(readOnly bool) *manifest.Repo {
	e.t.Helper()
	r, err := manifest.OpenRepo(e.state, manifest.RepoOptions{ReadOnly: readOnly})
	e.check(err)
	return r
}

func (e *estate) record() *manifest.Store {
	e.t.Helper()
	s, err := e.repo(true).Store(manifest.StoreKey("", e.path))
	e.check(err)
	return s
}

func (e *estate) scanner(record *manifest.Store) *scan.Scanner {
	e.t.Helper()
	s, err := scan.New(scan.Config{Name: "primary", Path: e.path}, scan.Options{
		Now: e.clock, BootID: e.boot, BootAt: e.since, Record: record, Calls: e.calls,
	})
	e.check(err)
	e.t.Cleanup(func() { _ = s.Close() })
	return s
}

// scan records the store.
func (e *estate) scan() {
	e.t.Helper()
	r, err := scan.Run(e.t.Context(), e.scanner(nil), e.repo(false), scan.RunOptions{})
	e.check(err)
	if !r.Complete() {
		e.t.Fatalf("scan: %+v", r)
	}
	e.now = e.now.Add(time.Hour)
}

// stopped records that the host was stopped in good order.
func (e *estate) stopped() {
	e.t.Helper()
	e.check(e.repo(false).Stopped(manifest.StoreKey("", e.path), manifest.Stop{BootID: e.boot, At: e.now}))
}

// told is everything that one verification said.
type told struct {
	findings []manifest.Finding
	vanished []manifest.Finding
	stages   []verify.Stage
	result   verify.Result
	err      error
	order    []string // events in their order: stage names and findings
}

func (e *estate) verify(o verify.Options, baseline bool) *told {
	e.t.Helper()
	out := e.try(o, baseline)
	e.check(out.err)
	return out
}

func (e *estate) try(o verify.Options, baseline bool) *told {
	e.t.Helper()
	if baseline {
		o.Record = e.record()
	}
	if o.Now == nil {
		o.Now = e.clock
	}
	v := verify.New(e.scanner(o.Record), o)
	out := new(told)
	for ev, err := range v.Events(e.t.Context()) {
		switch {
		case err != nil:
			out.err = err
		case ev.Finding != nil:
			out.findings = append(out.findings, *ev.Finding)
			out.order = append(out.order, line(ev.Finding))
		case ev.Vanished != nil:
			out.vanished = append(out.vanished, *ev.Vanished)
		case ev.Stage != nil:
			out.stages = append(out.stages, *ev.Stage)
			out.order = append(out.order, "== "+ev.Stage.ID.String())
		}
	}
	out.result = v.Result()
	return out
}

func line(f *manifest.Finding) string {
	return strings.TrimRight(fmt.Sprintf("%s %s %s %s %s", f.Kind, f.Certainty, f.Mailbox, f.Folder, f.File), " ")
}

func (o *told) lines() []string {
	out := []string{}
	for i := range o.findings {
		out = append(out, line(&o.findings[i]))
	}
	slices.Sort(out)
	return out
}

func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}
