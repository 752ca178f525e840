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
// trusted prefix, which is taken off, and the arrival time. It returns false
// where the prefix cannot be read to its end.
func (p *pass) complete(in *input, m *Message) bool {
	o := &p.a.opts
	if !m.sealed() {
		if !p.prefix(m) {
			return false
		}
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
	return true
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

// maxPrefixField is how long one field of the trusted block may be, in bytes:
// archives write all recipients of a message into one.
const maxPrefixField = 16 << 20

// prefix reads the trusted block, however long it is, and removes it from the
// message: what were left of it would tell one recipient of the others. It
// returns false where a field is too long to be read.
func (p *pass) prefix(m *Message) bool {
	b := prefixBlock{p: p, m: m, rank: NoEnvelope}
	if len(m.Recipients) > 0 {
		b.rank = m.Recipients[0].How
	}
	for window := maxHeader; window <= maxPrefixField; {
		head := m.content.first(window)
		whole := int64(len(head)) == m.content.size()
		end, count, cut := 0, 0, false
		for f := range fields(head) {
			count++
			if b.ends(&f) {
				break
			}
			if cut = f.end == len(head) && !whole; cut {
				break // it may go on behind the window
			}
			b.take(&f)
			end = f.end
		}
		m.content.skip(end)
		switch {
		case b.ended || end == 0 && !cut || whole && count < maxFields:
			return true
		case end > 0:
			window = maxHeader
		default:
			window *= 4
		}
	}
	return false
}

// prefixBlock is the trusted block while it is being read.
type prefixBlock struct {
	p     *pass
	m     *Message
	rank  How  // of the recipients that are known
	ended bool // what follows came with the message

	blocked map[string]bool // whom amavis did not let the message through to
}

// classify tells what a field of the block is: a sender, recipients, or neither.
func (b *prefixBlock) classify(f *field) (how How, sender, known bool) {
	name := strings.ToLower(string(f.name))
	switch o := &b.p.a.opts; {
	case containsFold(o.Header, name):
		return HeaderField, false, true
	case containsFold(o.SenderFrom, name):
		return NoEnvelope, true, true
	}
	how, known = prefixFields[name]
	return how, name == "return-path" || name == "x-envelope-from" || name == "x-envelope-sender" || name == "envelope-from", known
}

// ends tells whether a field stands behind the block.
func (b *prefixBlock) ends(f *field) bool {
	if !b.ended {
		_, _, known := b.classify(f)
		b.ended = !known
	}
	return b.ended
}

// take reads one field of the block.
func (b *prefixBlock) take(f *field) {
	m := b.m
	switch {
	case f.is("X-Quarantine-ID"):
		b.ended = true // amavis' last field: what follows came with the message
		for i := range m.Recipients {
			r := &m.Recipients[i]
			r.Blocked = r.How == EnvelopeTo && b.blocked[r.Addr]
		}
		return
	case f.is("X-Envelope-To-Blocked"):
		if b.blocked == nil {
			b.blocked = map[string]bool{}
		}
		for a := range addresses(f.text()) {
			if len(b.blocked) == maxRecipients || !m.room(len(a)) {
				m.crowded = true
				return
			}
			b.blocked[a] = true
		}
		return
	}
	how, sender, _ := b.classify(f)
	if sender && !m.SenderKnown {
		m.Sender, m.SenderKnown = firstAddress(f.text()), true
	}
	if how == NoEnvelope {
		return
	}
	for a := range addresses(f.text()) {
		if containsFold(b.p.a.opts.Own, a) {
			continue // names the archive's mailbox, and hides no other field
		}
		// Delivered-To is written anew at each stop: the topmost is the last.
		if how == DeliveredTo && b.rank == DeliveredTo {
			return
		}
		if b.rank == NoEnvelope || how < b.rank {
			m.Recipients, b.rank = m.Recipients[:0], how
		}
		if how == b.rank && !m.add(Recipient{Addr: a, How: how}) {
			return
		}
	}
}

// firstAddress reads a sender field; "<>" is the null sender.
func firstAddress(s string) string {
	for a := range addresses(s) {
		return a
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
