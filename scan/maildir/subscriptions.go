package maildir

import (
	"errors"
	"io"
	"slices"
	"strings"
)

// Subscriptions is a list of subscribed folders.
type Subscriptions struct {
	Version int      // 2, 1 (Dovecot), 0 (Courier)
	Folders []string // names as in manifest.Folder, sorted, without repetition
	Invalid int      // lines that name no folder
}

// maxSubscriptions bounds a list.
const maxSubscriptions = 1 << 20

// maxFolderLine bounds a line that names a folder.
const maxFolderLine = 16 << 10

// ParseSubscriptions reads a Dovecot subscriptions file: version 2 ("V\t2",
// an empty line, then the levels of a name separated by TAB and tab-escaped), or
// version 1 (one name a line, levels separated as the layout does). Names are
// in storage form, which f translates. A torn last line is left out, with an
// error that wraps ErrSubs.
func ParseSubscriptions(r io.Reader, f FolderNames) (Subscriptions, error) {
	in := newLines(r, maxFolderLine)
	s := Subscriptions{Version: 1}
	err := eachLine(&in, func(n int, p string) bool {
		switch {
		case n == 1 && p == "V\t2":
			s.Version = 2
		case p == "":
			if s.Version == 1 {
				s.Invalid++
			}
		case s.Version == 2:
			levels := strings.Split(p, "\t")
			for i := range levels {
				levels[i] = f.level(tabUnescape(levels[i]))
			}
			s.add(strings.Join(levels, "/"))
		default:
			sep := "."
			if f.Layout == FS {
				sep = "/"
			}
			levels := strings.Split(p, sep)
			for i := range levels {
				levels[i] = f.level(levels[i])
			}
			s.add(strings.Join(levels, "/"))
		}
		return len(s.Folders) < maxSubscriptions
	})
	s.sort()
	return s, err
}

// ParseCourierSubscribed reads courierimapsubscribed: one "INBOX.Folder.Sub" a
// line.
func ParseCourierSubscribed(r io.Reader, f FolderNames) (Subscriptions, error) {
	in := newLines(r, maxFolderLine)
	s := Subscriptions{}
	err := eachLine(&in, func(_ int, p string) bool {
		if p == "INBOX" {
			s.add("INBOX")
			return true
		}
		rest, ok := strings.CutPrefix(p, "INBOX.")
		if !ok || rest == "" {
			s.Invalid++
			return true
		}
		levels := strings.Split(rest, ".")
		for i := range levels {
			levels[i] = f.level(levels[i])
		}
		s.add(strings.Join(levels, "/"))
		return len(s.Folders) < maxSubscriptions
	})
	s.sort()
	return s, err
}

func (s *Subscriptions) add(name string) { s.Folders = append(s.Folders, name) }

func (s *Subscriptions) sort() {
	slices.Sort(s.Folders)
	s.Folders = slices.Compact(s.Folders)
}

// eachLine calls fn with the number and text of each line while it returns true.
func eachLine(in *lines, fn func(n int, p string) bool) error {
	for {
		p, err := in.read()
		var b *Broken
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errTornLine):
			return &Broken{Err: ErrSubs, Line: in.line, Offset: in.offset, Reason: "the last line is torn"}
		case errors.As(err, &b):
			return &Broken{Err: ErrSubs, Line: b.Line, Offset: b.Offset, Reason: b.Reason}
		case err != nil:
			return err
		}
		if !fn(in.line, string(p)) {
			return &Broken{Err: ErrSubs, Line: in.line, Offset: in.offset, Reason: "too many lines"}
		}
	}
}

// FormatSubscriptions returns a subscriptions file of version 2. The error
// wraps ErrFolderName where a name cannot be stored.
func FormatSubscriptions(folders []string, f FolderNames) ([]byte, error) {
	b := []byte("V\t2\n\n")
	for _, name := range folders {
		for i, level := range strings.Split(name, "/") {
			stored, err := f.store(level)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				b = append(b, '\t')
			}
			b = append(b, tabEscape(stored)...)
		}
		b = append(b, '\n')
	}
	return b, nil
}

// Dovecot's tab escaping (src/lib/strescape.c): \001 stands before a digit.
var (
	tabEscaper   = strings.NewReplacer("\x00", "\x010", "\x01", "\x011", "\t", "\x01t", "\r", "\x01r", "\n", "\x01n")
	tabUnescaper = strings.NewReplacer("\x010", "\x00", "\x011", "\x01", "\x01t", "\t", "\x01r", "\r", "\x01n", "\n")
)

func tabEscape(s string) string   { return tabEscaper.Replace(s) }
func tabUnescape(s string) string { return tabUnescaper.Replace(s) }
