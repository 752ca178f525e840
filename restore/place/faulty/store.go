package faulty

import (
	"golang.org/x/sys/unix"

	"mailsync/restore/place"
	"mailsync/scan/beneath"
)

// Read returns the calls that look at a store, of which one may fail.
func (j *Injector) Read() beneath.Calls {
	c := beneath.System()
	r := c
	c.Openat2 = func(d int, path string, how *unix.OpenHow) (int, error) {
		return j.open("store openat2", path, opens, func() (int, error) { return r.Openat2(d, path, how) })
	}
	c.Openat = func(d int, path string, flags int, mode uint32) (int, error) {
		return j.open("store openat", path, opens, func() (int, error) { return r.Openat(d, path, flags, mode) })
	}
	c.Close = func(fd int) error {
		return j.close("store close", fd, r.Close)
	}
	c.Fstat = func(fd int, st *unix.Stat_t) error {
		return j.on("store fstat", fd, looks, func() error { return r.Fstat(fd, st) })
	}
	c.Statx = func(d int, path string, flags, mask int, st *unix.Statx_t) error {
		return j.do("store statx", path, looks, func() error { return r.Statx(d, path, flags, mask, st) })
	}
	c.Fstatfs = func(fd int, st *unix.Statfs_t) error {
		return j.on("store fstatfs", fd, looks, func() error { return r.Fstatfs(fd, st) })
	}
	c.Rewind = func(fd int) error {
		return j.on("store rewind", fd, rests, func() error { return r.Rewind(fd) })
	}
	c.Getdents = func(fd int, p []byte) (int, error) {
		return j.move("store getdents64", fd, looks, p, r.Getdents)
	}
	c.Pread = func(fd int, p []byte, off int64) (int, error) {
		return j.move("store pread64", fd, reads, p, func(fd int, p []byte) (int, error) { return r.Pread(fd, p, off) })
	}
	c.PreadNowait = func(fd int, p []byte, off int64) (int, error) {
		return j.move("store preadv2", fd, reads, p, func(fd int, p []byte) (int, error) { return r.PreadNowait(fd, p, off) })
	}
	c.Fadvise = func(fd int, off, length int64, advice int) error {
		return j.on("store fadvise64", fd, rests, func() error { return r.Fadvise(fd, off, length, advice) })
	}
	c.Seek = func(fd int, off int64, whence int) (at int64, err error) {
		err = j.on("store lseek", fd, rests, func() (err error) {
			at, err = r.Seek(fd, off, whence)
			return err
		})
		return at, err
	}
	return c
}

// Store returns the calls that look at a store and change it, of which one may
// fail. Nothing is cut here, so that none of them waits for a disk.
func (j *Injector) Store() *place.Calls {
	c := place.System()
	r := c
	c.Read = j.Read()
	c.Create = func(d int, name string, mode uint32) (int, error) {
		return j.open("store create", name, creates, func() (int, error) { return r.Create(d, name, mode) })
	}
	c.Append = func(d int, name string) (int, error) {
		return j.open("store append", name, opens, func() (int, error) { return r.Append(d, name) })
	}
	c.OpenParent = func(d int) (int, error) {
		return j.open("store parent", "", opens, func() (int, error) { return r.OpenParent(d) })
	}
	c.Write = func(fd int, p []byte) (int, error) {
		return j.move("store write", fd, writes, p, r.Write)
	}
	c.Mkdirat = func(d int, name string, mode uint32) error {
		return j.do("store mkdirat", name, creates, func() error { return r.Mkdirat(d, name, mode) })
	}
	c.Fchown = func(fd, u, g int) error {
		return j.on("store fchown", fd, changes, func() error { return r.Fchown(fd, u, g) })
	}
	c.Fchmod = func(fd int, mode uint32) error {
		return j.on("store fchmod", fd, changes, func() error { return r.Fchmod(fd, mode) })
	}
	c.Futimens = func(fd int, ts *[2]unix.Timespec) error {
		return j.on("store utimensat", fd, changes, func() error { return r.Futimens(fd, ts) })
	}
	c.Fsync = func(fd int) error { return j.on("store fsync", fd, syncs, done) }
	c.Syncfs = func(fd int) error { return j.on("store syncfs", fd, syncs, done) }
	c.Fstat = func(fd int, st *unix.Stat_t) error {
		return j.on("store fstat", fd, looks, func() error { return r.Fstat(fd, st) })
	}
	c.Fstatat = func(d int, name string, st *unix.Stat_t) error {
		return j.do("store newfstatat", name, looks, func() error { return r.Fstatat(d, name, st) })
	}
	type two = func(oldfd int, oldname string, newfd int, newname string) error
	wrap := func(op string, call two) two {
		return func(a int, an string, b int, bn string) error {
			return j.do("store "+op, bn, creates, func() error { return call(a, an, b, bn) })
		}
	}
	c.Linkat, c.Move = wrap("linkat", r.Linkat), wrap("rename, not replacing", r.Move)
	c.Exchange, c.Replace = wrap("rename, exchanging", r.Exchange), wrap("rename, replacing", r.Replace)
	c.Unlinkat = func(d int, name string) error {
		return j.do("store unlinkat", name, removes, func() error { return r.Unlinkat(d, name) })
	}
	c.Rmdirat = func(d int, name string) error {
		return j.do("store rmdir", name, removes, func() error { return r.Rmdirat(d, name) })
	}
	c.Close = c.Read.Close
	return &c
}
