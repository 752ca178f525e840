package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"mailsync/restore"
)

// Archive is a gateway's archive: one file or a tree.
type Archive struct {
	path    string
	files   Files
	single  bool // one file
	opts    Options
	pattern *Pattern
	lists   recipientLists
}

// Open opens an archive on a disk of this host and checks the options. No
// message is read yet. The caller closes the archive.
//
// Errors wrap ErrNoInput or ErrOptions.
func Open(path string, o Options) (*Archive, error) {
	d, err := OpenDisk(path)
	if err != nil {
		return nil, err
	}
	a, err := New(path, d, o)
	if err != nil {
		_ = d.Close()
	}
	return a, err
}

// New makes an archive of its files. path is where they lie, for patterns and
// for people; the archive closes files. Errors wrap ErrOptions.
func New(path string, files Files, o Options) (*Archive, error) {
	switch o.Variant {
	case "", "mboxo", "mboxrd", "mboxcl", "mboxcl2":
	default:
		return nil, fmt.Errorf("%w: mbox variant %q (known: mboxo, mboxrd, mboxcl, mboxcl2)", ErrOptions, o.Variant)
	}
	if o.Name == "" {
		o.Name = path
	}
	a := &Archive{path: path, files: files, single: files.Single(), opts: o.withDefaults()}
	if o.Pattern != "" {
		var err error
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

// Close closes the archive.
func (a *Archive) Close() error { return a.files.Close() }

// Messages yields what the archive holds, in an order that is the same as long
// as the archive is. An error ends the stream: the archive cannot be read on,
// or ctx ended.
func (a *Archive) Messages(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		p := a.pass(ctx, yield)
		defer p.close()
		err := p.all()
		if err == nil {
			err = p.cause()
		}
		if err != nil && err != errStop {
			yield(Item{}, fmt.Errorf("archive %s: %w", a.opts.Name, err))
		}
	}
}

// all reads every file of the archive.
func (p *pass) all() error {
	for f, err := range p.a.files.Walk(p.ctx) {
		switch {
		case err != nil:
			return err
		case f.File == nil:
			err = p.refuse(Position{File: f.Name, Offset: -1}, f.Trouble)
		default:
			err = p.read(f.Name, f.File, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// open reads one file from an offset on.
func (p *pass) open(name string, offset int64) error {
	if p.ctx.Err() != nil {
		return p.cause()
	}
	f, err := p.a.files.Open(p.ctx, name, offset)
	if p.ctx.Err() != nil {
		return p.cause()
	}
	if p.noted(err) != nil {
		return p.refuse(Position{File: name, Offset: -1}, trouble(err))
	}
	return p.read(name, f, offset)
}

// noted notes that the archive's host does not answer any more. What was asked
// of it is unknown then: neither damaged nor not there.
func (p *pass) noted(err error) error {
	if errors.Is(err, restore.ErrUnreachable) && p.lost == nil {
		p.lost = err
	}
	return err
}

// noting is the content of a file; it notes what noted does.
type noting struct {
	Content
	p *pass
}

// Read implements io.Reader.
func (n noting) Read(b []byte) (int, error) {
	k, err := n.Content.Read(b)
	return k, n.p.noted(err)
}

// ReadAt implements io.ReaderAt.
func (n noting) ReadAt(b []byte, off int64) (int, error) {
	k, err := n.Content.ReadAt(b, off)
	return k, n.p.noted(err)
}

// read reads an open file, and closes it.
func (p *pass) read(file string, f *File, offset int64) error {
	defer f.Close()
	name := file
	if p.a.single {
		name = p.a.path
	}
	content := noting{f.Content, p}
	err := p.file(&input{
		pos: Position{File: file, Offset: -1}, name: base(name), path: name, mail: isMailName(name), start: offset,
		mtime: f.MTime, mode: f.Mode, plain: content, size: f.Size,
		beside: func(other string) (*File, error) {
			f, err := p.a.files.Beside(p.ctx, file, other)
			if p.noted(err) != nil {
				return nil, err
			}
			f.Content = noting{f.Content, p}
			return f, nil
		},
	}, content)
	if err == nil {
		err = p.lost
	}
	return err
}

// trouble says why a file cannot be read.
func trouble(err error) string {
	if errors.Is(err, errNotRegular) {
		return "not a regular file"
	}
	return "cannot be opened: " + reason(err)
}

// reason is an error without the path, which the finding names already.
func reason(err error) string {
	if e, ok := err.(*fs.PathError); ok {
		return e.Err.Error()
	}
	return err.Error()
}
