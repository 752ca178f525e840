package manifest

import (
	"strconv"
	"strings"
)

// A file name of Maildir is mostly told by other fields of its entry: it begins
// with the unique name, repeats the size after ",S=", the size with CRLF line
// ends after ",W=", and the flags after ":2,". Only what is not told that way
// is stored.

// nameParts is a file name taken apart.
type nameParts struct {
	tail  bool   // the name begins with the unique name
	hasS  bool   // ",S=" and a canonical number follow
	hasW  bool   // ",W=" and a canonical number follow
	s, w  int64  // those numbers
	rest  string // all that remains
	flags string // upper-case letters right after the first ":2," of rest
}

func splitName(unique, name string) nameParts {
	var p nameParts
	p.rest = name
	if strings.HasPrefix(name, unique) {
		p.tail = true
		p.rest = name[len(unique):]
		if n, rest, ok := cutNumber(p.rest, ",S="); ok {
			p.hasS, p.s, p.rest = true, n, rest
		}
		if n, rest, ok := cutNumber(p.rest, ",W="); ok {
			p.hasW, p.w, p.rest = true, n, rest
		}
	}
	p.flags = nameFlags(p.rest)
	return p
}

// nameFlags returns the upper-case letters right after the first ":2,".
func nameFlags(s string) string {
	i := strings.Index(s, ":2,")
	if i < 0 {
		return ""
	}
	s = s[i+3:]
	n := 0
	for n < len(s) && s[n] >= 'A' && s[n] <= 'Z' {
		n++
	}
	return s[:n]
}

// cutNumber cuts prefix and a decimal number without leading zeros off s.
func cutNumber(s, prefix string) (n int64, rest string, ok bool) {
	if !strings.HasPrefix(s, prefix) {
		return 0, s, false
	}
	d := s[len(prefix):]
	i := 0
	for i < len(d) && i < 18 && d[i] >= '0' && d[i] <= '9' {
		n = n*10 + int64(d[i]-'0')
		i++
	}
	if i == 0 || i > 1 && d[0] == '0' || i < len(d) && d[i] >= '0' && d[i] <= '9' {
		return 0, s, false
	}
	return n, d[i:], true
}

// leadingNumber returns the number that s begins with, where it could be a
// time: Maildir's unique names begin with the second of delivery.
func leadingNumber(s string) int64 {
	var n int64
	for i := 0; i < len(s) && i < 10 && s[i] >= '0' && s[i] <= '9'; i++ {
		n = n*10 + int64(s[i]-'0')
	}
	return n
}

// appendName puts a name together again; the unique name is in b already where tail is set.
func appendName(b []byte, p *nameParts) []byte {
	if p.hasS {
		b = append(b, ",S="...)
		b = strconv.AppendInt(b, p.s, 10)
	}
	if p.hasW {
		b = append(b, ",W="...)
		b = strconv.AppendInt(b, p.w, 10)
	}
	return append(b, p.rest...)
}

func commonPrefix(a []byte, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func commonSuffix(a []byte, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[len(a)-1-i] != b[len(b)-1-i] {
			return i
		}
	}
	return n
}
