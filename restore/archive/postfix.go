package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Postfix queue files (Postfix src/global/rec_type.h, record.c): records of a
// type byte, a length in base 128, little end first, and data. A size record
// comes first; then the envelope, the content, what was extracted from the
// header, and the end. Milters edit by pointer records that lead to a heap
// behind the end and back. A file without an end record, or without the
// owner's execute bit, is not finished: nobody acknowledged that message.

const (
	postfixMaxRec   = 1 << 20 // bytes of one record; Postfix itself writes lines of 2 KiB
	postfixPointers = 1 << 16 // pointers followed: a milter's edit takes two
)

func matchPostfix(_ *input, head []byte) bool {
	if len(head) < 3 || head[0] != 'C' {
		return false
	}
	n, k := binaryLen(head[1:])
	if k <= 0 || n < 31 || n > 127 || len(head) < 1+k+int(n) {
		return false
	}
	for _, c := range head[1+k : 1+k+int(n)] {
		if c != ' ' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// binaryLen reads a record's length; k is how many bytes it took, 0 where it is
// cut, negative where it is none.
func binaryLen(b []byte) (n int64, k int) {
	for shift := uint(0); k < len(b) && k < 5; shift += 7 {
		c := b[k]
		k++
		n |= int64(c&0x7f) << shift
		if c&0x80 == 0 {
			return n, k
		}
	}
	if k >= 5 {
		return 0, -1
	}
	return 0, 0
}

// queueFile is a queue file being read.
type queueFile struct {
	at   io.ReaderAt
	size int64
	buf  []byte
	base int64 // of buf
	have int
}

// rec reads the record at off. It returns the offset behind it.
func (q *queueFile) rec(off int64) (typ byte, data []byte, next int64, err error) {
	head, err := q.view(off, 6)
	if len(head) < 2 {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, 0, err
	}
	n, k := binaryLen(head[1:])
	switch {
	case k == 0:
		return 0, nil, 0, io.ErrUnexpectedEOF
	case k < 0 || n > postfixMaxRec:
		return 0, nil, 0, fmt.Errorf("record of %d bytes", n)
	}
	total := 1 + k + int(n)
	b, err := q.view(off, total)
	if len(b) < total {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, 0, err
	}
	return b[0], b[1+k : total], off + int64(total), nil
}

// view returns up to n bytes at off.
func (q *queueFile) view(off int64, n int) ([]byte, error) {
	if off >= q.base && off+int64(n) <= q.base+int64(q.have) {
		i := int(off - q.base)
		return q.buf[i : i+n], nil
	}
	if off < 0 || off >= q.size {
		return nil, io.EOF
	}
	if len(q.buf) < max(n, 64<<10) {
		q.buf = make([]byte, max(n, 64<<10))
	}
	k, err := q.at.ReadAt(q.buf, off)
	q.base, q.have = off, k
	return q.buf[:min(n, k)], err
}

func readPostfix(p *pass, in *input) error {
	if in.mode != 0 && in.mode&0o100 == 0 {
		return p.truncated(in.pos, "an unfinished queue file (no execute bit): nobody acknowledged this message")
	}
	at, size := in.plain, in.size
	if at == nil {
		c, err := p.whole(in)
		if err == nil && in.w.broken() != nil {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return p.badContent(in.pos, in, err)
		}
		// The content goes to the spool below: read the file from a copy of its own.
		if b, ok := c.bytes(); ok {
			at = bytes.NewReader(bytes.Clone(b))
		} else {
			return p.refuse(in.pos, "a large queue file inside another archive: unpack it first")
		}
		size = c.size()
	}
	q := &queueFile{at: at, size: size}
	out := sink{p: p}
	m := &p.msg
	*m = Message{Pos: in.pos, Format: "postfix"}
	var original, orcpt string
	content, ended := false, false
	off, passed, pointers := int64(0), int64(0), 0
	for !ended {
		typ, data, next, err := q.rec(off)
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return p.truncated(in.pos, "a queue file that ends without its end record: nobody acknowledged this message")
			}
			return p.refuse(in.pos, "a queue file that cannot be read: "+err.Error())
		}
		// No record is read twice, so that there is an end to them.
		if passed += next - off; passed > size || pointers > postfixPointers {
			return p.refuse(in.pos, "a queue file whose pointers lead in a circle")
		}
		off = next
		switch typ {
		case 'T':
			if m.Arrival.IsZero() {
				if t, ok := queueTime(string(data)); ok {
					m.Arrival, m.ArrivalFrom = t, ByContainer
				}
			}
		case 'S':
			m.Sender, m.SenderKnown = string(data), true
		case 'A':
			if v, ok := bytes.CutPrefix(data, []byte("dsn_orig_rcpt=")); ok {
				_, orcpt, _ = strings.Cut(string(v), ";")
			}
		case 'O':
			original = string(data)
		case 'R', 'D':
			o := original
			if o == "" {
				o = orcpt
			}
			if !m.add(Recipient{Addr: string(data), Original: o, How: Container, Done: typ == 'D'}) {
				return p.refuse(in.pos, crowded)
			}
			original, orcpt = "", ""
		case '/':
			original, orcpt = "", ""
		case 'M':
			content = true
		case 'X':
			content = false
		case 'N', 'L':
			if !content {
				continue // L in the envelope names a content filter
			}
			err := out.write(data)
			if err == nil && typ == 'N' {
				err = out.write([]byte{'\n'})
			}
			if errors.Is(err, errTooLarge) {
				return p.tooLarge(in.pos)
			} else if err != nil {
				return err
			}
		case 'p':
			n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
			if err != nil || n < 0 || n >= size {
				return p.refuse(in.pos, "a queue file with a pointer that leads nowhere")
			}
			if n > 0 {
				off = n
				pointers++
			}
		case 'E':
			ended = true
		}
	}
	c, err := out.content()
	if err != nil {
		return p.badContent(in.pos, in, err)
	}
	m.content = c
	return p.emit(in, m)
}

