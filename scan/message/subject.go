package message

import (
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
)

// maxSubject is how much of a subject is looked at.
const maxSubject = 4096

// decodeText decodes the encoded words (RFC 2047) of a field value. What
// cannot be decoded stays as it is.
func decodeText(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	d := mime.WordDecoder{CharsetReader: charset.Reader}
	if v, err := d.DecodeHeader(s); err == nil {
		return v
	}
	return s
}

// bareSubject strips what filters and lists put in front of a subject, and
// the reply prefixes among which they stand: [tag], ***TAG***, SPAM:, Re:. The body and
// the Message-ID still decide whether two messages are the same.
func bareSubject(s string) string {
	if !singleWords(s) {
		s = strings.Join(strings.Fields(s), " ")
	}
	for {
		t := strings.TrimLeft(stripTag(s), " ")
		if len(t) == len(s) {
			return s
		}
		s = t
	}
}

// singleWords tells whether s holds nothing but printable ASCII and single
// spaces, as nearly all subjects do: then its words need not be joined anew.
func singleWords(s string) bool {
	space := true
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f || s[i] == ' ' && space {
			return false
		}
		space = s[i] == ' '
	}
	return !space
}

func stripTag(s string) string {
	switch {
	case s == "":
		return s
	case s[0] == '[':
		if i := strings.IndexByte(s, ']'); i > 1 && i <= 41 {
			return s[i+1:]
		}
	case strings.HasPrefix(s, "**"):
		body := strings.TrimLeft(s, "*")
		if i := strings.IndexByte(body, '*'); i >= 1 && i <= 20 {
			if rest := strings.TrimLeft(body[i:], "*"); len(body[i:])-len(rest) >= 2 {
				return rest
			}
		}
	}
	word := 0
	for word < len(s) && word < 10 && (s[word]|0x20) >= 'a' && (s[word]|0x20) <= 'z' {
		word++
	}
	switch strings.ToLower(s[:word]) {
	case "spam", "junk", "ext", "external", "bulk":
		rest := strings.TrimLeft(s[word:], " ")
		if rest != "" && (rest[0] == ':' || rest[0] == ']') {
			return rest[1:]
		}
	case "re", "fw", "fwd", "aw", "sv", "antw":
		rest := strings.TrimLeft(s[word:], " ")
		if strings.HasPrefix(rest, ":") {
			return rest[1:]
		}
	}
	return s
}

// clip cuts valid UTF-8 at a rune boundary.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// address returns the first address of a From field, lower-cased: the part in
// angle brackets, else the first word with an '@', else everything, without
// quoted strings and comments.
func address(value []byte) string {
	var b strings.Builder
	depth, quoted := 0, false
	angle := -1
	for i := 0; i < len(value) && b.Len() < maxToken; i++ {
		c := value[i]
		switch {
		case c == '\\' && (quoted || depth > 0):
			i++
		case c == '"' && depth == 0 && angle < 0:
			quoted = !quoted
		case quoted:
		case c == '(' && angle < 0:
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		case c == '<' && angle < 0:
			angle = b.Len()
		case c == '>' && angle >= 0:
			return lower(b.String()[angle:])
		default:
			b.WriteByte(c)
		}
	}
	s := b.String()
	if angle >= 0 {
		return lower(s[angle:])
	}
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == ',' || r == ';' }) {
		if strings.Contains(w, "@") {
			return lower(w)
		}
	}
	return lower(strings.Join(strings.Fields(s), " "))
}

// lower folds ASCII only and drops white space around the address.
func lower(s string) string {
	b := []byte(strings.TrimSpace(s))
	for i, c := range b {
		if isUpper(c) {
			b[i] = c | 0x20
		}
	}
	return string(b)
}
