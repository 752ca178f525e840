package replay

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// outGroup is everything that is known under one Message-ID.
type outGroup struct {
	key      string
	archived []outMessage
	waiting  []outMessage
	sights   []sight
}

type outMessage struct {
	pos, sender, id, service, queue string
	at                              int64
	to                              []outTo
}

type outTo struct {
	addr, original string
	done           bool
}

// maxSights bounds what is kept of one Message-ID: a loop writes without end.
const maxSights = 100_000

func (g *outGroup) add(kind byte, d dec) {
	if kind == recSight {
		x := sight{}
		x.queue, x.service, x.who, x.orig = d.str(), d.str(), d.str(), d.str()
		x.fate, x.next, x.why = Sending(d.str()), d.str(), d.str()
		x.at, x.nth, x.year = time.Unix(d.int(), d.int()), d.uint(), d.byte() != 0
		if !d.bad && len(g.sights) < maxSights {
			g.sights = append(g.sights, x)
		}
		return
	}
	m := outMessage{pos: d.str(), sender: d.str(), id: d.str(), service: d.str(), queue: d.str(), at: d.int()}
	for n := d.uint(); n > 0 && !d.bad; n-- {
		m.to = append(m.to, outTo{addr: d.str(), original: d.str(), done: d.byte() != 0})
	}
	if d.bad {
		return
	}
	if kind == recArchived {
		g.archived = append(g.archived, m)
	} else {
		g.waiting = append(g.waiting, m)
	}
}

// date gives the lines that name no year the one that is nearest to a message's
// arrival, and sorts all by time, December before January; lines of one second,
// which is all that many logs tell, stay in the log's order.
func (g *outGroup) date(arrival int64) {
	for i := range g.sights {
		if s := &g.sights[i]; !s.year && arrival != 0 {
			s.at = nearestYear(s.at, time.Unix(0, arrival))
		}
	}
	slices.SortFunc(g.sights, func(a, b sight) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.nth, b.nth)) })
}

// outcome weighs what log and queue say of one recipient. That the queue still
// has it outweighs all; then that somebody took it, then why nobody did. A hand
// over to a queue that the same logs know (a filter, a second instance) is no
// end: what became of it there counts.
func (g *outGroup) outcome(m *outMessage, to outTo, known map[string]bool, queueKnown bool) Outgoing {
	x := Outgoing{Source: m.pos, Sender: m.sender, Recipient: to.addr, Service: m.service, Queue: m.queue, Outcome: Lost}
	if m.id != "" {
		x.MessageID = &m.id
	}
	if m.at != 0 {
		x.Date = time.Unix(0, m.at).UTC().Format(time.RFC3339)
	}
	c := g.course(m, to, known)
	x.Service = cmp.Or(x.Service, c.service)
	say := func(o Sending, s *sight, what string) Outgoing {
		x.Outcome, x.Queue = o, s.queue
		x.Detail = cmp.Or(what, fmt.Sprintf("log, %s: %s", s.at.UTC().Format(time.RFC3339), s.why))
		return x
	}
	if q := g.queued(&c); q != nil {
		x.Outcome, x.Queue, x.Detail = Delayed, q.queue, "in the queue"
		if s := c.last[Delayed]; s != nil {
			x.Detail += "; " + s.why
		}
		return x
	}
	for _, o := range []Sending{Sent2xx, Bounced, Expired} {
		if s := c.last[o]; s != nil {
			return say(o, s, "")
		}
	}
	deferred, sighted := c.last[Delayed], c.last[Sighted]
	switch {
	case c.gone != nil:
		return say(Lost, c.gone, "")
	case deferred != nil && !queueKnown:
		return say(Delayed, deferred, "")
	case deferred != nil:
		say(Lost, deferred, "")
		x.Detail = "deferred last, and not in the queue any more; " + x.Detail
	case c.handed != nil:
		return say(Lost, c.handed, fmt.Sprintf("handed on as %s, whose end no log tells", c.handed.next))
	case sighted != nil:
		return say(Lost, sighted, "the MTA accepted it, and nothing tells its end")
	default:
		x.Detail = "no log knows it, and no queue has it"
	}
	return x
}

// course is what the logs tell of one message and recipient.
type course struct {
	names   map[string]bool    // under which the logs know the recipient, in lower case
	service string             // that handed it in
	last    map[Sending]*sight // the last line of each kind; of Sighted the first
	handed  *sight             // to a queue of the same logs
	gone    *sight             // taken out of the queue, with a reason
}

// knows tells whether an address is the recipient's.
func (c *course) knows(who string) bool { return who != "" && c.names[who] }

// course follows a message through the log's lines, which are sorted by time.
func (g *outGroup) course(m *outMessage, to outTo, known map[string]bool) course {
	c := course{names: map[string]bool{strings.ToLower(to.addr): true, strings.ToLower(to.original): true}, last: map[Sending]*sight{}}
	for i := range g.sights {
		s := &g.sights[i]
		if m.at != 0 {
			// A Message-ID may be used again: only lines of its own days count.
			if d := s.at.Sub(time.Unix(0, m.at)); d < -24*time.Hour || d > 14*24*time.Hour {
				continue
			}
		}
		c.service = cmp.Or(c.service, s.service)
		switch {
		case s.fate == Sighted:
			if c.last[Sighted] == nil {
				c.last[Sighted] = s
			}
		case s.fate == Removed:
			if s.why != "" {
				c.gone = s
			}
		case s.who == "" && s.fate == Expired:
			// Those of its recipients that were still waiting.
			if d := c.last[Delayed]; d != nil && d.queue == s.queue {
				c.last[Expired] = s
			}
		case !c.knows(s.who) && !c.knows(s.orig):
			continue
		}
		c.names[s.who] = true // where its alias leads, behind a hand over
		switch {
		case s.who == "":
		case s.fate == Sent2xx && s.next != "" && s.next != s.queue && known[s.next]:
			c.handed = s
		default:
			c.last[s.fate] = s
		}
	}
	return c
}

// queued finds the recipient in the queue; nil where nobody waits there for it.
func (g *outGroup) queued(c *course) *outMessage {
	for i := range g.waiting {
		for _, w := range g.waiting[i].to {
			if !w.done && (c.knows(strings.ToLower(w.addr)) || c.knows(strings.ToLower(w.original))) {
				return &g.waiting[i]
			}
		}
	}
	return nil
}
