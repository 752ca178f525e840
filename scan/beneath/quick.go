package beneath

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Calls that never wait are made without telling the scheduler: no other
// thread has to be woken to take over, which costs more than the call. They are
// preadv2 with RWF_NOWAIT, openat2 with RESOLVE_CACHED, and, on the file systems
// below, fstat and close, which touch nothing but memory there. Whatever may
// wait for a disk or a server is an ordinary call.

// resolveCached is RESOLVE_CACHED of openat2(2), Linux 5.12: answer EAGAIN
// rather than go to the disk.
const resolveCached = 0x20

// local tells whether a file system keeps the state of an open file in memory
// and asks no server for it.
func local(fstype int64) bool {
	switch fstype {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.F2FS_SUPER_MAGIC, zfsMagic:
		return true
	}
	return false
}

const zfsMagic = 0x2fc12fc1

// learn finds out whether files below d may be opened and closed without
// waiting. What is opened beneath d on the same file system inherits it.
func (d *Dir) learn() *Dir {
	if d.o.real && (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64") {
		fs, err := d.FileSystem()
		d.quick = err == nil && local(fs.Type)
	}
	return d
}

// openQuick opens name below dirfd when all that is needed is cached. ok is
// false where it is not, and where the kernel does not know how; the caller then
// asks in the ordinary way.
func openQuick(dirfd int, name string, flags int, r reach) (fd int, err error, ok bool) {
	var path [256]byte // longer names there are none
	if len(name) >= len(path) {
		return -1, nil, false
	}
	copy(path[:], name)
	how := unix.OpenHow{Flags: uint64(flags), Resolve: r.resolve() | resolveCached}
	n, _, errno := unix.RawSyscall6(unix.SYS_OPENAT2, uintptr(dirfd), uintptr(unsafe.Pointer(&path[0])),
		uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
	switch errno {
	case 0:
		return int(n), nil, true
	case unix.ENOENT, unix.ELOOP, unix.EXDEV:
		return -1, errno, true
	}
	return -1, nil, false
}

func fstatQuick(fd int, st *unix.Stat_t) error {
	_, _, errno := unix.RawSyscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(st)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func closeQuick(fd int) error {
	_, _, errno := unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
