package durable

import "golang.org/x/sys/unix"

// Calls is every system call that is made on this program's own files. Fault
// injectors replace some of them. All may be called by several goroutines at
// once.
type Calls struct {
	Open      func(path string, flags int, mode uint32) (int, error)
	Close     func(fd int) error
	Lstat     func(path string, st *unix.Stat_t) error
	Fstat     func(fd int, st *unix.Stat_t) error
	Fstatfs   func(fd int, st *unix.Statfs_t) error
	Getdents  func(fd int, p []byte) (int, error)
	Read      func(fd int, p []byte) (int, error)
	Write     func(fd int, p []byte) (int, error)
	Seek      func(fd int, offset int64, whence int) (int64, error)
	Ftruncate func(fd int, size int64) error
	Fsync     func(fd int) error
	Syncfs    func(fd int) error
	Flock     func(fd, how int) error
	Mkdir     func(path string, mode uint32) error
	Rename    func(oldpath, newpath string) error
	Link      func(oldpath, newpath string) error
	Unlink    func(path string) error
	Rmdir     func(path string) error
}

// SystemCalls returns the real calls.
func SystemCalls() Calls {
	return Calls{
		Open:      func(path string, flags int, mode uint32) (int, error) { return unix.Open(path, flags, mode) },
		Close:     unix.Close,
		Lstat:     unix.Lstat,
		Fstat:     unix.Fstat,
		Fstatfs:   unix.Fstatfs,
		Getdents:  unix.Getdents,
		Read:      unix.Read,
		Write:     unix.Write,
		Seek:      unix.Seek,
		Ftruncate: unix.Ftruncate,
		Fsync:     unix.Fsync,
		Syncfs:    unix.Syncfs,
		Flock:     unix.Flock,
		Mkdir:     unix.Mkdir,
		Rename:    unix.Rename,
		Link:      unix.Link,
		Unlink:    unix.Unlink,
		Rmdir:     unix.Rmdir,
	}
}
