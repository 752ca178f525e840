package archive

import (
	"context"
	"iter"
)

// Archive is a gateway's archive: one file or a tree.
type Archive struct {
	path string
	opts Options
}

// Open looks at path and checks the options. No message is read yet.
func Open(path string, o Options) (*Archive, error) {
	return &Archive{path: path, opts: o.withDefaults()}, nil
}

// Name is the archive's name in findings.
func (a *Archive) Name() string { return a.opts.Name }

// Path is what was given to Open.
func (a *Archive) Path() string { return a.path }

// Messages yields what the archive holds, in an order that is the same as long
// as the archive is. An error ends the stream: the archive cannot be read on,
// or ctx ended.
func (a *Archive) Messages(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {}
}

// Cursor reads single messages by their position. Asking in the order of the
// stream is cheap even in compressed files. It is not safe for concurrent use.
type Cursor struct{ a *Archive }

// Cursor returns a cursor at the start of the archive. The caller closes it.
func (a *Archive) Cursor() *Cursor { return &Cursor{a: a} }

// Get returns the message at a position: valid until the next call.
func (c *Cursor) Get(ctx context.Context, pos Position) (*Message, error) { return nil, ErrPosition }

// Close ends the cursor.
func (c *Cursor) Close() error { return nil }
