package place

import (
	"golang.org/x/sys/unix"

	"mailsync/scan/beneath"
)

// Calls is every system call by which a mail store is changed, and the few
// that are made between them. A nil member is replaced by the real call; a test
// replaces some to inject faults. All of them may be called by several
// goroutines at once. None follows a symbolic link.
type Calls struct {
	Read beneath.Calls // for opening directories and reading

	Create   func(dirfd int, name string, mode uint32) (int, error) // O_WRONLY|O_CREAT|O_EXCL
	Append   func(dirfd int, name string) (int, error)              // O_WRONLY|O_APPEND, creates nothing
	Mkdirat  func(dirfd int, name string, mode uint32) error
	Write    func(fd int, p []byte) (int, error)
	Fchown   func(fd, uid, gid int) error
	Fchmod   func(fd int, mode uint32) error
	Futimens func(fd int, ts *[2]unix.Timespec) error
	Fsync    func(fd int) error
	Syncfs   func(fd int) error
	Fstat    func(fd int, st *unix.Stat_t) error
	Fstatat  func(dirfd int, name string, st *unix.Stat_t) error
	Linkat   func(oldfd int, oldname string, newfd int, newname string) error
	Move     func(oldfd int, oldname string, newfd int, newname string) error // RENAME_NOREPLACE
	Exchange func(oldfd int, oldname string, newfd int, newname string) error // RENAME_EXCHANGE
	Replace  func(oldfd int, oldname string, newfd int, newname string) error // plain rename: only our own small files
	Unlinkat func(dirfd int, name string) error
	Rmdirat  func(dirfd int, name string) error
	Close    func(fd int) error
	// OpenParent opens the directory that holds an open directory.
	OpenParent func(dirfd int) (int, error)
}

// System returns the real calls.
func System() Calls {
	return Calls{
		Read: beneath.System(),
		Create: func(dirfd int, name string, mode uint32) (int, error) {
			return unix.Openat(dirfd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		},
		Append: func(dirfd int, name string) (int, error) {
			return unix.Openat(dirfd, name, unix.O_WRONLY|unix.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		},
		Mkdirat:  unix.Mkdirat,
		Write:    unix.Write,
		Fchown:   unix.Fchown,
		Fchmod:   unix.Fchmod,
		Futimens: futimens,
		Fsync:    unix.Fsync,
		Syncfs:   unix.Syncfs,
		Fstat:    unix.Fstat,
		Fstatat: func(dirfd int, name string, st *unix.Stat_t) error {
			return unix.Fstatat(dirfd, name, st, unix.AT_SYMLINK_NOFOLLOW)
		},
		Linkat: func(oldfd int, oldname string, newfd int, newname string) error {
			return unix.Linkat(oldfd, oldname, newfd, newname, 0)
		},
		Move: func(oldfd int, oldname string, newfd int, newname string) error {
			return unix.Renameat2(oldfd, oldname, newfd, newname, unix.RENAME_NOREPLACE)
		},
		Exchange: func(oldfd int, oldname string, newfd int, newname string) error {
			return unix.Renameat2(oldfd, oldname, newfd, newname, unix.RENAME_EXCHANGE)
		},
		Replace:  unix.Renameat,
		Unlinkat: func(dirfd int, name string) error { return unix.Unlinkat(dirfd, name, 0) },
		Rmdirat:  func(dirfd int, name string) error { return unix.Unlinkat(dirfd, name, unix.AT_REMOVEDIR) },
		Close:    unix.Close,
		OpenParent: func(dirfd int) (int, error) {
			return unix.Openat(dirfd, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		},
	}
}

// WithDefaults returns the table with the real calls where c has none; c may be nil.
func (c *Calls) WithDefaults() *Calls {
	d := System()
	if c == nil {
		return &d
	}
	out := *c
	if out.Create == nil {
		out.Create = d.Create
	}
	if out.Append == nil {
		out.Append = d.Append
	}
	if out.Mkdirat == nil {
		out.Mkdirat = d.Mkdirat
	}
	if out.Write == nil {
		out.Write = d.Write
	}
	if out.Fchown == nil {
		out.Fchown = d.Fchown
	}
	if out.Fchmod == nil {
		out.Fchmod = d.Fchmod
	}
	if out.Futimens == nil {
		out.Futimens = d.Futimens
	}
	if out.Fsync == nil {
		out.Fsync = d.Fsync
	}
	if out.Syncfs == nil {
		out.Syncfs = d.Syncfs
	}
	if out.Fstat == nil {
		out.Fstat = d.Fstat
	}
	if out.Fstatat == nil {
		out.Fstatat = d.Fstatat
	}
	if out.Linkat == nil {
		out.Linkat = d.Linkat
	}
	if out.Move == nil {
		out.Move = d.Move
	}
	if out.Exchange == nil {
		out.Exchange = d.Exchange
	}
	if out.Replace == nil {
		out.Replace = d.Replace
	}
	if out.Unlinkat == nil {
		out.Unlinkat = d.Unlinkat
	}
	if out.Rmdirat == nil {
		out.Rmdirat = d.Rmdirat
	}
	if out.Close == nil {
		out.Close = d.Close
	}
	if out.OpenParent == nil {
		out.OpenParent = d.OpenParent
	}
	return &out
}
