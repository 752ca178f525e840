//go:build faults

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mailsync/cmd/internal/drive"
)

func sceneOf(t *testing.T, name string) Scene {
	t.Helper()
	for _, s := range Scenes() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no scene %q", name)
	return Scene{}
}

var (
	ext4  = []string{"mkfs.ext4", "-q", "-F", "-b", "1024", "-m", "0"}
	xfs   = []string{"mkfs.xfs", "-q", "-f"}
	btrfs = []string{"mkfs.btrfs", "-q", "-f"}
)

// full runs a scene with little room left, judges what it says, gives the room
// back and wants what the scene wants.
func (l *lab) full(s Scene, leave int64, fill, free func(), why ...string) (code int) {
	l.t.Helper()
	must(l.t, l.Reset())
	args, err := s.Args(l.Ground)
	must(l.t, err)
	fill()
	r, err := l.bin.JSON(l.t.Context(), args...)
	must(l.t, err)
	what := fmt.Sprintf("%s, %d bytes left", s.Name, leave)
	for _, x := range r.Faults {
		l.t.Errorf("%s: %s\n%s", what, x, r)
	}
	if !slices.Contains([]int{0, 3, 73, 74}, r.Code) {
		l.t.Errorf("%s: %s", what, r)
	}
	if r.Code != 0 && !says(r, why...) {
		l.t.Errorf("%s: nothing says why: %s", what, r)
	}
	free()
	bad, err := s.After(l.Ground, args, r)
	must(l.t, err)
	for _, b := range bad {
		l.t.Errorf("%s: exit %d: %s", what, r.Code, b)
	}
	return r.Code
}

// says tells whether a run names one of the reasons.
func says(r *drive.Result, why ...string) bool {
	text := r.Stderr
	for _, l := range r.Lines {
		text += l.Raw
	}
	return slices.ContainsFunc(why, func(w string) bool { return strings.Contains(text, w) })
}

// A disk that fills up in the middle of a command: what is acknowledged is
// there, nothing is there by halves, the reason is named, and with room again
// the same command completes.
func TestFullDisk(t *testing.T) {
	for _, d := range []struct {
		scene, typ, at string
		size           int64
		mkfs           []string
	}{
		{"restore", "ext4", "store", 8 << 20, ext4},
		{"restore", "xfs", "store", 320 << 20, xfs},
		{"restore", "btrfs", "store", 160 << 20, btrfs},
		{"undo", "ext4", "store", 8 << 20, ext4},
		{"replay", "ext4", "store", 8 << 20, ext4},
		{"replay", "xfs", "store", 320 << 20, xfs},
		{"first scan", "ext4", "state", 8 << 20, ext4},
		{"restore", "ext4", "state", 8 << 20, ext4},
		{"replay", "ext4", "state", 8 << 20, ext4},
	} {
		t.Run(d.scene+" "+d.typ+" "+d.at, func(t *testing.T) {
			needs(t, d.mkfs[0])
			dir := t.TempDir()
			v := newVolume(t, d.typ, d.size, filepath.Join(dir, "now", d.at), d.mkfs...)
			l := newLabAt(t, dir)
			s := sceneOf(t, d.scene)
			must(t, s.Prepare(l.Ground))
			must(t, l.Keep())
			leaves, stopped := []int64{0, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 48 << 10}, 0
			if testing.Short() {
				leaves = []int64{0, 4 << 10}
			}
			for _, leave := range leaves {
				if l.full(s, leave, func() { v.fill(leave) }, v.empty, "no space left") != 0 {
					stopped++
				}
			}
			t.Logf("%s, %s full: stopped at %d of %d levels", d.scene, d.at, stopped, len(leaves))
			if stopped == 0 {
				t.Error("the disk was never full")
			}
		})
	}
}

// A device that cannot read its second half any more: what lies there is
// unknown, never missing or damaged; the rest is looked at; exit 3. Nothing is
// written for it.
func TestSickDisk(t *testing.T) {
	needs(t, "mkfs.ext4", "filefrag")
	dir := t.TempDir()
	v := newVolume(t, "ext4", 64<<20, filepath.Join(dir, "now", "store"), "mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal")
	l := newLabAt(t, dir)
	must(t, unixSync(v.at))
	var blocks []int64
	for m := range l.Estate.Messages() {
		blocks = append(blocks, firstBlock(t, m.Path(l.Store())))
	}
	slices.Sort(blocks)
	cut := blocks[len(blocks)/2]
	v.unmount()
	whole := v.img
	v.img += ".sick"
	_, err := command("cp", "--sparse=always", whole, v.img)
	must(t, err)
	v.mount()
	must(t, os.Truncate(v.img, cut*4096)) // behind it every read fails
	beyond := int64(0)
	for _, b := range blocks {
		if b >= cut {
			beyond++
		}
	}
	unread := int64(0)
	for _, args := range [][]string{
		{"verify", "primary"},
		{"scan", "primary", "--rehash"},
		{"diff", "primary", "replica"},
		{"restore", "primary", "--from", "replica", "--undecided", "restore", "--dry-run"},
	} {
		r, err := l.bin.JSON(t.Context(), args...)
		must(t, err)
		if r.Code != 3 || len(r.Faults) > 0 || !says(r, "input/output error") {
			if args[0] != "diff" && args[0] != "restore" || r.Code != 0 { // stamps prove what was not read
				t.Errorf("%v: %s", args, r)
			}
		}
		for _, x := range r.Lines {
			lie := x.Type == "finding" && x.Certainty != "unknown" || x.Type == "difference" && !strings.Contains(x.Raw, `"unknown"`) || x.Type == "action"
			if lie {
				t.Errorf("%v: said of a disk that cannot be read: %s", args, x.Raw)
			}
		}
		unread = max(unread, r.Count("unreadable"))
	}
	t.Logf("%d of %d messages lie behind the end of the device; %d things were unreadable", beyond, len(blocks), unread)
	if unread == 0 {
		t.Error("everything could be read: the test is broken")
	}
	v.unmount()
	v.img = whole
	v.mount()
	must(t, l.clean("scan", "primary"))
	must(t, l.clean("verify", "primary"))
}

