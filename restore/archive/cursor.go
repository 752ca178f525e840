package archive

import (
	"context"
	"fmt"
	"iter"
	"slices"
)

// Cursor reads single messages by their position. Asking in the order of the
// stream is cheap even in compressed files, where it reads on from the last
// message. It is not safe for concurrent use.
type Cursor struct {
	a *Archive

	file  string // being read
	from  int64  // offset at which it was entered
	last  int64  // offset of the last message
	plain bool   // the file can be entered anywhere
	next  func() (Item, error, bool)
	stop  func()

	buffers [][]byte // of the passes, one after another
	scratch []byte
	skipped int64
}

// Reading on to a message that lies up to so far behind the last one costs no
// more than entering the file at it, for which so much is read at first.
const (
	nearBytes  = 64 << 10
	enterBytes = 16 << 10
)

// Cursor returns a cursor at the start of the archive. The caller closes it.
func (a *Archive) Cursor() *Cursor { return &Cursor{a: a} }

// Get returns the message at a position. It is valid until the next call.
// Errors wrap ErrPosition where there is none (any more).
func (c *Cursor) Get(ctx context.Context, pos Position) (*Message, error) {
	// A plain file is entered anew where the message lies before the last one,
	// or so far behind it that reading up to there costs more.
	far := c.plain && (pos.Offset <= c.last || pos.Offset-c.last > nearBytes)
	if c.next != nil && c.file == pos.File && !far {
		if m, err := c.seek(pos); m != nil || err != nil {
			return m, err
		}
	}
	// From the message's own offset where that is an offset on disk, else from
	// the start of the file.
	starts := []int64{0}
	if pos.Offset > 0 && len(pos.Members) == 0 {
		starts = []int64{pos.Offset, 0}
	}
	for _, start := range starts {
		if err := c.enter(ctx, pos.File, start); err != nil {
			return nil, err
		}
		if m, err := c.seek(pos); m != nil || err != nil {
			return m, err
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrPosition, c.a.Name())
}

// Skipped is how many messages were read past, in search of others: many where
// a compressed file is asked for few of its messages at a time.
func (c *Cursor) Skipped() int64 { return c.skipped }

// enter starts to read a file.
func (c *Cursor) enter(ctx context.Context, file string, start int64) error {
	c.leave()
	stream := func(yield func(Item, error) bool) {
		p := c.a.pass(ctx, yield)
		p.buffers, p.scratch, p.chunk = c.buffers, c.scratch, enterBytes
		if start > 0 { // only these hold messages at offsets of the file on disk
			p.formats = slices.DeleteFunc(p.formats, func(f format) bool { return f.name != "bsmtp" && f.name != "mbox" })
		}
		defer func() {
			c.buffers, c.scratch = p.buffers, p.scratch
			p.close()
		}()
		err := p.open(file, start)
		if err == nil {
			err = p.cause()
		}
		if err != nil && err != errStop {
			yield(Item{}, err)
		}
	}
	c.file, c.from, c.last, c.plain = file, start, -1, false
	c.next, c.stop = iter.Pull2(iter.Seq2[Item, error](stream))
	return nil
}

// seek reads on to a position; nil where the file ends before, or where what is
// read first shows that the file cannot be entered there.
func (c *Cursor) seek(pos Position) (*Message, error) {
	for {
		it, err, ok := c.next()
		if !ok {
			c.leave()
			return nil, nil
		}
		if err != nil {
			c.leave()
			return nil, err
		}
		if it.Message == nil {
			if c.from > 0 {
				c.leave()
				return nil, nil
			}
			continue
		}
		c.last, c.plain = it.Message.Pos.Offset, it.Message.direct
		if it.Message.Pos.Equal(pos) {
			return it.Message, nil
		}
		c.skipped++
		if c.from > 0 && it.Message.Pos.Offset > pos.Offset {
			c.leave()
			return nil, nil
		}
	}
}

func (c *Cursor) leave() {
	if c.stop != nil {
		c.stop()
	}
	c.next, c.stop, c.file = nil, nil, ""
}

// Close ends the cursor.
func (c *Cursor) Close() error {
	c.leave()
	return nil
}
