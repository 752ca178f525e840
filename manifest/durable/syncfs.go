package durable

import "golang.org/x/sys/unix"

const dirOnly = unix.O_DIRECTORY

// Magic numbers of file systems (statfs(2)) on which syncfs(2) writes
// everything and reports what failed. On overlayfs it answers 0 for data that
// is lost, and through FUSE it does not reach the server: there, as on every
// file system that nobody has tried, each file is synced by itself.
const (
	magicExt4  = 0xEF53
	magicXFS   = 0x58465342
	magicBtrfs = 0x9123683E
)

// Batches tells whether one SyncFS of f can be believed for many files of its
// file system.
func Batches(f File) (bool, error) {
	t, err := f.Type()
	if err != nil {
		return false, err
	}
	switch t {
	case magicExt4, magicXFS, magicBtrfs:
		return true, nil
	}
	return false, nil
}
