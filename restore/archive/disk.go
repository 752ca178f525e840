package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Disk is an archive on a disk of this host.
type Disk struct {
	path string
	root *os.Root // that of a tree; nil where the archive is one file, found by its path
	name string   // the file below root that is the archive; "" = the tree is
}

// OpenDisk looks at path. Errors wrap ErrNoInput.
func OpenDisk(path string) (*Disk, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrNoInput, path, err)
	}
	if !st.IsDir() && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%w %s: neither a file nor a directory", ErrNoInput, path)
	}
	d := &Disk{path: path}
	if st.IsDir() {
		if d.root, err = os.OpenRoot(path); err != nil {
			return nil, fmt.Errorf("%w %s: %w", ErrNoInput, path, err)
		}
	}
	return d, nil
}

// OpenBeneath looks at path, of which no part is followed elsewhere after it was
// looked at: all that is opened lies below one directory, which is path or, where
// the archive is one file, the one that holds it. Self tells which one that is.
// Errors wrap ErrNoInput.
func OpenBeneath(path string) (*Disk, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrNoInput, path, err)
	}
	d := &Disk{path: path}
	dir := path
	switch {
	case st.Mode().IsRegular():
		dir, d.name = filepath.Dir(path), filepath.Base(path)
	case !st.IsDir():
		return nil, fmt.Errorf("%w %s: neither a file nor a directory", ErrNoInput, path)
	}
	if d.root, err = os.OpenRoot(dir); err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrNoInput, path, err)
	}
	return d, nil
}

// Self is the directory of what OpenBeneath opened.
func (d *Disk) Self() (fs.FileInfo, error) { return d.root.Stat(".") }

// Single implements Files.
func (d *Disk) Single() bool { return d.root == nil || d.name != "" }

// Close implements Files.
func (d *Disk) Close() error {
	if d.root == nil {
		return nil
	}
	return d.root.Close()
}

// Walk implements Files.
func (d *Disk) Walk(ctx context.Context) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		w := &walk{d: d, ctx: ctx, yield: yield}
		var err error
		if d.Single() {
			err = w.file(base(d.path))
		} else {
			err = w.dir(".", 0)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(Found{}, err)
		}
	}
}

// walk is one walk over a disk's archive.
type walk struct {
	d     *Disk
	ctx   context.Context
	yield func(Found, error) bool
}

func (w *walk) tell(f Found) error {
	if !w.yield(f, nil) {
		return errStop
	}
	return nil
}

func (w *walk) refuse(name, why string) error { return w.tell(Found{Name: name, Trouble: why}) }

func (w *walk) file(name string) error {
	f, err := w.d.Open(w.ctx, name, 0)
	if err != nil {
		return w.refuse(name, trouble(err))
	}
	return w.tell(Found{Name: name, File: f})
}

const (
	maxTreeDepth = 64
	dirBatch     = 1 << 16 // names sorted at a time: a directory of any size needs no more memory
)

// dir walks over one directory. Links and special files are never followed.
func (w *walk) dir(path string, depth int) error {
	if depth > maxTreeDepth {
		return w.refuse(path, "a tree too deep")
	}
	d, err := quietly(func(flags int) (*os.File, error) { return w.d.root.OpenFile(path, flags|syscall.O_DIRECTORY, 0) })
	if err != nil {
		return w.refuse(path, "cannot be opened: "+reason(err))
	}
	defer d.Close()
	skip := skipped(w.d.root, path)
	for {
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		entries, err := d.ReadDir(dirBatch)
		slices.SortFunc(entries, func(x, y fs.DirEntry) int { return strings.Compare(x.Name(), y.Name()) })
		for _, e := range entries {
			if w.ctx.Err() != nil {
				return context.Cause(w.ctx)
			}
			name := e.Name()
			if path != "." {
				name = path + "/" + name
			}
			var err error
			switch {
			case e.IsDir():
				if skip(e.Name()) {
					continue
				}
				err = w.dir(name, depth+1)
			case e.Type().IsRegular():
				err = w.file(name)
			case e.Type()&fs.ModeSymlink != 0:
				err = w.refuse(name, "a symbolic link: not followed")
			default:
				err = w.refuse(name, "not a regular file")
			}
			if err != nil {
				return err
			}
		}
		if err == io.EOF || err == nil && len(entries) == 0 {
			return nil
		}
		if err != nil {
			return w.refuse(path, "listing ended early: "+reason(err))
		}
	}
}

// skipped tells which sub-directories hold no messages of the archive: the tmp
// of a Maildir, the logs and working directories of a Postfix or Exim spool.
func skipped(root *os.Root, path string) func(string) bool {
	has := func(name string) bool {
		st, err := root.Lstat(path + "/" + name)
		return err == nil && st.IsDir()
	}
	maildir := has("cur") && has("new")
	postfix := has("deferred") || has("incoming") || has("hold") || has("active")
	exim := has("input") && (has("msglog") || has("db"))
	return func(name string) bool {
		switch name {
		case "tmp":
			return maildir
		case "defer", "bounce", "trace", "flush", "pid", "private", "public", "saved", "corrupt":
			return postfix
		case "msglog", "db", "scan", "log":
			return exim
		}
		return false
	}
}

// quietly opens something without waiting for FIFOs and, where the kernel lets
// us, without moving its access time.
func quietly(open func(flags int) (*os.File, error)) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY
	f, err := open(flags | noatime)
	if err != nil && noatime != 0 {
		f, err = open(flags)
	}
	return f, err
}

// Open implements Files.
func (d *Disk) Open(_ context.Context, name string, offset int64) (*File, error) {
	return d.open(offset, func(flags int) (*os.File, error) {
		switch {
		case d.root == nil:
			return os.OpenFile(d.path, flags, 0)
		case d.name != "":
			return d.root.OpenFile(d.name, flags, 0)
		}
		return d.root.OpenFile(name, flags, 0)
	})
}

// Beside implements Files. Links are not followed.
func (d *Disk) Beside(_ context.Context, name, other string) (*File, error) {
	if d.root == nil {
		full := filepath.Join(filepath.Dir(d.path), other)
		return d.open(0, func(flags int) (*os.File, error) { return os.OpenFile(full, flags|syscall.O_NOFOLLOW, 0) })
	}
	if dir, _, ok := cutLast(name); ok && d.name == "" {
		other = dir + "/" + other
	}
	if st, err := d.root.Lstat(other); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, errNotRegular
	}
	return d.open(0, func(flags int) (*os.File, error) { return d.root.OpenFile(other, flags|syscall.O_NOFOLLOW, 0) })
}

// open opens a regular file.
func (d *Disk) open(offset int64, open func(flags int) (*os.File, error)) (*File, error) {
	f, err := quietly(open)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errNotRegular
	}
	if err == nil && offset > 0 {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &File{Content: f, Size: st.Size(), MTime: st.ModTime(), Mode: st.Mode().Perm()}, nil
}

var errNotRegular = errors.New("not a regular file")
