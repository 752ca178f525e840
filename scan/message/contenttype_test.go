package message

import (
	"strings"
	"testing"
)

func TestContentType(t *testing.T) {
	for v, want := range map[string][2]string{
		"":                                 {"text/plain", ""},
		"Multipart/Mixed; Boundary=a":      {"multipart/mixed", "a"},
		`multipart/mixed; boundary="a b "`: {"multipart/mixed", "a b"},
		"multipart/mixed; boundary=a b; charset=x":                        {"multipart/mixed", "a b"},
		`multipart/mixed; boundary="a;b`:                                  {"multipart/mixed", "a;b"},
		`multipart/mixed; =; BOUNDARY="a"; x`:                             {"multipart/mixed", "a"},
		"multipart/mixed; =; boundary=":                                   {"multipart/mixed", ""},
		"multipart/mixed; \x80\x80\x80\x80 boundary=a":                    {"multipart/mixed", "a"}, // lower case of a stray byte is three
		"multipart/mixed; \x80\x80\x80\x80\x80 boundary=":                 {"multipart/mixed", ""},
		"multipart/mixed; \u0130\u0130 = boundary=a":                      {"multipart/mixed", "a"},
		"multipart/mixed; boundary=" + strings.Repeat("a", maxBoundary+1): {"multipart/mixed", ""},
	} {
		if typ, boundary := ContentType(v); typ != want[0] || boundary != want[1] {
			t.Errorf("%q: %q, %q", v, typ, boundary)
		}
	}
}
