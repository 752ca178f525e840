package archive

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// Exim spool files (Exim specification, "Format of spool files"; spool_in.c):
// ID-H holds the envelope and the header, ID-D the body, ID-J the addresses that
// were delivered since -H was written. A message is acknowledged when its -H
// has its name, and is read from there; -D and -J belong to it.

// matchExim recognises the files by their first line, which is their own name;
// the journal has none and is known by its name.
func matchExim(in *input, head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte{'\n'})
	_, kind := eximName(string(line))
	if kind == 'H' || kind == 'D' {
		return true
	}
	_, kind = eximName(in.name)
	return kind == 'J'
}

// eximName splits the name of a spool file: ids are six, six or eleven, and two
// or four letters and digits. kind is 0 where the name is none.
func eximName(s string) (id string, kind byte) {
	if len(s) != 18 && len(s) != 25 {
		return "", 0
	}
	id, kind = s[:len(s)-2], s[len(s)-1]
	for i := range len(s) - 2 {
		c := s[i]
		dash := i == 6 || i == len(id)-3 && len(id) == 16 || i == len(id)-5 && len(id) == 23
		switch {
		case dash && c != '-':
			return "", 0
		case !dash && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z'):
			return "", 0
		}
	}
	if s[len(s)-2] != '-' {
		return "", 0
	}
	return id, kind
}

func readExim(p *pass, in *input) error {
	line, _, _ := bytes.Cut(in.w.bytes(), []byte{'\n'})
	id, kind := eximName(string(line))
	if named, _ := eximName(in.name); named != "" {
		id = named // what belongs together has the same name
	}
	switch {
	case kind == 'D':
		if in.beside == nil || p.beside(in, id+"-H") {
			return nil // told with its -H
		}
		return p.truncated(in.pos, "an Exim body file without its header file: nobody acknowledged this message, or it has been delivered")
	case kind != 'H':
		return nil
	case in.beside == nil:
		return p.refuse(in.pos, "an Exim spool file inside another archive: unpack it first, its body is a file of its own")
	}
	c, err := p.whole(in)
	if err == nil && in.w.broken() != nil {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return p.badContent(in.pos, in, err)
	}
	b, ok := c.bytes()
	if !ok {
		return p.refuse(in.pos, "an Exim header file larger than what is held in memory")
	}
	h, err := parseExim(b)
	if err != nil {
		return p.truncated(in.pos, "an Exim header file that cannot be read to its end: "+err.Error())
	}
	for _, a := range p.eximJournal(in, id) {
		h.done[a] = true
	}
	for i := range h.to {
		h.to[i].Done = h.done[strings.ToLower(h.to[i].Addr)]
	}
	body, err := in.beside(id + "-D")
	if err != nil {
		return p.truncated(in.pos, "an Exim header file without its body file: "+reason(err))
	}
	defer body.Close()
	out := sink{p: p}
	if err = out.write(append(h.header, '\n')); err == nil {
		err = h.copyBody(&out, body, id)
	}
	switch {
	case errors.Is(err, errTooLarge):
		return p.tooLarge(in.pos)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return p.truncated(in.pos, "an Exim body file shorter than its header file says")
	case errors.Is(err, errEximBody):
		return p.refuse(in.pos, err.Error())
	case err != nil:
		return err
	}
	text, err := out.content()
	if err != nil {
		return p.badContent(in.pos, in, err)
	}
	p.msg = Message{
		Pos: in.pos, Format: "exim", Sender: h.sender, SenderKnown: true, Recipients: h.to,
		Arrival: h.arrival, ArrivalFrom: ByContainer, content: text,
	}
	return p.emit(in, &p.msg)
}

