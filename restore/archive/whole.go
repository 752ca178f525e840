package archive

import (
	"bytes"
	"errors"
	"io"
)

// whole reads the rest of an input as one message's content: in memory where it
// fits, else in the spool.
func (p *pass) whole(in *input) (content, error) {
	return p.take(in, func(b []byte, _ int, eof bool) (int, int) {
		if eof {
			return len(b), len(b)
		}
		return -1, len(b)
	}, nil)
}

// take consumes a stretch of the input as one content. find is asked with all
// bytes in view and the place from which it has not looked yet; it answers the
// end of the content and where to look on, or -1 and the place up to which
// everything belongs to the content. What it found is consumed; the caller
// consumes what follows. The rewrite is applied to each piece that goes to the
// spool; with one, pieces end at line ends, and a line that does not fit into
// the view is refused. nil keeps the bytes, whatever their lines.
func (p *pass) take(in *input, find func(b []byte, from int, eof bool) (end, next int), rewrite func([]byte) []byte) (content, error) {
	w, from, spilled := in.w, 0, false
	lines := rewrite != nil
	if !lines {
		rewrite = func(b []byte) []byte { return b }
	}
	for {
		b := w.bytes()
		end, next := find(b, from, w.eof())
		if end >= 0 {
			if !spilled {
				w.skip(end)
				return content{mem: rewrite(b[:end])}, nil
			}
			if _, err := p.spool.Write(rewrite(b[:end])); err != nil {
				return content{}, err
			}
			w.skip(end)
			return content{file: p.spool.f, n: p.spool.n}, nil
		}
		if w.eof() {
			return content{}, io.ErrUnexpectedEOF
		}
		from = next
		if w.more() || w.eof() {
			continue
		}
		// The view is full: what surely belongs to the content moves to the
		// spool, up to a line's end so that rewriting sees whole lines.
		if !spilled {
			if err := p.spool.reset(); err != nil {
				return content{}, err
			}
			spilled = true
		}
		cut := bytes.LastIndexByte(b[:next], '\n') + 1
		if !lines {
			cut = next
		}
		if cut == 0 {
			return content{}, errLongLine
		}
		if _, err := p.spool.Write(rewrite(b[:cut])); err != nil {
			return content{}, err
		}
		w.skip(cut)
		from = max(0, next-cut)
	}
}

// badContent turns an error of take into a finding, or passes it on.
func (p *pass) badContent(pos Position, in *input, err error) error {
	switch {
	case errors.Is(err, errTooLarge):
		return p.tooLarge(pos)
	case errors.Is(err, errLongLine):
		return p.refuse(pos, err.Error())
	case errors.Is(err, io.ErrUnexpectedEOF):
		if b := in.w.broken(); b != nil {
			return p.brokenStream(pos, "compressed data or file", b)
		}
		return p.truncated(pos, "the archive ends inside a message")
	}
	return err
}
