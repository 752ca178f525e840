package archive

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"mailsync/scan/message"
)

// mbox (mbox(5) of qmail and mutt): a "From " line, the message, an empty line.
// A message ends before the next line that starts with "From " and ends in a
// date, provided that an empty line precedes it; or where a Content-Length says,
// provided that exactly there the file ends or the next message starts.
//
// The variants differ in how body lines that start with "From " are kept.
// mboxrd quotes reversibly, mboxo and mboxcl do not, mboxcl2 not at all. Nothing
// in a file tells mboxrd from mboxo with certainty, so lines are unquoted only
// where the operator, or the file's name, says mboxrd, or where a signature in
// the message proves that its sender wrote it without the quotes.

var fromPrefix = []byte("From ")

func matchMbox(_ *input, head []byte) bool {
	head = bytes.TrimLeft(head, "\r\n")
	if !bytes.HasPrefix(head, fromPrefix) {
		return false
	}
	line := head
	if i := bytes.IndexByte(head, '\n'); i >= 0 {
		line = head[:i]
	}
	_, ok := parseFrom(line, time.UTC)
	return ok
}

func readMbox(p *pass, in *input) error {
	variant := p.variant(in)
	w := in.w
	first := in.start == 0
	for {
		b := w.peek(6)
		for len(b) > 0 && (b[0] == '\n' || b[0] == '\r') {
			w.skip(1)
			b = w.peek(6)
		}
		if len(b) == 0 {
			return p.end(in)
		}
		pos := in.pos
		pos.Offset = w.off
		line, ok := w.line()
		if !ok {
			if err := w.broken(); err != nil {
				return p.brokenStream(pos, "compressed data or file", err)
			}
			return p.truncated(pos, "the mbox ends inside a \"From \" line")
		}
		from, ok := parseFrom(line, p.zone())
		if !ok {
			return p.refuse(pos, "what follows is no mbox message")
		}
		w.skip(len(line))
		c, whole, err := p.mboxContent(in, variant)
		if err != nil {
			if w.eof() || w.broken() != nil {
				return p.badContent(pos, in, err)
			}
			if err := p.badContent(pos, in, err); err != nil {
				return err
			}
			if !p.resync(in) {
				return p.end(in)
			}
			continue
		}
		if !whole {
			if err := w.broken(); err != nil {
				return p.brokenStream(pos, "compressed data or file", err)
			}
			return p.truncated(pos, "the mbox ends inside a message")
		}
		head := c.head()
		if first && isFolderData(head) {
			first = false
			continue
		}
		first = false
		p.prove(variant, &c)
		p.msg = Message{Pos: pos, Format: "mbox", Sender: from.sender, SenderKnown: from.sender != "-", content: c}
		if !from.date.IsZero() {
			t := from.date
			if !from.zoned && p.a.opts.Zone == nil {
				if z := receivedZone(head); z != nil {
					t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, z)
				}
			}
			p.msg.Arrival, p.msg.ArrivalFrom = t.UTC(), ByContainer
		}
		if err := p.emit(in, &p.msg); err != nil {
			return err
		}
	}
}

// variant is what is known of an mbox file: by the operator, or its name.
func (p *pass) variant(in *input) string {
	if v := p.a.opts.Variant; v != "" {
		return v
	}
	for part := range strings.SplitSeq(strings.ToLower(in.name), ".") {
		switch part {
		case "mboxo", "mboxrd", "mboxcl", "mboxcl2":
			return part
		}
	}
	return ""
}

func (p *pass) zone() *time.Location {
	if p.a.opts.Zone != nil {
		return p.a.opts.Zone
	}
	return time.Local
}

// line returns the next line with its end, without consuming it; false where the
// stream ends first, or the line is longer than a view may be.
func (w *window) line() ([]byte, bool) {
	from := 0
	for {
		b := w.bytes()
		if i := bytes.IndexByte(b[from:], '\n'); i >= 0 {
			return b[:from+i+1], true
		}
		from = len(b)
		if !w.more() {
			return b, false
		}
	}
}

// mboxContent consumes one message after its "From " line, and the empty line
// behind it. whole is false where the file ends inside of it.
func (p *pass) mboxContent(in *input, variant string) (c content, whole bool, err error) {
	rewrite := func(b []byte) []byte { return b }
	if variant == "mboxrd" {
		rewrite = p.unquote
	}
	if variant != "mboxo" && variant != "mboxrd" {
		if n := p.contentLength(in); n >= 0 {
			b := in.w.bytes()[:n]
			in.w.skip(n)
			return content{mem: b}, true, nil
		}
	}
	c, err = p.take(in, findFrom, rewrite)
	if err != nil {
		return c, false, err
	}
	if !in.w.eof() || len(in.w.bytes()) > 0 {
		return c, true, nil // the next message follows
	}
	return c, in.w.broken() == nil && wholeLast(&c), nil
}

// findFrom looks for the end of a message: an empty line and then a "From "
// line. The empty line is no part of the message.
func findFrom(b []byte, from int, eof bool) (end, next int) {
	if from == 0 && isFrom(b, 0) {
		return 0, 0 // a message without any byte
	}
	for i := from; ; {
		j := bytes.Index(b[i:], []byte("\nFrom "))
		if j < 0 {
			break
		}
		i += j
		switch {
		case i == 0 || i == 1 && b[0] == '\r':
			if isFrom(b, i+1) {
				return 0, 0
			}
		case b[i-1] == '\n', i >= 2 && b[i-1] == '\r' && b[i-2] == '\n':
			if !eof && bytes.IndexByte(b[i+1:], '\n') < 0 {
				return -1, i // the line is not in view yet
			}
			if isFrom(b, i+1) {
				if b[i-1] == '\r' {
					i--
				}
				return i, i
			}
		}
		i++
	}
	if eof {
		end = len(b)
		if bytes.HasSuffix(b, []byte("\n\r\n")) {
			end -= 2
		} else if bytes.HasSuffix(b, []byte("\n\n")) {
			end--
		}
		return end, end
	}
	return -1, max(from, len(b)-len("\n\r\nFrom "))
}

