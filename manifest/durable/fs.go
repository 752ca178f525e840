package durable

import (
	"io"
	"os"
	"time"
)

// FS is every file-system call that this program makes on its own files. There
// is one real implementation, System; fault injectors and models of a disk
// take its place in tests.
//
// Errors are *os.PathError or *os.LinkError around an errno. The methods may
// be called by several goroutines at once.
type FS interface {
	// Open opens a file or directory; flag is made of os.O_*.
	Open(name string, flag int, perm os.FileMode) (File, error)
	Mkdir(name string, perm os.FileMode) error
	// Rename replaces newname without a moment in which there is none.
	Rename(oldname, newname string) error
	// Link fails with os.ErrExist where newname exists.
	Link(oldname, newname string) error
	// Remove removes a file, or a directory that is empty.
	Remove(name string) error
	// Names lists a directory, sorted.
	Names(name string) ([]string, error)
	// Stat tells what a path is, without following a link.
	Stat(name string) (Info, error)
}

// Info is what Stat tells.
type Info struct {
	Dir   bool
	Size  int64
	MTime time.Time
}

// File is an open file or directory of an FS. It is used by one goroutine at a
// time, except that Sync and SyncFS may run beside Write.
type File interface {
	io.Reader
	io.Writer // writes all or fails
	io.Seeker
	io.Closer
	// Truncate cuts or extends the file.
	Truncate(size int64) error
	// Sync is fsync(2). Once it has failed, nothing that was written to the
	// file may be trusted, and another Sync proves nothing.
	Sync() error
	// SyncFS is syncfs(2) of the file system that holds the file. It reports
	// failed write-back since the file was opened, each failure once.
	SyncFS() error
	// Type returns the file system's magic number (f_type of statfs(2)).
	Type() (int64, error)
	// Lock takes an exclusive flock(2) that ends with Close, and fails with
	// ErrLocked where another process has it.
	Lock() error
	Size() (int64, error)
}

// fallback returns the real file system for nil.
func fallback(fsys FS) FS {
	if fsys == nil {
		return System()
	}
	return fsys
}
