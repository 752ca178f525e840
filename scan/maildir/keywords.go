package maildir

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
)

// MaxKeywords is the number of keyword letters.
const MaxKeywords = 26

// MaxKeyword is the longest name of a keyword that is taken: servers take 50
// bytes where nothing else is configured.
const MaxKeyword = 255

// maxKeywordLine bounds a line of a keyword file.
const maxKeywordLine = 4 << 10

// Keywords is a folder's table of keyword names: index 0 is letter 'a', ""
// where a letter has no name. It is what manifest.Folder.Keywords holds.
type Keywords []string

// ParseKeywords reads a dovecot-keywords file: lines "<index 0-25> <name>".
// Lines that break the format are left out and reported by an error that wraps
// ErrKeywords; the table of the others is valid.
func ParseKeywords(r io.Reader) (Keywords, error) {
	var k Keywords
	var first error
	in := newLines(r, maxKeywordLine)
	bad := func(reason string) {
		if first == nil {
			first = &Broken{Err: ErrKeywords, Line: in.line, Offset: in.offset, Reason: reason}
		}
	}
	for {
		p, err := in.read()
		var broken *Broken
		switch {
		case errors.Is(err, io.EOF):
			return k, first
		case errors.Is(err, errTornLine):
			bad("the last line is torn")
			return k, first
		case errors.As(err, &broken):
			bad(broken.Reason)
			return k, first
		case err != nil:
			return k, err
		}
		number, name, ok := bytes.Cut(p, []byte{' '})
		index, nerr := strconv.Atoi(string(number))
		switch {
		case !ok || nerr != nil || len(number) > 2 || !isDigit(number[0]):
			bad("line does not begin with a number")
		case index >= MaxKeywords:
			bad("index above 25")
		case len(name) > MaxKeyword:
			bad("name longer than 255 bytes")
		case !validKeyword(string(name)):
			bad("name is empty or holds what an IMAP keyword cannot hold")
		case index < len(k) && k[index] != "":
			bad("index " + strconv.Itoa(index) + " stands twice")
		case slices.Contains(k, string(name)):
			bad("a name stands twice")
		default:
			for len(k) <= index {
				k = append(k, "")
			}
			k[index] = string(name)
		}
	}
}

// validKeyword tells whether servers accept the name: no control characters,
// spaces or line ends. 8-bit names exist and are let through.
func validKeyword(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// Format returns the table as a dovecot-keywords file.
func (k Keywords) Format() []byte {
	var b []byte
	for i, name := range k {
		if name != "" {
			b = strconv.AppendInt(b, int64(i), 10)
			b = append(append(append(b, ' '), name...), '\n')
		}
	}
	return b
}

// Name returns the name of a letter, "?a" for a letter without one.
func (k Keywords) Name(letter byte) string {
	if i := int(letter) - 'a'; i >= 0 && i < len(k) && k[i] != "" {
		return k[i]
	}
	return "?" + string(rune(letter))
}

// Names translates letters to names, sorted; letters without a name become
// "?a" … "?z". It returns nil for no letters.
func (k Keywords) Names(letters string) []string {
	if letters == "" {
		return nil
	}
	names := make([]string, 0, len(letters))
	for i := range len(letters) {
		if isLower(letters[i]) {
			names = append(names, k.Name(letters[i]))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Letters translates names to letters, sorted, and returns the names that the
// table does not know. "?a" is the letter a where a has no name here, and
// unknown otherwise: what it meant in its own folder, nobody can tell.
func (k Keywords) Letters(names []string) (letters string, missing []string) {
	var set []byte
	for _, name := range names {
		if i := slices.Index(k, name); i >= 0 && name != "" && i < MaxKeywords {
			set = append(set, byte('a'+i))
			continue
		}
		if len(name) == 2 && name[0] == '?' && isLower(name[1]) && k.Name(name[1]) == name {
			set = append(set, name[1])
			continue
		}
		missing = append(missing, name)
	}
	return string(sortedSet(set)), missing
}

// Add returns the table with the names that were missing, each in the first
// free letter, and those that found no place or are no names. It does not change k.
// Letters that files use without a name look free; the caller passes them in
// taken.
func (k Keywords) Add(taken string, names ...string) (table Keywords, full []string) {
	table = slices.Clone(k)
	for _, name := range names {
		if slices.Contains(table, name) && name != "" {
			continue
		}
		i := 0
		for i < MaxKeywords && (i < len(table) && table[i] != "" || strings.IndexByte(taken, byte('a'+i)) >= 0) {
			i++
		}
		if i == MaxKeywords || !validKeyword(name) {
			full = append(full, name)
			continue
		}
		for len(table) <= i {
			table = append(table, "")
		}
		table[i] = name
	}
	return table, full
}
