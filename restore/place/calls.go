package place

import (
	"golang.org/x/sys/unix"

	"mailsync/scan/beneath"
)

// Calls is every system call by which a mail store is changed, and the few
// that are read between them. A nil member is replaced by the real call.
type Calls struct {
	Read beneath.Calls // for opening and reading

	Create    func(dirfd int, name string, mode uint32) (int, error) // O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW
	Append    func(dirfd int, name string) (int, error)              // O_WRONLY|O_APPEND|O_NOFOLLOW, nothing created
	Mkdirat   func(dirfd int, name string, mode uint32) error
	Write     func(fd int, p []byte) (int, error)
	Fchown    func(fd, uid, gid int) error
	Fchmod    func(fd int, mode uint32) error
	Futimens  func(fd int, ts *[2]unix.Timespec) error
	Utimensat func(dirfd int, name string, ts *[2]unix.Timespec) error // never follows
	Fsync     func(fd int) error
	Syncfs    func(fd int) error
	Fstat     func(fd int, st *unix.Stat_t) error
	Fstatat   func(dirfd int, name string, st *unix.Stat_t) error // never follows
	Fstatfs   func(fd int, st *unix.Statfs_t) error
	Linkat    func(oldfd int, oldname string, newfd int, newname string) error
	Rename    func(oldfd int, oldname string, newfd int, newname string) error // RENAME_NOREPLACE
	Exchange  func(oldfd int, oldname string, newfd int, newname string) error // RENAME_EXCHANGE
	Replace   func(oldfd int, oldname string, newfd int, newname string) error // plain rename: our own small files only
	Unlinkat  func(dirfd int, name string) error
	Rmdirat   func(dirfd int, name string) error
	Close     func(fd int) error
}
