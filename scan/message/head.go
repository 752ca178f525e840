package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// opened is a message whose header was read whole.
type opened struct {
	head   []byte
	body   io.Reader
	opaque bool
	close  func() error
}

// openMessage decompresses r and reads its header. The body is what follows,
// bounded by MaxPlain.
func openMessage(r io.Reader, l Limits) (*opened, error) {
	l.MaxNested = 1
	rc, enc, err := Decompress(r, l)
	if err != nil {
		return nil, err
	}
	o := &opened{opaque: enc == MailCrypt, close: rc.Close}
	if o.opaque {
		return o, nil
	}
	x := NewIdentifier(l)
	var buf []byte
	piece := make([]byte, 32<<10)
	searched, eof := 0, false
	for end := -1; end < 0 && !eof && int64(len(buf)) < x.limits.MaxHeader; {
		n, err := rc.Read(piece)
		buf = append(buf, piece[:n]...)
		if err != nil && !errors.Is(err, io.EOF) {
			_ = rc.Close()
			return nil, err
		}
		eof = err != nil
		if end = HeaderEnd(buf[searched:]); end < 0 {
			searched = bytes.LastIndexByte(buf, '\n') + 1
		}
	}
	head, body, err := x.split(buf, eof)
	if err != nil {
		_ = rc.Close()
		return nil, err
	}
	count := 0
	for range Fields(buf[:head]) {
		if count++; count > x.limits.MaxFields {
			_ = rc.Close()
			return nil, fmt.Errorf("header: %w of %d fields", ErrLimit, x.limits.MaxFields)
		}
	}
	o.head = buf[:head]
	o.body = io.MultiReader(bytes.NewReader(buf[body:]), rc)
	return o, nil
}
