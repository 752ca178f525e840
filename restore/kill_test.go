package restore

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"mailsync/restore/place/faulty"
)

// Environment of the test binary that is run again as the process to be killed.
const (
	killDir = "MAILSYNC_TEST_KILL_DIR"
	killAt  = "MAILSYNC_TEST_KILL_AT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		os.Exit(victim(dir, os.Getenv(killAt)))
	}
	os.Exit(m.Run())
}

// exhaustive tells whether every call has its turn, which takes minutes:
// MAILSYNC_TEST_EXHAUSTIVE=1. Otherwise every twentieth or so has.
func exhaustive() bool { return os.Getenv("MAILSYNC_TEST_EXHAUSTIVE") != "" }

// dying is a tb for a process without a test.
type dying struct{}

func (dying) Helper()                   {}
func (dying) Fatalf(f string, a ...any) { panic(f) }
func (dying) Errorf(string, ...any)     {}
func (dying) Logf(string, ...any)       {}

// victim restores, and dies by its own SIGKILL right before its nth system
// call on the store.
func victim(dir, at string) int {
	n, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return 2
	}
	w := &world{t: dying{}, dir: dir, bare: unplaced(n)}
	w.tune = func(o *PlanOptions) { o.Undecided, o.MergeFlags, o.FixUIDNext = RestoreUndecided, UnionFlags, true }
	p := w.plan("primary", "backup")
	var now atomic.Int64
	j := &faulty.Injector{Hook: func(string, string) {
		if now.Add(1) == n {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	}}
	w.calls = j.Store()
	if res := w.apply(p, "primary", "backup"); res.err != nil {
		return 3
	}
	return 0
}

// unplaced: in every second run no configuration says where a new mailbox lies.
func unplaced(n int64) bool { return n%2 == 0 }

func murder(t *testing.T, dir string, n int64) (killed bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), killDir+"="+dir, killAt+"="+strconv.FormatInt(n, 10))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	if !strings.Contains(err.Error(), "killed") {
		t.Fatalf("call %d: %v\n%s", n, err, out)
	}
	return true
}

// takeBack undoes the only run, which was killed, if it had announced
// anything. Nothing of it is refused.
func (w *world) takeBack(n int64) (undone bool) {
	w.t.Helper()
	runs, err := Runs(nil, w.state())
	w.must(err)
	for _, x := range runs {
		u, err := NewUndo(context.Background(), nil, w.state(), x.ID)
		if errors.Is(err, ErrNotUndoable) {
			continue // it had changed nothing
		}
		w.must(err)
		w.must(u.Close())
		undone = true
		for _, a := range w.undo("primary", x.ID).actions {
			if a.State == Refused || a.State == Failed {
				w.t.Errorf("killed before call %d, undo: %s %s/%s: %s: %s", n, a.Op, a.Ref.Mailbox, a.Ref.Folder, a.State, a.Detail)
			}
		}
	}
	return undone
}

// A run dies by SIGKILL before each of its system calls. Nothing is shown by
// halves or twice; the same command again reaches the right state, and undo of
// both runs takes everything back.
func TestKilledAtEveryCall(t *testing.T) {
	t.Run("in batches", func(t *testing.T) { killEverywhere(t, t.TempDir) })
	// A file system where syncfs is not trusted: each file is synced by itself.
	t.Run("file by file", func(t *testing.T) {
		const memory = "/dev/shm"
		var st unix.Statfs_t
		if unix.Statfs(memory, &st) != nil || st.Type != unix.TMPFS_MAGIC || unix.Access(memory, unix.W_OK) != nil {
			t.Skip("skipped: no tmpfs at " + memory)
		}
		killEverywhere(t, func() string {
			dir, err := os.MkdirTemp(memory, "mailsync-kill-*")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			return dir
		})
	})
}

func killEverywhere(t *testing.T, dir func() string) {
	step := int64(1)
	if !exhaustive() {
		step = 29
	}
	kills := 0
	for n := int64(1); ; n += step {
		w := &world{t: t, dir: dir(), bare: unplaced(n)}
		bodies := everything(w)
		before := w.tree("primary")
		hurt, _, _ := strings.Cut(msgName(3), ",")
		if !murder(t, w.dir, n) {
			break
		}
		kills++
		w.sound("primary", bodies, hurt)
		if n%3 == 0 { // the killed run alone is taken back first
			if w.takeBack(n) {
				w.noLeftovers("primary")
				w.sameTree(before, w.tree("primary"))
			}
		}
		res := w.restore("primary", "backup")
		if got := w.sound("primary", bodies, ""); len(got) != len(bodies) {
			t.Errorf("%d messages of %d", len(got), len(bodies))
		}
		w.noLeftovers("primary")
		if p := w.plan("primary", "backup"); p.Forecast().Work() {
			t.Errorf("work is left: %v", summary(w.actions(p)))
		}
		runs, err := Runs(nil, w.state())
		w.must(err)
		for i := len(runs) - 1; i >= 0; i-- {
			if !runs[i].Undoable {
				continue
			}
			if u, err := NewUndo(t.Context(), nil, w.state(), runs[i].ID); err == nil {
				_ = u.Close()
				un := w.undo("primary", runs[i].ID)
				w.must(un.err)
				t.Logf("undo of %s (%s): %v", runs[i].ID, runs[i].How, summary(un.actions))
				for _, a := range un.actions {
					if a.State != Done {
						t.Logf("  %s %q %s", a.Op, a.Pre.Name, a.Detail)
					}
				}
			}
		}
		w.sameTree(before, w.tree("primary"))
		if t.Failed() {
			t.Fatalf("killed before call %d; then %+v", n, res.counts)
		}
	}
	t.Logf("%d kills", kills)
	if kills < 5 {
		t.Fatalf("only %d kills: the test is broken", kills)
	}
}