// queueTime reads "seconds microseconds".
func queueTime(s string) (time.Time, bool) {
	f := strings.Fields(s)
	if len(f) == 0 {
		return time.Time{}, false
	}
	sec, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil || sec <= 0 {
		return time.Time{}, false
	}
	var usec int64
	if len(f) > 1 {
		usec, _ = strconv.ParseInt(f[1], 10, 64) // absent or broken: the second is enough
	}
	if usec < 0 || usec >= 1e6 {
		usec = 0
	}
	return time.Unix(sec, usec*1000).UTC(), true
}

// sink collects a message that comes in pieces.
type sink struct {
	p       *pass
	buf     []byte
	spilled bool
}

func (s *sink) write(b []byte) error {
	if s.buf == nil {
		s.buf = s.p.scratch[:0]
	}
	if !s.spilled && int64(len(s.buf)+len(b)) <= s.p.a.opts.Memory {
		s.buf = append(s.buf, b...)
		s.p.scratch = s.buf
		return nil
	}
	if !s.spilled {
		if err := s.p.spool.reset(); err != nil {
			return err
		}
		if _, err := s.p.spool.Write(s.buf); err != nil {
			return err
		}
		s.spilled = true
		s.buf = s.buf[:0]
	}
	if len(s.buf)+len(b) > 64<<10 {
		if _, err := s.p.spool.Write(s.buf); err != nil {
			return err
		}
		s.buf = s.buf[:0]
	}
	s.buf = append(s.buf, b...)
	return nil
}

// content ends the message.
func (s *sink) content() (content, error) {
	if !s.spilled {
		return content{mem: s.buf}, nil
	}
	if _, err := s.p.spool.Write(s.buf); err != nil {
		return content{}, err
	}
	return content{file: s.p.spool.f, n: s.p.spool.n}, nil
}
