package archive

import (
	"strings"
)

// prefixFields are the fields that an archive puts in front of a message. The
// block of them at the very start is the archive's own word; the same fields
// further down may be the sender's, and are never believed. The last field of
// amavis' block is X-Quarantine-ID.
var prefixFields = map[string]How{
	"return-path":           NoEnvelope,
	"x-envelope-from":       NoEnvelope,
	"x-envelope-sender":     NoEnvelope,
	"envelope-from":         NoEnvelope,
	"delivery-date":         NoEnvelope,
	"x-envelope-to-blocked": NoEnvelope,
	"x-quarantine-id":       NoEnvelope,
	"x-envelope-to":         EnvelopeTo,
	"envelope-to":           EnvelopeTo,
	"x-envelope-recipient":  EnvelopeTo,
	"x-rcpt-to":             EnvelopeTo,
	"x-piler-envelope-to":   EnvelopeTo,
	"x-original-to":         OriginalTo,
	"delivered-to":          DeliveredTo,
	"x-delivered-to":        DeliveredTo,
}

// complete fills in what the container did not say: the envelope from the
// trusted prefix, which is taken off, and the arrival time.
func (p *pass) complete(in *input, m *Message) {
	o := &p.a.opts
	if !m.sealed() {
		p.prefix(m)
		if p.a.pattern != nil {
			p.fromPath(in, m)
		}
	}
	m.Recipients = p.dropOwn(m.Recipients)
	// The delivery fields of a Maildir may turn out to name only the archive:
	// then the gateway's own Received is asked, which stands behind them.
	behind := m.Format == "maildir" && len(m.Recipients) > 0 && (m.Recipients[0].How == OriginalTo || m.Recipients[0].How == DeliveredTo)
	if (len(m.Recipients) == 0 || behind) && len(o.ReceivedBy) > 0 {
		if a := receivedFor(m.content.head(), o.ReceivedBy); a != "" {
			m.Recipients = append(m.Recipients, Recipient{Addr: a, How: ReceivedFor})
		}
	}
	m.Recipients = p.dropOwn(m.Recipients)
	p.arrival(in, m)
}

// sealed tells whether the container holds the message apart from its
// envelope, so that nothing in front of the message is the archive's own.
func (m *Message) sealed() bool {
	switch m.Format {
	case "bsmtp", "postfix", "exim":
		return true
	}
	return false
}

// prefix reads the trusted block and removes it from the message.
func (p *pass) prefix(m *Message) {
	best, end := m.Recipients, 0
	rank := NoEnvelope
	if len(best) > 0 {
		rank = best[0].How
	}
	for f := range fields(m.content.head()) {
		name := strings.ToLower(string(f.name))
		how, known := prefixFields[name]
		isSender := name == "return-path" || name == "x-envelope-from" || name == "x-envelope-sender" || name == "envelope-from"
		if containsFold(p.a.opts.Header, name) {
			how, known, isSender = HeaderField, true, false
		} else if containsFold(p.a.opts.SenderFrom, name) {
			how, known, isSender = NoEnvelope, true, true
		}
		if !known {
			break
		}
		end = f.end
		if name == "x-quarantine-id" {
			break // amavis' last field: what follows came with the message
		}
		if isSender && !m.SenderKnown {
			m.Sender, m.SenderKnown = firstAddress(f.text()), true
		}
		if how == NoEnvelope {
			continue
		}
		for _, a := range addresses(f.text()) {
			if containsFold(p.a.opts.Own, a) {
				continue // names the archive's mailbox, and hides no other field
			}
			// Delivered-To is written anew at each stop: the topmost is the last.
			if how == DeliveredTo && rank == DeliveredTo {
				break
			}
			if rank == NoEnvelope || how < rank {
				best, rank = best[:0], how
			}
			if how == rank {
				best = append(best, Recipient{Addr: a, How: how})
			}
		}
	}
	m.Recipients = best
	m.content.skip(end)
}

// firstAddress reads a sender field; "<>" is the null sender.
func firstAddress(s string) string {
	if a := addresses(s); len(a) > 0 {
		return a[0]
	}
	return ""
}

func containsFold(list []string, s string) bool {
	for _, x := range list {
		if strings.EqualFold(x, s) {
			return true
		}
	}
	return false
}

// dropOwn takes the archive's own addresses out of an envelope.
func (p *pass) dropOwn(r []Recipient) []Recipient {
	if len(p.a.opts.Own) == 0 {
		return r
	}
	out := r[:0]
	for _, x := range r {
		if !containsFold(p.a.opts.Own, x.Addr) {
			out = append(out, x)
		}
	}
	return out
}

// receivedFor finds the address of the topmost Received that the gateway wrote
// with a "for" clause (RFC 5321 section 4.4). Fields are looked at as long as
// the gateway wrote them: below the first strange one, anything may be forged.
func receivedFor(head []byte, by []string) string {
	for f := range fields(head) {
		if !f.is("Received") {
			continue
		}
		host, addr := parseReceived(f.text())
		if !containsFold(by, host) {
			return ""
		}
		if addr != "" {
			return addr
		}
	}
	return ""
}

// parseReceived returns the "by" host and the "for" address of a Received
// field. Comments in parentheses are skipped.
func parseReceived(s string) (by, addr string) {
	if i := strings.LastIndexByte(s, ';'); i >= 0 {
		s = s[:i]
	}
	var words []string
	depth, start, quoted := 0, -1, false
	flush := func(i int) {
		if start >= 0 {
			words = append(words, s[start:i])
			start = -1
		}
	}
	for i := 0; i < len(s) && len(words) < 64; i++ {
		c := s[i]
		switch {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '(':
			flush(i)
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		case c == ' ' || c == '\t':
			flush(i)
		default:
			if c == '"' {
				quoted = true
			}
			if start < 0 {
				start = i
			}
		}
	}
	flush(len(s))
	for i := 0; i+1 < len(words); i++ {
		switch strings.ToLower(words[i]) {
		case "by":
			if by == "" {
				by = strings.TrimSuffix(words[i+1], ".")
			}
		case "for":
			if addr == "" && by != "" {
				addr = strings.TrimSuffix(strings.TrimPrefix(words[i+1], "<"), ">")
			}
		}
	}
	return by, addr
}
