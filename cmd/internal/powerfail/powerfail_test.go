//go:build powerfail

package powerfail

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
)

var (
	binPath = flag.String("bin", "", "the built program (default: bin/mailsync at the top of the module)")
	states  = flag.Int("states", 0, "crash states for each command and file system (default 500; 60 with -short)")
	shuts   = flag.Int("shuts", 0, "shutdowns for each command and file system (default 100; 3 with -short)")
	chains  = flag.Int("chains", 0, "recoveries that are cut, for each command and file system (default 20; 1 with -short)")
	deep    = flag.Int("deep", 3, "how many cuts deep recovery itself is cut")
	seed    = flag.Uint64("seed", 20261124, "seed of what is cut where")
	size    = flag.Int("messages", 200, "messages of each of the four mailboxes")
	onlyFS  = flag.String("fs", "", "only this file system")
)

func TestMain(m *testing.M) {
	if child() {
		return
	}
	os.Exit(m.Run())
}

// required tells whether a skip is a failure: on a machine that promises to run everything.
func required() bool { return os.Getenv("CI") == "true" && os.Getenv("MAILSYNC_REQUIRE") == "1" }

func skip(t *testing.T, format string, a ...any) {
	t.Helper()
	if required() {
		t.Fatalf("cannot run here, and must: "+format, a...)
	}
	t.Skipf("SKIPPED, nothing was proved: "+format, a...)
}

// needs tells what this machine lacks.
func needs(t *testing.T, f *fsys) {
	t.Helper()
	if os.Geteuid() != 0 {
		skip(t, "power cuts need root")
	}
	for _, p := range []string{"/dev/fuse", "/dev/loop-control"} {
		if _, err := os.Stat(p); err != nil {
			skip(t, "power cuts need %s", p)
		}
	}
	for _, p := range []string{f.mkfs[0], "losetup", "mount"} {
		if _, err := exec.LookPath(p); err != nil {
			skip(t, "%s is not installed", p)
		}
	}
	if *onlyFS != "" && *onlyFS != f.name {
		t.Skip("not asked for")
	}
}

func product(t *testing.T) drive.Bin {
	t.Helper()
	path, err := drive.Built(*binPath)
	if err != nil {
		t.Fatal(err)
	}
	return drive.Bin{Path: path}
}

func number(given, usual, short int) int {
	if given > 0 {
		return given
	}
	if testing.Short() {
		return short
	}
	return usual
}

// memory is a directory on memory: images are rewritten hundreds of times.
func memory(t *testing.T) string {
	t.Helper()
	parent := os.TempDir()
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		parent = "/dev/shm"
	}
	dir, err := os.MkdirTemp(parent, "powerfail")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newTestLab(t *testing.T, f fsys) *lab {
	t.Helper()
	dir := memory(t)
	l, err := newLab(dir, f, product(t), t.Logf)
	if err != nil {
		_ = os.RemoveAll(dir)
		skip(t, "no loop device can be made: %v", err)
	}
	l.noise = true
	t.Cleanup(func() {
		_, _ = command("umount", l.mnt())
		l.loop.remove()
		_, _ = command("umount", filepath.Join(dir, "fuse"))
		if err := os.RemoveAll(dir); err != nil {
			t.Log(err)
		}
	})
	return l
}

func scenes() []scene {
	n := *size
	if testing.Short() {
		n = min(n, 150)
	}
	e := estate(1, n)
	o := e.Options
	o.Odd = false // an mbox cannot hold a message without its last newline
	plain := sample.New(o)
	loss := func() *lossScene { return &lossScene{e: e, x: index(e)} }
	migrate := loss()
	migrate.empty = true
	return []scene{loss(), migrate, &applyScene{loss()}, &undoScene{lossScene: loss()}, &replayScene{e: plain}, &scanScene{e: e}}
}

func report(t *testing.T, s scene, f fsys, what string, ta *tally) {
	t.Helper()
	t.Logf("%s on %s, %s: %s", s.name(), f.name, what, ta)
	for i, b := range ta.Bad {
		if i == 12 {
			t.Errorf("… and %d more", len(ta.Bad)-i)
			break
		}
		t.Error(b)
	}
	if path := os.Getenv("POWERFAIL_REPORT"); path != "" {
		line := fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", s.name(), f.name, what, ta.States, ta.Promises, ta.Reruns, ta.Undone, len(ta.Bad), ta.Unmountable, ta.Unsound)
		w, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			_, _ = w.WriteString(line)
			w.Close()
		}
	}
}

