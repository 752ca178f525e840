package message

import (
	"bytes"
	"crypto/sha256"

	"mailsync/manifest"
)

// maxToken is how much of a field's value goes into a HeaderID.
const maxToken = 998

// headerID computes the HeaderID from the fields found, using buf as scratch
// memory: the first half of SHA-256 over a version, a kind and the fields. The
// Message-ID counts alone where there is one; else Date, From, To and Subject,
// unfolded and with white space collapsed, each behind its length.
func (f *found) headerID(buf []byte) (manifest.HeaderID, []byte) {
	buf = append(buf[:0], "mailsync-header-v1\x00"...)
	head := len(buf)
	buf = appendMessageID(append(buf, 'M'), f.id)
	if len(buf) == head+1 {
		buf[head] = 'F'
		any := false
		for _, v := range [4][]byte{f.date, f.from, f.to, f.subject} {
			at := len(buf)
			buf = appendCollapsed(append(buf, 0, 0), v, maxToken)
			n := len(buf) - at - 2
			buf[at], buf[at+1] = byte(n>>8), byte(n)
			any = any || n > 0
		}
		if !any {
			return manifest.HeaderID{}, buf
		}
	}
	sum := sha256.Sum256(buf)
	return manifest.HeaderID(sum[:16]), buf
}

// appendMessageID appends the normalised Message-ID: the first <…> of the
// value, else all of it, without white space and comments outside; nothing where
// it is empty or holds only brackets.
func appendMessageID(dst, value []byte) []byte {
	at := len(dst)
	if i := bytes.IndexByte(value, '<'); i >= 0 {
		if j := bytes.IndexByte(value[i:], '>'); j > 0 {
			value = value[i : i+j+1]
		}
	}
	for _, c := range value {
		if c > ' ' && c != 0x7f && len(dst)-at < maxToken {
			dst = append(dst, c)
		}
	}
	if bytes.Equal(dst[at:], []byte("<>")) {
		dst = dst[:at]
	}
	return dst
}

// appendCollapsed appends value unfolded, with runs of white space collapsed
// to one space and trimmed (RFC 6376 §3.4.2), at most limit bytes of it.
func appendCollapsed(dst, value []byte, limit int) []byte {
	at, space := len(dst), false
	for _, c := range value {
		switch c {
		case ' ', '\t', '\r', '\n':
			space = true
			continue
		}
		if space && len(dst) > at {
			dst = append(dst, ' ')
		}
		space = false
		dst = append(dst, c)
		if len(dst)-at >= limit {
			return dst[:at+limit]
		}
	}
	return dst
}
