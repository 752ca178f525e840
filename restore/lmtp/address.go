package lmtp

import (
	"strings"
)

// path writes an address as RFC 5321 (section 4.1.2) wants it between angle
// brackets, its local part quoted where it must be. Archives hold addresses
// with and without quotes. ok is false where no quoting can carry it: control
// characters, which could end the command, anything but ASCII, no domain where
// there is an "@", or more bytes than a command line holds.
func path(addr string) (_ string, ok bool) {
	if addr == "" || len(addr) > 500 {
		return "", false
	}
	for i := range len(addr) {
		if addr[i] < ' ' || addr[i] > '~' {
			return "", false
		}
	}
	local, domain, at := addr, "", false
	if i := strings.LastIndexByte(addr, '@'); i >= 0 {
		local, domain, at = addr[:i], addr[i+1:], true
	}
	if at && !domainName(domain) {
		return "", false
	}
	switch {
	case local == "":
		return "", false
	case dotString(local), quotedString(local):
	default:
		local = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
	}
	if at {
		return local + "@" + domain, true
	}
	return local, true
}

func dotString(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !atext(byte(r)) }) {
			return false
		}
	}
	return true
}

func atext(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// quotedString tells whether s is quoted already: its quotes closed at the very
// end, nothing unquoted inside.
func quotedString(s string) bool {
	if len(s) < 3 || s[0] != '"' {
		return false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i == len(s)-1
		}
	}
	return false
}

// domainName tells whether s is a name, or an address literal in brackets.
func domainName(s string) bool {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		return !strings.ContainsAny(s[1:len(s)-1], "[]<> \\\"")
	}
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		c := byte(r)
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '.' && c != '_'
	})
}
