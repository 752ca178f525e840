package lmtp

import (
	"strings"
	"testing"
)

// Every byte at every place of an address: what cannot be carried is refused,
// and what is carried has no byte that ends the path or the command.
func TestPath(t *testing.T) {
	for _, form := range []string{"#ser@example.org", "u#er@example.org", "use#@example.org", "user#@example.org", "user@#xample.org", "user@exa#ple.org", "user@example.or#", `"u#er"@example.org`, `"#"@example.org`} {
		for c := range 256 {
			addr := strings.Replace(form, "#", string([]byte{byte(c)}), 1)
			got, ok := path(addr)
			if c < ' ' || c > '~' {
				if ok {
					t.Errorf("%q is carried as %q", addr, got)
				}
				continue
			}
			if !ok {
				continue
			}
			quoted := false
			for i := 0; i < len(got); i++ {
				switch b := got[i]; {
				case b == '\\' && quoted:
					i++
				case b == '"':
					quoted = !quoted
				case !quoted && strings.IndexByte("<> \t,;:", b) >= 0, b < ' ', b > '~':
					t.Fatalf("%q is carried as %q", addr, got)
				}
			}
			if quoted {
				t.Errorf("%q is carried as %q: its quotes do not close", addr, got)
			}
		}
	}
	for addr, want := range map[string]string{
		"ann@example.org":           "ann@example.org",
		`"odd user"@example.org`:    `"odd user"@example.org`,
		"odd user@example.org":      `"odd user"@example.org`,
		`a"b\c@example.org`:         `"a\"b\\c"@example.org`,
		"a@b@example.org":           `"a@b"@example.org`,
		"ann@[192.0.2.1]":           "ann@[192.0.2.1]",
		"ann":                       "ann",
		".a@example.org":            `".a"@example.org`,
		"":                          "",
		"@example.org":              "",
		"ann@":                      "",
		"ann@exa mple.org":          "",
		strings.Repeat("a", 600):    "",
		"ann\r\nRCPT TO:<x>@e.org":  "",
		"ann>@example.org":          `"ann>"@example.org`,
		"ann@example.org> SIZE=1":   "",
		`"a" b"@example.org`:        `"\"a\" b\""@example.org`,
		"j\xc3\xbcrgen@example.org": "",
	} {
		if got, ok := path(addr); got != want || ok != (want != "") {
			t.Errorf("path(%q) = %q, %v, want %q", addr, got, ok, want)
		}
	}
}

func TestRecipient(t *testing.T) {
	for _, c := range []struct{ mailbox, archived, want string }{
		{"ann@example.org", "ann@example.org", "ann@example.org"},
		{"ann@example.org", "Ann+lists@Example.org", "Ann+lists@Example.org"},
		{"ann@example.org", "sales@example.org", "ann@example.org"},
		{"ann@example.org", "annette@example.org", "ann@example.org"},
		{"ann@example.org", "ann+x@other.org", "ann@example.org"},
		{"org/ann", "sales@example.org", "sales@example.org"},
		{"ann@example.org", "\x00", "ann@example.org"},
	} {
		if got, ok := recipient(c.mailbox, c.archived); got != c.want || !ok {
			t.Errorf("recipient(%q, %q) = %q, %v, want %q", c.mailbox, c.archived, got, ok, c.want)
		}
	}
}

func TestParseTarget(t *testing.T) {
	for _, s := range []string{"/run/dovecot/lmtp", "unix:/run/dovecot/lmtp", "localhost:24", "[::1]:24", "192.0.2.1:2424"} {
		if _, err := ParseTarget(s); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"", "localhost", "run/lmtp", "localhost:lmtp", ":24", "localhost:0", "localhost:70000", "a:b:c", "unix:x"} {
		if _, err := ParseTarget(s); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}
