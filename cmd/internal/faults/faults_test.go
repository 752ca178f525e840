//go:build faults

package faults

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
)

// long asks for every fault, not half of them.
var long = flag.Bool("long", false, "the long run")

// lab is a store with a loss and damage, its replica, and the gateway's archive.
type lab struct {
	t   *testing.T
	dir string
	e   *sample.Estate
	bin drive.Bin
}

func product(t *testing.T) string {
	t.Helper()
	path := os.Getenv("MAILSYNC_BIN")
	if path == "" {
		path = "../../../bin/mailsync"
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the program is not built (make build): %v", err)
	}
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (l *lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.dir}, parts...)...)
}

// newLab writes everything below a directory that is then copied for each run.
func newLab(t *testing.T) *lab {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") == "true" && os.Getenv("MAILSYNC_REQUIRE") == "1" {
			t.Fatal("strace is not installed, and must be")
		}
		t.Skip("SKIPPED, nothing was proved: strace is not installed")
	}
	l := &lab{t: t, dir: t.TempDir(), e: sample.New(sample.Options{Seed: 1, Mailboxes: 2, PerMailbox: 14, Size: 900})}
	l.bin = drive.Bin{Path: product(t), State: l.path("now", "state"), Config: l.path("c.toml"), Limit: 40 * time.Second}
	must(t, l.e.Write(l.path("replica")))
	must(t, l.e.Write(l.path("now", "store")))
	conf := fmt.Sprintf("[stores.primary]\npath = %q\nlayout = %q\nrole = \"primary\"\n[stores.replica]\npath = %q\nlayout = %q\n[archives.gw]\npath = %q\n",
		l.path("now", "store"), sample.Layout, l.path("replica"), sample.Layout, l.path("gw.mbox"))
	must(t, os.WriteFile(l.bin.Config, []byte(conf), 0o644))
	l.clean("scan", "primary")
	l.clean("scan", "replica")
	return l
}

func (l *lab) clean(args ...string) *drive.Result {
	l.t.Helper()
	r, err := l.bin.JSON(l.t.Context(), args...)
	must(l.t, err)
	if r.Code != 0 || len(r.Faults) > 0 {
		l.t.Fatalf("mailsync %v: %s", args, r)
	}
	return r
}

// keep makes what is now the state from which every run begins.
func (l *lab) keep() {
	must(l.t, mirror(l.path("now"), l.path("begin")))
}

func (l *lab) reset() {
	must(l.t, mirror(l.path("begin"), l.path("now")))
}

// fault is what goes wrong in one run.
type fault struct {
	call, what string // what is strace's: error=EIO, signal=KILL …
	when       int
	paths      []string // only calls on these; nil = all
}

func (f fault) String() string {
	s := fmt.Sprintf("%s %s, call %d of a thread", f.call, f.what, f.when)
	if len(f.paths) > 0 {
		s += " on " + filepath.Base(f.paths[0])
	}
	return s
}

// blinds tells whether the fault hides the server's own evidence of a folder.
func (f fault) blinds() bool {
	return len(f.paths) > 0 && (filepath.Base(f.paths[0]) == "dovecot-uidlist" || filepath.Base(f.paths[0]) == "Maildir")
}

// onlyAbsent tells whether nothing is wrong but messages that did not come back.
func onlyAbsent(bad []string) bool {
	return !slices.ContainsFunc(bad, func(b string) bool { return !strings.HasPrefix(b, "0 times there: ") })
}

// run runs the command with the fault. hit tells whether it happened.
func (l *lab) run(f fault, args ...string) (r *drive.Result, hit bool) {
	l.t.Helper()
	trace := l.path("trace")
	b := l.bin
	b.Wrap = []string{
		"strace", "-f", "-qq", "-o", trace, "-e", "trace=" + f.call,
		"-e", fmt.Sprintf("inject=%s:%s:when=%d", f.call, f.what, f.when),
	}
	for _, p := range f.paths {
		b.Wrap = append(b.Wrap, "-P", p)
	}
	r, err := b.JSON(l.t.Context(), args...)
	must(l.t, err)
	p, _ := os.ReadFile(trace)
	return r, strings.Contains(string(p), "INJECTED") || strings.Contains(string(p), "SIGKILL")
}

var callPattern = regexp.MustCompile(`^\d+ +([a-z0-9_]+)\(`)

// calls lists the distinct system calls that a command makes.
func (l *lab) calls(prepare func() []string) map[string]bool {
	l.t.Helper()
	l.reset()
	args := prepare()
	trace := l.path("trace")
	b := l.bin
	b.Wrap = []string{"strace", "-f", "-qq", "-o", trace}
	_, err := b.JSON(l.t.Context(), args...)
	must(l.t, err)
	p, err := os.ReadFile(trace)
	must(l.t, err)
	out := map[string]bool{}
	for line := range strings.Lines(string(p)) {
		if m := callPattern.FindStringSubmatch(line); m != nil {
			out[m[1]] = true
		}
	}
	return out
}

