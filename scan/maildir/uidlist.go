package maildir

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"sync"
)

// UIDHeader is the first line of a dovecot-uidlist or courierimapuiddb.
type UIDHeader struct {
	Version     int // 3 Dovecot, 1 Courier
	UIDValidity uint32
	NextUID     uint32   // N as written; it may lag behind the records
	GUID        string   // of the mailbox: 32 hexadecimal digits, or ""
	Extra       []UIDKey // further keys of version 3, in order
}

// UIDKey is a key of a header or record as it was written.
type UIDKey struct {
	Key   byte
	Value string
}

// UIDRecord is one message's line.
type UIDRecord struct {
	UID        uint32
	Base       string   // base name: all before the first ':'
	GUID       string   // "" means: the base name is the GUID
	S, W       int64    // sizes that are not in the name; valid where HasS, HasW
	HasS, HasW bool     //
	Keys       []UIDKey // all keys as written, in order: S, W and G included
}

// maxUID is the largest UID that servers give.
const maxUID = 1<<32 - 2

// maxUIDLine bounds a line of a UID list: a file name and a few keys.
const maxUIDLine = 8 << 10

// maxAnyLine is the longest line of any file that is read by lines.
const maxAnyLine = max(maxUIDLine, maxKeywordLine, maxUserLine, maxFolderLine)

// UIDList reads a UID list (dovecot-uidlist of version 3 or 1,
// courierimapuiddb) as a stream. Damage does not hide what precedes it.
type UIDList struct {
	header UIDHeader
	lines  lines
	last   uint32 // highest UID so far
	count  int
	used   bool
}

// lines reads lines and knows where it is.
type lines struct {
	br     *bufio.Reader // nil at the end of the file
	max    int
	line   int   // number of the line last read
	offset int64 // of the line last read
	next   int64
}

var errTornLine = errors.New("the last line has no line end")

// read returns the next line without its LF; it is valid until the next call.
// io.EOF ends the file; a last line without LF comes with errTornLine.
func (l *lines) read() ([]byte, error) {
	if l.br == nil {
		return nil, io.EOF
	}
	l.offset = l.next
	p, err := l.br.ReadSlice('\n')
	l.next += int64(len(p))
	switch {
	case err == nil && len(p) > l.max, errors.Is(err, bufio.ErrBufferFull):
		l.line++
		return nil, &Broken{Err: ErrTooLarge, Line: l.line, Offset: l.offset, Reason: fmt.Sprintf("line longer than %d bytes", l.max)}
	case err == nil:
		l.line++
		return p[:len(p)-1], nil
	case errors.Is(err, io.EOF):
		if len(p) == 0 {
			l.br.Reset(nil)
			spare.Put(l.br)
			l.br = nil
			return nil, io.EOF
		}
		l.line++
		return p, errTornLine
	}
	return nil, err
}

// spare holds the readers of files that ended: a store has a small list in each
// of its folders.
var spare = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, maxAnyLine) }}

func newLines(r io.Reader, limit int) lines {
	br, _ := spare.Get().(*bufio.Reader)
	br.Reset(r)
	return lines{br: br, max: limit}
}

// ReadUIDList reads the header. The error wraps ErrUIDList where the file is not
// a UID list (empty, NULs, unknown version, UIDVALIDITY 0); else it is the
// reader's.
func ReadUIDList(r io.Reader) (*UIDList, error) {
	l := &UIDList{lines: newLines(r, maxUIDLine)}
	p, err := l.lines.read()
	var broken *Broken
	switch {
	case errors.Is(err, io.EOF):
		return nil, l.broken("the file is empty")
	case errors.Is(err, errTornLine):
		return nil, l.broken("the header has no line end")
	case errors.As(err, &broken):
		return nil, l.broken(broken.Reason)
	case err != nil:
		return nil, err
	}
	if reason := l.parseHeader(string(p)); reason != "" {
		return nil, l.broken(reason)
	}
	return l, nil
}

func (l *UIDList) broken(reason string) error {
	return &Broken{Err: ErrUIDList, Line: l.lines.line, Offset: l.lines.offset, Reason: reason}
}

