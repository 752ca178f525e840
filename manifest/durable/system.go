package durable

import (
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// System returns the real file system.
func System() FS { return On(SystemCalls()) }

// On returns the real file system, reached through c, of which no member is
// nil. What a signal has interrupted is called again, and short writes go on.
//
// It calls the kernel directly: an os.File would ask the poller about every
// regular file, which is one more system call for each small manifest.
func On(c Calls) FS { return system{&c} }

type system struct{ c *Calls }

func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: path, Err: err}
}

// again repeats a call that a signal has interrupted.
func again(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (s system) Open(name string, flag int, perm os.FileMode) (File, error) {
	fd := -1
	err := again(func() (err error) {
		fd, err = s.c.Open(name, flag|unix.O_CLOEXEC, uint32(perm.Perm()))
		return err
	})
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return &file{s.c, fd, name}, nil
}

func (s system) Mkdir(name string, perm os.FileMode) error {
	return pathError("mkdir", name, s.c.Mkdir(name, uint32(perm.Perm())))
}

func (s system) Rename(oldname, newname string) error {
	if err := s.c.Rename(oldname, newname); err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	return nil
}

func (s system) Link(oldname, newname string) error {
	if err := s.c.Link(oldname, newname); err != nil {
		return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: err}
	}
	return nil
}

func (s system) Remove(name string) error {
	err := s.c.Unlink(name)
	if errors.Is(err, unix.EISDIR) {
		err = s.c.Rmdir(name)
	}
	return pathError("unlink", name, err)
}

func (s system) Names(name string) ([]string, error) {
	f, err := s.Open(name, os.O_RDONLY|dirOnly, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var names []string
	p := make([]byte, 8<<10)
	for {
		var n int
		err := again(func() (err error) {
			n, err = s.c.Getdents(f.(*file).fd, p)
			return err
		})
		if err != nil {
			return nil, pathError("getdents64", name, err)
		}
		if n <= 0 {
			slices.Sort(names)
			return names, nil
		}
		_, _, names = unix.ParseDirent(p[:n], -1, names)
	}
}

func (s system) Stat(name string) (Info, error) {
	var st unix.Stat_t
	if err := again(func() error { return s.c.Lstat(name, &st) }); err != nil {
		return Info{}, pathError("lstat", name, err)
	}
	return Info{
		Dir:   st.Mode&unix.S_IFMT == unix.S_IFDIR,
		Size:  st.Size,
		MTime: time.Unix(st.Mtim.Unix()),
	}, nil
}

type file struct {
	c    *Calls
	fd   int
	name string
}

func (f *file) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	err = again(func() (err error) {
		n, err = f.c.Read(f.fd, p)
		return err
	})
	if err != nil {
		return 0, pathError("read", f.name, err)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write writes all of p or fails; short writes are continued.
func (f *file) Write(p []byte) (done int, err error) {
	for done < len(p) {
		var n int
		err := again(func() (err error) {
			n, err = f.c.Write(f.fd, p[done:])
			return err
		})
		if err != nil {
			return done, pathError("write", f.name, err)
		}
		if n == 0 {
			return done, pathError("write", f.name, io.ErrShortWrite)
		}
		done += n
	}
	return done, nil
}

func (f *file) Seek(offset int64, whence int) (int64, error) {
	n, err := f.c.Seek(f.fd, offset, whence)
	return n, pathError("seek", f.name, err)
}

func (f *file) Truncate(size int64) error {
	return pathError("ftruncate", f.name, again(func() error { return f.c.Ftruncate(f.fd, size) }))
}

func (f *file) Sync() error {
	return pathError("fsync", f.name, again(func() error { return f.c.Fsync(f.fd) }))
}

func (f *file) SyncFS() error {
	return pathError("syncfs", f.name, again(func() error { return f.c.Syncfs(f.fd) }))
}

func (f *file) Type() (int64, error) {
	var st unix.Statfs_t
	if err := again(func() error { return f.c.Fstatfs(f.fd, &st) }); err != nil {
		return 0, pathError("fstatfs", f.name, err)
	}
	return int64(st.Type), nil
}

func (f *file) Lock() error {
	err := again(func() error { return f.c.Flock(f.fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return pathError("flock", f.name, ErrLocked)
	}
	return pathError("flock", f.name, err)
}

func (f *file) Size() (int64, error) {
	var st unix.Stat_t
	if err := again(func() error { return f.c.Fstat(f.fd, &st) }); err != nil {
		return 0, pathError("fstat", f.name, err)
	}
	return st.Size, nil
}

// Close releases the file. After close(2) failed the descriptor is gone all
// the same, so it is never repeated.
func (f *file) Close() error {
	if f.fd < 0 {
		return pathError("close", f.name, os.ErrClosed)
	}
	fd := f.fd
	f.fd = -1
	err := f.c.Close(fd)
	if errors.Is(err, unix.EINTR) {
		err = nil
	}
	return pathError("close", f.name, err)
}
