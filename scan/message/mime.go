package message

import (
	"bytes"
	"fmt"
	"hash"
	"strings"
)

// maxPartHeader bounds the header of a MIME part.
const maxPartHeader = HeaderWindow

// mimeWalker finds the leaves of a MIME structure in one pass, line by line,
// with a stack of boundaries and no recursion. A line that is longer than the
// pieces it comes in is no boundary.
type mimeWalker struct {
	limits Limits
	all    hash.Hash
	parts  int

	stack   []string // boundaries, the innermost last
	state   mimeState
	head    []byte // of the part that begins
	leaf    leaf
	open    bool // a leaf is open
	decode  decoder
	pending bool // a line end is held back: before a boundary it belongs to the boundary
	line    []byte
	long    bool // the line did not fit: what is left of it is content
}

type mimeState uint8

const (
	inLeaf mimeState = iota
	inPartHeader
	ignored // preamble or epilogue
)

// write takes the next piece of the body.
func (w *mimeWalker) write(p []byte) error {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return w.partial(p)
		}
		line := p[:i]
		p = p[i+1:]
		if len(w.line) > 0 || w.long {
			if err := w.partial(line); err != nil {
				return err
			}
			line, w.line = w.line, w.line[:0]
			if w.long {
				w.long = false
				if err := w.content(line, true); err != nil {
					return err
				}
				continue
			}
		}
		if err := w.whole(line); err != nil {
			return err
		}
	}
	return nil
}

// partial keeps a part of a line; a line that becomes too long for anything but
// content is passed on as such.
func (w *mimeWalker) partial(p []byte) error {
	w.line = append(w.line, p...)
	if len(w.line) < maxPartHeader {
		return nil
	}
	w.long = true
	err := w.content(w.line, false)
	w.line = w.line[:0]
	return err
}

// whole takes a complete line, without its LF.
func (w *mimeWalker) whole(line []byte) error {
	line = bytes.TrimRight(line, "\r")
	if len(w.stack) > 0 && len(line) > 2 && line[0] == '-' && line[1] == '-' {
		if level, closing := w.boundary(line); level >= 0 {
			w.endLeaf()
			w.stack = w.stack[:level+1]
			w.state, w.head = inPartHeader, w.head[:0]
			if closing {
				w.stack, w.state = w.stack[:level], ignored
			}
			return nil
		}
	}
	if w.state == inPartHeader {
		if len(line) == 0 {
			w.header(w.head)
			return w.tooMany()
		}
		if len(w.head)+len(line) > maxPartHeader {
			return fmt.Errorf("part header: %w of %d bytes", ErrLimit, maxPartHeader)
		}
		w.head = append(append(w.head, line...), '\n')
		return nil
	}
	return w.content(line, true)
}

// boundary tells which boundary of the stack the line is, -1 for none.
func (w *mimeWalker) boundary(line []byte) (level int, closing bool) {
	line = bytes.TrimRight(line[2:], " \t")
	for i := len(w.stack) - 1; i >= 0; i-- {
		rest, ok := bytes.CutPrefix(line, []byte(w.stack[i]))
		if !ok {
			continue
		}
		switch string(rest) {
		case "":
			return i, false
		case "--":
			return i, true
		}
	}
	return -1, false
}

// content passes a line, or a part of a long one, to the open leaf.
func (w *mimeWalker) content(p []byte, ended bool) error {
	switch {
	case w.state == inPartHeader && len(p) > 0:
		return fmt.Errorf("part header: %w of %d bytes", ErrLimit, maxPartHeader)
	case w.state != inLeaf || !w.open:
		return nil
	}
	if w.pending {
		w.decode.lineEnd(&w.leaf)
		w.pending = false
	}
	w.decode.write(&w.leaf, p)
	w.pending = ended
	return nil
}

func (w *mimeWalker) tooMany() error {
	if w.parts > w.limits.MaxParts {
		return fmt.Errorf("%w: more than %d MIME parts", ErrLimit, w.limits.MaxParts)
	}
	return nil
}

// header begins what a header announces: a multipart, or a leaf.
func (w *mimeWalker) header(p []byte) {
	mediaType, encoding, boundary := "text/plain", "", ""
	typed := false
	for f := range Fields(p) {
		switch {
		case f.Is("content-type") && !typed:
			typed = true
			mediaType, boundary = ContentType(string(appendCollapsed(nil, f.Value, 4096)))
		case f.Is("content-transfer-encoding") && encoding == "":
			encoding = strings.ToLower(string(appendCollapsed(nil, f.Value, 64)))
		}
	}
	if strings.HasPrefix(mediaType, "multipart/") && boundary != "" && len(w.stack) < w.limits.MaxDepth {
		w.stack = append(w.stack, boundary)
		w.state = ignored
		return
	}
	w.parts++
	w.state, w.open, w.pending = inLeaf, true, false
	text := strings.HasPrefix(mediaType, "text/") || strings.HasPrefix(mediaType, "message/") || strings.HasPrefix(mediaType, "multipart/")
	w.leaf.begin(mediaType, text)
	w.decode.reset(encoding)
}

func (w *mimeWalker) endLeaf() {
	if w.open {
		w.decode.finish(&w.leaf)
		w.leaf.end(w.all)
		w.open = false
	}
	w.pending = false
}

func (w *mimeWalker) finish() {
	if len(w.line) > 0 && !w.long {
		_ = w.whole(w.line)
	} else if w.long {
		_ = w.content(w.line, true)
	}
	if w.state == inPartHeader {
		w.header(w.head) // cut off inside a header: an empty leaf
	}
	w.endLeaf()
}
