package archive

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"time"
)

// Files is where an archive lies: on a disk of this host (Disk), or on another
// host. Names are those of Position.File.
type Files interface {
	// Single tells whether the archive is one file.
	Single() bool
	// Walk yields its files, in an order that is the same as long as the archive
	// is. Links and what is no regular file are told of, and never followed. An
	// error ends the walk: the archive cannot be read on, or ctx ended.
	Walk(ctx context.Context) iter.Seq2[Found, error]
	// Open opens a file, to be read from an offset on.
	Open(ctx context.Context, name string, offset int64) (*File, error)
	// Beside opens another regular file of the directory in which one lies.
	Beside(ctx context.Context, name, other string) (*File, error)
	// Close gives back what is held open.
	Close() error
}

// Found is one step of a walk.
type Found struct {
	Name    string
	File    *File  // to be closed by who is told of it; nil where there is Trouble
	Trouble string // why it cannot be read
}

// File is an open file of an archive.
type File struct {
	Content
	Size  int64
	MTime time.Time
	Mode  fs.FileMode // permissions
}

// Content is what a file holds.
type Content interface {
	io.Reader
	io.ReaderAt // of the file from its start, wherever reading began
	io.Closer
}
