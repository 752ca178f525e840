//go:build powerfail

package powerfail

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// op is one thing that reached the disk: a write, or a flush where data is nil.
type op struct {
	off  int64
	data []byte
}

// disk is a block device that remembers what reached it. It is a FUSE file
// system with one file, over which a loop device is put: the loop driver turns
// the block layer's writes into writes and its flushes into fsyncs.
type disk struct {
	mu        sync.Mutex
	img       *image
	log       []op
	recording bool
	flushTime time.Duration // how long a flush takes, as on a real disk
	dead      bool          // it takes no write and no flush any more

	dir    string
	server *fuse.Server
}

// serve puts the disk into the directory dir; its file is then dir/disk.
func serve(img *image, dir string, flushTime time.Duration) (*disk, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	d := &disk{img: img, dir: dir, flushTime: flushTime}
	second := time.Second
	var err error
	d.server, err = fs.Mount(dir, &diskRoot{d: d}, &fs.Options{
		AttrTimeout: &second, EntryTimeout: &second,
		MountOptions: fuse.MountOptions{DirectMount: true, MaxWrite: 512 << 10, Name: "powerfail", FsName: "powerfail"},
	})
	return d, err
}

func (d *disk) file() string { return filepath.Join(d.dir, "disk") }

func (d *disk) close() error {
	err := d.server.Unmount()
	_ = os.Remove(d.dir)
	return err
}

// record begins to remember. It returns the image as it is now.
func (d *disk) record() *image {
	d.mu.Lock()
	defer d.mu.Unlock()
	start := d.img
	d.img = start.clone()
	d.recording = true
	return start
}

// position is the number of operations so far.
func (d *disk) position() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.log)
}

func (d *disk) stop() []op {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recording = false
	return d.log
}

type diskRoot struct {
	fs.Inode
	d *disk
}

var _ = fs.NodeOnAdder((*diskRoot)(nil))

func (n *diskRoot) OnAdd(ctx context.Context) {
	file := n.NewPersistentInode(ctx, &diskFile{d: n.d}, fs.StableAttr{Mode: syscall.S_IFREG, Ino: 2})
	n.AddChild("disk", file, true)
}

type diskFile struct {
	fs.Inode
	d *disk
}

var (
	_ = fs.NodeGetattrer((*diskFile)(nil))
	_ = fs.NodeSetattrer((*diskFile)(nil))
	_ = fs.NodeOpener((*diskFile)(nil))
	_ = fs.NodeReader((*diskFile)(nil))
	_ = fs.NodeWriter((*diskFile)(nil))
	_ = fs.NodeFsyncer((*diskFile)(nil))
	_ = fs.NodeFlusher((*diskFile)(nil))
	_ = fs.NodeAllocater((*diskFile)(nil))
)

func (f *diskFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = syscall.S_IFREG | 0o600
	out.Size = uint64(f.d.img.size)
	out.Blocks = out.Size / 512
	return 0
}

func (f *diskFile) Setattr(ctx context.Context, h fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return f.Getattr(ctx, h, out)
}

// Open bypasses the page cache of the file itself, so that a write is recorded
// when the block layer makes it.
func (f *diskFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (f *diskFile) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return fuse.ReadResultData(dest[:f.d.img.readAt(dest, off)]), 0
}

func (f *diskFile) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.dead {
		return 0, syscall.EIO
	}
	f.d.img.writeAt(data, off)
	if f.d.recording {
		f.d.log = append(f.d.log, op{off, append([]byte{}, data...)})
	}
	return uint32(len(data)), 0
}

func (f *diskFile) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	time.Sleep(f.d.flushTime)
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.dead {
		return syscall.EIO
	}
	if f.d.recording {
		f.d.log = append(f.d.log, op{})
	}
	return 0
}

func (f *diskFile) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

// Allocate is refused: holes punched by discards would not be in the log.
func (f *diskFile) Allocate(context.Context, fs.FileHandle, uint64, uint64, uint32) syscall.Errno {
	return syscall.ENOTSUP
}
