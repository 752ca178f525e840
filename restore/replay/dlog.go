package replay

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/bits"
	"os"
	"strings"
	"time"
)

// DeliveryLog is what Postfix' and Dovecot's logs say about messages that
// never reached a mailbox: discarded, forwarded, refused, or still queued. It
// is evidence why a message is absent, never that one is present.
type DeliveryLog struct {
	files  []string
	events map[string][]logEvent // by Message-ID
	seed   maphash.Seed
}

// fate is what a log line says of a message and a recipient.
type fate uint8

const (
	fateNone      fate = iota
	fateStored         // a mailbox took it
	fateHanded         // the MTA handed it to the mail server, whose own log says more
	fateDiscarded      // a filter threw it away
	fateForwarded      // sent on, no copy kept
	fateRefused        // bounced, rejected or expired: the sender was told
	fateQueued         // deferred: it may still come
)

func (f fate) String() string {
	switch f {
	case fateStored:
		return "stored"
	case fateHanded:
		return "handed to the mail server"
	case fateDiscarded:
		return "discarded by a filter"
	case fateForwarded:
		return "forwarded, no copy kept"
	case fateRefused:
		return "refused, its sender was told"
	case fateQueued:
		return "deferred, perhaps still in the queue"
	}
	return "none"
}

// logEvent is one line about one message.
type logEvent struct {
	who  string // recipient or user, lower case
	orig string // recipient before aliases, lower case
	at   time.Time
	year bool // at names its year
	fate fate
	last bool // the mail server's own word, not the MTA's
}

// weight says which of several lines about one message and recipient counts:
// the heaviest, of equals the last.
func (e *logEvent) weight() int {
	switch {
	case e.fate == fateStored:
		return 5
	case e.last:
		return 4
	case e.fate == fateHanded:
		return 3
	case e.fate != fateQueued:
		return 2
	}
	return 1
}

// OpenDeliveryLog checks that the files can be opened; compressed ones are
// undone. They are read by Prepare.
func OpenDeliveryLog(files ...string) (*DeliveryLog, error) {
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("delivery log: %w", err)
		}
		f.Close()
	}
	return &DeliveryLog{files: files, seed: maphash.MakeSeed()}, nil
}

// read goes through the logs once and keeps what they say about messages of the
// archive; a bloom filter of their Message-IDs keeps the rest out of memory.
func (l *DeliveryLog) read(ctx context.Context, c *collected) error {
	if l == nil || len(l.files) == 0 {
		return nil
	}
	b := newBloom(c.items.n, l.seed)
	for rec, err := range c.items.records(ctx) {
		if err != nil {
			return err
		}
		d := newDec(rec)
		if it := d.item(); it.hasID {
			b.add(it.messageID)
		}
	}
	l.events = map[string][]logEvent{}
	for _, name := range l.files {
		if err := l.readFile(ctx, name, b); err != nil {
			return err
		}
	}
	return nil
}

func (l *DeliveryLog) readFile(ctx context.Context, name string, b *bloom) error {
	p := logParser{ids: map[string]string{}, known: b.has}
	return eachLogLine(ctx, name, func(line string) error {
		if id, e, ok := p.line(line); ok {
			l.keep(id, e)
		}
		return nil
	})
}

// keep remembers a line, and nothing of its text but the addresses.
func (l *DeliveryLog) keep(id string, e logEvent) {
	if len(l.events[id]) < 1000 {
		e.who, e.orig = strings.Clone(e.who), strings.Clone(e.orig)
		l.events[strings.Clone(id)] = append(l.events[id], e)
	}
}

// apply explains absent messages of one mailbox.
func (l *DeliveryLog) apply(out []verdict) {
	if l == nil {
		return
	}
	for i := range out {
		v := &out[i]
		if v.state != stAbsent || v.heal != nil || v.lost || !v.hasID {
			continue
		}
		f, at := l.fate(v)
		switch f {
		case fateDiscarded, fateForwarded, fateRefused:
			v.state = stFiltered
		case fateQueued:
			v.state = stOpen
		case fateStored:
			v.blocked = false // it was let through later
		case fateHanded:
		default:
			continue
		}
		v.detail = join(fmt.Sprintf("delivery log, %s: %v", at.UTC().Format(time.RFC3339), f), v.detail)
	}
}

