package maildir

import "strings"

// Standing says how a name in new or cur is to be taken.
type Standing uint8

// The standings of a name.
const (
	Message Standing = iota // a message
	Hidden                  // begins with '.': every reader skips it
	Bad                     // servers ignore it, rename it, or cannot address it
)

// Judge tells whether a name in new or cur is that of a message, and why not.
// The reason is for a person and does not repeat the name.
func Judge(name string) (Standing, string) {
	switch {
	case name == "":
		return Bad, "empty name"
	case name[0] == '.':
		return Hidden, "begins with a dot"
	case name[0] == ':':
		return Bad, "begins with ':' and has no base name; Dovecot gives it a new one"
	case strings.IndexByte(name, '/') >= 0:
		return Bad, "holds a '/'"
	case strings.IndexByte(name, 0) >= 0:
		return Bad, "holds a NUL"
	case strings.ContainsAny(name, "\r\n"):
		return Bad, "holds a line break; servers ignore it"
	case len(name) > 255:
		return Bad, "longer than 255 bytes"
	}
	return Message, ""
}
