package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/faults"
	"mailsync/restore/place/faulty"
)

// exhaustive asks for every point, not a part of them: make faults-exhaustive
// does, and takes the better part of an hour.
func exhaustive() bool { return os.Getenv("MAILSYNC_TEST_EXHAUSTIVE") != "" }

// inProcess runs commands in this process, with calls that can fail.
type inProcess struct {
	t *testing.T
	g *faults.Ground
}

func (p *inProcess) run(j *faulty.Injector, args ...string) *drive.Result {
	p.t.Helper()
	var out, errs bytes.Buffer
	s := std{
		stdin: strings.NewReader(""), stdout: &out, stderr: &errs,
		getenv: func(string) string { return "" }, uid: os.Geteuid(),
		calls: j.Store(), files: j.State(),
	}
	args = append(slices.Clone(args), "--json", "--config", p.g.Config(), "--state", p.g.State())
	code := make(chan int, 1)
	go func() { code <- run(args, s) }()
	select {
	case c := <-code:
		for _, name := range openBelow(p.g.Dir) {
			p.t.Errorf("%v: %s: left open: %s", args, j.At, name)
		}
		return drive.Read(c, &out, errs.String())
	case <-time.After(time.Minute):
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		p.t.Fatalf("%v: %s: no end", args, j.At)
		return nil
	}
}

// openBelow lists what this process has open below a directory.
func openBelow(dir string) []string {
	var out []string
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		if name, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(name, dir+"/") {
			out = append(out, name)
		}
	}
	return out
}

// said is what a command has told, without what differs between two runs:
// names that are made anew, times, and how often something was looked at.
func said(r *drive.Result) []string {
	var out []string
	for _, l := range r.Lines {
		switch l.Type {
		case "finding", "difference":
			out = append(out, strings.Join([]string{l.Type, l.Mailbox, l.Folder, l.Name(), l.Kind, l.Certainty}, " "))
		case "action":
			out = append(out, strings.Join([]string{l.Type, l.Mailbox, l.Folder, l.Op, l.State, l.Digest}, " "))
		case "delivery":
			out = append(out, strings.Join([]string{l.Type, l.Source, l.Recipient, l.Outcome}, " "))
		case "summary":
			for _, k := range []string{"mailboxes", "messages", "damaged", "vanished", "differences", "done", "delivered", "present"} {
				out = append(out, fmt.Sprint(l.Type, " ", k, " ", l.Counts[k]))
			}
		}
	}
	slices.Sort(out)
	return out
}

// what a message must say of each way.
var reasons = map[faulty.Way][]string{
	faulty.EIO: {"input/output error"}, faulty.Late: {"input/output error"}, faulty.EACCES: {"permission denied"},
	faulty.ENOSPC: {"no space left", "full"}, faulty.EDQUOT: {"quota exceeded", "over their owners' quota"},
	faulty.EMFILE: {"too many open files"},
}