// The calls that look at a store: failed on its own files and directories.
var looking = []string{"openat", "openat2", "getdents64", "read", "pread64", "preadv2", "statx", "newfstatat", "fstat", "fstatfs"}

// The calls that change something: failed wherever they are made.
var changing = []string{
	"fsync", "fdatasync", "syncfs", "link", "linkat", "rename", "renameat", "renameat2", "unlinkat", "mkdirat", "fchown", "fchownat",
	"fchmod", "fchmodat", "fchmodat2", "utimensat", "pwrite64", "ftruncate", "flock", "sync_file_range",
}

// faults lists what can fail in a command that makes these calls.
func (l *lab) faults(calls map[string]bool) []fault {
	m := l.e.Boxes[0].Folders[0].Messages[0]
	store := l.path("now", "store")
	file := m.Path(store)
	cur := filepath.Dir(file)
	box := filepath.Dir(cur)
	var out []fault
	for _, c := range looking {
		if !calls[c] {
			continue
		}
		for _, p := range []string{cur, box, store, filepath.Join(box, "dovecot-uidlist"), file} {
			out = append(out, fault{c, "error=EIO", 1, []string{p}}, fault{c, "error=EACCES", 1, []string{p}})
		}
	}
	for _, c := range changing {
		if !calls[c] {
			continue
		}
		for _, when := range []int{1, 3} {
			out = append(out, fault{c, "error=EIO", when, nil}, fault{c, "error=ENOSPC", when, nil}, fault{c, "signal=KILL", when, nil})
		}
	}
	if !*long {
		out = slices.DeleteFunc(out, func(f fault) bool { return f.when > 1 || f.what == "error=EACCES" })
	}
	return out
}

var codes = []int{0, 1, 3, 65, 66, 69, 70, 73, 74, 75, 77, 78}

// judge is what is true of every run with a fault.
func (l *lab) judge(f fault, r *drive.Result) {
	l.t.Helper()
	if strings.HasPrefix(f.what, "signal") {
		return
	}
	for _, x := range r.Faults {
		l.t.Errorf("%s: %s\n%s", f, x, r)
	}
	if !slices.Contains(codes, r.Code) || r.Code == 70 {
		l.t.Errorf("%s: exit %d: %s", f, r.Code, r)
	}
}

// each runs the command once for each fault and hands the result over.
func (l *lab) each(args []string, after func(f fault, r *drive.Result)) {
	l.t.Helper()
	l.prepared(func() []string { return args }, after)
}

// prepared is each for a command that something must come before.
func (l *lab) prepared(prepare func() []string, after func(f fault, r *drive.Result)) {
	l.t.Helper()
	points, hits := 0, 0
	var args []string
	for _, f := range l.faults(l.calls(prepare)) {
		l.reset()
		args = prepare()
		points++
		r, hit := l.run(f, args...)
		if !hit {
			continue
		}
		hits++
		l.judge(f, r)
		after(f, r)
	}
	l.t.Logf("mailsync %s: %d faults tried, %d hit", args[0], points, hits)
	if hits < 8 {
		l.t.Errorf("only %d faults were hit: the harness is broken", hits)
	}
}

// restoring makes a loss and damage in the store.
func (l *lab) restoring() []string {
	i := 0
	for m := range l.e.Messages() {
		if i++; i%3 == 0 {
			must(l.t, os.Remove(m.Path(l.path("now", "store"))))
		} else if i%7 == 0 {
			must(l.t, os.WriteFile(m.Path(l.path("now", "store")), nil, 0o600))
		}
	}
	return []string{"restore", "primary", "--from", "replica", "--undecided", "restore", "--yes"}
}

// Whatever fails in a restore, it does not claim what it has not done, and the
// next one ends in the right state.
func TestRestore(t *testing.T) {
	l := newLab(t)
	args := l.restoring()
	l.keep()
	store := l.path("now", "store")
	l.each(args, func(f fault, r *drive.Result) {
		done := map[string]bool{}
		for _, a := range r.Find("action") {
			if a.State == "done" && (a.Op == "add" || a.Op == "replace") {
				done[a.Mailbox+"/"+a.Folder+"/"+filepath.Base(a.Name())] = true
			}
		}
		for m := range l.e.Messages() { // what was acknowledged is there
			if !done[m.Address+"/"+m.Folder+"/"+m.Name()] {
				continue
			}
			if p, err := os.ReadFile(m.Path(store)); err != nil || string(p) != string(m.Stored()) {
				t.Errorf("%s: acknowledged and not there: %s", f, m.File())
			}
		}
		bad := l.e.Check(store)
		switch {
		case r.Code != 0 || len(bad) == 0:
		case f.blinds() && onlyAbsent(bad):
			// A UID list that cannot be read should leave the message undecided.
			t.Logf("OPEN: %s: taken for a deletion, exit 0: %s", f, bad[0])
		default:
			t.Errorf("%s: exit 0 although: %s", f, bad[0])
		}
		again, err := l.bin.JSON(t.Context(), args...)
		must(t, err)
		if again.Code != 0 {
			t.Errorf("%s: the next restore: %s", f, again)
		}
		for _, b := range l.e.Check(store) {
			t.Errorf("%s: after the next restore: %s", f, b)
		}
	})
}

