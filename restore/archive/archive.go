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

// Archive is a gateway's archive: one file or a tree.
type Archive struct {
	path    string
	single  bool // one file
	opts    Options
	pattern *Pattern
	lists   recipientLists
}

// Open looks at path and checks the options. No message is read yet.
//
// Errors wrap ErrNoInput or ErrOptions.
func Open(path string, o Options) (*Archive, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrNoInput, path, err)
	}
	if !st.IsDir() && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%w %s: neither a file nor a directory", ErrNoInput, path)
	}
	switch o.Variant {
	case "", "mboxo", "mboxrd", "mboxcl", "mboxcl2":
	default:
		return nil, fmt.Errorf("%w: mbox variant %q (known: mboxo, mboxrd, mboxcl, mboxcl2)", ErrOptions, o.Variant)
	}
	if o.Name == "" {
		o.Name = path
	}
	a := &Archive{path: path, single: !st.IsDir(), opts: o.withDefaults()}
	if o.Pattern != "" {
		if a.pattern, err = ParsePattern(o.Pattern, o.Zone); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Name is the archive's name in findings.
func (a *Archive) Name() string { return a.opts.Name }

// Path is what was given to Open.
func (a *Archive) Path() string { return a.path }

// Messages yields what the archive holds, in an order that is the same as long
// as the archive is. An error ends the stream: the archive cannot be read on,
// or ctx ended.
func (a *Archive) Messages(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		p := a.pass(ctx, yield)
		defer p.close()
		var err error
		if a.single {
			err = p.open(nil, base(a.path), 0)
		} else {
			err = p.tree()
		}
		if err == nil {
			err = p.cause()
		}
		if err != nil && err != errStop {
			yield(Item{}, fmt.Errorf("archive %s: %w", a.opts.Name, err))
		}
	}
}

// tree walks over the files below the archive's root.
func (p *pass) tree() error {
	root, err := os.OpenRoot(p.a.path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoInput, err)
	}
	defer root.Close()
	return p.dir(root, ".", 0)
}

const (
	maxTreeDepth = 64
	dirBatch     = 1 << 16 // names sorted at a time: a directory of any size needs no more memory
)

// dir walks over one directory. Links and special files are never followed.
func (p *pass) dir(root *os.Root, path string, depth int) error {
	if depth > maxTreeDepth {
		return p.refuse(Position{File: path, Offset: -1}, "a tree too deep")
	}
	d, err := root.Open(path)
	if err != nil {
		return p.refuse(Position{File: path, Offset: -1}, "cannot be opened: "+reason(err))
	}
	defer d.Close()
	skip, err := p.skipped(root, path)
	if err != nil {
		return err
	}
	for {
		if p.ctx.Err() != nil {
			return p.cause()
		}
		entries, err := d.ReadDir(dirBatch)
		slices.SortFunc(entries, func(x, y fs.DirEntry) int { return strings.Compare(x.Name(), y.Name()) })
		for _, e := range entries {
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
				err = p.dir(root, name, depth+1)
			case e.Type().IsRegular():
				err = p.open(root, name, 0)
			case e.Type()&fs.ModeSymlink != 0:
				err = p.refuse(Position{File: name, Offset: -1}, "a symbolic link: not followed")
			default:
				err = p.refuse(Position{File: name, Offset: -1}, "not a regular file")
			}
			if err != nil {
				return err
			}
		}
		if err == io.EOF || err == nil && len(entries) == 0 {
			return nil
		}
		if err != nil {
			return p.refuse(Position{File: path, Offset: -1}, "listing ended early: "+reason(err))
		}
	}
}

// skipped tells which sub-directories hold no messages of the archive: the tmp
// of a Maildir, the logs and working directories of a Postfix or Exim spool.
func (p *pass) skipped(root *os.Root, path string) (func(string) bool, error) {
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
	}, nil
}

// open reads one file from an offset on. root is nil where the archive is one file.
func (p *pass) open(root *os.Root, path string, offset int64) error {
	if p.ctx.Err() != nil {
		return p.cause()
	}
	pos := Position{File: path, Offset: -1}
	f, err := p.a.file(root, path)
	if err != nil {
		return p.refuse(pos, "cannot be opened: "+reason(err))
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return p.refuse(pos, "not a regular file")
	}
	name := path
	if root == nil {
		name = p.a.path
	}
	in := &input{
		pos: pos, name: base(name), path: name, mail: isMailName(name), start: offset,
		mtime: st.ModTime(), mode: st.Mode().Perm(), plain: f, size: st.Size(),
		beside: func(other string) (*os.File, error) { return p.a.beside(root, path, other) },
	}
	if offset > 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			return p.refuse(pos, reason(err))
		}
	}
	return p.file(in, f)
}

// file opens a regular file without waiting for FIFOs and, where the kernel
// lets us, without moving its access time.
func (a *Archive) file(root *os.Root, path string) (*os.File, error) {
	open := func(flags int) (*os.File, error) {
		if root == nil {
			return os.OpenFile(a.path, flags, 0)
		}
		return root.OpenFile(path, flags, 0)
	}
	const flags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY
	f, err := open(flags | noatime)
	if err != nil && noatime != 0 {
		f, err = open(flags)
	}
	return f, err
}

// beside opens another regular file of the directory in which a file lies.
// Links are not followed.
func (a *Archive) beside(root *os.Root, path, name string) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY | syscall.O_NOFOLLOW
	var open func(flags int) (*os.File, error)
	if root == nil {
		full := filepath.Join(filepath.Dir(a.path), name)
		open = func(flags int) (*os.File, error) { return os.OpenFile(full, flags, 0) }
	} else {
		if dir, _, ok := cutLast(path); ok {
			name = dir + "/" + name
		}
		if st, err := root.Lstat(name); err != nil {
			return nil, err
		} else if !st.Mode().IsRegular() {
			return nil, errNotRegular
		}
		open = func(flags int) (*os.File, error) { return root.OpenFile(name, flags, 0) }
	}
	f, err := open(flags | noatime)
	if err != nil && noatime != 0 {
		f, err = open(flags)
	}
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return nil, errNotRegular
	}
	return f, nil
}

var errNotRegular = errors.New("not a regular file")

// reason is an error without the path, which the finding names already.
func reason(err error) string {
	if e, ok := err.(*fs.PathError); ok {
		return e.Err.Error()
	}
	return err.Error()
}