// TestEveryCallOfEveryCommand lets each call that a command makes on a store
// and in the state directory fail once, in every way in which the kernel lets
// it fail. The command ends, with a code that is true and a message that names
// what failed; a run that calls itself complete has said and done what one
// without a fault does; and what the scene wants of a store holds afterwards.
func TestEveryCallOfEveryCommand(t *testing.T) {
	for _, s := range faults.Scenes() {
		t.Run(s.Name, func(t *testing.T) {
			p := &inProcess{t: t}
			free := func(args ...string) (*drive.Result, error) { return p.run(new(faulty.Injector), args...), nil }
			dir := memoryDir(t)
			p.g = &faults.Ground{Dir: dir}
			g, err := faults.NewGround(dir, free)
			if err != nil {
				t.Fatal(err)
			}
			p.g = g
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(s.Prepare(g))
			must(g.Keep())
			once := func(j *faulty.Injector) ([]string, *drive.Result) {
				t.Helper()
				must(g.Reset())
				args, err := s.Args(g)
				must(err)
				return args, p.run(j, args...)
			}
			once(new(faulty.Injector)) // inodes are as they will be from now on
			var plain faulty.Injector
			args, want := once(&plain)
			bad, err := s.After(g, args, want)
			must(err)
			if len(bad) > 0 || len(want.Faults) > 0 || want.Code > 1 {
				t.Fatalf("without a fault: %s\n%s", want, strings.Join(bad, "\n"))
			}
			known := plain.Points()
			for range 7 { // what two workers share, one of them may look up twice
				var again faulty.Injector
				once(&again)
				known = common(known, again.Points())
			}
			planned := known
			if !exhaustive() {
				planned = sampled(known, 15)
			}
			meet := func(at faulty.Point) (args []string, r *drive.Result, name string, ok bool) {
				for range 8 {
					j := &faulty.Injector{At: at}
					args, r = once(j)
					if name, ok = j.Hit(); ok {
						break
					}
				}
				return args, r, name, ok
			}
			hit := 0
			for i, at := range planned {
				if i%500 == 499 {
					t.Logf("%s: %d of %d points", s.Name, i+1, len(planned))
				}
				args, r, name, ok := meet(at)
				if !ok {
					t.Errorf("%s: not met", at)
					continue
				}
				hit++
				where := fmt.Sprintf("%s %q", at, name)
				for _, f := range r.Faults {
					t.Errorf("%s: %s\n%s", where, f, r)
				}
				judge(t, where, at.Way, want, r)
				bad, err := s.After(g, args, r)
				must(err)
				for _, b := range bad {
					t.Errorf("%s: exit %d: %s", where, r.Code, b)
				}
			}
			t.Logf("%s: %d calls, %d points known, %d planned, %d hit", s.Name, plain.Calls(), len(known), len(planned), hit)
			if hit != len(planned) || hit == 0 {
				t.Errorf("%d points planned, %d hit", len(planned), hit)
			}
		})
	}
}

// judge compares a run with a fault with one without.
func judge(t *testing.T, where string, way faulty.Way, want, r *drive.Result) {
	t.Helper()
	same := slices.Equal(said(want), said(r))
	if r.Code == want.Code && same {
		return // the command needed it not, or tried again
	}
	switch r.Code {
	case exitPartial, exitNoInput, exitCantCreate, exitIO, exitTempFail, exitNoPerm:
	case 0, 1:
		t.Errorf("%s: exit %d, and not what a run without the fault says:\n%s%s", where, r.Code, diffLines(said(want), said(r)), brief(r))
		return
	default:
		t.Errorf("%s: exit %d: %s", where, r.Code, r)
	}
	if way == faulty.EINTR || way == faulty.Short {
		t.Errorf("%s: is no error, and exit %d: %s", where, r.Code, r)
		return
	}
	text := r.Stderr
	for _, l := range r.Lines {
		text += l.Raw + "\n"
	}
	if !slices.ContainsFunc(reasons[way], func(w string) bool { return strings.Contains(text, w) }) {
		t.Errorf("%s: exit %d, and nothing says why: %s", where, r.Code, brief(r))
	}
}

// brief is what a run said, without what it found.
func brief(r *drive.Result) string {
	var b strings.Builder
	for _, l := range r.Lines {
		if l.Type == "unknown" || l.Outcome == "unexplained" || l.Certainty == "unknown" || l.Error != "" || strings.Contains(l.Raw, `"unknown":"`) || l.State == "failed" || l.State == "refused" {
			b.WriteString("\n" + l.Raw)
		}
	}
	return b.String() + "\nstderr: " + r.Stderr
}

func diffLines(want, got []string) string {
	var b strings.Builder
	for _, l := range want {
		if !slices.Contains(got, l) {
			b.WriteString("- " + l + "\n")
		}
	}
	for _, l := range got {
		if !slices.Contains(want, l) {
			b.WriteString("+ " + l + "\n")
		}
	}
	return b.String()
}

// common returns the points of a that are in b as well.
func common(a, b []faulty.Point) []faulty.Point {
	in := map[faulty.Point]bool{}
	for _, at := range b {
		in[at] = true
	}
	return slices.DeleteFunc(a, func(at faulty.Point) bool { return !in[at] })
}

// sampled takes about n points of all kinds, evenly.
func sampled(known []faulty.Point, n int) []faulty.Point {
	step := max(1, len(known)/n) | 1 // odd: ways come in turn
	var out []faulty.Point
	for i := step / 2; i < len(known); i += step {
		out = append(out, known[i])
	}
	return out
}

// memoryDir is a directory on memory, where there is one: thousands of stores
// are written.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "mailsync-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
