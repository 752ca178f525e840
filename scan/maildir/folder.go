package maildir

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// FolderNames translates between directories below a mailbox' root and folder
// names, for one layout and one way of writing non-ASCII names.
//
// Levels of a folder name are separated by '/'. INBOX is the root. A level that
// cannot be decoded (broken modified UTF-7, bytes that are not UTF-8) is kept
// recognisably: U+FFFD, then the raw bytes with all but printable ASCII and
// '%' as %XX. So every directory has a name of its own, every name is UTF-8, and Dir
// gives the directory back.
type FolderNames struct {
	Layout Layout
	UTF8   bool // names are UTF-8 on disk (Courier from 5, Dovecot with UTF-8), not modified UTF-7
}

const mark = "\uFFFD"

// Folder returns the name of the folder in dir, a directory relative to the
// root as raw bytes ("" = INBOX). ok is false where dir cannot be a folder: in
// Maildir++ anything but one component that begins with exactly one dot; with
// LAYOUT=fs a component that begins with a dot or is new, cur or tmp.
func (f FolderNames) Folder(dir string) (name string, ok bool) {
	if dir == "" {
		return "INBOX", true
	}
	sep := "/"
	if f.Layout == PlusPlus {
		rest, dot := strings.CutPrefix(dir, ".")
		if !dot || rest == "" || rest[0] == '.' || strings.IndexByte(rest, '/') >= 0 {
			return "", false
		}
		dir, sep = rest, "."
	}
	levels := strings.Split(dir, sep)
	for i, level := range levels {
		if f.Layout == FS && (level == "" || level[0] == '.' || level == "new" || level == "cur" || level == "tmp") {
			return "", false
		}
		levels[i] = f.level(level)
	}
	name = strings.Join(levels, "/")
	if strings.EqualFold(name, "INBOX") {
		// a second INBOX, which servers do not show; it must not be taken for the root
		name = mark + name
	}
	return name, true
}

// Dir returns the directory of a folder relative to the root, raw bytes. The
// error wraps ErrFolderName where the layout cannot hold the name.
func (f FolderNames) Dir(name string) (string, error) {
	if name == "INBOX" {
		return "", nil
	}
	levels := strings.Split(name, "/")
	for i, level := range levels {
		stored, err := f.store(level)
		if err != nil {
			return "", err
		}
		levels[i] = stored
	}
	dir := strings.Join(levels, "/")
	if f.Layout == PlusPlus {
		dir = "." + strings.Join(levels, ".")
	}
	if len(path.Base(dir)) > 255 {
		return "", fmt.Errorf("%w: longer than 255 bytes on disk", ErrFolderName)
	}
	if back, ok := f.Folder(dir); !ok || back != name {
		return "", fmt.Errorf("%w: %q has no directory of its own here", ErrFolderName, name)
	}
	return dir, nil
}

// level decodes one level of a stored name.
func (f FolderNames) level(raw string) string {
	if f.UTF8 {
		if utf8.ValidString(raw) && !strings.HasPrefix(raw, mark) {
			return raw
		}
		return escapeLevel(raw)
	}
	if s, ok := DecodeMUTF7(raw); ok && strings.IndexByte(s, '/') < 0 && !strings.HasPrefix(s, mark) {
		return s
	}
	return escapeLevel(raw)
}

// store encodes one level of a folder name.
func (f FolderNames) store(level string) (string, error) {
	if rest, ok := strings.CutPrefix(level, mark); ok {
		raw, ok := unescapeLevel(rest)
		if !ok || strings.IndexByte(raw, 0) >= 0 || strings.IndexByte(raw, '/') >= 0 {
			return "", fmt.Errorf("%w: %q is marked as undecodable, and is not", ErrFolderName, level)
		}
		return f.fits(raw, level)
	}
	if f.UTF8 {
		return f.fits(level, level)
	}
	s, ok := EncodeMUTF7(level)
	if !ok {
		return "", fmt.Errorf("%w: not UTF-8", ErrFolderName)
	}
	return f.fits(s, level)
}

// fits tells whether a stored level can be a part of a directory name.
func (f FolderNames) fits(stored, level string) (string, error) {
	switch {
	case strings.IndexByte(stored, 0) >= 0:
		return "", fmt.Errorf("%w: %q holds a NUL", ErrFolderName, level)
	case f.Layout == PlusPlus && strings.IndexByte(stored, '.') >= 0:
		return "", fmt.Errorf("%w: %q holds a '.', which separates levels in Maildir++", ErrFolderName, level)
	case f.Layout == FS && (stored == "" || stored[0] == '.' || stored == "new" || stored == "cur" || stored == "tmp"):
		return "", fmt.Errorf("%w: %q is not a directory that LAYOUT=fs can use", ErrFolderName, level)
	}
	return stored, nil
}

const hexDigits = "0123456789ABCDEF"

func escapeLevel(raw string) string {
	b := []byte(mark)
	for i := range len(raw) {
		if c := raw[i]; c < ' ' || c > '~' || c == '%' || c == '/' {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// unescapeLevel undoes escapeLevel. ok is false for what it never returns.
func unescapeLevel(s string) (raw string, ok bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b = append(b, byte(hi<<4|lo))
		i += 2
	}
	return string(b), escapeLevel(string(b)) == mark+s
}