func isFrom(b []byte, i int) bool {
	if !bytes.HasPrefix(b[i:], fromPrefix) {
		return false
	}
	line := b[i:]
	if j := bytes.IndexByte(line, '\n'); j >= 0 {
		line = line[:j]
	}
	_, ok := parseFrom(line, time.UTC)
	return ok
}

// contentLength returns the size of the message in view as its Content-Length
// says, where that is proven right: there the file ends, or the next message
// starts. Else -1: wrong lengths are frequent.
func (p *pass) contentLength(in *input) int {
	w := in.w
	body := headerEnd(w.bytes())
	for body < 0 && len(w.bytes()) < maxHeader && w.more() {
		body = headerEnd(w.bytes())
	}
	if body < 0 {
		return -1
	}
	n := int64(-1)
	for f := range fields(w.bytes()[:body]) {
		if f.is("Content-Length") {
			v, err := strconv.ParseInt(f.text(), 10, 64)
			if err != nil || v < 0 {
				return -1
			}
			n = v
		}
	}
	if n < 0 || n > p.a.opts.Memory {
		return -1
	}
	end := body + int(n)
	b := w.peek(end + 1024)
	if len(b) < end {
		return -1
	}
	rest := bytes.TrimPrefix(bytes.TrimPrefix(b[end:], []byte("\r")), []byte("\n"))
	if len(rest) == 0 && w.eof() && w.broken() == nil || isFrom(rest, 0) {
		return end
	}
	return -1
}

// wholeLast tells whether the last message of a file, which no other follows,
// was surely not cut: it ends in a line end, its header ended, and where it has
// parts, they were closed (RFC 2046 section 5.1.1).
func wholeLast(c *content) bool {
	tail := c.tail(4096)
	if len(tail) == 0 || tail[len(tail)-1] != '\n' {
		return false
	}
	head := c.head()
	if headerEnd(head) < 0 {
		return c.size() > int64(len(head)) // a header larger than what is looked at
	}
	boundary := ""
	for f := range fields(head) {
		if f.is("Content-Type") {
			typ, b := message.ContentType(f.text())
			if boundary = ""; strings.HasPrefix(typ, "multipart/") {
				boundary = b
			}
		}
	}
	if boundary == "" {
		return true
	}
	closing := []byte("--" + boundary + "--")
	if c.file == nil {
		return bytes.Contains(c.mem, closing)
	}
	return bytes.Contains(c.tail(64<<10), closing)
}

// tail returns up to n of the last bytes.
func (c *content) tail(n int) []byte {
	if c.file == nil {
		return c.mem[max(0, len(c.mem)-n):]
	}
	b := make([]byte, min(int64(n), c.n))
	k, _ := c.file.ReadAt(b, c.off+c.n-int64(len(b)))
	return b[:k]
}

// unquote takes one '>' off each line that matches ^>+From .
func (p *pass) unquote(b []byte) []byte {
	if !bytes.Contains(b, []byte(">From ")) {
		return b
	}
	out := p.scratch[:0]
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\n') + 1
		if n == 0 {
			n = len(b)
		}
		line := b[:n]
		if line[0] == '>' && bytes.HasPrefix(bytes.TrimLeft(line, ">"), fromPrefix) {
			line = line[1:]
		}
		out = append(out, line...)
		b = b[n:]
	}
	p.scratch = out
	return out
}

// prove takes the quotes off a message whose own DKIM body hash (RFC 6376
// section 3.7) holds without them and fails with them.
func (p *pass) prove(variant string, c *content) {
	b, inMemory := c.bytes()
	if variant != "" || !inMemory || !bytes.Contains(b, []byte("\n>From ")) || !hasSignature(c.head()) {
		return
	}
	as, err := message.DKIMBody(bytes.NewReader(b), message.Limits{})
	if err != nil || as.Holds != message.No {
		return
	}
	plain := p.unquote(b)
	if off, err := message.DKIMBody(bytes.NewReader(plain), message.Limits{}); err == nil && off.Holds == message.Yes {
		c.mem = plain
	}
}

func hasSignature(head []byte) bool {
	for f := range fields(head) {
		if f.is("DKIM-Signature") {
			return true
		}
	}
	return false
}

// resync skips to the next message after one that was too large.
func (p *pass) resync(in *input) bool {
	for {
		if end, next := findFrom(in.w.bytes(), 0, in.w.eof()); end >= 0 {
			in.w.skip(end)
			return len(in.w.bytes()) > 0
		} else if next > 0 {
			in.w.skip(next)
		}
		if !in.w.more() && in.w.eof() && len(in.w.bytes()) == 0 {
			return false
		}
	}
}

// isFolderData recognises the pseudo message that IMAP servers put first into
// an mbox to keep the folder's state.
func isFolderData(head []byte) bool {
	for f := range fields(head) {
		if f.is("Subject") {
			return strings.HasPrefix(f.text(), "DON'T DELETE THIS MESSAGE")
		}
	}
	return false
}
