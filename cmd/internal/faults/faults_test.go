//go:build faults

package faults

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/internal/drive"
)

// long asks for every fault, not some of each kind.
var long = flag.Bool("long", false, "the long run")

// lab is a ground on which the built program runs under strace.
type lab struct {
	*Ground
	t   *testing.T
	bin drive.Bin
}

func product(t *testing.T) string {
	t.Helper()
	path, err := drive.Built(os.Getenv("MAILSYNC_BIN"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newLab(t *testing.T) *lab {
	t.Helper()
	return newLabAt(t, t.TempDir())
}

// newLabAt makes the ground in a directory, of which parts may be file systems
// of their own.
func newLabAt(t *testing.T, dir string) *lab {
	t.Helper()
	drive.Needs(t, "", "strace")
	l := &lab{t: t, bin: drive.Bin{
		Path: product(t), State: filepath.Join(dir, "now", "state"), Config: filepath.Join(dir, "c.toml"), Limit: time.Minute,
	}}
	var err error
	l.Ground, err = NewGround(dir, func(args ...string) (*drive.Result, error) { return l.bin.JSON(t.Context(), args...) })
	must(t, err)
	return l
}

// fault is what goes wrong in one run: a call of a thread on a path of the
// ground, or on any where the path is "".
type fault struct {
	name, path string
	nth        int
	what       string // what is strace's: error=EIO, signal=KILL
}

func (f fault) String() string {
	return fmt.Sprintf("%s, call %d of a thread on %q: %s", f.name, f.nth, f.path, f.what)
}

// run runs the command with the fault. hit tells whether it happened.
func (l *lab) run(f fault, args ...string) (r *drive.Result, hit bool) {
	l.t.Helper()
	trace := l.Path("trace")
	b := l.bin
	b.Wrap = []string{
		"strace", "-f", "-qq", "-o", trace, "-e", "trace=" + f.name,
		"-e", fmt.Sprintf("inject=%s:%s:when=%d", f.name, f.what, f.nth),
	}
	if f.path != "" {
		b.Wrap = append(b.Wrap, "-P", l.Path(f.path))
	}
	r, err := b.JSON(l.t.Context(), args...)
	must(l.t, err)
	p, _ := os.ReadFile(trace)
	return r, strings.Contains(string(p), "INJECTED") || strings.Contains(string(p), "SIGKILL")
}

// What strace -y shows of a call: the thread, the name, and the path of its
// first descriptor, or the path that it begins with.
var callPattern = regexp.MustCompile(`^(\d+) +([a-z0-9_]+)\((?:AT_FDCWD(?:<[^>]*>)?, )?(?:\d+<([^>]*)>|"([^"]*)")`)

// subject is what calls can be told apart by: strace -P compares descriptors
// and absolute paths, and resolves no names.
type subject struct{ name, path string }

// calls runs the command once. It tells how often a thread made each call on
// each path of the ground at most, and how often on any.
func (l *lab) calls(args []string) map[subject]int {
	l.t.Helper()
	trace := l.Path("trace")
	b := l.bin
	b.Wrap = []string{"strace", "-f", "-y", "-qq", "-o", trace}
	_, err := b.JSON(l.t.Context(), args...)
	must(l.t, err)
	p, err := os.ReadFile(trace)
	must(l.t, err)
	count, most := map[string]int{}, map[subject]int{}
	for line := range strings.Lines(string(p)) {
		m := callPattern.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		s := subject{name: m[2]}
		if rel, ok := strings.CutPrefix(m[3]+m[4], l.Dir+"/now/"); ok {
			s.path = "now/" + rel
		}
		for _, s := range []subject{s, {name: s.name}} {
			key := m[1] + " " + s.name + " " + s.path
			count[key]++
			most[s] = max(most[s], count[key])
			if s.path == "" {
				break
			}
		}
	}
	return most
}

// The calls that look, and those that change something, with how each fails.
var (
	looking  = []string{"openat", "openat2", "getdents64", "read", "pread64", "statx", "newfstatat", "fstat", "fstatfs", "lstat"}
	changing = []string{
		"write", "fsync", "fdatasync", "syncfs", "link", "linkat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat",
		"fchown", "fchownat", "fchmod", "fchmodat", "fchmodat2", "utimensat", "pwrite64", "ftruncate", "flock",
	}
	ways = map[bool][]string{
		false: {"error=EIO", "error=EACCES", "error=EINTR"},
		true:  {"error=EIO", "error=ENOSPC", "error=EDQUOT", "error=EINTR", "signal=KILL"},
	}
)

// restarts are the calls that a signal may interrupt; the kernel lets no other
// fail so on a local disk.
var restarts = []string{"openat", "openat2", "read", "pread64", "write", "pwrite64", "fsync", "syncfs", "flock"}

var digits = regexp.MustCompile(`[0-9a-f]{8,}|\d+|anna|bela`)

// faults lists what can fail, of the calls that all of some runs have made. On
// paths that every run has: for each call and role of a path, the first call of
// a thread, in every way. Names that a run makes up are in one run only: the
// calls that change something are failed by their place in the thread as well,
// the first and the third.
func (l *lab) faults(runs ...map[subject]int) []fault {
	least := maps.Clone(runs[0])
	for s := range least {
		for _, r := range runs[1:] {
			least[s] = min(least[s], r[s])
		}
	}
	roles := map[string]bool{}
	var out []fault
	add := func(s subject, nth int) {
		changes := slices.Contains(changing, s.name)
		for _, w := range ways[changes] {
			if w != "error=EINTR" || slices.Contains(restarts, s.name) {
				out = append(out, fault{s.name, s.path, nth, w})
			}
		}
	}
	for _, s := range slices.SortedFunc(maps.Keys(least), func(a, b subject) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.path, b.path))
	}) {
		changes := slices.Contains(changing, s.name)
		if least[s] == 0 || !changes && (!slices.Contains(looking, s.name) || s.path == "") {
			continue
		}
		if role := s.name + " " + digits.ReplaceAllString(s.path, "#"); !roles[role] {
			roles[role] = true
			add(s, 1)
		}
		if s.path == "" && least[s] >= 6 {
			add(s, 3)
		}
	}
	return out
}