// firstBlock is where a file begins on its device.
func firstBlock(t *testing.T, path string) int64 {
	t.Helper()
	out, err := command("filefrag", "-v", path)
	must(t, err)
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) > 3 && f[0] == "0:" {
			n, err := strconv.ParseInt(strings.TrimRight(f[3], ".:"), 10, 64)
			must(t, err)
			return n
		}
	}
	t.Fatalf("filefrag tells no block of %s: %s", path, out)
	return 0
}

// Where nothing is mounted, or one volume of the store is missing, no mail is
// said to be missing, nothing is written, and the record is kept.
func TestHalfMounted(t *testing.T) {
	for _, what := range []string{"the store", "one mailbox"} {
		t.Run(what, func(t *testing.T) {
			needs(t, "mount")
			l := newLab(t)
			at := l.Store()
			if what == "one mailbox" {
				at = filepath.Join(l.Store(), l.Estate.Boxes[1].Path)
			}
			must(t, unix.Mount("tmpfs", at, "tmpfs", 0, "size=4m"))
			mounted := true
			t.Cleanup(func() {
				if mounted {
					_ = unix.Unmount(at, 0)
				}
			})
			for _, args := range [][]string{
				{"verify", "primary"},
				{"scan", "primary"},
				{"diff", "primary", "replica"},
				{"restore", "primary", "--from", "replica", "--undecided", "restore", "--yes"},
				{"audit", "--from", "gw", "--to", "primary", "--since", "all"},
				{"replay", "--from", "gw", "--to", "primary", "--since", "all", "--yes"},
			} {
				r, err := l.bin.JSON(t.Context(), args...)
				must(t, err)
				if r.Code != 3 || len(r.Faults) > 0 {
					t.Errorf("%v: %s", args, r)
				}
				for _, x := range r.Lines {
					if x.Type == "finding" && x.Certainty != "unknown" || x.Type == "difference" && !strings.Contains(x.Raw, `"unknown"`) ||
						x.Type == "action" && x.State == "done" || x.Outcome == "delivered" || x.Outcome == "would_deliver" {
						t.Errorf("%v: %s", args, x.Raw)
					}
				}
				list, err := os.ReadDir(at)
				must(t, err)
				if len(list) > 0 {
					t.Fatalf("%v: it wrote %s into the empty mount point", args, list[0].Name())
				}
			}
			must(t, unix.Unmount(at, 0))
			mounted = false
			must(t, l.clean("verify", "primary"))
			must(t, l.clean("scan", "primary"))
		})
	}
}

// A disk whose every read, or every sync, takes long changes nothing that is
// said or done.
func TestSlowDisk(t *testing.T) {
	for _, s := range Scenes() {
		if s.Name == "undo" || s.Name == "apply" {
			continue // they are a restore's work
		}
		t.Run(s.Name, func(t *testing.T) {
			l := newLab(t)
			must(t, s.Prepare(l.Ground))
			must(t, l.Keep())
			run := func(wrap ...string) (*drive.Result, []string) {
				must(t, l.Reset())
				args, err := s.Args(l.Ground)
				must(t, err)
				b := l.bin
				b.Wrap = wrap
				r, err := b.JSON(t.Context(), args...)
				must(t, err)
				return r, args
			}
			want, _ := run()
			for _, calls := range []string{"openat2,getdents64,pread64", "fsync,syncfs"} {
				r, args := run("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace="+calls, "-e", "inject="+calls+":delay_enter=20000")
				if r.Code != want.Code || len(r.Faults) > 0 || r.Count("messages") != want.Count("messages") || r.Count("done") != want.Count("done") {
					t.Errorf("%s slow: %s, want %s", calls, r, want)
				}
				bad, err := s.After(l.Ground, args, r)
				must(t, err)
				for _, b := range bad {
					t.Errorf("%s slow: %s", calls, b)
				}
			}
		})
	}
}
