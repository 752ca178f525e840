package durable

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// System returns the real file system.
//
// It calls the kernel directly: an os.File would ask the poller about every
// regular file, which is one more system call for each small manifest.
func System() FS { return system{} }

type system struct{}

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

func (system) Open(name string, flag int, perm os.FileMode) (File, error) {
	fd := -1
	err := again(func() (err error) {
		fd, err = unix.Open(name, flag|unix.O_CLOEXEC, uint32(perm.Perm()))
		return err
	})
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return &file{fd: fd, name: name}, nil
}

func (system) Mkdir(name string, perm os.FileMode) error {
	return pathError("mkdir", name, unix.Mkdir(name, uint32(perm.Perm())))
}

func (system) Rename(oldname, newname string) error {
	if err := unix.Rename(oldname, newname); err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	return nil
}

func (system) Link(oldname, newname string) error {
	if err := unix.Link(oldname, newname); err != nil {
		return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: err}
	}
	return nil
}

func (system) Remove(name string) error {
	err := unix.Unlink(name)
	if errors.Is(err, unix.EISDIR) {
		err = unix.Rmdir(name)
	}
	return pathError("unlink", name, err)
}

func (system) Names(name string) ([]string, error) {
	list, err := os.ReadDir(name) // sorted
	if err != nil {
		return nil, err
	}
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name()
	}
	return names, nil
}

func (system) Stat(name string) (Info, error) {
	var st unix.Stat_t
	if err := again(func() error { return unix.Lstat(name, &st) }); err != nil {
		return Info{}, pathError("lstat", name, err)
	}
	return Info{
		Dir:   st.Mode&unix.S_IFMT == unix.S_IFDIR,
		Size:  st.Size,
		MTime: time.Unix(st.Mtim.Unix()),
	}, nil
}

type file struct {
	fd   int
	name string
}

func (f *file) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	err = again(func() (err error) {
		n, err = unix.Read(f.fd, p)
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
			n, err = unix.Write(f.fd, p[done:])
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
	n, err := unix.Seek(f.fd, offset, whence)
	return n, pathError("seek", f.name, err)
}

func (f *file) Truncate(size int64) error {
	return pathError("ftruncate", f.name, again(func() error { return unix.Ftruncate(f.fd, size) }))
}

func (f *file) Sync() error {
	return pathError("fsync", f.name, again(func() error { return unix.Fsync(f.fd) }))
}

func (f *file) SyncFS() error {
	return pathError("syncfs", f.name, again(func() error { return unix.Syncfs(f.fd) }))
}

func (f *file) Type() (int64, error) {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(f.fd, &st) }); err != nil {
		return 0, pathError("fstatfs", f.name, err)
	}
	return int64(st.Type), nil
}

func (f *file) Lock() error {
	err := again(func() error { return unix.Flock(f.fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return pathError("flock", f.name, ErrLocked)
	}
	return pathError("flock", f.name, err)
}

func (f *file) Size() (int64, error) {
	var st unix.Stat_t
	if err := again(func() error { return unix.Fstat(f.fd, &st) }); err != nil {
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
	err := unix.Close(fd)
	if errors.Is(err, unix.EINTR) {
		err = nil
	}
	return pathError("close", f.name, err)
}
