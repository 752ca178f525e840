package place

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"mailsync/scan/beneath"
)

// Magic numbers of statfs(2) of the file systems on which syncfs(2) reports
// write-back errors truthfully. On overlayfs it was seen to return 0 for lost
// data, on FUSE it does not reach the server.
const (
	magicExt4  = 0xEF53
	magicXFS   = 0x58465342
	magicBtrfs = 0x9123683E
)

// Disk is the file system below a directory, as far as durability goes.
type Disk struct {
	Dev     uint64
	Type    int64
	Batches bool // syncfs(2) can be trusted
	// Unordered is why no existing message may be replaced here: ext4 mounted
	// with data=writeback was seen to show another file's content after a
	// power cut.
	Unordered string
	// Risk is why less can be promised of a power cut here than elsewhere, ""
	// where nothing is known against it.
	Risk string
}

// Disks remembers file systems by device.
type Disks struct {
	// Risky is called for each file system that has a Risk, once, with the
	// directory by which it was met. Nil: nobody wants to know.
	Risky func(dir string, d *Disk)

	mu sync.Mutex
	m  map[uint64]*Disk
	o  *Ops
}

// NewDisks returns an empty memory.
func NewDisks(o *Ops) *Disks { return &Disks{m: map[uint64]*Disk{}, o: o} }

// Of looks at the file system of a directory.
func (k *Disks) Of(d *beneath.Dir) (*Disk, error) {
	st, err := d.Self()
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if x := k.m[st.Dev]; x != nil {
		return x, nil
	}
	fs, err := d.FileSystem()
	if err != nil {
		return nil, err
	}
	x := &Disk{Dev: st.Dev, Type: fs.Type}
	m := mountOf("/proc/self/mountinfo", st.Dev)
	switch uint32(fs.Type) {
	case magicExt4: // of ext2 and ext3, too
		x.Batches = true
		if m.Type == "" {
			m.Type = "ext4"
		}
		x.Unordered = writeback(&m)
	case magicXFS:
		x.Batches, m.Type = true, "xfs"
	case magicBtrfs: // a subvolume has a device of its own
		x.Batches, m.Type = true, "btrfs"
	}
	x.Risk = risk(x, m.Type)
	k.m[st.Dev] = x
	if x.Risk != "" && k.Risky != nil {
		k.Risky(d.Path(), x)
	}
	return x, nil
}

// risk says in words what speaks against a file system (docs/reliability.md).
func risk(x *Disk, typ string) string {
	if x.Unordered != "" {
		return x.Unordered + ": after a power cut a message there can hold what another one held, so no damaged message is replaced"
	}
	switch typ {
	case "ext4", "xfs", "btrfs":
		if x.Batches {
			return ""
		}
		fallthrough // it does not say so itself
	case "":
		typ = fmt.Sprintf("of type %#x", uint32(x.Type))
	}
	return "this file system is " + typ + ": what is promised of power cuts was tried on ext4, XFS and btrfs only"
}

// writeback tells why an ext4 file system does not order data before metadata,
// "" where it does.
func writeback(m *mount) string {
	if strings.Contains(","+m.Options+",", ",data=writeback,") {
		return m.Type + " is mounted with data=writeback"
	}
	if i := strings.LastIndexByte(m.Source, '/'); i >= 0 {
		// the effective options, also those from the superblock
		p, err := os.ReadFile("/proc/fs/ext4/" + m.Source[i+1:] + "/options")
		if err == nil && bytes.Contains(p, []byte("data=writeback")) {
			return m.Type + " works with data=writeback"
		}
	}
	return ""
}

// mount is what is known of a mounted file system. Options are its own.
type mount struct{ Type, Source, Options string }

// mountOf finds a device in a file in the format of proc_pid_mountinfo(5).
func mountOf(file string, dev uint64) mount {
	f, err := os.Open(file)
	if err != nil {
		return mount{}
	}
	defer f.Close()
	want := fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))
	for sc := bufio.NewScanner(f); sc.Scan(); {
		left, right, ok := strings.Cut(sc.Text(), " - ")
		if !ok {
			continue
		}
		l, r := strings.Fields(left), strings.Fields(right)
		if len(l) > 2 && l[2] == want && len(r) > 2 {
			return mount{Type: r[0], Source: r[1], Options: r[2]}
		}
	}
	return mount{}
}

// Barrier makes what was written to a file system since Open durable. On file
// systems whose syncfs(2) reports errors it is one call for any number of
// files; elsewhere it does nothing, and files and directories are synced one by
// one.
//
// The descriptor is opened before the first write of a batch: syncfs reports
// write-back errors only to descriptors that were open before the error was
// seen, and only once. After an error nothing written since Open may be
// trusted, and a Barrier is not used again.
type Barrier struct {
	o  *Ops
	fd int
}

// Open opens a barrier on the file system of d.
func (k *Disks) Open(d *beneath.Dir, disk *Disk) (*Barrier, error) {
	b := &Barrier{o: k.o, fd: -1}
	if !disk.Batches {
		return b, nil
	}
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NOFOLLOW}
	for {
		// "." of a directory held by descriptor leads nowhere else
		fd, err := k.open(d.Fd(), &how)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &Error{Op: "open", Name: d.Path(), Err: err}
		}
		b.fd = fd
		return b, nil
	}
}

func (k *Disks) open(dirfd int, how *unix.OpenHow) (int, error) {
	c := k.o.c.Read.Openat
	if c == nil {
		c = unix.Openat
	}
	return c(dirfd, ".", int(how.Flags), 0)
}

// Batches tells whether Sync syncs everything.
func (b *Barrier) Batches() bool { return b.fd >= 0 }

// Sync makes everything on the file system durable, or does nothing.
func (b *Barrier) Sync() error {
	if b.fd < 0 {
		return nil
	}
	return b.o.again("syncfs", "", func() error { return b.o.c.Syncfs(b.fd) })
}

// Close releases the descriptor.
func (b *Barrier) Close() {
	if b.fd >= 0 {
		_ = b.o.Close(b.fd)
		b.fd = -1
	}
}
