package sample

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"

	"mailsync/scan/maildir"
)

// FolderDir returns the directory of a folder relative to the mailbox' root.
func FolderDir(name string, layout maildir.Layout, utf8 bool) string {
	if name == "INBOX" {
		return ""
	}
	if !utf8 {
		levels := strings.Split(name, "/")
		for i := range levels {
			levels[i] = mutf7(levels[i])
		}
		name = strings.Join(levels, "/")
	}
	if layout == maildir.FS {
		return name
	}
	return "." + strings.ReplaceAll(name, "/", ".")
}

var mbase64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// mutf7 encodes a name as RFC 3501 §5.1.3 says.
func mutf7(s string) string {
	var out strings.Builder
	var pending []rune
	flush := func() {
		if len(pending) == 0 {
			return
		}
		var b []byte
		for _, u := range utf16.Encode(pending) {
			b = append(b, byte(u>>8), byte(u))
		}
		out.WriteString("&" + mbase64.EncodeToString(b) + "-")
		pending = nil
	}
	for _, r := range s {
		switch {
		case r == '&':
			flush()
			out.WriteString("&-")
		case r >= 0x20 && r < 0x7f:
			flush()
			out.WriteRune(r)
		default:
			pending = append(pending, r)
		}
	}
	flush()
	return out.String()
}
