package durable

import (
	"io"
	"os"
)

// FS is every file-system call that this program makes on its own files. There
// is one real implementation, System; tests and fault injectors wrap it.
//
// All paths are absolute or relative to the working directory. Errors are
// *os.PathError or *os.LinkError around the errno. A method may be called by
// several goroutines at once.
type FS interface {
	// Open opens a file or directory; flag is os.O_*, with os.O_EXCL and
	// os.O_CREATE for new files.
	Open(name string, flag int, perm os.FileMode) (File, error)
	Mkdir(name string, perm os.FileMode) error
	// Rename replaces newname without a moment in which there is none.
	Rename(oldname, newname string) error
	// Link fails with os.ErrExist where newname exists.
	Link(oldname, newname string) error
	Remove(name string) error
	// Names lists a directory, sorted.
	Names(name string) ([]string, error)
	// Lstat tells what a path is, without following a link.
	Lstat(name string) (os.FileInfo, error)
}

// File is an open file of an FS.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Seeker
	// Truncate cuts or extends the file.
	Truncate(size int64) error
	// Sync is fsync(2). After it failed once, nothing written to the file may
	// be trusted, and Sync on the same file says nothing any more.
	Sync() error
	// SyncFS is syncfs(2) of the file system that holds the file. It reports
	// write-back errors only since this file was opened, and each only once.
	SyncFS() error
	// Type returns the file system's magic number (statfs(2) f_type).
	Type() (int64, error)
	// TryLock takes flock(2) LOCK_EX|LOCK_NB; it fails with ErrLocked where
	// another holds it. The lock ends with Close.
	TryLock() error
	Size() (int64, error)
	Close() error
}
