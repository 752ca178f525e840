package archive

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrPosition reports a position that cannot be parsed, or at which the
// archive holds no message (any more).
var ErrPosition = errors.New("no message at this position of the archive")

// Position says where a message lies in an archive.
//
// Its text is File, then "!" and a member for each archive file inside (tar,
// zip), then "@" and an offset where the innermost file holds several
// messages: "2026/11/gw.tar.gz!spool/22.mbox@8192". An offset counts bytes of
// the decompressed file. The characters "!", "@" and "%" of a name are written
// as %21, %40 and %25.
type Position struct {
	File    string   // path below the archive's root, raw bytes, '/'-separated; its own name where the archive is one file
	Members []string // names inside tar or zip files, outermost first
	Offset  int64    // of the message in the innermost file; -1 where that file is the message
}

var (
	posEscape   = strings.NewReplacer("%", "%25", "!", "%21", "@", "%40")
	posUnescape = strings.NewReplacer("%25", "%", "%21", "!", "%40", "@")
)

// String returns the text form.
func (p Position) String() string {
	var b strings.Builder
	b.WriteString(posEscape.Replace(p.File))
	for _, m := range p.Members {
		b.WriteByte('!')
		b.WriteString(posEscape.Replace(m))
	}
	if p.Offset >= 0 {
		b.WriteByte('@')
		b.WriteString(strconv.FormatInt(p.Offset, 10))
	}
	return b.String()
}

// ParsePosition reads what String wrote.
func ParsePosition(s string) (Position, error) {
	p := Position{Offset: -1}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		n, err := strconv.ParseInt(s[i+1:], 10, 64)
		if err != nil || n < 0 {
			return p, fmt.Errorf("%w: bad offset", ErrPosition)
		}
		p.Offset, s = n, s[:i]
	}
	parts := strings.Split(s, "!")
	for i, x := range parts {
		if strings.ContainsAny(x, "@") || x == "" {
			return p, fmt.Errorf("%w: bad name", ErrPosition)
		}
		parts[i] = posUnescape.Replace(x)
	}
	p.File = parts[0]
	if len(parts) > 1 {
		p.Members = parts[1:]
	}
	return p, nil
}

// Equal tells whether two positions name the same place.
func (p Position) Equal(q Position) bool {
	if p.File != q.File || p.Offset != q.Offset || len(p.Members) != len(q.Members) {
		return false
	}
	for i := range p.Members {
		if p.Members[i] != q.Members[i] {
			return false
		}
	}
	return true
}