// Whatever fails in an undo, the next one ends where the store was before.
func TestUndo(t *testing.T) {
	l := newLab(t)
	args := l.restoring()
	before := l.path("before")
	must(t, mirror(l.path("now", "store"), before))
	l.keep()
	var undo []string
	// An undo looks at inodes: the restore before it must be that of this very store.
	l.prepared(func() []string {
		undo = []string{"undo", l.clean(args...).Summary.Run, "--yes"}
		return undo
	}, func(f fault, r *drive.Result) {
		again, err := l.bin.JSON(t.Context(), undo...)
		must(t, err)
		if again.Code != 0 && again.Code != 66 {
			t.Errorf("%s: the next undo: %s", f, again)
		}
		diff, _ := exec.Command("diff", "-rq", "--exclude=.mailsync", "--exclude=maildirsize", before, l.path("now", "store")).Output()
		if len(diff) > 0 {
			t.Errorf("%s: the store is not as before: %.300s", f, diff)
		}
	})
}

// Whatever fails in a scan, nothing is lost from the record, and the next one
// has everything.
func TestScan(t *testing.T) {
	l := newLab(t)
	must(t, os.RemoveAll(l.path("now", "state")))
	l.keep()
	args := []string{"scan", "primary"}
	want := int64(l.e.Count())
	l.each(args, func(f fault, r *drive.Result) {
		if r.Code == 0 && r.Count("messages") != want {
			t.Errorf("%s: exit 0 with %d messages of %d", f, r.Count("messages"), want)
		}
		again, err := l.bin.JSON(t.Context(), args...)
		must(t, err)
		if again.Code != 0 || again.Count("messages") != want || again.Count("damaged") != 0 {
			t.Errorf("%s: the next scan: %s", f, again)
		}
		v, err := l.bin.JSON(t.Context(), "verify", "primary")
		must(t, err)
		if v.Code != 0 {
			t.Errorf("%s: verify after the next scan: %s", f, v)
		}
	})
}

// Whatever fails while looking, unknown is never reported as damage, and never
// as clean.
func TestVerifyAndDiff(t *testing.T) {
	l := newLab(t)
	l.keep()
	want := int64(l.e.Count())
	for _, args := range [][]string{{"verify", "primary"}, {"diff", "primary", "replica"}} {
		l.each(args, func(f fault, r *drive.Result) {
			if r.Code == 0 && r.Count("messages") < want {
				t.Errorf("%s: exit 0 with %d messages of %d", f, r.Count("messages"), want)
			}
			for _, x := range r.Lines {
				if x.Type == "finding" && x.Certainty != "unknown" && (x.Kind != "uidlist_broken") || x.Type == "difference" && !strings.Contains(x.Raw, "unknown") {
					t.Errorf("%s: said of a sound store: %s", f, x.Raw)
				}
			}
		})
	}
}

// Whatever fails in a replay, nothing is delivered twice.
func TestReplay(t *testing.T) {
	l := newLab(t)
	gap := l.e.Until.AddDate(0, -3, 0)
	mail := l.e.Gateway(func(m *sample.Message) bool { return m.Folder == "INBOX" && m.ID != "" && m.Date.After(gap) })
	w, err := os.Create(l.path("gw.mbox"))
	must(t, err)
	must(t, sample.WriteMbox(w, mail))
	must(t, w.Close())
	missing := map[string]int{}
	for i, a := range mail {
		if i%2 == 0 {
			must(t, os.Remove(a.Message.Path(l.path("now", "store"))))
		}
		missing[a.Message.ID] = 1
	}
	must(t, os.RemoveAll(l.path("now", "state"))) // nobody knows that it was ever there
	l.keep()
	args := []string{"replay", "--from", "gw", "--to", "primary", "--since", "all", "--yes"}
	l.each(args, func(f fault, r *drive.Result) {
		again, err := l.bin.JSON(t.Context(), args...)
		must(t, err)
		if again.Code != 0 {
			t.Errorf("%s: the next replay: %s", f, again)
		}
		count := map[string]int{}
		for _, b := range l.e.Boxes {
			for _, sub := range []string{"new", "cur"} {
				names, err := filepath.Glob(filepath.Join(l.path("now", "store"), b.Path, sub, "*"))
				must(t, err)
				for _, n := range names {
					p, err := os.ReadFile(n)
					must(t, err)
					for id := range missing {
						if strings.Contains(string(p), "Message-ID: "+id) {
							count[id]++
						}
					}
				}
			}
		}
		for id := range missing {
			if count[id] != 1 {
				t.Errorf("%s: %s is there %d times", f, id, count[id])
			}
		}
	})
}
