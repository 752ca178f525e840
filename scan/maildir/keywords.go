package maildir

import (
	"io"
	"iter"
)

// MaxKeywords is the number of keyword letters.
const MaxKeywords = 26

// Keywords is a folder's table of keyword names: index 0 is letter 'a', ""
// where a letter has no name. It is what manifest.Folder.Keywords holds.
type Keywords []string

// ParseKeywords reads a dovecot-keywords file: lines "<index 0-25> <name>".
// Lines that break the format are left out and reported by an error that wraps
// ErrKeywords; the table of the others is valid.
func ParseKeywords(r io.Reader) (Keywords, error) { return nil, nil }

// Format returns the table as a dovecot-keywords file.
func (k Keywords) Format() []byte { return nil }

// Name returns the name of a letter, "?a" for a letter without one.
func (k Keywords) Name(letter byte) string { return "" }

// Names translates letters to names, sorted; letters without a name become "?a" … "?z".
func (k Keywords) Names(letters string) []string { return nil }

// Letters translates names to letters, sorted, and returns the names that the
// table does not know. "?a" means the letter a where a has no name here.
func (k Keywords) Letters(names []string) (letters string, missing []string) { return "", nil }

// Add returns the table with the names that were missing, in the first free
// letters, and those that found no place. It does not change k.
func (k Keywords) Add(names ...string) (table Keywords, full []string) { return nil, nil }

// CourierKeywords reads courierimapkeywords/:list: the names, then for each
// message the names it carries.
func CourierKeywords(r io.Reader) iter.Seq2[CourierKeyword, error] {
	return func(yield func(CourierKeyword, error) bool) {}
}

// CourierKeyword is one message's keywords.
type CourierKeyword struct {
	Base  string
	Names []string
}

// CourierPending reads a pending update in courierimapkeywords: the file's
// name tells the message and its age, its content is the full list of keywords.
// ok is false for other files (":list", dot files of another form).
func CourierPending(file string, r io.Reader) (k CourierKeyword, age int64, ok bool, err error) {
	return k, 0, false, nil
}
