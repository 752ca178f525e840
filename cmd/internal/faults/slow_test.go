//go:build faults

package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
)

// lag is how long every read of a disk takes.
type lag struct{ atomic.Int64 }

// lagging serves an image as the one file of a FUSE file system, every read of
// which takes its time. It returns the file's path.
func lagging(t *testing.T, img string, l *lag) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lag")
	must(t, os.MkdirAll(dir, 0o755))
	server, err := fs.Mount(dir, &lagRoot{img: img, lag: l}, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMount: true, Name: "lag", FsName: "lag"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := server.Unmount()
		for range 500 { // the kernel lets go of a loop device's file a moment later
			if err == nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
			err = server.Unmount()
		}
		t.Error(err)
	})
	return filepath.Join(dir, "disk")
}

type lagRoot struct {
	fs.Inode
	img string
	lag *lag
}

var _ = fs.NodeOnAdder((*lagRoot)(nil))

func (n *lagRoot) OnAdd(ctx context.Context) {
	n.AddChild("disk", n.NewPersistentInode(ctx, &lagFile{img: n.img, lag: n.lag}, fs.StableAttr{Mode: syscall.S_IFREG, Ino: 2}), true)
}

type lagFile struct {
	fs.Inode
	img string
	lag *lag
}

var (
	_ = fs.NodeGetattrer((*lagFile)(nil))
	_ = fs.NodeOpener((*lagFile)(nil))
	_ = fs.FileReader((*lagHandle)(nil))
)

func (f *lagFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	var st syscall.Stat_t
	if err := syscall.Stat(f.img, &st); err != nil {
		return fs.ToErrno(err)
	}
	out.FromStat(&st)
	return 0
}

// Open bypasses the page cache of the file, so that every read of the block
// layer comes here.
func (f *lagFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	fd, err := syscall.Open(f.img, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, 0, fs.ToErrno(err)
	}
	return &lagHandle{fs.NewLoopbackFile(fd), f.lag}, fuse.FOPEN_DIRECT_IO, 0
}

// lagHandle passes writes and syncs on as they are.
type lagHandle struct {
	fs.FileHandle
	lag *lag
}

func (h *lagHandle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	time.Sleep(time.Duration(h.lag.Load()))
	return h.FileHandle.(fs.FileReader).Read(ctx, dest, off)
}

func (h *lagHandle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	return h.FileHandle.(fs.FileWriter).Write(ctx, data, off)
}

func (h *lagHandle) Flush(ctx context.Context) syscall.Errno {
	return h.FileHandle.(fs.FileFlusher).Flush(ctx)
}

func (h *lagHandle) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	return h.FileHandle.(fs.FileFsyncer).Fsync(ctx, flags)
}

func (h *lagHandle) Release(ctx context.Context) syscall.Errno {
	return h.FileHandle.(fs.FileReleaser).Release(ctx)
}

// What a read takes: of a sound disk more than a busy machine adds to it, of the
// slow one far more.
const (
	soundRead = 4 * time.Millisecond
	slowRead  = 64 * time.Millisecond
)

// array is a store of five mailboxes, each on a disk of its own.
type array struct {
	t     *testing.T
	bin   drive.Bin
	disks []*volume
	lags  []*lag
}

func newArray(t *testing.T) *array {
	t.Helper()
	needs(t, "mkfs.ext4", "losetup")
	if _, err := os.Stat("/dev/fuse"); err != nil {
		needs(t, "/dev/fuse")
	}
	dir := t.TempDir()
	a := &array{t: t, bin: drive.Bin{
		Path: product(t), State: filepath.Join(dir, "state"), Config: filepath.Join(dir, "c.toml"), Limit: 5 * time.Minute,
	}}
	e := sample.New(sample.Options{Seed: 5, Mailboxes: 5, PerMailbox: 80, Size: 900, Folders: []string{"INBOX"}})
	store, replica := filepath.Join(dir, "store"), filepath.Join(dir, "replica")
	for _, b := range e.Boxes {
		a.disks = append(a.disks, newVolume(t, "ext4", 16<<20, filepath.Join(store, b.Path), "mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal"))
	}
	must(t, e.Write(store))
	must(t, e.Write(replica))
	must(t, os.WriteFile(a.bin.Config, fmt.Appendf(nil, "[stores.primary]\npath = %q\nlayout = %q\n[stores.replica]\npath = %q\nlayout = %q\n",
		store, sample.Layout, replica, sample.Layout), 0o644))
	for _, v := range a.disks {
		v.unmount()
		l := new(lag)
		v.img = lagging(t, v.img, l)
		a.lags = append(a.lags, l)
		v.mount()
	}
	t.Cleanup(func() { // before the file systems below the devices go
		for _, v := range a.disks {
			v.unmount()
		}
	})
	return a
}

// cold forgets what is cached of every disk.
func (a *array) cold() {
	a.t.Helper()
	for _, v := range a.disks {
		v.unmount()
		v.mount()
	}
}

// run runs a command on cold disks.
func (a *array) run(run func(ctx context.Context, args ...string) (*drive.Result, error), args []string) *drive.Result {
	a.t.Helper()
	a.cold()
	r, err := run(a.t.Context(), args...)
	must(a.t, err)
	if r.Code != 0 || len(r.Faults) > 0 {
		a.t.Fatalf("%v: %s", args, r)
	}
	return r
}

// disk tells which disk a device is: loop devices change with each mount.
func (a *array) disk(device string) int {
	return slices.IndexFunc(a.disks, func(v *volume) bool { return filepath.Base(v.loop) == device })
}

// named returns the disks that a command calls slow, in JSON and in words.
func (a *array) named(args ...string) (inJSON, inWords []int) {
	a.t.Helper()
	read := make([]int64, len(a.disks))
	for _, l := range a.run(a.bin.JSON, args).Find("device") {
		var d struct {
			Device string
			Reads  int64
			Slow   bool
		}
		must(a.t, json.Unmarshal([]byte(l.Raw), &d))
		if i := a.disk(d.Device); i >= 0 {
			read[i] = d.Reads
		}
		if d.Slow {
			inJSON = append(inJSON, a.disk(d.Device))
		}
		a.t.Log(args[0], l.Raw)
	}
	for i, n := range read {
		if n < 64 {
			a.t.Errorf("%v: %d reads of disk %d: nothing can be said of it", args, n, i)
		}
	}
	r := a.run(a.bin.Text, args)
	for line := range strings.Lines(r.Stdout + r.Stderr) {
		if name, _, ok := strings.Cut(line, " answers a read in "); ok {
			inWords = append(inWords, a.disk(strings.TrimPrefix(name, "device ")))
		}
	}
	return inJSON, inWords
}

// Of five disks the one whose reads take long is named by every command that
// reads, and none where none is slow.
func TestSlowDeviceIsNamed(t *testing.T) {
	a := newArray(t)
	state := a.bin.State
	for _, slow := range [][]int{nil, {2}} {
		for i, l := range a.lags {
			l.Store(int64(soundRead))
			if slices.Contains(slow, i) {
				l.Store(int64(slowRead))
			}
		}
		for _, args := range [][]string{{"scan", "primary", "--rehash"}, {"verify", "primary"}, {"diff", "primary", "replica"}} {
			a.bin.State = state
			if args[0] == "diff" {
				a.bin.State += ".none" // without a record it reads what it compares
			}
			inJSON, inWords := a.named(append(args, "--readers", "1")...)
			if !slices.Equal(inJSON, slow) || !slices.Equal(inWords, slow) {
				t.Errorf("%v: called slow: %v, in words %v; want %v", args, inJSON, inWords, slow)
			}
		}
	}
}