// After a cut anywhere, what was acknowledged is there, nothing is half
// visible, and the same command ends in the right state, cut again or not.
func TestRecordedCuts(t *testing.T) {
	n := number(*states, 500, 60)
	for _, f := range fileSystems {
		t.Run(f.name, func(t *testing.T) {
			needs(t, &f)
			t.Parallel()
			for _, s := range scenes() {
				t.Run(s.name(), func(t *testing.T) {
					l := newTestLab(t, f)
					ta, err := l.cutAll(s, series{states: n, rerun: max(6, n/50), seed: *seed})
					if err != nil {
						t.Fatal(err)
					}
					report(t, s, f, "recorded cuts", ta)
				})
			}
		})
	}
}

// The same where recovery is cut too, and its recovery.
func TestCutsDuringRecovery(t *testing.T) {
	for _, f := range fileSystems {
		t.Run(f.name, func(t *testing.T) {
			needs(t, &f)
			t.Parallel()
			for _, s := range scenes() {
				t.Run(s.name(), func(t *testing.T) {
					l := newTestLab(t, f)
					ta, err := l.cutAll(s, series{states: number(*chains, 20, 1), deep: *deep, seed: *seed + 1})
					if err != nil {
						t.Fatal(err)
					}
					report(t, s, f, fmt.Sprintf("recovery cut %d deep", *deep), ta)
				})
			}
		})
	}
}

// A file system that shuts down in the middle, as it does when its journal
// cannot be written: nothing is acknowledged that is not there afterwards.
func TestShutdowns(t *testing.T) {
	for _, f := range fileSystems {
		if !f.shuts {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			needs(t, &f)
			t.Parallel()
			for _, s := range scenes() {
				t.Run(s.name(), func(t *testing.T) {
					l := newTestLab(t, f)
					ta, err := l.shutAll(s, number(*shuts, 100, 3), series{rerun: 3, seed: *seed})
					if err != nil {
						t.Fatal(err)
					}
					report(t, s, f, "shutdowns", ta)
				})
			}
		})
	}
}

// A harness that cannot see damage proves nothing.
func TestControls(t *testing.T) {
	for _, c := range []struct {
		fs       fsys
		protocol string
		sees     string // what must be among the problems; "" = there must be none
	}{
		{fileSystems[0], soundWriter, ""},
		{fileSystems[1], soundWriter, ""},
		{fileSystems[2], soundWriter, ""},
		{fileSystems[0], noDirSync, "acknowledged and lost"},
		{fileSystems[1], noDirSync, "acknowledged and lost"},
		{fileSystems[2], noDirSync, "acknowledged and lost"},
		{fileSystems[0], oneSyncBatch, "visible and not whole"},
		{fileSystems[0], noSync, "acknowledged and lost"},
		{noBarrier, soundWriter, "acknowledged and lost"},
	} {
		t.Run(c.fs.name+" "+c.protocol, func(t *testing.T) {
			needs(t, &c.fs)
			t.Parallel()
			l := newTestLab(t, c.fs)
			ta, n := new(tally), 0
			// Whether a writer is hit depends on what reached the disk when; one
			// that must be seen gets more than one recording.
			for k := range uint64(4) {
				var err error
				if ta, err = l.cutAll(&controlScene{protocol: c.protocol}, series{states: 60, seed: *seed + k}); err != nil {
					t.Fatal(err)
				}
				for _, b := range ta.Bad {
					if c.sees != "" && strings.Contains(b, c.sees) {
						n++
					}
				}
				t.Logf("%s, %s: %s; %d times %q", c.fs.name, c.protocol, ta, n, c.sees)
				if c.sees == "" || n > 0 {
					break
				}
			}
			switch {
			case c.sees == "" && len(ta.Bad) > 0:
				t.Errorf("a sound writer lost mail: %s", ta.Bad[0])
			case c.sees != "" && n == 0:
				t.Errorf("the harness does not see what a writer with one sync too few loses")
			}
		})
	}
}
