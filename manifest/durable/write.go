package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Errors of this package, wrapped with what, where and why.
var (
	// ErrLocked: another process has the file.
	ErrLocked = errors.New("in use by another process")
	// ErrCorrupt: the file is not what was written.
	ErrCorrupt = errors.New("corrupt")
	// ErrNewer: the file is of a version that this program does not know.
	ErrNewer = errors.New("made by a newer mailsync")
	// ErrFailed: an earlier write or sync failed; nothing more is accepted.
	ErrFailed = errors.New("failed before")
)

// TempSuffix ends the names of unfinished files. They can be removed whenever
// no process is writing.
const TempSuffix = ".tmp"

// WriteFile replaces path by data: afterwards, and after a power cut at any
// moment, path holds the old bytes or the new, and after a nil error the new.
// The directory must exist. Two writers of one path must exclude each other.
//
//	open(path.tmp, O_CREAT|O_TRUNC)   leftovers of a cut are overwritten
//	write, fsync, close               the bytes are durable before the name is
//	rename(path.tmp, path)            replaced without a gap
//	open(dir), fsync, close           the name is durable
//	create(path.tmp), unlink          the probe: see Probe
//
// fsys may be nil.
func WriteFile(fsys FS, path string, data []byte, perm os.FileMode) error {
	fsys = fallback(fsys)
	temp := path + TempSuffix
	if err := writeTemp(fsys, temp, data, perm); err != nil {
		_ = fsys.Remove(temp)
		return err
	}
	if err := fsys.Rename(temp, path); err != nil {
		_ = fsys.Remove(temp)
		return err
	}
	return SyncDir(fsys, filepath.Dir(path))
}

func writeTemp(fsys FS, temp string, data []byte, perm os.FileMode) error {
	f, err := fsys.Open(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// SyncDir makes the names in a directory durable.
//
//	open(dir), fsync, close
//	create(dir/probe.tmp), unlink     the probe
//
// The probe is there because fsync(2) of a directory can answer 0 for a rename
// that is lost: ext4 reports a failed journal write to the first waiter only,
// and on an XFS that has shut down every fsync of a directory succeeds.
// Creating and removing a name fail in both cases.
func SyncDir(fsys FS, dir string) error {
	fsys = fallback(fsys)
	d, err := fsys.Open(dir, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		_ = d.Close()
		return err
	}
	if err := d.Close(); err != nil {
		return err
	}
	return probe(fsys, filepath.Join(dir, "probe"+TempSuffix))
}

// probe shows that the file system still takes changes.
func probe(fsys FS, path string) error {
	f, err := fsys.Open(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("probe after sync: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("probe after sync: %w", err)
	}
	// Another writer of the directory may have removed it: that is a probe too.
	if err := fsys.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("probe after sync: %w", err)
	}
	return nil
}

// MkdirAll makes a directory and the parents that are missing, each durable
// before the next is made in it. fsys may be nil.
//
//	mkdir(parent), SyncDir(its parent), mkdir(child), SyncDir(parent) ...
func MkdirAll(fsys FS, path string, perm os.FileMode) error {
	fsys = fallback(fsys)
	path = filepath.Clean(path)
	info, err := fsys.Stat(path)
	switch {
	case err == nil && info.Dir:
		return nil
	case err == nil:
		// A link to a directory serves as well.
		d, err := fsys.Open(path, os.O_RDONLY|dirOnly, 0)
		if err != nil {
			return err
		}
		return d.Close()
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := MkdirAll(fsys, parent, perm); err != nil {
			return err
		}
	}
	if err := fsys.Mkdir(path, perm); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return SyncDir(fsys, parent)
}

// ReadFile reads a whole file of at most limit bytes; a larger one is an
// error, before it is read. fsys may be nil.
func ReadFile(fsys FS, path string, limit int64) ([]byte, error) {
	f, err := fallback(fsys).Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%s: %d bytes where at most %d belong: %w", path, size, limit, ErrCorrupt)
	}
	data := make([]byte, size)
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data[:n], nil
}
