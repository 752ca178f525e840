package beneath

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Options of a root.
type Options struct {
	Calls Calls // system calls; the zero value means the real ones
	// OnAtime is called once for each root below which a file had to be opened
	// without O_NOATIME (it belongs to somebody else and we are not root) on a
	// file system that records access times.
	OnAtime func(path string)
}

// opener is what all directories of one root share.
type opener struct {
	calls   Calls
	real    bool // all calls are the kernel's
	onAtime func(string)
	warned  atomic.Bool
	// old is set once openat2 answered ENOSYS.
	old atomic.Bool
}

const (
	fileFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	dirFlags  = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC | unix.O_DIRECTORY
)

// reach says how far a path may lead.
type reach uint8

const (
	inside    reach = iota // beneath, no link, no other mount
	otherDisk              // beneath, no link; mounts may be crossed
	linked                 // links may be followed: the operator has allowed it for a mailbox' root
)

func (r reach) resolve() uint64 {
	switch r {
	case otherDisk:
		return unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
	case linked:
		return unix.RESOLVE_NO_MAGICLINKS
	}
	return unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV
}

// open opens name below dirfd. The descriptor is not yet known to be of the
// wanted type.
func (o *opener) open(dirfd int, name string, flags int, r reach) (int, error) {
	fd, err := o.openFlags(dirfd, name, flags|unix.O_NOATIME, r)
	if err == unix.EPERM {
		// open(2): O_NOATIME is for the owner and for CAP_FOWNER. Files of one
		// tree can have several owners, so each is asked for.
		fd, err = o.openFlags(dirfd, name, flags, r)
		if err == nil {
			o.noteAtime(fd, name)
		}
	}
	return fd, err
}

func (o *opener) noteAtime(fd int, name string) {
	if o.warned.Load() {
		return
	}
	var st unix.Statfs_t
	if o.calls.Fstatfs(fd, &st) == nil && st.Flags&(unix.ST_NOATIME|unix.ST_RDONLY) != 0 {
		return
	}
	if !o.warned.Swap(true) && o.onAtime != nil {
		o.onAtime(name)
	}
}

func (o *opener) openFlags(dirfd int, name string, flags int, r reach) (int, error) {
	if !o.old.Load() {
		how := unix.OpenHow{Flags: uint64(flags), Resolve: r.resolve()}
		if r == linked {
			how.Flags &^= unix.O_NOFOLLOW
		}
		for range 100 {
			fd, err := o.calls.Openat2(dirfd, name, &how)
			switch err {
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				// openat2(2): a rename elsewhere made RESOLVE_BENEATH unsure, or the
				// file is leased. The first goes away at once; the second does not.
				if strings.IndexByte(name, '/') < 0 && name != ".." {
					return fd, err
				}
				continue
			case unix.ENOSYS:
				o.old.Store(true)
				return o.walk(dirfd, name, flags, r)
			}
			return fd, err
		}
		return -1, unix.EAGAIN
	}
	return o.walk(dirfd, name, flags, r)
}

// walk is openat2 for kernels before 5.6: one component at a time, none of
// which may be a link, ".." or (inside) on another device.
func (o *opener) walk(dirfd int, name string, flags int, r reach) (int, error) {
	if r == linked {
		return o.openat(dirfd, name, flags&^unix.O_NOFOLLOW)
	}
	if strings.HasPrefix(name, "/") {
		return -1, unix.EXDEV
	}
	var from unix.Stat_t
	if r == inside {
		if err := o.calls.Fstat(dirfd, &from); err != nil {
			return -1, err
		}
	}
	at := dirfd
	for {
		first, rest, more := strings.Cut(name, "/")
		if first == ".." {
			o.release(at, dirfd)
			return -1, unix.EXDEV
		}
		if first == "" {
			first = "."
		}
		fl := flags
		if more {
			fl = unix.O_PATH | unix.O_NOFOLLOW | unix.O_DIRECTORY | unix.O_CLOEXEC
		}
		fd, err := o.openat(at, first, fl)
		o.release(at, dirfd)
		if err != nil {
			return -1, err
		}
		if r == inside {
			var st unix.Stat_t
			if err := o.calls.Fstat(fd, &st); err != nil {
				o.release(fd, -1)
				return -1, err
			}
			if st.Dev != from.Dev {
				o.release(fd, -1)
				return -1, unix.EXDEV
			}
		}
		if !more {
			return fd, nil
		}
		at, name = fd, rest
	}
}

func (o *opener) openat(dirfd int, name string, flags int) (int, error) {
	for {
		fd, err := o.calls.Openat(dirfd, name, flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func (o *opener) release(fd, keep int) {
	if fd != keep && fd >= 0 {
		_ = o.calls.Close(fd)
	}
}

// explain turns an errno into an error of this package.
func explain(op, dir, name string, err error) error {
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
		err = fmt.Errorf("%w: %w", ErrEscape, err)
	case errors.Is(err, unix.ENXIO):
		// A socket, or a device without a driver.
		err = fmt.Errorf("%w: %w", ErrNotRegular, err)
	}
	return &Error{Op: op, Path: join(dir, name), Err: err}
}
