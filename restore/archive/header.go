package archive

import (
	"bytes"
	"iter"
	"strings"
)

// maxHeader is how much of a message's header is looked at.
const maxHeader = 64 << 10

// maxFields is how many fields of a header are looked at.
const maxFields = 2000

// field is one header field, or the line that ends the header.
type field struct {
	name  []byte // as written
	value []byte // with its folding, without the last line end
	off   int    // where it starts
	end   int    // after its last line end
}

// fields walks over a header (RFC 5322 section 2.2) until the empty line, the
// first line that is no field, or the end of p. Line ends may be LF or CRLF.
func fields(p []byte) iter.Seq[field] {
	return func(yield func(field) bool) {
		for off, n := 0, 0; off < len(p) && n < maxFields; n++ {
			colon := -1
			for i := off; i < len(p); i++ {
				c := p[i]
				if c == ':' {
					colon = i
					break
				}
				if c <= ' ' && c != '\t' && c != ' ' || c >= 0x7f {
					break
				}
			}
			if colon <= off {
				return
			}
			name := bytes.TrimRight(p[off:colon], " \t")
			if len(name) == 0 || bytes.ContainsAny(name, " \t") {
				return
			}
			end := colon
			for {
				i := bytes.IndexByte(p[end:], '\n')
				if i < 0 {
					end = len(p)
					break
				}
				end += i + 1
				if end >= len(p) || p[end] != ' ' && p[end] != '\t' {
					break
				}
			}
			v := bytes.TrimRight(p[colon+1:end], "\r\n")
			if !yield(field{name: name, value: v, off: off, end: end}) {
				return
			}
			off = end
		}
	}
}

// is compares a field's name without regard to case.
func (f *field) is(name string) bool {
	return len(f.name) == len(name) && strings.EqualFold(string(f.name), name)
}

// text is the value unfolded and trimmed.
func (f *field) text() string {
	v := f.value
	if bytes.IndexByte(v, '\n') < 0 {
		return string(bytes.Trim(v, " \t"))
	}
	s := make([]byte, 0, len(v))
	for {
		i := bytes.IndexByte(v, '\n')
		if i < 0 {
			return string(bytes.Trim(append(s, v...), " \t"))
		}
		s = append(s, bytes.TrimSuffix(v[:i], []byte("\r"))...)
		v = v[i+1:]
	}
}

// headerEnd is the offset after the empty line that ends the header, or -1.
func headerEnd(p []byte) int {
	if len(p) > 0 && p[0] == '\n' {
		return 1
	}
	if bytes.HasPrefix(p, []byte("\r\n")) {
		return 2
	}
	for i := 0; ; {
		j := bytes.IndexByte(p[i:], '\n')
		if j < 0 {
			return -1
		}
		i += j + 1
		if i < len(p) && p[i] == '\n' {
			return i + 1
		}
		if i+1 < len(p) && p[i] == '\r' && p[i+1] == '\n' {
			return i + 2
		}
	}
}

// head is the part of a message in which the header lies: all of it in memory,
// or the first maxHeader bytes.
func (c *content) head() []byte { return c.first(maxHeader) }

// first returns the first n bytes, or all where there are less.
func (c *content) first(n int) []byte {
	b := c.mem
	if c.file != nil {
		b = make([]byte, min(int64(n), c.n))
		got, _ := c.file.ReadAt(b, c.off) // short where it cannot be read: then there is less header to see
		b = b[:got]
	}
	return b[:min(n, len(b))]
}

// skip drops n bytes at the front.
func (c *content) skip(n int) {
	if c.file != nil {
		c.off += int64(n)
		c.n -= int64(n)
		return
	}
	c.mem = c.mem[n:]
}

// addresses splits a field that lists envelope addresses: separated by commas,
// with or without angle brackets. Quoted local parts may hold commas.
func addresses(s string) iter.Seq[string] {
	return func(yield func(string) bool) { eachAddress(s, yield) }
}

func eachAddress(s string, yield func(string) bool) {
	add := func(a string) bool {
		a = strings.Trim(a, " \t\r\n")
		if i := strings.LastIndexByte(a, '<'); i >= 0 && strings.HasSuffix(a, ">") {
			a = a[i+1 : len(a)-1]
		}
		return a == "" || yield(a)
	}
	start, quoted, angle := 0, false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == ',' && !angle:
			if !add(s[start:i]) {
				return
			}
			start = i + 1
		}
	}
	add(s[min(start, len(s)):])
}
