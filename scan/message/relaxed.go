package message

import (
	"bytes"
	"crypto/sha256"
	"hash"
)

// relaxed digests a body in the form that transport leaves alone, called
// "relaxed+" in docs/identity.md: white space at line ends goes, runs of
// white space become one space (both RFC 6376 §3.4.4), CRs before a LF go, any
// number of '>' before "From " goes, empty lines at the end go, the last line
// has no line end.
//
// It takes the body in pieces of any size and holds no line.
type relaxed struct {
	h   hash.Hash
	out []byte

	pending int64 // line ends since the last output: those at the very end are dropped

	// State inside a line that came in pieces.
	inLine  bool
	start   bool  // only '>' and a part of "From " were seen so far
	quotes  int64 // number of '>'
	matched int   // bytes of "From " that matched
	space   bool  // white space is pending
	crs     int64 // CRs are pending
}

const fromLine = "From "

func (x *relaxed) reset() {
	h, out := x.h, x.out
	if h == nil {
		h, out = sha256.New(), make([]byte, 0, 8<<10)
	}
	h.Reset()
	*x = relaxed{h: h, out: out[:0]}
}

// Write takes the next piece of the body. It never fails.
func (x *relaxed) Write(p []byte) (int, error) {
	tab, two := -1, -1 // the next tab and the next two spaces in a row, each looked for once for many lines
	for at := 0; at < len(p); {
		i := bytes.IndexByte(p[at:], '\n')
		if i < 0 {
			x.slow(p[at:])
			break
		}
		end := at + i
		if tab < at {
			tab = next(p, at, "\t")
		}
		if two < at {
			two = next(p, at, "  ")
		}
		if x.inLine {
			x.slow(p[at:end])
			x.endLine()
		} else {
			x.line(p[at:end], min(tab, two) >= end)
			x.pending++
		}
		at = end + 1
	}
	return len(p), nil
}

// next returns where s is in p, from at on; len(p) where it is not.
func next(p []byte, at int, s string) int {
	if i := bytes.Index(p[at:], []byte(s)); i >= 0 {
		return at + i
	}
	return len(p)
}

// line puts out a whole line, given without its LF. single tells that it holds
// neither tabs nor two spaces in a row.
func (x *relaxed) line(p []byte, single bool) {
	if len(p) > 0 && p[0] == '>' {
		if q := bytes.TrimLeft(p, ">"); bytes.HasPrefix(q, []byte(fromLine)) {
			p = q
		}
	}
	if p = trimRight(p); len(p) == 0 {
		return
	}
	x.lines()
	if single {
		x.put(p)
		return
	}
	for len(p) > 0 {
		i := bytes.IndexAny(p, " \t")
		if i < 0 {
			x.put(p)
			return
		}
		x.put(p[:i])
		x.putByte(' ')
		p = bytes.TrimLeft(p[i:], " \t")
	}
}

// trimRight drops CRs before the line end, then white space.
func trimRight(p []byte) []byte {
	n := len(p)
	for n > 0 && p[n-1] == '\r' {
		n--
	}
	for n > 0 && (p[n-1] == ' ' || p[n-1] == '\t') {
		n--
	}
	return p[:n]
}

// slow takes a part of a line, byte by byte.
func (x *relaxed) slow(p []byte) {
	if !x.inLine {
		x.inLine, x.start, x.quotes, x.matched, x.space, x.crs = true, true, 0, 0, false, 0
	}
	for _, c := range p {
		if x.start && x.prefix(c) {
			continue
		}
		x.byte(c)
	}
}

// prefix takes a byte that may belong to '>'* "From ". It returns false, having put
// out what it held, when the byte is an ordinary one.
func (x *relaxed) prefix(c byte) bool {
	switch {
	case x.matched == 0 && c == '>':
		x.quotes++
		return true
	case x.quotes > 0 && c == fromLine[x.matched]:
		x.matched++
		if x.matched < len(fromLine) {
			return true
		}
		x.quotes = 0 // the quoting goes
		x.flushPrefix()
		return true
	}
	x.flushPrefix()
	return false
}

// flushPrefix puts out what prefix held.
func (x *relaxed) flushPrefix() {
	x.start = false
	for range x.quotes {
		x.byte('>')
	}
	for i := range x.matched {
		x.byte(fromLine[i])
	}
	x.quotes, x.matched = 0, 0
}

func (x *relaxed) byte(c byte) {
	switch c {
	case '\r':
		x.crs++
		return
	case ' ', '\t':
		x.flushCR()
		x.space = true
		return
	}
	x.flushCR()
	x.ordinary(c)
}

// flushCR puts out CRs that no LF followed.
func (x *relaxed) flushCR() {
	for ; x.crs > 0; x.crs-- {
		x.ordinary('\r')
	}
}

func (x *relaxed) ordinary(c byte) {
	x.lines()
	if x.space {
		x.putByte(' ')
		x.space = false
	}
	x.putByte(c)
}

func (x *relaxed) endLine() {
	if x.start {
		x.flushPrefix()
	}
	x.inLine, x.space, x.crs = false, false, 0
	x.pending++
}

// lines puts out the line ends that turned out not to be the last.
func (x *relaxed) lines() {
	for ; x.pending > 0; x.pending-- {
		x.putByte('\n')
	}
}

func (x *relaxed) putByte(c byte) {
	if len(x.out) == cap(x.out) {
		x.flush()
	}
	x.out = append(x.out, c)
}

func (x *relaxed) put(p []byte) {
	if len(p) > cap(x.out)-len(x.out) {
		x.flush()
		if len(p) > cap(x.out) {
			_, _ = x.h.Write(p)
			return
		}
	}
	x.out = append(x.out, p...)
}

func (x *relaxed) flush() {
	_, _ = x.h.Write(x.out)
	x.out = x.out[:0]
}

// sum ends the body and returns its digest: SHA-256, of nothing for an empty
// body. x can be reset and used again.
func (x *relaxed) sum() (d [sha256.Size]byte) {
	if x.inLine {
		x.endLine()
	}
	x.flush()
	x.h.Sum(d[:0])
	return d
}
