package archive

import (
	"io"
	"strconv"
	"strings"
)

// One message a file: .eml trees, Maildirs, the members of tar and zip files.

// matchEml recognises a message by its place or by its header: fields from the
// first line on, one of them a field that mail has.
func matchEml(in *input, head []byte) bool {
	if in.mail {
		return true
	}
	n := 0
	for f := range fields(head) {
		n++
		for _, known := range []string{"Received", "Return-Path", "From", "To", "Date", "Subject", "Message-ID", "MIME-Version", "Delivered-To", "X-Envelope-To", "X-Envelope-From", "Envelope-To", "X-Original-To"} {
			if f.is(known) {
				return true
			}
		}
		if n > 100 {
			break
		}
	}
	return false
}

func readEml(p *pass, in *input) error {
	c, err := p.whole(in)
	if err == nil && in.w.broken() != nil {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return p.badContent(in.pos, in, err)
	}
	m := &p.msg
	*m = Message{Pos: in.pos, Format: "eml", content: c}
	if inMaildir(in.path) {
		m.Format = "maildir"
		// The size in the name is of the message before compression.
		if want, ok := sizeInName(in.name); ok && c.size() < want {
			return p.truncated(in.pos, "a Maildir file smaller than its name says")
		}
	}
	return p.emit(in, m)
}

// sizeInName reads S= of a Maildir file name.
func sizeInName(name string) (int64, bool) {
	name, _, _ = strings.Cut(name, ":")
	for part := range strings.SplitSeq(name, ",") {
		if v, ok := strings.CutPrefix(part, "S="); ok {
			n, err := strconv.ParseInt(v, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
