package ui

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape makes a name safe to print. What a terminal could act upon or hide
// (control bytes, escape sequences, bidirectional and other invisible
// characters, bytes that are not UTF-8) is written as \x1b or \u202e; a
// backslash is doubled, so that the result is unambiguous.
func Escape(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x`)
			b.WriteString(hexByte(s[i]))
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case unicode.IsPrint(r):
			b.WriteString(s[i : i+n])
		case r < 0x80:
			b.WriteString(`\x`)
			b.WriteString(hexByte(byte(r)))
		case r <= 0xffff:
			b.WriteString(`\u`)
			b.WriteString(hexRune(r, 4))
		default:
			b.WriteString(`\U`)
			b.WriteString(hexRune(r, 8))
		}
		i += n
	}
	return b.String()
}

// EscapeText makes running text safe that may quote names from a store:
// backslashes stay as they are. It is one line, since a line end in it can only
// be a name's, and would let that name write lines of its own.
func EscapeText(s string) string {
	if plain(s) {
		return s
	}
	return strings.ReplaceAll(Escape(s), `\\`, `\`)
}

// EscapeLines is EscapeText for text that has line ends of its own: hints.
func EscapeLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = EscapeText(l)
	}
	return strings.Join(lines, "\n")
}

// Name is Escape for a name that stands in running text: what is empty or has
// spaces at its ends is quoted.
func Name(s string) string {
	e := Escape(s)
	if e == "" || strings.TrimSpace(e) != e {
		return `"` + e + `"`
	}
	return e
}

// plain tells whether s is printable ASCII without a backslash.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '\\' {
			return false
		}
	}
	return true
}

func hexByte(c byte) string { return hexRune(rune(c), 2) }

func hexRune(r rune, width int) string {
	s := strconv.FormatInt(int64(r), 16)
	for len(s) < width {
		s = "0" + s
	}
	return s
}

// ShellQuote writes an argument as an operator can paste it into a shell.
func ShellQuote(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./_-", r))
	}) < 0 {
		return s
	}
	if e := Escape(s); e != s {
		// $'…' understands the escapes that Escape writes. To a shell that does not
		// know it, a quote behind a backslash would end the word.
		return "$'" + strings.ReplaceAll(e, "'", `\047`) + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Command writes a command line as an operator can paste it.
func Command(args ...string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = ShellQuote(a)
	}
	return strings.Join(quoted, " ")
}
