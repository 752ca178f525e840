package restore

import (
	"strings"
	"testing"
)

// However a message is cut into pieces, its bare LFs are those before which no
// CR stands.
func TestLineCounter(t *testing.T) {
	for _, text := range []string{
		"", "\n", "\r", "\r\n", "\n\r", "\r\r\n", "\n\n\r\n", "a\nb\r\nc\rd\n", "a\r\n\r\nb\n\n", "\r\n\n\r", "no end",
	} {
		want := int64(strings.Count(text, "\n") - strings.Count(text, "\r\n"))
		for i := range len(text) + 1 {
			for j := i; j <= len(text); j++ {
				var c lineCounter
				for _, p := range []string{text[:i], text[i:j], text[j:]} {
					c.count([]byte(p))
				}
				if c.bare != want {
					t.Errorf("%q in pieces that end at %d and %d: %d, want %d", text, i, j, c.bare, want)
				}
			}
		}
	}
}
