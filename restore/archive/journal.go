package archive

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
	"unicode/utf16"
)

// Exchange journal reports (envelope journaling, MS-XJRNL): a message to the
// journal mailbox of two parts. The first names sender and recipients, one a
// line; the second is the message as it was sent. Reports lie in whatever keeps
// mail, so they are looked for in every message that no envelope came with.
//
// Exchange writes several reports for one message where lists were expanded in
// several places. Each names its own recipients: their union is what the
// reports of the message yield together.

// maxReportText bounds the part that names the recipients: some 50,000 of them.
const maxReportText = 4 << 20

// isReport tells whether a message may be a report: its own header says so, and
// the archive did not say for whom the report as such was.
func isReport(m *Message) bool {
	if len(m.Recipients) > 0 && m.Recipients[0].How < OriginalTo {
		return false
	}
	for f := range fields(m.content.head()) {
		if f.is("X-MS-Journal-Report") {
			return true
		}
	}
	return false
}

// journal takes the message out of its report. What does not have a report's
// form stays as it is. told says that the report is not usable, and that a
// finding said so.
func (p *pass) journal(m *Message) (told bool, err error) {
	c := &m.content
	boundary, date := "", ""
	for f := range fields(c.head()) {
		switch {
		case f.is("Content-Type") && boundary == "":
			if typ, params, err := mime.ParseMediaType(f.text()); err == nil && strings.EqualFold(typ, "multipart/mixed") {
				boundary = params["boundary"]
			}
		case f.is("Date") && date == "":
			date = f.text()
		}
	}
	if boundary == "" {
		return false, nil
	}
	front := c.front(maxReportText)
	text, at, ok := mimePart(front, 0, boundary)
	if !ok {
		return false, nil
	}
	env, ok := reportEnvelope(text)
	if !ok {
		return false, nil
	}
	head := front[at:]
	body := headerEnd(head)
	if body < 0 {
		return true, p.truncated(m.Pos, "a journal report that ends before its message")
	}
	typ, enc := partHeader(head[:body])
	if typ != "message/rfc822" {
		return true, p.refuse(m.Pos, "a journal report without its message")
	}
	start := int64(at + body)
	end, whole := c.boundary(start, boundary)
	if !whole {
		return true, p.truncated(m.Pos, "a journal report that ends inside its message")
	}
	switch enc {
	case "", "7bit", "8bit", "binary":
		c.narrow(start, end)
	default:
		b, inMemory := c.bytes()
		if !inMemory {
			return true, p.refuse(m.Pos, "a journal report whose message is encoded, and too large to be decoded here")
		}
		plain, err := decodePart(b[start:end], enc)
		if err != nil {
			return true, p.refuse(m.Pos, fmt.Sprintf("a journal report whose message cannot be decoded (%s)", enc))
		}
		*c = content{mem: plain}
	}
	m.Format, m.Sender, m.SenderKnown, m.Recipients = "journal", env.sender, env.hasSender, p.dropOwn(env.to)
	if m.ArrivalFrom != ByContainer {
		if t, ok := ParseDate(date); ok {
			m.Arrival, m.ArrivalFrom = t.UTC(), ByContainer
		}
	}
	return false, nil
}

// reportText is what the first part of a report says.
type reportText struct {
	sender    string
	hasSender bool
	to        []Recipient
}

// reportEnvelope reads the first part of a report, its header included. ok
// tells that it names a sender or recipients.
func reportEnvelope(part []byte) (reportText, bool) {
	var env reportText
	body := headerEnd(part)
	if body < 0 {
		return env, false
	}
	typ, enc := partHeader(part[:body])
	if typ != "" && typ != "text/plain" {
		return env, false
	}
	text, err := decodePart(part[body:], enc)
	if err != nil {
		return env, false
	}
	for line := range strings.Lines(narrowText(text)) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if !ok {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "sender":
			if !env.hasSender {
				env.sender, env.hasSender = firstAddress(value), true
			}
		case "to", "cc", "bcc", "recipient":
			if r, ok := reportRecipient(value); ok {
				env.to = append(env.to, r)
			}
		}
	}
	return env, env.hasSender || len(env.to) > 0
}

// reportRecipient reads "address", "address, Expanded: list" or "address,
// Forwarded: original": what stands first received the message.
func reportRecipient(s string) (Recipient, bool) {
	r := Recipient{How: Container}
	for _, word := range []string{", expanded:", ", forwarded:"} {
		if i := indexFold(s, word); i >= 0 {
			r.Original = firstAddress(s[i+len(word):])
			s = s[:i]
			break
		}
	}
	n := 0
	for a := range addresses(s) {
		r.Addr = a
		n++
	}
	return r, n == 1
}