var codes = []int{0, 1, 3, 65, 66, 69, 73, 74, 75, 77}

// Whatever call of a command fails, or is its last: it ends, says so with a
// code that is true, and what the scene wants of the store holds afterwards.
func TestEveryCall(t *testing.T) {
	for _, s := range Scenes() {
		t.Run(s.Name, func(t *testing.T) {
			l := newLab(t)
			must(t, s.Prepare(l.Ground))
			must(t, l.Keep())
			begin := func() []string {
				t.Helper()
				must(t, l.Reset())
				args, err := s.Args(l.Ground)
				must(t, err)
				return args
			}
			known := l.faults(l.calls(begin()), l.calls(begin()), l.calls(begin()))
			planned := known
			if !*long {
				planned = nil
				n := 40
				if testing.Short() {
					n = 12
				}
				for i := 0; i < len(known); i += max(1, len(known)/n) | 1 {
					planned = append(planned, known[i])
				}
			}
			hits := 0
			for _, f := range planned {
				args := begin()
				r, hit := l.run(f, args...)
				// Which of two workers comes first is the scheduler's choice, and with it
				// some names, and who looks something up: another run meets them.
				for tries := 0; !hit && tries < 12; tries++ {
					args = begin()
					r, hit = l.run(f, args...)
				}
				if !hit {
					t.Errorf("not met: %s", f)
					continue
				}
				hits++
				// A write without a path may be one on standard output. It fails in each
				// thread: the word of that to standard error may be lost in another one.
				mute := r.Code == 74 && (strings.Contains(r.Stderr, "standard output cannot be written") || f.path == "" && f.name == "write")
				// Go's runtime wakes its poller by a write of its own, and gives up where that fails.
				killed := strings.HasPrefix(f.what, "signal") || strings.Contains(r.Stderr, "runtime: netpollBreak write failed")
				if !killed && !mute {
					for _, x := range r.Faults {
						t.Errorf("%s: %s\n%s", f, x, r)
					}
					if !slices.Contains(codes, r.Code) {
						t.Errorf("%s: exit %d: %s", f, r.Code, r)
					}
				}
				bad, err := s.After(l.Ground, args, r)
				must(t, err)
				for _, b := range bad {
					t.Errorf("%s: exit %d: %s", f, r.Code, b)
				}
			}
			t.Logf("mailsync %s: %d faults known, %d planned, %d hit", s.Name, len(known), len(planned), hits)
			if hits == 0 {
				t.Error("nothing was hit: the test is broken")
			}
		})
	}
}