// fate weighs the lines about one message for one recipient. A mailbox that took
// it outweighs all. What the mail server's filters did outweighs the MTA's word
// that it handed the message over, as it does each time; that outweighs what else
// became of it in the MTA, where the last word counts.
func (l *DeliveryLog) fate(v *verdict) (fate, time.Time) {
	rcpt, box := strings.ToLower(v.recipient), strings.ToLower(v.mailbox)
	var got fate
	var when time.Time
	most := 0
	for _, e := range l.events[v.messageID] {
		if e.who != rcpt && e.orig != rcpt && e.who != box {
			continue
		}
		at := e.at
		if v.arrival != 0 {
			if !e.year {
				at = nearestYear(at, v.time())
			}
			// A Message-ID may be used again: only lines of its own days count.
			if d := at.Sub(v.time()); d < -24*time.Hour || d > 7*24*time.Hour {
				continue
			}
		}
		if w := e.weight(); w >= most {
			got, when, most = e.fate, at, w
		}
	}
	return got, when
}

func nearestYear(t, near time.Time) time.Time {
	best := t
	for y := near.Year() - 1; y <= near.Year()+1; y++ {
		x := time.Date(y, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, t.Location())
		if x.Sub(near).Abs() < best.Sub(near).Abs() || best.Year() == 0 {
			best = x
		}
	}
	return best
}

// logParser follows Postfix' queue ids to Message-IDs.
type logParser struct {
	ids   map[string]string    // queue id -> Message-ID, of those that are known
	known func(id string) bool // whether anybody asks for that Message-ID
}

// line reads one line of a mail log. ok says that it tells a fate.
func (p *logParser) line(s string) (id string, e logEvent, ok bool) {
	s = strings.TrimRight(s, "\r\n")
	at, year, rest := logTime(s)
	e.at, e.year = at, year
	if i := strings.Index(rest, "postfix"); i >= 0 {
		if id, ok = p.postfix(rest[i:], &e); ok {
			return id, e, true
		}
		return "", e, false
	}
	for _, service := range []string{"lmtp(", "lda(", "deliver("} {
		if i := strings.Index(rest, service); i >= 0 {
			id, ok = p.dovecot(rest[i+len(service):], &e)
			return id, e, ok
		}
	}
	return "", e, false
}

// logTime reads the time in front of a line: RFC 3339, or syslog's without a
// year, which is local time.
func logTime(s string) (t time.Time, year bool, rest string) {
	if len(s) > 20 && s[4] == '-' {
		w, r, _ := strings.Cut(s, " ")
		if t, err := time.Parse(time.RFC3339, w); err == nil {
			return t, true, r
		}
		if len(s) >= 19 {
			if t, err := time.ParseInLocation("2006-01-02 15:04:05", s[:19], time.Local); err == nil {
				return t, true, s[19:]
			}
		}
	}
	if len(s) >= 15 {
		if t, err := time.ParseInLocation("Jan _2 15:04:05", s[:15], time.Local); err == nil {
			return t, false, s[15:]
		}
		// Dovecot's own log files: "Nov 22 08:56:00 lmtp(user)…" is the same form.
	}
	return time.Time{}, true, s
}