func (l *UIDList) parseHeader(s string) (reason string) {
	version, rest, _ := strings.Cut(s, " ")
	h := &l.header
	switch version {
	case "1":
		h.Version = 1
		v, n, ok := strings.Cut(rest, " ")
		if !ok {
			return "header of version 1 without next UID"
		}
		h.UIDValidity, h.NextUID = parseUID(v), parseUID(n)
	case "3":
		h.Version = 3
		for rest != "" {
			var kv string
			kv, rest, _ = strings.Cut(rest, " ")
			if kv == "" {
				continue
			}
			switch k, v := kv[0], kv[1:]; k {
			case 'V':
				h.UIDValidity = parseUID(v)
			case 'N':
				h.NextUID = parseUID(v)
			case 'G':
				if len(v) != 32 || strings.Trim(v, "0123456789abcdefABCDEF") != "" {
					return "mailbox GUID is not 32 hexadecimal digits"
				}
				h.GUID = strings.ToLower(v)
			default:
				if !isUpper(k) && !isLower(k) {
					return "key that is no letter in the header"
				}
				h.Extra = append(h.Extra, UIDKey{k, v})
			}
		}
	case "2":
		return "version 2 (a development version of Dovecot)"
	default:
		return "unknown version"
	}
	switch {
	case h.UIDValidity == 0:
		return "UIDVALIDITY is missing, zero or no number"
	case h.NextUID == 0:
		return "next UID is missing, zero or no number"
	}
	return ""
}

// parseUID returns 0 for anything but a number of 1 to 2^32-1.
func parseUID(s string) uint32 {
	if s == "" || !isDigit(s[0]) || len(s) > 10 {
		return 0
	}
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(v)
}

// Header returns the first line.
func (l *UIDList) Header() UIDHeader { return l.header }

// Next returns the UID that the server will give next: max(N, last UID + 1)
// over what was read so far.
func (l *UIDList) Next() uint32 { return max(l.header.NextUID, l.last+1) }

// Count returns the number of records read so far.
func (l *UIDList) Count() int { return l.count }

// Records yields the records in the file's order, once. It ends with an error
// that wraps ErrUIDList at the first line that a server would not accept: torn
// tail, NULs, UID not ascending or out of range, missing ':'. Lines of version
// 1 need not ascend: Courier accepts them in any order.
func (l *UIDList) Records() iter.Seq2[UIDRecord, error] {
	return func(yield func(UIDRecord, error) bool) {
		if l.used {
			yield(UIDRecord{}, errors.New("the records of a UID list can be read once"))
			return
		}
		l.used = true
		for {
			p, err := l.lines.read()
			var broken *Broken
			switch {
			case errors.Is(err, io.EOF):
				return
			case errors.Is(err, errTornLine):
				err = l.broken("the last line is torn")
			case errors.As(err, &broken):
				err = l.broken(broken.Reason)
			}
			if err != nil {
				yield(UIDRecord{}, err)
				return
			}
			rec, reason := l.parseRecord(p)
			if reason != "" {
				yield(UIDRecord{}, l.broken(reason))
				return
			}
			l.count++
			l.last = max(l.last, rec.UID)
			if !yield(rec, nil) {
				return
			}
		}
	}
}

func (l *UIDList) parseRecord(p []byte) (r UIDRecord, reason string) {
	n := 0
	for n < len(p) && isDigit(p[n]) {
		n++
	}
	if n == 0 || n == len(p) || p[n] != ' ' {
		if len(p) == 0 {
			return r, "empty line"
		}
		if p[0] == 0 {
			return r, "NULs"
		}
		return r, "line does not begin with a UID"
	}
	r.UID = parseUID(string(p[:n]))
	if r.UID == 0 || r.UID > maxUID {
		return r, "UID out of range"
	}
	rest := p[n+1:]
	if l.header.Version == 1 {
		r.Base = baseOf(rest)
	} else {
		if r.UID <= l.last {
			return r, fmt.Sprintf("UID %d does not ascend", r.UID)
		}
		for len(rest) > 0 && rest[0] != ':' {
			if !isLetter(rest[0]) {
				return r, "key that is no letter"
			}
			i := 1
			for i < len(rest) && rest[i] != ' ' {
				i++
			}
			if i == len(rest) {
				return r, "no file name"
			}
			r.key(rest[0], string(rest[1:i]))
			rest = rest[i+1:]
		}
		if len(rest) == 0 {
			return r, "no file name"
		}
		r.Base = baseOf(rest[1:])
	}
	if r.Base == "" || strings.IndexByte(r.Base, '/') >= 0 || strings.IndexByte(r.Base, 0) >= 0 {
		return r, "file name that cannot be"
	}
	return r, ""
}

// baseOf cuts a file name at its info part; old servers wrote the last name
// with flags.
func baseOf(p []byte) string {
	for i, c := range p {
		if c == ':' {
			return string(p[:i])
		}
	}
	return string(p)
}

func (r *UIDRecord) key(k byte, v string) {
	r.Keys = append(r.Keys, UIDKey{k, v})
	switch k {
	case 'G':
		r.GUID = v
	case 'S':
		r.S, r.HasS = parseSize(v)
	case 'W':
		r.W, r.HasW = parseSize(v)
	}
}

func parseSize(s string) (int64, bool) {
	if s == "" || !isDigit(s[0]) {
		return 0, false
	}
	v, err := strconv.ParseInt(s, 10, 64)
	return v, err == nil
}
