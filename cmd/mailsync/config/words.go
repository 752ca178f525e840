package config

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"mailsync/manifest"
)

// Role is what a store is to the others.
type Role struct{ word string }

// The roles; the zero value says nothing.
var (
	Primary = Role{"primary"}
	Spare   = Role{"spare"}
	Backup  = Role{"backup"}
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Role) UnmarshalText(text []byte) error {
	switch v := (Role{string(text)}); v {
	case Role{}, Primary, Spare, Backup:
		*r = v
		return nil
	}
	return fmt.Errorf("role %q is none of primary, spare, backup", text)
}

// String returns the word in the configuration.
func (r Role) String() string { return r.word }

// Folders is how folders lie below a mailbox' root.
type Folders struct{ word string }

// The layouts of folders; the zero value is MaildirPP.
var (
	MaildirPP = Folders{"maildir++"} // directories ".A.B" of the root
	FS        = Folders{"fs"}        // nested directories (Dovecot's LAYOUT=fs)
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *Folders) UnmarshalText(text []byte) error {
	switch v := (Folders{string(text)}); v {
	case Folders{}, MaildirPP, FS:
		*f = v
		return nil
	}
	return fmt.Errorf("folders %q is none of maildir++, fs", text)
}

// String returns the word in the configuration.
func (f Folders) String() string { return cmp.Or(f.word, MaildirPP.word) }

// Altered is what a stored copy with the archived message's identity and
// another body means.
type Altered struct{ word string }

// The meanings; the zero value is AlteredAmbiguous.
var (
	AlteredAmbiguous = Altered{"ambiguous"}
	AlteredPresent   = Altered{"present"}
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Altered) UnmarshalText(text []byte) error {
	switch v := (Altered{string(text)}); v {
	case Altered{}, AlteredAmbiguous, AlteredPresent:
		*a = v
		return nil
	}
	return fmt.Errorf("altered %q is none of ambiguous, present", text)
}

// Alg is a digest algorithm's name; the zero value asks for the default.
type Alg struct{ manifest.Alg }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Alg) UnmarshalText(text []byte) error {
	v, err := manifest.ParseAlg(string(text))
	a.Alg = v
	return err
}

// Words is a list of strings, written as an array or, where there is only one,
// as a string.
type Words []string

// UnmarshalText implements encoding.TextUnmarshaler for the string form.
func (w *Words) UnmarshalText(text []byte) error {
	*w = Words{string(text)}
	return nil
}

// Users tells where the list of "address<TAB>path" lines comes from: a file, or
// a command that prints it. A single string is a file, unless it names a
// program (an executable file that begins with "#!" or the ELF magic) or holds
// arguments after a program; an array of several words is always a command.
func (s *Store) Users() (file string, command []string) {
	w := s.UsersAsGiven
	if len(w) == 0 {
		return "", nil
	}
	if len(w) > 1 {
		return "", w
	}
	fields := strings.Fields(w[0])
	switch {
	case isFile(w[0]) && isProgram(w[0]):
		return "", w
	case len(fields) > 1 && !isFile(w[0]):
		return "", fields
	}
	return w[0], nil
}

// isProgram tells a program from a list whose executable bits are set because
// its file system has no others.
func isProgram(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Mode().Perm()&0o111 == 0 {
		return false
	}
	magic := make([]byte, 4)
	n, err := io.ReadFull(f, magic)
	if err != nil && n < 2 {
		return false
	}
	return bytes.HasPrefix(magic, []byte("#!")) || bytes.Equal(magic, []byte("\x7fELF"))
}
