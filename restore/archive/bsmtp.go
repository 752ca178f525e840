package archive

import (
	"bytes"
	"strings"
)

// Batched SMTP: the client's side of an SMTP session in a file (RFC 2442; the
// forms that Exim and amavis write leave out HELO and QUIT, and end lines with
// LF). Commands are upper or lower case, parameters of ESMTP are skipped,
// replies of a transcript are ignored, a leading dot is taken off.

func matchBSMTP(_ *input, head []byte) bool {
	for range 8 {
		line := head
		i := bytes.IndexByte(head, '\n')
		if i >= 0 {
			line, head = head[:i], head[i+1:]
		}
		switch verb, _ := command(line); {
		case verb == "MAIL":
			return true
		case verb == "HELO", verb == "EHLO", isReply(line), len(bytes.TrimSpace(line)) == 0:
		default:
			return false
		}
		if i < 0 {
			return false
		}
	}
	return false
}

// command reads one line as an SMTP command. The verb is upper case, "" where
// it is none.
func command(line []byte) (verb, arg string) {
	s := strings.TrimRight(string(line[:min(len(line), 4096)]), "\r\n \t")
	verb, arg, _ = strings.Cut(s, " ")
	verb = strings.ToUpper(verb)
	switch verb {
	case "HELO", "EHLO", "DATA", "RSET", "QUIT", "NOOP", "VRFY", "EXPN", "HELP", "ETRN", "LHLO", "TICK", "VERB", "BDAT":
		return verb, arg
	}
	if from := "MAIL FROM:"; len(s) >= len(from) && strings.EqualFold(s[:len(from)], from) {
		return "MAIL", path(s[len(from):])
	}
	if to := "RCPT TO:"; len(s) >= len(to) && strings.EqualFold(s[:len(to)], to) {
		return "RCPT", path(s[len(to):])
	}
	return "", ""
}

// path reads the address of MAIL or RCPT: with or without angle brackets, with
// parameters behind it and perhaps a source route in it (RFC 5321 section
// 4.1.2).
func path(s string) string {
	s = strings.TrimLeft(s, " \t")
	if !strings.HasPrefix(s, "<") {
		quoted := false
		for i := 0; i < len(s); i++ {
			switch {
			case s[i] == '\\' && quoted:
				i++
			case s[i] == '"':
				quoted = !quoted
			case (s[i] == ' ' || s[i] == '\t') && !quoted:
				return s[:i]
			}
		}
		return s
	}
	s = s[1:]
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '>' && !quoted:
			s = s[:i]
		}
	}
	if strings.HasPrefix(s, "@") {
		if i := strings.IndexByte(s, ':'); i >= 0 {
			s = s[i+1:]
		}
	}
	return s
}

func isReply(line []byte) bool {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return false
	}
	for _, c := range line[1:3] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(line) == 3 || line[3] == ' ' || line[3] == '-' || line[3] == '\r'
}

func readBSMTP(p *pass, in *input) error {
	w := in.w
	var m Message // what MAIL and RCPT said of it
	mail := false
	pos := in.pos
	for {
		at := w.off
		line, ok := w.line()
		if !ok && len(line) == 0 {
			if mail && w.broken() == nil {
				return p.truncated(pos, "the session ends before its DATA")
			}
			return p.end(in)
		}
		n := len(line)
		crlf := bytes.HasSuffix(line, []byte("\r\n"))
		verb, arg := command(line)
		blank := len(bytes.TrimSpace(line)) == 0
		reply := isReply(line)
		if !ok && !w.eof() {
			return p.refuse(pos, "a line longer than a command can be")
		}
		w.skip(n)
		switch verb {
		case "MAIL":
			pos.Offset, mail = at, true
			m = Message{Pos: pos, Format: "bsmtp", Sender: arg, SenderKnown: true}
		case "RCPT":
			if arg == "" || !mail {
				continue
			}
			m.add(Recipient{Addr: strings.Clone(arg), How: Container})
		case "RSET", "EHLO", "HELO", "LHLO":
			mail = false
		case "DATA":
			if !mail {
				pos.Offset = at
				return p.refuse(pos, "DATA without MAIL: not a batch of SMTP")
			}
			if on, err := p.bsmtpData(in, &m, crlf); err != nil || !on {
				return err
			}
			mail = false
		case "BDAT":
			pos.Offset = at
			return p.refuse(pos, "BDAT chunks are not supported")
		case "":
			if blank || reply {
				continue
			}
			pos.Offset = at
			if !ok {
				return p.truncated(pos, "the session ends inside a command")
			}
			return p.refuse(pos, "what follows is no SMTP command")
		}
	}
}

// bsmtpData reads the text up to its final dot. on is false where nothing can
// be read behind it.
func (p *pass) bsmtpData(in *input, m *Message, crlf bool) (on bool, err error) {
	w := in.w
	c, err := p.take(in, findDot, func(b []byte) []byte { return p.unstuff(b, crlf) })
	if err != nil {
		if err := p.badContent(m.Pos, in, err); err != nil || w.eof() {
			return false, err
		}
		for { // skip the rest of a message that was too large
			if end, next := findDot(w.bytes(), 0, w.eof()); end >= 0 {
				w.skip(end)
				break
			} else if w.skip(next); !w.more() && w.eof() {
				return false, p.end(in)
			}
		}
	}
	dot, _ := w.line()
	w.skip(len(dot))
	if err != nil {
		return true, nil
	}
	p.msg = *m
	p.msg.content = c
	return true, p.emit(in, &p.msg)
}

// findDot looks for a line that is a single dot. At the end of the file there
// must have been one.
func findDot(b []byte, from int, eof bool) (end, next int) {
	if from == 0 && isDot(b) {
		return 0, 0
	}
	for i := from; ; i++ {
		j := bytes.Index(b[i:], []byte("\n."))
		if j < 0 {
			break
		}
		i += j
		rest := b[i+1:]
		if isDot(rest) || eof && (len(rest) == 1 || len(rest) == 2 && rest[1] == '\r') {
			return i + 1, i + 1
		}
		if !eof && len(rest) < 3 {
			return -1, i
		}
	}
	return -1, max(from, len(b)-1)
}

func isDot(b []byte) bool {
	return bytes.HasPrefix(b, []byte(".\n")) || bytes.HasPrefix(b, []byte(".\r\n"))
}

// unstuff takes the transport off: the dot in front of a dot (RFC 5321 section
// 4.5.2), and where the session's lines end in CRLF, the CR.
func (p *pass) unstuff(b []byte, crlf bool) []byte {
	if !crlf && !bytes.HasPrefix(b, []byte(".")) && !bytes.Contains(b, []byte("\n.")) {
		return b
	}
	out := p.scratch[:0]
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\n') + 1
		if n == 0 {
			n = len(b)
		}
		line := b[:n]
		if line[0] == '.' {
			line = line[1:]
		}
		if crlf && bytes.HasSuffix(line, []byte("\r\n")) {
			out = append(out, line[:len(line)-2]...)
			out = append(out, '\n')
		} else {
			out = append(out, line...)
		}
		b = b[n:]
	}
	p.scratch = out
	return out
}