// postfix reads "postfix/service[pid]: QUEUEID: …".
func (p *logParser) postfix(s string, e *logEvent) (string, bool) {
	tag, text, ok := strings.Cut(s, ": ")
	if !ok {
		return "", false
	}
	service := tag
	if i := strings.IndexByte(service, '['); i >= 0 {
		service = service[:i]
	}
	service = service[strings.LastIndexByte(service, '/')+1:]
	queue, text, ok := strings.Cut(text, ": ")
	if !ok || !queueID(queue) {
		return "", false
	}
	switch {
	case strings.HasPrefix(text, "message-id="):
		id := strings.TrimPrefix(text, "message-id=")
		if !p.known(id) {
			delete(p.ids, queue) // the queue id is used again
			return "", false
		}
		if len(p.ids) > 1<<20 {
			clear(p.ids) // ids whose end was never logged
		}
		p.ids[strings.Clone(queue)] = strings.Clone(id)
		return "", false
	case text == "removed":
		delete(p.ids, queue)
		return "", false
	case !strings.HasPrefix(text, "to=<"):
		return "", false
	}
	id := p.ids[queue]
	if id == "" {
		return "", false
	}
	e.who = strings.ToLower(bracketed(text, "to=<"))
	e.orig = strings.ToLower(bracketed(text, "orig_to=<"))
	_, status, ok := strings.Cut(text, " status=")
	if !ok {
		return "", false
	}
	word, why, _ := strings.Cut(status, " ")
	switch word {
	case "bounced", "expired":
		e.fate = fateRefused
	case "deferred":
		e.fate = fateQueued
	case "sent":
		switch {
		case service == "discard":
			e.fate = fateDiscarded
		case strings.HasPrefix(why, "(forwarded as "):
			e.fate = fateForwarded
		case service == "lmtp" || service == "pipe" || service == "local" && strings.HasPrefix(why, "(delivered to command"):
			e.fate = fateHanded
		case service == "virtual" || service == "local":
			e.fate = fateStored
		default:
			return "", false // relayed: what the next host did is in its own log
		}
	default:
		return "", false
	}
	return id, true
}

func queueID(s string) bool {
	if len(s) < 5 || len(s) > 24 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// bracketed returns what stands between a prefix and '>', the prefix at the
// start or behind a comma.
func bracketed(s, prefix string) string {
	i := 0
	if !strings.HasPrefix(s, prefix) {
		i = strings.Index(s, ", "+prefix)
		if i < 0 {
			return ""
		}
		i += 2
	}
	v, _, _ := strings.Cut(s[i+len(prefix):], ">")
	return v
}

// dovecot reads what follows "lmtp(": "user)<pid><session>: sieve: msgid=<…>:
// stored mail into mailbox 'INBOX'", in the forms of 2.2 to 2.4.
func (p *logParser) dovecot(s string, e *logEvent) (string, bool) {
	user, text, ok := strings.Cut(s, ")")
	if !ok {
		return "", false
	}
	if _, u, ok := strings.Cut(user, ", "); ok { // lmtp(pid, user)
		user = u
	}
	e.who = strings.ToLower(user)
	_, text, ok = strings.Cut(text, "msgid=")
	if !ok {
		return "", false
	}
	id, what, ok := strings.Cut(text, ": ")
	if !ok {
		return "", false
	}
	if id = strings.TrimSpace(id); !p.known(id) {
		return "", false
	}
	e.last = true
	switch {
	case strings.HasPrefix(what, "stored mail into mailbox"), strings.HasPrefix(what, "saved mail to "):
		e.fate = fateStored
	case strings.HasPrefix(what, "forwarded to "), strings.HasPrefix(what, "redirected to "):
		e.fate = fateForwarded
	case strings.HasPrefix(what, "discarded duplicate vacation"): // of the answer, not of the message
		return "", false
	case strings.HasPrefix(what, "discarded"), strings.HasPrefix(what, "marked message to be discarded"):
		e.fate = fateDiscarded
	case strings.HasPrefix(what, "rejected"):
		e.fate = fateRefused
	default:
		return "", false
	}
	return id, true
}

// bloom is a set that may claim to hold what it does not.
type bloom struct {
	bits []uint64
	seed maphash.Seed
}

func newBloom(n int64, seed maphash.Seed) *bloom {
	words := 1 << bits.Len64(uint64(max(n, 1024))*12/64)
	return &bloom{bits: make([]uint64, words), seed: seed}
}

func (b *bloom) places(s string) [4]uint64 {
	h := maphash.String(b.seed, s)
	step := h>>32 | 1
	var p [4]uint64
	for i := range p {
		p[i] = (h + uint64(i)*step) & (uint64(len(b.bits))*64 - 1)
	}
	return p
}

func (b *bloom) add(s string) {
	for _, p := range b.places(s) {
		b.bits[p/64] |= 1 << (p % 64)
	}
}

func (b *bloom) has(s string) bool {
	for _, p := range b.places(s) {
		if b.bits[p/64]&(1<<(p%64)) == 0 {
			return false
		}
	}
	return true
}