// indexFold is strings.Index without regard to case. It does not look into a
// copy in lower case, whose offsets may be others.
func indexFold(s, word string) int {
	for i := 0; i+len(word) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

// narrowText turns UTF-16 into bytes; everything else is a superset of ASCII.
func narrowText(b []byte) string {
	if len(b) < 4 || bytes.IndexByte(b[:4], 0) < 0 && !bytes.HasPrefix(b, []byte{0xff, 0xfe}) && !bytes.HasPrefix(b, []byte{0xfe, 0xff}) {
		return string(b)
	}
	big := b[0] == 0xfe || b[0] == 0
	units := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		u := uint16(b[i]) | uint16(b[i+1])<<8
		if big {
			u = u<<8 | u>>8
		}
		if u != 0xfeff {
			units = append(units, u)
		}
	}
	return string(utf16.Decode(units))
}

// partHeader reads type and transfer encoding of a MIME part, in lower case.
func partHeader(h []byte) (typ, enc string) {
	for f := range fields(h) {
		switch {
		case f.is("Content-Type"):
			typ, _, _ = mime.ParseMediaType(f.text()) // "" where it cannot be read
		case f.is("Content-Transfer-Encoding"):
			enc = strings.ToLower(f.text())
		}
	}
	return typ, enc
}

// decodePart undoes a transfer encoding (RFC 2045 section 6).
func decodePart(b []byte, enc string) ([]byte, error) {
	switch enc {
	case "base64":
		return io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(b)))
	case "quoted-printable":
		return io.ReadAll(quotedprintable.NewReader(bytes.NewReader(b)))
	}
	return b, nil
}

// mimePart returns the part behind the next delimiter (RFC 2046 section 5.1.1),
// with its header, and where the part after it starts.
func mimePart(b []byte, from int, boundary string) (part []byte, next int, ok bool) {
	_, start, last := delimiter(b, from, boundary)
	if start < 0 || last {
		return nil, 0, false
	}
	end, next, last := delimiter(b, start, boundary)
	if end < 0 || last {
		return nil, 0, false
	}
	return b[start:max(start, end)], next, true
}

// delimiter looks for a line "--boundary". at is where the line end before it
// starts, which belongs to it; next is behind its own line end; last says that
// it closes the whole. at is negative where there is none.
func delimiter(b []byte, from int, boundary string) (at, next int, last bool) {
	mark := []byte("--" + boundary)
	for i := from; ; {
		j := bytes.Index(b[i:], mark)
		if j < 0 {
			return -1, -1, false
		}
		i += j
		if i > 0 && b[i-1] != '\n' {
			i += len(mark)
			continue // inside a line, of which there may be very many
		}
		rest := b[i+len(mark):]
		last := bytes.HasPrefix(rest, []byte("--"))
		if last {
			rest = rest[2:]
		}
		n := bytes.IndexByte(rest, '\n')
		line := rest
		if n >= 0 {
			line = rest[:n]
		}
		if len(bytes.Trim(line, " \t\r")) == 0 && (n >= 0 || last) {
			at = i
			if at > 0 {
				at--
				if at > 0 && b[at-1] == '\r' {
					at--
				}
			}
			return max(at, 0), len(b) - len(rest) + n + 1, last
		}
		i += len(mark)
	}
}

// front is the start of a message, at most n bytes of it.
func (c *content) front(n int64) []byte {
	if c.file == nil {
		return c.mem[:min(n, int64(len(c.mem)))]
	}
	b := make([]byte, min(n, c.n))
	k, _ := c.file.ReadAt(b, c.off) // short where it cannot be read: then there is less to see
	return b[:k]
}

// boundary looks from an offset on for the delimiter of a MIME part; end is
// where the part ends before it.
func (c *content) boundary(from int64, boundary string) (end int64, ok bool) {
	if c.file == nil {
		at, _, _ := delimiter(c.mem, int(from), boundary)
		return max(int64(at), from), at >= 0
	}
	const chunk = 256 << 10
	overlap := int64(len(boundary) + 16)
	buf := make([]byte, chunk)
	for off := from; off < c.n; {
		n, _ := c.file.ReadAt(buf[:min(chunk, c.n-off)], c.off+off)
		first := 0
		if off > from {
			first = 1 // what a later piece begins with may stand inside a line
		}
		if at, _, _ := delimiter(buf[:n], min(first, n), boundary); at >= 0 {
			return off + int64(at), true
		}
		if int64(n) <= overlap {
			return 0, false
		}
		off += int64(n) - overlap
	}
	return 0, false
}

// narrow leaves the bytes from a to b.
func (c *content) narrow(a, b int64) {
	if c.file != nil {
		c.off, c.n = c.off+a, b-a
		return
	}
	c.mem = c.mem[a:b]
}
