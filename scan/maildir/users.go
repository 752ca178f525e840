package maildir

import (
	"errors"
	"io"
	"iter"
	"strings"
)

// User is a line of a users list.
type User struct {
	Address string
	Path    string // as written
	Line    int
}

// maxUserLine bounds a line: an address and a path.
const maxUserLine = 16 << 10

// ParseUsers reads a users list: lines "address<TAB>path"; empty lines and lines
// that begin with '#' are skipped, a CR at the end of a line is ignored. The
// first broken line ends it with an error that wraps ErrUsers: a list that is
// not whole must not pass for one.
func ParseUsers(r io.Reader) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		in := newLines(r, maxUserLine)
		for {
			p, err := in.read()
			var b *Broken
			switch {
			case errors.Is(err, io.EOF):
				return
			case errors.Is(err, errTornLine): // a last line without LF is usual in files that people edit
			case errors.As(err, &b):
				yield(User{}, &Broken{Err: ErrUsers, Line: b.Line, Offset: b.Offset, Reason: b.Reason})
				return
			case err != nil:
				yield(User{}, err)
				return
			}
			s := strings.TrimSuffix(string(p), "\r")
			if s == "" || s[0] == '#' {
				continue
			}
			address, path, ok := strings.Cut(s, "\t")
			address, path = strings.TrimSpace(address), strings.TrimLeft(path, "\t")
			reason := ""
			switch {
			case !ok:
				reason = "no TAB between address and path"
			case address == "" || strings.ContainsAny(address, " /\x00"):
				reason = "address that cannot be"
			case path == "" || strings.IndexByte(path, 0) >= 0:
				reason = "no path"
			}
			if reason != "" {
				yield(User{}, &Broken{Err: ErrUsers, Line: in.line, Offset: in.offset, Reason: reason})
				return
			}
			if !yield(User{Address: address, Path: path, Line: in.line}, nil) {
				return
			}
		}
	}
}
