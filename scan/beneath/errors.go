package beneath

import (
	"errors"
	"fmt"
)

// Errors of this package. System call errors are wrapped, so that
// errors.Is(err, syscall.EIO) and errors.Is(err, fs.ErrNotExist) work.
var (
	// ErrNotRegular: the name is there and is not a regular file.
	ErrNotRegular = errors.New("not a regular file")
	// ErrEscape: the name leads outside the root: a symbolic link, a mount,
	// a ".." or an absolute path.
	ErrEscape = errors.New("leads outside the directory")
)

// Error says which call failed on which name.
type Error struct {
	Op   string // "open", "list", "stat", "read", "statfs"
	Path string // raw bytes, not for printing unescaped
	Err  error
}

// Error implements error. The path is quoted, so that it is safe to print.
func (e *Error) Error() string { return fmt.Sprintf("%s %q: %v", e.Op, e.Path, e.Err) }

// Unwrap gives access to the cause.
func (e *Error) Unwrap() error { return e.Err }
