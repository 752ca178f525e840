package faulty

import (
	"os"

	"golang.org/x/sys/unix"

	"mailsync/manifest/durable"
)

// State returns the file system of the state directory, of whose calls one may
// fail. Nothing is cut here, so that no sync waits for a disk.
func (j *Injector) State() durable.FS {
	c := durable.SystemCalls()
	r := c
	c.Open = func(path string, flags int, mode uint32) (int, error) {
		op, ways := "state open", opens
		if flags&os.O_CREATE != 0 {
			op, ways = "state create", creates
		}
		return j.open(op, path, ways, func() (int, error) { return r.Open(path, flags, mode) })
	}
	c.Close = func(fd int) error { return j.close("state close", fd, r.Close) }
	c.Lstat = func(path string, st *unix.Stat_t) error {
		return j.do("state lstat", path, looks, func() error { return r.Lstat(path, st) })
	}
	c.Fstat = func(fd int, st *unix.Stat_t) error {
		return j.on("state fstat", fd, looks, func() error { return r.Fstat(fd, st) })
	}
	c.Fstatfs = func(fd int, st *unix.Statfs_t) error {
		return j.on("state fstatfs", fd, looks, func() error { return r.Fstatfs(fd, st) })
	}
	c.Getdents = func(fd int, p []byte) (int, error) {
		return j.move("state getdents64", fd, looks, p, r.Getdents)
	}
	c.Read = func(fd int, p []byte) (int, error) { return j.move("state read", fd, reads, p, r.Read) }
	c.Write = func(fd int, p []byte) (int, error) { return j.move("state write", fd, writes, p, r.Write) }
	c.Seek = func(fd int, offset int64, whence int) (at int64, err error) {
		err = j.on("state lseek", fd, rests, func() (err error) {
			at, err = r.Seek(fd, offset, whence)
			return err
		})
		return at, err
	}
	c.Ftruncate = func(fd int, size int64) error {
		return j.on("state ftruncate", fd, cuts, func() error { return r.Ftruncate(fd, size) })
	}
	c.Fsync = func(fd int) error { return j.on("state fsync", fd, syncs, done) }
	c.Syncfs = func(fd int) error { return j.on("state syncfs", fd, syncs, done) }
	c.Flock = func(fd, how int) error {
		return j.on("state flock", fd, locks, func() error { return r.Flock(fd, how) })
	}
	c.Mkdir = func(path string, mode uint32) error {
		return j.do("state mkdir", path, creates, func() error { return r.Mkdir(path, mode) })
	}
	c.Rename = func(a, b string) error {
		return j.do("state rename", b, creates, func() error { return r.Rename(a, b) })
	}
	c.Link = func(a, b string) error {
		return j.do("state link", b, creates, func() error { return r.Link(a, b) })
	}
	c.Unlink = func(path string) error {
		return j.do("state unlink", path, removes, func() error { return r.Unlink(path) })
	}
	c.Rmdir = func(path string) error {
		return j.do("state rmdir", path, removes, func() error { return r.Rmdir(path) })
	}
	return durable.On(c)
}
