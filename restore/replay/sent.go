package replay

import (
	"context"
	"fmt"
	"time"

	"mailsync/manifest"
	"mailsync/restore"
)

// Envelope is whom a message came from and for whom it was, as archived.
type Envelope struct {
	Sender    string // "" is the null sender, or not known
	Recipient string
}

// SentState is what is known of a message that was sent to a server.
type SentState uint8

// The states of the ledger. Their numbers are its format.
const (
	SentDelivered SentState = iota // delivered, by whatever way
	SentIntent                     // about to be sent; without one of the others after it nobody knows what became of it
	SentAccepted                   // the server accepted it
	SentTemporary                  // refused for now: the server does not have it
	SentRefused                    // refused: the server does not have it
	SentWithdrawn                  // not sent after all, or not to its end
	SentUnknown                    // never recorded: the connection ended before the answer
)

// Sent is one line of the ledger about a message that goes through a server.
type Sent struct {
	Mailbox   string
	Digest    manifest.Digest
	At        time.Time
	Run       string
	State     SentState
	Recipient string // as the server was told
	Answer    string // of the server, for this recipient
}

// Sent records messages that go through a server. When it returns, the records
// are durable.
func (l *Ledger) Sent(list []Sent) error {
	recs := make([]delivered, len(list))
	for i := range list {
		s := &list[i]
		recs[i] = delivered{
			mailbox: s.Mailbox, digest: s.Digest, at: s.At.Unix(), run: s.Run,
			state: s.State, recipient: s.Recipient, answer: s.Answer[:min(len(s.Answer), 500)],
		}
	}
	return l.add(recs)
}

// quiet is how long a server may be at work on a message whose sender was
// killed: before that, an account that lacks the message says nothing.
const quiet = 30 * time.Second

// unanswered waits until what earlier runs sent without hearing an answer is
// old enough to be looked for. tell is told before it waits.
func (l *Ledger) unanswered(ctx context.Context, now func() time.Time, tell func(time.Duration)) error {
	if l == nil || l.journal == nil {
		return nil
	}
	type key struct {
		mailbox string
		digest  manifest.Digest
	}
	since := now().Add(-quiet).Unix()
	open := map[key]int64{}
	for x, err := range l.all() {
		if err != nil {
			return err
		}
		k := key{x.mailbox, x.digest}
		switch {
		case x.state != SentIntent:
			delete(open, k)
		case x.at >= since:
			open[k] = x.at
		}
	}
	var last int64
	for _, at := range open {
		last = max(last, at)
	}
	if last == 0 {
		return nil
	}
	wait := time.Unix(last, 0).Add(quiet + time.Second).Sub(now())
	tell(wait)
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// past is what the ledger says of one message.
type past struct {
	last    *delivered
	arrived bool // delivered, or accepted by a server
	open    int  // intents without an answer
}

// fold weighs the lines about one mailbox, in whatever order.
func fold(list []delivered) map[manifest.Digest]*past {
	by := make(map[manifest.Digest]*past, len(list))
	for i := range list {
		d := &list[i]
		p := by[d.digest]
		if p == nil {
			p = &past{}
			by[d.digest] = p
		}
		switch d.state {
		case SentDelivered, SentAccepted:
			if !p.arrived || d.state == SentAccepted {
				p.last = d
			}
			p.arrived = true
		case SentIntent:
			p.open++
		default:
			p.open--
		}
		if p.last == nil || !p.arrived && d.at >= p.last.at {
			p.last = d
		}
	}
	return by
}

// remember weighs what earlier runs delivered. What is there now was absent
// before them; what is gone again was deleted or lost, and is not delivered
// once more without being asked. What was sent without an answer, and is not
// there, is missing.
func (l *look) remember(list []delivered) {
	if len(list) == 0 {
		return
	}
	by := fold(list)
	for i := range l.out {
		v := &l.out[i]
		p := by[v.digest]
		if p == nil {
			continue
		}
		switch at := time.Unix(p.last.at, 0).UTC().Format(time.RFC3339); {
		case v.state == stPresent:
			v.replayed = true
		case v.state != stAbsent || v.heal != nil || v.lost:
		case p.arrived && p.last.state == SentAccepted:
			v.state, v.replayed = stOpen, true
			v.detail = fmt.Sprintf("the server accepted it from run %s at %s, and it is not there: filtered, forwarded, deleted, or lost", p.last.run, at)
		case p.arrived:
			v.state, v.replayed = stOpen, true
			v.detail = fmt.Sprintf("delivered by run %s at %s and gone since: deleted, or lost once more", p.last.run, at)
		case p.open > 0:
			v.detail = join(fmt.Sprintf("run %s sent it at %s and heard no answer; it is not there", p.last.run, at), v.detail)
		}
	}
}

// Envelope tells sender and recipient of what an action of the batch delivers.
func (b *delivering) Envelope(a *restore.Action) Envelope { return b.envelopes[actionKey(a)] }

func actionKey(a *restore.Action) string {
	return a.Ref.Mailbox + "\x00" + a.Ref.Folder + "\x00" + a.From
}
