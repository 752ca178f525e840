package message

import (
	"bytes"
	"iter"
)

// found holds the values of the fields that a HeaderID is made of, as they
// stand in the header: folded, untrimmed. The first of each name counts.
type found struct {
	id, date, from, to, subject []byte
}

// skipTop returns where the header begins: behind a byte order mark and an
// mbox "From " line, quoted or not.
func skipTop(p []byte) (at int, top bool) {
	if bytes.HasPrefix(p, []byte("\xef\xbb\xbf")) {
		at, top = 3, true
	}
	q := p[at:]
	if bytes.HasPrefix(q, []byte("From ")) || bytes.HasPrefix(q, []byte(">From ")) {
		i := bytes.IndexByte(q, '\n')
		if i < 0 {
			return len(p), true
		}
		return at + i + 1, true
	}
	return at, top
}

// scanHeader reads a header from p, the first bytes of a message; eof tells
// that p is the whole message. done is false where more bytes are needed to say
// anything final.
//
// It goes from line to line and looks at nothing but their first bytes.
func scanHeader(p []byte, eof bool) (h Header, f found, done bool) {
	if len(p) > HeaderWindow {
		p, eof = p[:HeaderWindow], false
	}
	at, top := skipTop(p)
	h.FromTop = top
	first := at
	value := (*[]byte)(nil) // the field that a continuation belongs to
	from := 0               // where its value begins
	for at < len(p) {
		switch c := p[at]; c {
		case '\n':
			h.Ended = true
		case '\r':
			if blankCR(p[at:]) {
				h.Ended = true
			}
		case ' ', '\t':
		default:
			if value != nil {
				*value = p[from:at]
				value = nil
			}
			if at == first {
				h.Field = fieldName(p[at:]) > 0
			}
			var n int
			if value, n = f.slot(p[at:]); value != nil {
				from = at + n
			}
		}
		if h.Ended {
			break
		}
		i := bytes.IndexByte(p[at:], '\n')
		if i < 0 {
			at = len(p)
			break
		}
		at += i + 1
	}
	if value != nil {
		*value = p[from:min(at, len(p))]
	}
	switch {
	case h.Ended:
		return h, f, true
	case eof:
		h.Torn = len(p) > 0 && p[len(p)-1] != '\n'
		return h, f, true
	case len(p) >= HeaderWindow:
		h.Cut = true
		return h, f, true
	}
	return h, f, false
}

// blankCR tells whether p begins with CRs and a LF.
func blankCR(p []byte) bool {
	for _, c := range p {
		switch c {
		case '\r':
		case '\n':
			return true
		default:
			return false
		}
	}
	return false
}

// fieldName returns the length of the field name that p begins with, or 0:
// printable ASCII up to a colon, white space before the colon tolerated.
func fieldName(p []byte) int {
	for i, c := range p {
		switch {
		case c == ':':
			return i
		case c == ' ' || c == '\t':
			rest := bytes.TrimLeft(p[i:], " \t")
			if i > 0 && len(rest) > 0 && rest[0] == ':' {
				return i
			}
			return 0
		case c < '!' || c > '~' || i > 998:
			return 0
		}
	}
	return 0
}

// slot returns where the value of the line's field goes, when it is one of the
// wanted fields and the first of its name, and the offset of the value.
func (f *found) slot(line []byte) (dst *[]byte, value int) {
	switch line[0] | 0x20 {
	case 'm':
		value, dst = isField(line, "message-id"), &f.id
	case 'd':
		value, dst = isField(line, "date"), &f.date
	case 'f':
		value, dst = isField(line, "from"), &f.from
	case 't':
		value, dst = isField(line, "to"), &f.to
	case 's':
		value, dst = isField(line, "subject"), &f.subject
	}
	if value == 0 || *dst != nil {
		return nil, 0
	}
	return dst, value
}

// isField returns the offset of the value when line is the field name (given in
// lower case), else 0.
func isField(line []byte, name string) int {
	if len(line) <= len(name) {
		return 0
	}
	for i := range len(name) {
		c := line[i]
		if isUpper(c) {
			c |= 0x20
		}
		if c != name[i] {
			return 0
		}
	}
	for i := len(name); i < len(line); i++ {
		switch line[i] {
		case ':':
			return i + 1
		case ' ', '\t':
		default:
			return 0
		}
	}
	return 0
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }

// RawField is one field of a header as it stands there.
type RawField struct {
	Name  []byte // as written, without white space before the colon; nil for a line that is no field
	Value []byte // from behind the colon to the end of the field, folded, with its last line end
	Start int    // offset of the field in the header
	End   int    // offset behind its last line end
}

// Is tells whether the field has that name, given in lower case.
func (f *RawField) Is(name string) bool {
	return len(f.Name) == len(name) && bytes.EqualFold(f.Name, []byte(name))
}

// Fields yields the fields of the header that p begins with, in order, up to
// the empty line or the end of p. A byte order mark and an mbox "From " line are
// skipped. Lines that are neither field nor continuation come with a nil Name. It
// allocates nothing; names and values share p's memory.
func Fields(p []byte) iter.Seq[RawField] {
	return func(yield func(RawField) bool) {
		at, _ := skipTop(p)
		for at < len(p) && !blank(p[at:]) {
			f := RawField{Start: at, End: lineEnd(p, at)}
			for f.End < len(p) && (p[f.End] == ' ' || p[f.End] == '\t') {
				f.End = lineEnd(p, f.End)
			}
			f.Value = p[at:f.End]
			if n := fieldName(f.Value); n > 0 {
				f.Name = f.Value[:n]
				f.Value = f.Value[bytes.IndexByte(f.Value, ':')+1:]
			}
			if !yield(f) {
				return
			}
			at = f.End
		}
	}
}

// HeaderEnd returns the offset behind the empty line that ends the header of
// p, or -1 where p holds none.
func HeaderEnd(p []byte) int {
	for at := 0; at < len(p); at = lineEnd(p, at) {
		if blank(p[at:]) {
			return lineEnd(p, at)
		}
	}
	return -1
}

func lineEnd(p []byte, at int) int {
	i := bytes.IndexByte(p[at:], '\n')
	if i < 0 {
		return len(p)
	}
	return at + i + 1
}

// blank tells whether p begins with an empty line.
func blank(p []byte) bool {
	return len(p) > 0 && (p[0] == '\n' || p[0] == '\r' && blankCR(p))
}
