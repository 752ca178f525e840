package beneath

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Calls is every system call that a scan makes on a store. A nil member is
// replaced by the real call. All of them may be called by several goroutines.
type Calls struct {
	Openat2 func(dirfd int, path string, how *unix.OpenHow) (int, error)
	Openat  func(dirfd int, path string, flags int, mode uint32) (int, error)
	Close   func(fd int) error
	Fstat   func(fd int, st *unix.Stat_t) error
	Statx   func(dirfd int, path string, flags, mask int, st *unix.Statx_t) error
	Fstatfs func(fd int, st *unix.Statfs_t) error
	// Rewind sets the offset of a directory back to its beginning.
	Rewind   func(fd int) error
	Getdents func(fd int, buf []byte) (int, error)
	Pread    func(fd int, p []byte, off int64) (int, error)
	// PreadNowait reads only what is in the page cache, and answers EAGAIN
	// where nothing is, EOPNOTSUPP or ENOSYS where that cannot be asked.
	PreadNowait func(fd int, p []byte, off int64) (int, error)
	Fadvise     func(fd int, off, length int64, advice int) error
	// Seek asks where a file has holes.
	Seek func(fd int, off int64, whence int) (int64, error)
}

// System returns the real calls.
func System() Calls {
	return Calls{
		Openat2: unix.Openat2,
		Openat:  unix.Openat,
		Close:   unix.Close,
		Fstat:   unix.Fstat,
		Statx:   unix.Statx,
		Fstatfs: unix.Fstatfs,
		Rewind: func(fd int) error {
			_, err := unix.Seek(fd, 0, 0)
			return err
		},
		Getdents:    unix.Getdents,
		Pread:       unix.Pread,
		PreadNowait: preadNowait,
		Fadvise:     unix.Fadvise,
		Seek:        unix.Seek,
	}
}

// none tells whether no call is replaced.
func (c *Calls) none() bool {
	return c.Openat2 == nil && c.Openat == nil && c.Close == nil && c.Fstat == nil && c.Statx == nil && c.Fstatfs == nil &&
		c.Rewind == nil && c.Getdents == nil && c.Pread == nil && c.PreadNowait == nil && c.Fadvise == nil && c.Seek == nil
}

// withDefaults fills what is nil.
func (c Calls) withDefaults() Calls {
	d := System()
	if c.Openat2 == nil {
		c.Openat2 = d.Openat2
	}
	if c.Openat == nil {
		c.Openat = d.Openat
	}
	if c.Close == nil {
		c.Close = d.Close
	}
	if c.Fstat == nil {
		c.Fstat = d.Fstat
	}
	if c.Statx == nil {
		c.Statx = d.Statx
	}
	if c.Fstatfs == nil {
		c.Fstatfs = d.Fstatfs
	}
	if c.Rewind == nil {
		c.Rewind = d.Rewind
	}
	if c.Getdents == nil {
		c.Getdents = d.Getdents
	}
	if c.Pread == nil {
		c.Pread = d.Pread
	}
	if c.PreadNowait == nil {
		c.PreadNowait = d.PreadNowait
	}
	if c.Fadvise == nil {
		c.Fadvise = d.Fadvise
	}
	if c.Seek == nil {
		c.Seek = d.Seek
	}
	return c
}

// rwfNowait is RWF_NOWAIT of preadv2(2).
const rwfNowait = 0x8

// preadNowait is preadv2 with RWF_NOWAIT. unix.Preadv2 allocates its vector;
// this runs once for every message. It never waits, so the scheduler is not
// told (see quick.go).
func preadNowait(fd int, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	iov := unix.Iovec{Base: &p[0]}
	iov.SetLen(len(p))
	n, _, errno := unix.RawSyscall6(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 1,
		uintptr(off), uintptr(uint64(off)>>32), rwfNowait)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
