package replay

import (
	"context"
	"strings"
	"time"
)

// What an MTA's log says of mail that left. Postfix' and Exim's logs are read;
// lines of either may stand in one file. A message's lines are held together by
// its queue id; what ties it to the archive is the Message-ID that the log
// names once, or else the queue id in the message's own Received.

// passage is what a log says of one message in one queue, for one recipient.
type passage struct {
	queue string
	who   string // recipient, lower case; "" = all of them
	orig  string // before aliases, lower case
	at    time.Time
	year  bool // at names its year
	fate  Sending
	next  string // queue id under which the next host has it
	why   string // the log's words
}

// sight is one line: a passage, or only that the queue had the message.
type sight struct {
	key     string // Message-ID, or "" and the queue id counts
	service string // learned by now
	nth     uint64 // among the lines that say something
	passage
}

// queued is what is known of a queue id on the way through a log. It outlives
// its line, so it holds no part of one.
type queued struct {
	id, service string
}

// outLog follows queue ids.
type outLog struct {
	ids  map[string]*queued
	copy string // transport that writes the archive: what it takes has gone nowhere
}

// maxQueued bounds the queue ids that are followed at a time: each ends with
// its message. Those of messages that never end are forgotten.
const maxQueued = 1 << 20

func (l *outLog) of(queue string) *queued {
	q := l.ids[queue]
	if q == nil {
		if len(l.ids) >= maxQueued {
			clear(l.ids)
		}
		q = &queued{}
		l.ids[strings.Clone(queue)] = q
	}
	return q
}

// line reads one line; ok tells that it says something of a message.
func (l *outLog) line(s string) (x sight, ok bool) {
	s = strings.TrimRight(s, "\r\n")
	at, year, rest := logTime(s)
	x.at, x.year = at, year
	if i := strings.Index(rest, "postfix"); i >= 0 {
		return l.postfix(rest[i:], x)
	}
	return l.exim(strings.TrimLeft(rest, " "), x)
}

func (l *outLog) postfix(s string, x sight) (sight, bool) {
	tag, text, ok := strings.Cut(s, ": ")
	if !ok {
		return x, false
	}
	queue, text, ok := strings.Cut(text, ": ")
	if !ok || !queueID(queue) {
		return x, false
	}
	x.queue = queue
	switch {
	case strings.HasPrefix(text, "client="):
		q := l.of(queue)
		q.service = "client:" + clientAddress(text[len("client="):])
		if _, user, ok := strings.Cut(text, "sasl_username="); ok {
			user, _, _ = strings.Cut(user, ",")
			q.service = "sasl:" + strings.TrimSpace(user)
		}
		return x, false
	case strings.HasPrefix(text, "uid="):
		uid, _, _ := strings.Cut(text[len("uid="):], " ")
		l.of(queue).service = "local:" + uid
		return x, false
	case strings.HasPrefix(text, "message-id="):
		q := l.of(queue)
		q.id = strings.Clone(strings.TrimSpace(text[len("message-id="):]))
		x.key, x.service, x.fate = q.id, q.service, Sighted
		return x, true
	case text == "removed":
		q := l.ids[queue]
		delete(l.ids, queue)
		if q == nil {
			return x, false
		}
		x.key, x.service, x.fate = q.id, q.service, Removed
		if strings.Contains(tag, "postsuper") {
			x.why = "removed from the queue by hand"
		}
		return x, true
	}
	q := l.ids[queue]
	if q == nil {
		return x, false
	}
	x.key, x.service = q.id, q.service
	if strings.HasPrefix(text, "from=<") && (strings.Contains(text, "status=expired") || strings.Contains(text, "status=force-expired")) {
		x.fate, x.why = Expired, "returned to its sender"
		return x, true
	}
	if !strings.HasPrefix(text, "to=<") {
		return x, false
	}
	x.who, x.orig = strings.ToLower(bracketed(text, "to=<")), strings.ToLower(bracketed(text, "orig_to=<"))
	_, status, ok := strings.Cut(text, " status=")
	if !ok || l.copy != "" && strings.Contains(text, ", relay="+l.copy+",") {
		return x, false
	}
	word, why, _ := strings.Cut(status, " ")
	x.why = word + " " + why
	switch word {
	case "sent":
		x.fate = Sent2xx
		if i := strings.LastIndex(why, "queued as "); i >= 0 {
			next, _, _ := strings.Cut(why[i+len("queued as "):], ")")
			x.next = strings.TrimSpace(next)
		} else if strings.HasPrefix(why, "(forwarded as ") {
			x.next = strings.TrimSuffix(why[len("(forwarded as "):], ")")
		}
	case "deferred":
		x.fate = Delayed
	case "bounced":
		x.fate = Bounced
	case "expired", "force-expired":
		x.fate = Expired
	default:
		return x, false
	}
	return x, true
}

