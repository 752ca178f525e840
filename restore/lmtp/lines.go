package lmtp

import (
	"io"
)

// lines writes every line end as CRLF. Servers differ in what they take for the
// end of a message: Dovecot ends it at LF.LF, CRLF.LF and LF.CRLF as well. With
// no LF left that is not behind a CR, and a dot in front of every dot that
// starts a line (the writer below does that), nothing inside a message reads as
// its end. A CR of its own is no line end, and stays.
type lines struct {
	w  io.Writer
	cr bool // the last byte was CR
}

func (l *lines) Write(p []byte) (int, error) {
	from := 0
	for i, c := range p {
		if c == '\n' && !l.cr {
			if _, err := l.w.Write(p[from:i]); err != nil {
				return 0, err
			}
			if _, err := l.w.Write([]byte{'\r'}); err != nil {
				return 0, err
			}
			from = i
		}
		l.cr = c == '\r'
	}
	if _, err := l.w.Write(p[from:]); err != nil {
		return 0, err
	}
	return len(p), nil
}
