package durable

import (
	"errors"
	"os"
)

// Errors of this package.
var (
	ErrLocked  = errors.New("locked by another process")
	ErrCorrupt = errors.New("corrupt")
	ErrNewer   = errors.New("made by a newer mailsync")
)

// WriteFile replaces path by data, atomically and durably. fsys may be nil.
func WriteFile(fsys FS, path string, data []byte, perm os.FileMode) error { panic("unfinished") }

// MkdirAll creates a directory and its missing parents, each durably. fsys may be nil.
func MkdirAll(fsys FS, path string, perm os.FileMode) error { panic("unfinished") }