// beside tells whether a file of the same directory is there.
func (p *pass) beside(in *input, name string) bool {
	f, err := in.beside(name)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// eximHeader is what a -H file says.
type eximHeader struct {
	sender  string
	arrival time.Time
	to      []Recipient
	done    map[string]bool // addresses in lower case
	header  []byte          // fields as they would be sent
	lines   int64           // of the body; -1 where it is not told
	wire    bool            // the body's lines end in CRLF
}

var (
	errEximForm = errors.New("not of the form that Exim writes")
	errEximBody = errors.New("an Exim body file that is another message's")
)

// parseExim reads a -H file. Every part of it has its length or its end, so
// that a file which is cut anywhere is an error, except between two fields.
func parseExim(b []byte) (*eximHeader, error) {
	h := &eximHeader{done: map[string]bool{}, lines: -1}
	line := func() (string, bool) {
		l, rest, ok := bytes.Cut(b, []byte{'\n'})
		if ok {
			b = rest
		}
		return string(l), ok
	}
	if _, ok := line(); !ok { // its own name
		return nil, io.ErrUnexpectedEOF
	}
	if _, ok := line(); !ok { // login, uid, gid
		return nil, io.ErrUnexpectedEOF
	}
	sender, ok := line()
	if !ok || !strings.HasPrefix(sender, "<") || !strings.HasSuffix(sender, ">") {
		return nil, errEximForm
	}
	h.sender = sender[1 : len(sender)-1]
	when, ok := line()
	sec, _, _ := strings.Cut(when, " ")
	n, err := strconv.ParseInt(sec, 10, 64)
	if !ok || err != nil || n <= 0 {
		return nil, errEximForm
	}
	h.arrival = time.Unix(n, 0).UTC()
	l, ok := line()
	for ; ok && strings.HasPrefix(l, "-"); l, ok = line() {
		skip, err := h.option(l)
		if err != nil || skip > len(b) {
			return nil, errEximForm
		}
		b = b[skip:]
	}
	for open := 1; ok && l != "XX" && open > 0; {
		// A node of the tree of addresses that are done with: whether it has a
		// left and a right branch, which follow.
		if len(l) < 3 || l[2] != ' ' || strings.Trim(l[:2], "YN") != "" {
			return nil, errEximForm
		}
		open += strings.Count(l[:2], "Y") - 1
		h.done[strings.ToLower(l[3:])] = true
		if open > 0 {
			l, ok = line()
		}
	}
	count, ok := line()
	want, err := strconv.Atoi(count)
	if !ok || err != nil || want < 0 {
		return nil, errEximForm
	}
	for range want {
		l, ok := line()
		if !ok || l == "" {
			return nil, io.ErrUnexpectedEOF
		}
		h.to = append(h.to, eximRecipient(l))
	}
	if l, ok := line(); !ok || l != "" {
		return nil, errEximForm
	}
	for len(b) > 0 {
		i := 0
		for i < len(b) && i < 10 && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		n, err := strconv.Atoi(string(b[:i]))
		if err != nil || len(b) < i+2 || b[i+1] != ' ' {
			return nil, errEximForm
		}
		typ := b[i]
		b = b[i+2:]
		if n > len(b) {
			return nil, io.ErrUnexpectedEOF
		}
		if typ != '*' { // a field that was replaced
			h.header = append(h.header, b[:n]...)
		}
		b = b[n:]
	}
	return h, nil
}

// option reads a line "-name value"; names of values from outside start with
// "--", perhaps with the lookup that made them safe in parentheses. skip is how
// many bytes of a variable's value follow.
func (h *eximHeader) option(l string) (skip int, err error) {
	l = strings.TrimPrefix(l[1:], "-")
	if strings.HasPrefix(l, "(") {
		_, l, _ = strings.Cut(l, ")")
	}
	name, value, _ := strings.Cut(l, " ")
	switch name {
	case "acl", "aclc", "aclm":
		i := strings.LastIndexByte(value, ' ')
		n, err := strconv.Atoi(value[i+1:])
		if err != nil || n < 0 || n == math.MaxInt {
			return 0, errEximForm
		}
		return n + 1, nil
	case "received_time_usec":
		if us, err := strconv.Atoi(strings.TrimPrefix(value, ".")); err == nil && us >= 0 && us < 1e6 && len(value) == 7 {
			h.arrival = h.arrival.Add(time.Duration(us) * time.Microsecond)
		}
	case "body_linecount":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			h.lines = n
		}
	case "spool_file_wireformat":
		h.wire = true
	}
	return 0, nil
}

