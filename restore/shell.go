package restore

import (
	"strconv"
	"strings"
	"unicode"
)

// shellQuote quotes a word for a shell where it needs it. What a terminal would
// act upon is written in the escapes of $'…'; a shell that does not know that
// form takes it for another word, and never for more than one.
func shellQuote(s string) string {
	plain := s != ""
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("@%+=:,./_-", c) < 0 {
			plain = false
		}
	}
	if plain {
		return s
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			q := strconv.Quote(s)
			return "$'" + strings.ReplaceAll(q[1:len(q)-1], "'", `\047`) + "'"
		}
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