// clientAddress reads "host[address], …".
func clientAddress(s string) string {
	if _, a, ok := strings.Cut(s, "["); ok {
		a, _, _ = strings.Cut(a, "]")
		return a
	}
	s, _, _ = strings.Cut(s, ",")
	return s
}

// exim reads "ID <= sender H=host [address] A=plain:user id=…" and the lines
// that follow a message ("Log files" in the Exim specification).
func (l *outLog) exim(s string, x sight) (sight, bool) {
	if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") { // a zone
		_, s, _ = strings.Cut(s, " ")
	}
	if strings.HasPrefix(s, "[") { // a process id
		_, s, _ = strings.Cut(s, "] ")
	}
	queue, text, ok := strings.Cut(s, " ")
	if !ok {
		return x, false
	}
	if id, _ := eximID(queue); !id {
		return x, false
	}
	x.queue = queue
	flag, rest, _ := strings.Cut(text, " ")
	if flag == "<=" {
		q := l.of(queue)
		q.service = "local"
		for w := range strings.FieldsSeq(rest) {
			switch {
			case strings.HasPrefix(w, "id="):
				q.id = "<" + w[len("id="):] + ">"
			case strings.HasPrefix(w, "U=") && q.service == "local":
				q.service = "local:" + w[2:]
			case strings.HasPrefix(w, "[") && !strings.HasPrefix(q.service, "sasl:"):
				q.service = "client:" + strings.Trim(strings.SplitN(w, "]", 2)[0], "[]")
			case strings.HasPrefix(w, "A="):
				if _, user, ok := strings.Cut(w[2:], ":"); ok {
					q.service = "sasl:" + user
				}
			}
		}
		x.key, x.service, x.fate = q.id, q.service, Sighted
		return x, true
	}
	q := l.ids[queue]
	if q == nil {
		return x, false
	}
	x.key, x.service = q.id, q.service
	switch {
	case flag == "Completed" || text == "Completed":
		delete(l.ids, queue)
		x.fate = Removed
		return x, true
	case strings.HasPrefix(text, "removed by "):
		delete(l.ids, queue)
		x.fate, x.why = Removed, "removed from the queue by hand"
		return x, true
	case flag == "=>" || flag == "->":
		x.fate = Sent2xx
		if i := strings.LastIndex(rest, "id="); i >= 0 && strings.Contains(rest, "C=\"250 OK id=") {
			next, _, _ := strings.Cut(rest[i+len("id="):], "\"")
			x.next = next
		}
	case flag == "**":
		x.fate = Bounced
		if strings.Contains(rest, "retry timeout exceeded") {
			x.fate = Expired
		}
	case flag == "==":
		x.fate = Delayed
	default:
		return x, false
	}
	if l.copy != "" && strings.Contains(rest+" ", " T="+l.copy+" ") {
		return x, false
	}
	x.who, x.orig = eximAddress(rest)
	x.why = rest
	return x, true
}

func eximID(s string) (ok, long bool) {
	if len(s) != 16 && len(s) != 23 || s[6] != '-' {
		return false, false
	}
	return strings.Count(s, "-") == 2, len(s) == 23
}

// eximAddress reads the addresses of a delivery line: "addr R=…", or "local
// <addr> R=…" where the address was rewritten or shortened.
func eximAddress(s string) (who, orig string) {
	head := s
	for _, mark := range []string{" R=", " F=", " T=", " P=", ": "} {
		if i := strings.Index(head, mark); i >= 0 {
			head = head[:i]
		}
	}
	who, rest, ok := strings.Cut(head, " <")
	if ok {
		orig, _, _ = strings.Cut(rest, ">")
	}
	return strings.ToLower(strings.TrimSpace(who)), strings.ToLower(orig)
}

// readOutLog goes through one log and tells what it says.
func readOutLog(ctx context.Context, l *outLog, name string, tell func(*sight) error) error {
	return eachLogLine(ctx, name, func(line string) error {
		if x, ok := l.line(line); ok {
			return tell(&x)
		}
		return nil
	})
}
