package scan

import (
	"context"
	"iter"

	"mailsync/compare"
	"mailsync/manifest"
)

// cursor walks the recorded entries of a mailbox once.
type cursor struct {
	next func() (manifest.Entry, error, bool)
	stop func()
	head *manifest.Entry
	err  error
	done bool
}

func newCursor(ctx context.Context, r compare.View) *cursor {
	c := new(cursor)
	c.next, c.stop = iter.Pull2(r.Entries(ctx))
	return c
}

// peek returns the next entry without taking it, nil at the end.
func (c *cursor) peek() (*manifest.Entry, error) {
	if c == nil || c.done {
		return nil, c.failure()
	}
	if c.head == nil {
		e, err, ok := c.next()
		if !ok || err != nil {
			c.done, c.err = true, err
			return nil, err
		}
		c.head = &e
	}
	return c.head, nil
}

func (c *cursor) failure() error {
	if c == nil {
		return nil
	}
	return c.err
}

// take returns what peek has shown.
func (c *cursor) take() *manifest.Entry {
	e := c.head
	c.head = nil
	return e
}

func (c *cursor) close() { c.stop() }
