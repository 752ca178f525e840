package maildir

import (
	"io"
	"iter"
)

// Template is a layout as Dovecot's mail_location and mail_path write it:
// "%d/%n/Maildir", "%{user | domain}/%{user | username}".
type Template struct{}

// ParseTemplate reads a template. Variables and modifiers that it does not
// know are refused with an error that wraps ErrTemplate and names the
// alternative: a users list.
func ParseTemplate(s string) (*Template, error) { return &Template{}, nil }

// Expand returns the path of an address. home replaces %h.
func (t *Template) Expand(address, home string) (string, error) { return "", nil }

// Depth returns the number of path components.
func (t *Template) Depth() int { return 0 }

// Match returns the address whose mailbox lies at path. ok is false where
// none does.
func (t *Template) Match(path string) (address string, ok bool) { return "", false }

// MatchPrefix tells whether a directory may lead to a mailbox: whether path
// matches the first components of the template.
func (t *Template) MatchPrefix(path string) bool { return false }

// User is a line of a users list.
type User struct {
	Address string
	Path    string
	Line    int
}

// ParseUsers reads a users list: lines "address<TAB>path"; empty lines and lines
// that begin with '#' are skipped. A broken line ends it with an error that
// wraps ErrUsers.
func ParseUsers(r io.Reader) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {}
}
