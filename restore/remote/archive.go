package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"mailsync/restore/archive"
)

// Archive is where an archive of the other end lies: an archive.Files. The
// other end hands out files and understands nothing of them; what they hold is
// parsed by the end that asks.
type Archive struct {
	p      *Peer
	path   string
	single bool
}

var _ archive.Files = (*Archive)(nil)

// OpenArchive looks at an archive of the other end.
func (p *Peer) OpenArchive(ctx context.Context, path string) (*Archive, error) {
	var out archiveAbout
	if err := p.one(ctx, methodArchive, 0, archiveRequest{Path: path}, &out); err != nil {
		return nil, err
	}
	return &Archive{p: p, path: path, single: out.Single}, nil
}

// Single implements archive.Files.
func (x *Archive) Single() bool { return x.single }

// Close implements archive.Files. The other end holds nothing open for it.
func (x *Archive) Close() error { return nil }

// certain makes an ErrLost of what a peer says that no mailsync says: nothing
// of it is a finding about an archive.
func certain(err error) error {
	if errors.Is(err, ErrProtocol) {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return err
}

// Walk implements archive.Files. Small files come with the walk, in one stream;
// large ones are asked for when they are read.
func (x *Archive) Walk(ctx context.Context) iter.Seq2[archive.Found, error] {
	return func(yield func(archive.Found, error) bool) {
		a, err := x.p.ask(ctx, methodWalk, 0, archiveRequest{Path: x.path})
		if err != nil {
			yield(archive.Found{}, err)
			return
		}
		defer a.close()
		for {
			kind, frame, err := a.next()
			if errors.Is(err, io.EOF) {
				return
			}
			var found archive.Found
			if err == nil && kind != frameItem {
				err = fmt.Errorf("%w: data where a file belongs", ErrProtocol)
			}
			if err == nil {
				found, err = x.found(ctx, a, frame)
			}
			if err != nil {
				yield(archive.Found{}, certain(ended(err)))
				return
			}
			if !yield(found, nil) {
				return
			}
		}
	}
}

// found reads one file of a walk.
func (x *Archive) found(ctx context.Context, a *answer, frame []byte) (out archive.Found, err error) {
	var f archiveFile
	if err := Decode(frame, &f); err != nil {
		return out, err
	}
	if out.Name = f.Name; f.Name == "" || !fs.ValidPath(f.Name) && !validRaw(f.Name) || len(f.Trouble) > maxErrorText || f.Size < 0 {
		return out, fmt.Errorf("%w: a file's name of %d bytes", ErrProtocol, len(f.Name))
	}
	if f.Trouble != "" {
		out.Trouble = f.Trouble
		return out, nil
	}
	out.File = f.file()
	if !f.Inline {
		out.File.Content = &farFile{x: x, ctx: ctx, q: archiveRequest{Path: x.path, Name: f.Name}}
		return out, nil
	}
	b := newBody(a)
	b.more = true
	p, err := io.ReadAll(io.LimitReader(b, inlineSize+1))
	if err != nil {
		return out, err
	}
	if len(p) > inlineSize {
		return out, fmt.Errorf("%w: more than %d bytes of a small file", ErrProtocol, inlineSize)
	}
	out.File.Size, out.File.Content = int64(len(p)), held{bytes.NewReader(p)}
	return out, nil
}

// held is a file in memory.
type held struct{ *bytes.Reader }

// Close implements io.Closer.
func (held) Close() error { return nil }

// Open implements archive.Files.
func (x *Archive) Open(ctx context.Context, name string, offset int64) (*archive.File, error) {
	q := archiveRequest{Path: x.path, Name: name, Offset: offset}
	if offset > 0 { // one message of many: not all that follows it
		q.Length = firstRange
	}
	return x.open(ctx, q)
}

// Beside implements archive.Files.
func (x *Archive) Beside(ctx context.Context, name, other string) (*archive.File, error) {
	return x.open(ctx, archiveRequest{Path: x.path, Name: name, Beside: other})
}

func (x *Archive) open(ctx context.Context, q archiveRequest) (*archive.File, error) {
	c := &farFile{x: x, ctx: ctx, q: q}
	f, err := c.begin()
	if err != nil {
		return nil, certain(err)
	}
	f.Content = c
	return f, nil
}

// The first range of a file that is entered in the middle, and the largest, in
// bytes: each is twice the one before.
const (
	firstRange = 64 << 10
	lastRange  = 4 << 20
)

// farFile is a file of the other end that is read as it comes.
type farFile struct {
	x    *Archive
	ctx  context.Context
	q    archiveRequest // of the range that is being read
	body *body          // nil: not asked for
	err  error
}

// begin asks for the range.
func (f *farFile) begin() (*archive.File, error) {
	a, err := f.x.p.ask(f.ctx, methodFile, 0, f.q)
	if err != nil {
		return nil, err
	}
	var head archiveFile
	if err := a.item(&head); err != nil {
		a.close()
		return nil, err
	}
	if head.Size < 0 {
		a.close()
		return nil, fmt.Errorf("%w: a file of %d bytes", ErrProtocol, head.Size)
	}
	f.body = newBody(a)
	return head.file(), nil
}

// Read implements io.Reader.
func (f *farFile) Read(p []byte) (int, error) {
	for f.err == nil {
		if f.body == nil {
			if _, f.err = f.begin(); f.err != nil {
				break
			}
		}
		n, err := f.body.Read(p)
		if f.q.Length > 0 && f.body.size > f.q.Length {
			err = fmt.Errorf("%w: more of a file than was asked for", ErrProtocol)
		}
		if errors.Is(err, io.EOF) && f.q.Length > 0 && f.body.size == f.q.Length {
			_ = f.body.Close()
			f.body, err = nil, nil
			f.q.Offset += f.q.Length
			f.q.Length = min(2*f.q.Length, lastRange)
		}
		f.err = certain(err)
		if n > 0 || f.err != nil {
			return n, f.err
		}
	}
	f.err = certain(f.err)
	return 0, f.err
}

// ReadAt implements io.ReaderAt.
func (f *farFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	q := f.q
	q.Offset, q.Length = off, int64(len(p))
	part := &farFile{x: f.x, ctx: f.ctx, q: q}
	defer part.Close()
	if _, err := part.begin(); err != nil {
		return 0, certain(err)
	}
	n, err := io.ReadFull(part.body, p)
	switch {
	case err == nil:
		var more [1]byte
		if _, err = part.body.Read(more[:]); errors.Is(err, io.EOF) {
			return n, nil // and what came is what was sent
		}
		if err == nil {
			err = fmt.Errorf("%w: more of a file than was asked for", ErrProtocol)
		}
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = io.EOF
	}
	return n, certain(err)
}

// Close implements io.Closer.
func (f *farFile) Close() error {
	if f.body == nil {
		return nil
	}
	return f.body.Close()
}
