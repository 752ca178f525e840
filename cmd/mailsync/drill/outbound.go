package drill

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	"mailsync/cmd/internal/sample"
)

// outgoing is one message that a service handed to the relay.
type outgoing struct {
	id, service, to string
	at              time.Time
	sent            int    // how often it left, or came back to its sender
	queued          bool   // it waits in the relay's queue
	lastID          string // under which a log knows it
}

// How many messages leave.
const (
	ordinary = 30 // messages that left on the evening before
	evening  = 45 // messages of the bad evening
)

// sending makes the mail that leaves on an ordinary evening: all of it went out.
func (e *estate) sending() error {
	if err := appendFile(e.path("mailsync.toml"), "\n[archives.sent]\npath = \""+e.path("sent.mbox")+"\"\n"); err != nil {
		return err
	}
	for i := range ordinary {
		e.send(i, e.began.Add(-5*time.Hour+time.Duration(i)*time.Minute))
	}
	var log strings.Builder
	for i := range e.out {
		e.out[i].handed(&log)
		e.out[i].left(&log, e.out[i].at, "sent (250 2.0.0 ok)")
	}
	if err := appendFile(e.path("relay.log"), log.String()); err != nil {
		return err
	}
	return e.keepSent()
}

// relayDies is the incident: most of the evening's mail leaves, some of it waits
// in the queue, some comes back, and the last of the shop dies with the disk.
func (e *estate) relayDies() error {
	e.now()
	var log strings.Builder
	for i := range evening {
		m := e.send(ordinary+i, e.began.Add(-3*time.Hour+time.Duration(i)*time.Minute))
		switch {
		case i >= evening-6 && m.service == "shop": // taken, and never seen again
			m.handed(&log)
		case i%7 == 3:
			m.handed(&log)
			m.queued = true
			m.line(&log, m.at, "dsn=4.4.1, status=deferred (connect to far: timed out)")
		case i%20 == 5:
			m.handed(&log)
			m.left(&log, m.at, "bounced (host far said: 550 5.1.1 unknown)")
		default:
			m.handed(&log)
			m.left(&log, m.at, "sent (250 2.0.0 ok)")
		}
	}
	if err := appendFile(e.path("relay.log"), log.String()); err != nil {
		return err
	}
	return e.keepSent()
}

// standbyRuns sends what was in the queue, from a copy of the dead relay's
// spool.
func (e *estate) standbyRuns() error {
	var log strings.Builder
	for i := range e.out {
		if m := &e.out[i]; m.queued {
			m.queued = false
			m.handed(&log)
			m.left(&log, e.began.Add(-time.Hour), "sent (250 2.0.0 ok)")
		}
	}
	return appendFile(e.path("standby.log"), log.String())
}

// sentAgain is what the services do with the list of what is lost.
func (e *estate) sentAgain() error {
	var log strings.Builder
	for i := range e.out {
		if m := &e.out[i]; m.sent == 0 {
			m.handed(&log)
			m.left(&log, e.began.Add(-time.Minute), "sent (250 2.0.0 ok)")
		}
	}
	return appendFile(e.path("standby.log"), log.String())
}

func (e *estate) send(n int, at time.Time) *outgoing {
	service := []string{"shop", "alarms", "newsletter"}[n%3]
	e.out = append(e.out, outgoing{
		id: fmt.Sprintf("%s-%03d@example.org", service, n), service: service,
		to: fmt.Sprintf("customer%03d@far.example.net", n), at: at,
	})
	return &e.out[len(e.out)-1]
}

// handed writes what Postfix logs of a message that it takes.
func (m *outgoing) handed(log *strings.Builder) {
	m.lastID = fmt.Sprintf("%05X%05X", log.Len()+1, m.at.Unix()&0xfffff) // each relay gives it another
	fmt.Fprintf(log, "%s relay postfix/cleanup[2]: %s: message-id=<%s>\n", m.at.UTC().Format(time.RFC3339), m.lastID, m.id)
}