// eximRecipient reads a line of the recipients' list from its end, where the
// data behind the address tells its kind: "addr N,N,N" (Exim 3), "addr N", and
// "addr [orcpt len,flags ][errors_to len,parent]#bits".
func eximRecipient(l string) Recipient {
	r := Recipient{Addr: l, How: Container}
	digits := func(s string, more string) string { return strings.TrimRight(s, "0123456789"+more) }
	rest := digits(l, "")
	if rest == l || rest == "" {
		return r
	}
	switch rest[len(rest)-1] {
	case ',':
		if a, ok := strings.CutSuffix(digits(rest, ","), " "); ok {
			r.Addr = a
		}
	case ' ':
		r.Addr = rest[:len(rest)-1]
	case '#':
		bits, _ := strconv.Atoi(l[len(rest):]) // digits
		s := rest[:len(rest)-1]
		item := func() (text string, ok bool) {
			head := digits(s, ",-")
			n, _, _ := strings.Cut(s[len(head):], ",")
			size, err := strconv.Atoi(n)
			if err != nil || size < 0 || !strings.HasSuffix(head, " ") || size >= len(head) {
				return "", false
			}
			head = head[:len(head)-1]
			s = head[:len(head)-size]
			return head[len(head)-size:], true
		}
		if bits&1 != 0 {
			if _, ok := item(); !ok {
				return r
			}
			s = strings.TrimSuffix(s, " ")
		}
		if bits&2 != 0 {
			orcpt, ok := item()
			if !ok {
				return r
			}
			if _, a, ok := strings.Cut(orcpt, ";"); ok {
				r.Original = a
			}
			s = strings.TrimSuffix(s, " ")
		}
		r.Addr = s
	}
	return r
}

// eximJournal reads the addresses that were delivered since the -H file was
// written.
func (p *pass) eximJournal(in *input, id string) []string {
	f, err := in.beside(id + "-J")
	if err != nil {
		return nil
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 4<<20)) // what cannot be read only marks fewer recipients as done
	var out []string
	for l := range strings.Lines(string(b)) {
		if l = strings.ToLower(strings.TrimSpace(l)); l != "" {
			out = append(out, l)
		}
	}
	return out
}

// copyBody copies a -D file without its first line, which is its name.
func (h *eximHeader) copyBody(out *sink, f io.Reader, id string) error {
	r := bufio.NewReaderSize(f, 64<<10)
	name, err := r.ReadString('\n')
	if err != nil {
		return io.ErrUnexpectedEOF
	}
	if name != id+"-D\n" {
		return errEximBody
	}
	var lines int64
	cr := false // a CR was read that may be the end of a line on the wire
	for {
		b, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return err
		}
		ended := bytes.HasSuffix(b, []byte{'\n'})
		if ended {
			lines++
		}
		if h.wire {
			if cr && len(b) > 0 && b[0] != '\n' {
				if err := out.write([]byte{'\r'}); err != nil {
					return err
				}
			}
			cr = cr && len(b) == 0
			if text, ok := bytes.CutSuffix(b, []byte("\r\n")); ok {
				b = b[:len(text)+1]
				b[len(text)] = '\n'
			} else if text, ok := bytes.CutSuffix(b, []byte{'\r'}); ok {
				b, cr = text, true
			}
		}
		if werr := out.write(b); werr != nil {
			return werr
		}
		if errors.Is(err, io.EOF) {
			break
		}
	}
	if cr {
		if err := out.write([]byte{'\r'}); err != nil {
			return err
		}
	}
	if h.lines > lines {
		return io.ErrUnexpectedEOF
	}
	return nil
}
