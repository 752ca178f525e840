package place

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Error says which call failed on which name.
type Error struct {
	Op   string
	Name string // raw bytes
	Err  error
}

// Error implements error. The name is quoted, so that it is safe to print.
func (e *Error) Error() string { return fmt.Sprintf("%s %q: %v", e.Op, e.Name, e.Err) }

// Unwrap gives access to the errno.
func (e *Error) Unwrap() error { return e.Err }

// Full tells whether an error means that the file system, or the owner's
// quota on it, is used up.
func Full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// OverQuota tells whether an error is about one owner only.
func OverQuota(err error) bool { return errors.Is(err, unix.EDQUOT) }

// Ops makes the calls of a table, again after EINTR.
type Ops struct{ c *Calls }

// NewOps returns the operations of a table; nil means the real calls.
func NewOps(c *Calls) *Ops { return &Ops{c: c.WithDefaults()} }

// Calls returns the table.
func (o *Ops) Calls() *Calls { return o.c }

func (o *Ops) again(op, name string, f func() error) error {
	for {
		err := f()
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &Error{Op: op, Name: name, Err: err}
		}
		return nil
	}
}

// Create opens a new file for writing; it fails with EEXIST where the name is taken.
func (o *Ops) Create(dirfd int, name string, mode uint32) (int, error) {
	for {
		fd, err := o.c.Create(dirfd, name, mode)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return -1, &Error{Op: "create", Name: name, Err: err}
		}
		return fd, nil
	}
}

// Append opens a file for appending.
func (o *Ops) Append(dirfd int, name string) (int, error) {
	for {
		fd, err := o.c.Append(dirfd, name)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return -1, &Error{Op: "open", Name: name, Err: err}
		}
		return fd, nil
	}
}

// Write writes all of p.
func (o *Ops) Write(fd int, name string, p []byte) error {
	for len(p) > 0 {
		n, err := o.c.Write(fd, p)
		if n > 0 {
			p = p[n:]
		}
		switch {
		case err == unix.EINTR:
		case err != nil:
			return &Error{Op: "write", Name: name, Err: err}
		case n <= 0:
			return &Error{Op: "write", Name: name, Err: unix.EIO}
		}
	}
	return nil
}

// Mkdir makes a directory.
func (o *Ops) Mkdir(dirfd int, name string, mode uint32) error {
	return o.again("mkdir", name, func() error { return o.c.Mkdirat(dirfd, name, mode) })
}

// Chown sets the owner of an open file.
func (o *Ops) Chown(fd int, name string, uid, gid int) error {
	return o.again("chown", name, func() error { return o.c.Fchown(fd, uid, gid) })
}

// Chmod sets the permission bits of an open file.
func (o *Ops) Chmod(fd int, name string, mode uint32) error {
	return o.again("chmod", name, func() error { return o.c.Fchmod(fd, mode) })
}

// SetTimes sets the mtime of an open file, in nanoseconds since 1970, and
// leaves its atime.
func (o *Ops) SetTimes(fd int, name string, mtime int64) error {
	ts := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(mtime)}
	return o.again("set times of", name, func() error { return o.c.Futimens(fd, &ts) })
}

// Fsync makes an open file or directory durable.
func (o *Ops) Fsync(fd int, name string) error {
	return o.again("fsync", name, func() error { return o.c.Fsync(fd) })
}

// Stat looks at an open file.
func (o *Ops) Stat(fd int, name string, st *unix.Stat_t) error {
	return o.again("stat", name, func() error { return o.c.Fstat(fd, st) })
}

// StatAt looks at a name.
func (o *Ops) StatAt(dirfd int, name string, st *unix.Stat_t) error {
	return o.again("stat", name, func() error { return o.c.Fstatat(dirfd, name, st) })
}

// Link gives a file a second name; EEXIST where that name is taken.
func (o *Ops) Link(oldfd int, oldname string, newfd int, newname string) error {
	return o.again("link", newname, func() error { return o.c.Linkat(oldfd, oldname, newfd, newname) })
}

// LinkTemp gives a file a second name that is nobody else's. A call that fails
// may have taken effect: on failure nothing is left.
func (o *Ops) LinkTemp(oldfd int, oldname string, newfd int, newname string) error {
	err := o.Link(oldfd, oldname, newfd, newname)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		_ = o.Unlink(newfd, newname)
	}
	return err
}

// Move renames without replacing.
func (o *Ops) Move(oldfd int, oldname string, newfd int, newname string) error {
	return o.again("rename", newname, func() error { return o.c.Move(oldfd, oldname, newfd, newname) })
}

// Exchange swaps two names.
func (o *Ops) Exchange(oldfd int, oldname string, newfd int, newname string) error {
	return o.again("exchange", newname, func() error { return o.c.Exchange(oldfd, oldname, newfd, newname) })
}

// Replace renames over what is there.
func (o *Ops) Replace(oldfd int, oldname string, newfd int, newname string) error {
	return o.again("rename", newname, func() error { return o.c.Replace(oldfd, oldname, newfd, newname) })
}

// Unlink removes a name of ours.
func (o *Ops) Unlink(dirfd int, name string) error {
	return o.again("unlink", name, func() error { return o.c.Unlinkat(dirfd, name) })
}

// Rmdir removes an empty directory of ours.
func (o *Ops) Rmdir(dirfd int, name string) error {
	return o.again("rmdir", name, func() error { return o.c.Rmdirat(dirfd, name) })
}

// Close closes a descriptor. An error matters only where the file was written.
func (o *Ops) Close(fd int) error {
	if err := o.c.Close(fd); err != nil && err != unix.EINTR {
		return &Error{Op: "close", Err: err}
	}
	return nil
}