// line writes what became of it.
func (m *outgoing) line(log *strings.Builder, at time.Time, what string) {
	fmt.Fprintf(log, "%s relay postfix/smtp[4]: %s: to=<%s>, relay=far[192.0.2.9]:25, %s\n", at.UTC().Format(time.RFC3339), m.lastID, m.to, what)
}

// left is line for an end.
func (m *outgoing) left(log *strings.Builder, at time.Time, status string) {
	m.sent++
	m.line(log, at, "dsn=2.0.0, status="+status)
	fmt.Fprintf(log, "%s relay postfix/qmgr[3]: %s: removed\n", at.UTC().Format(time.RFC3339), m.lastID)
}

// keepSent writes the archive of sent mail.
func (e *estate) keepSent() error {
	var mail []sample.Archived
	for i := range e.out {
		m := &e.out[i]
		mail = append(mail, sample.Archived{
			From: m.service + "@example.org", To: []string{m.to}, Arrival: m.at,
			Data: fmt.Appendf(nil, "From: %s@example.org\nTo: %s\nMessage-ID: <%s>\nX-Service: %s\nSubject: a made-up message\n\nhello\n", m.service, m.to, m.id, m.service),
		})
	}
	var mbox bytes.Buffer
	if err := sample.WriteMbox(&mbox, mail); err != nil {
		return err
	}
	return os.WriteFile(e.path("sent.mbox"), mbox.Bytes(), 0o600)
}

// scoreSent counts what left, or came back to its sender, once.
func (e *estate) scoreSent() Score {
	var s Score
	for _, m := range e.out {
		s.Messages++
		if m.sent > 0 {
			s.Whole++
			s.Twice += int64(m.sent - 1)
		}
	}
	return s
}

func outboundLost() Scenario {
	audit := []string{"audit", "--outbound", "--from", "sent", "--service-header", "X-Service", "--delivery-log", "relay.log"}
	both := append(append([]string{}, audit...), "--delivery-log", "standby.log")
	return Scenario{
		Name: "outbound-lost", Title: "Was mail lost, or only delayed?", Outbound: true,
		Story: `The relay's disk died in the evening, with mail in its queue. Shop, alarms and
newsletter ask: was ours sent? The gateway archives what leaves, and the log host
has the relay's log. (A drill cannot send mail; it writes what logs would say.)`,
		setup:    (*estate).sending,
		incident: (*estate).relayDies,
		steps: []step{
			{
				title: "The evening before", see: "What the archive of sent mail holds, the relay's log accounts for.",
				args: audit, exit: 0, has: []string{`No message is lost or delayed`, `30 are sent`},
				means: "Each message, for each recipient, has an end that a log line tells.",
			},
			{
				title: "Lost, or only delayed?", see: "The relay is dead. Its log ends in the middle of the evening.",
				args: audit, exit: 1, has: []string{`lost +customer`, `delayed +customer`, `shop`, `2 are lost`},
				means: "Delayed: the log ended while they waited in the queue. Lost: the relay took them,\nand nothing tells what became of them. The table has a line for each service.",
			},
			{
				title: "What the queue still held", see: "The queue was copied off the dead disk; a standby relay has sent it, and has a log\nof its own.",
				args: both, exit: 1, has: []string{`2 are lost`, `shop +25 +23 +0 +0 +0 +2`},
				means: "What was delayed has its end now. What is still lost is named with recipient,\nMessage-ID and place in the archive: the shop alone is concerned.",
				cause: (*estate).standbyRuns,
			},
			{
				title: "Is it settled?", see: "The shop has sent again what the list names, and only that: nobody gets a\nmessage twice.",
				args: both, exit: 0, has: []string{`No message is lost or delayed`},
				means: "The account of every service closes.",
				cause: (*estate).sentAgain,
			},
		},
	}
}
