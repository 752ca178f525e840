package maildir

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// base64 of RFC 3501 §5.1.3: ',' for '/', no padding.
var mutf7Base64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// EncodeMUTF7 encodes UTF-8 in the modified UTF-7 of RFC 3501 §5.1.3. ok is
// false for bytes that are not UTF-8.
func EncodeMUTF7(s string) (encoded string, ok bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	var b strings.Builder
	for s != "" {
		if c := s[0]; c >= ' ' && c <= '~' {
			b.WriteByte(c)
			if c == '&' {
				b.WriteByte('-')
			}
			s = s[1:]
			continue
		}
		i := 0
		for i < len(s) && (s[i] < ' ' || s[i] > '~') {
			i++
		}
		units := utf16.Encode([]rune(s[:i]))
		p := make([]byte, 0, 2*len(units))
		for _, u := range units {
			p = append(p, byte(u>>8), byte(u))
		}
		b.WriteByte('&')
		b.WriteString(mutf7Base64.EncodeToString(p))
		b.WriteByte('-')
		s = s[i:]
	}
	return b.String(), true
}

// DecodeMUTF7 decodes modified UTF-7. ok is false where s is not what
// EncodeMUTF7 makes of any string: then it is not valid, or not the only way to
// write the name.
func DecodeMUTF7(s string) (decoded string, ok bool) {
	if i := strings.IndexFunc(s, func(r rune) bool { return r == '&' || r < ' ' || r > '~' }); i < 0 {
		return s, true
	}
	var b strings.Builder
	for rest := s; rest != ""; {
		c := rest[0]
		if c < ' ' || c > '~' {
			return "", false
		}
		if c != '&' {
			b.WriteByte(c)
			rest = rest[1:]
			continue
		}
		code, after, found := strings.Cut(rest[1:], "-")
		if !found {
			return "", false
		}
		rest = after
		if code == "" {
			b.WriteByte('&')
			continue
		}
		p, err := mutf7Base64.DecodeString(code)
		if err != nil || len(p)%2 != 0 {
			return "", false
		}
		units := make([]uint16, len(p)/2)
		for i := range units {
			units[i] = uint16(p[2*i])<<8 | uint16(p[2*i+1])
		}
		b.WriteString(string(utf16.Decode(units)))
	}
	decoded = b.String()
	if back, ok := EncodeMUTF7(decoded); !ok || back != s {
		return "", false
	}
	return decoded, true
}
