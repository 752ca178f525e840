package lmtp

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"mailsync/restore"
	"mailsync/restore/replay"
)

// Ledger remembers what was sent. *replay.Ledger implements it.
type Ledger interface {
	// Sent records messages; when it returns, the records are durable.
	Sent(list []replay.Sent) error
}

// Enveloped is a source that knows the envelope of what an action delivers.
type Enveloped interface {
	Envelope(a *restore.Action) replay.Envelope
}

// Options say how to deliver.
type Options struct {
	Target      Target
	Ledger      Ledger
	Run         string // names this run in the ledger
	Host        string // our name in LHLO; "" = localhost
	Connections int    // at a time; default 4
	BytesPerSec int64  // over all connections; 0 = no limit

	Wait func(ctx context.Context, d time.Duration) error // default: a timer; tests need none
	Now  func() time.Time                                 // default time.Now
}

// Deliverer implements replay.Deliverer over LMTP.
type Deliverer struct {
	o        Options
	sessions []*session
	tired    map[string]bool // mailboxes that were refused for now to the last attempt
}

var _ replay.Deliverer = (*Deliverer)(nil)

// attempts is how often what is refused for now is sent.
const attempts = 5

// groupSize is how many messages are journalled, sent and told together: one
// sync of the ledger before and one after.
const groupSize = 128

// New connects once, so that a server that is not there is known before
// anything else. Errors wrap ErrUnreachable.
func New(ctx context.Context, o Options) (*Deliverer, error) {
	if o.Connections <= 0 {
		o.Connections = 4
	}
	if o.Host == "" {
		o.Host = "localhost"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	d := &Deliverer{o: o, tired: map[string]bool{}}
	var limit *rate.Limiter
	if o.BytesPerSec > 0 {
		limit = rate.NewLimiter(rate.Limit(o.BytesPerSec), 64<<10)
	}
	for range o.Connections {
		d.sessions = append(d.sessions, &session{target: o.Target, host: o.Host, limit: limit})
	}
	if err := d.sessions[0].connect(ctx); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnreachable, o.Target, err)
	}
	return d, nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ID names the run in the ledger.
func (d *Deliverer) ID() string { return d.o.Run }

// Close ends the connections.
func (d *Deliverer) Close() {
	for _, s := range d.sessions {
		s.close()
	}
}

// Deliver implements replay.Deliverer. Done says that the server accepted the
// message; actions that make directories are the server's own business and are
// not told. src must be Enveloped.
func (d *Deliverer) Deliver(ctx context.Context, actions []restore.Action, src restore.Source) iter.Seq2[restore.Action, error] {
	return func(yield func(restore.Action, error) bool) {
		todo := make([]*attempt, 0, len(actions))
		for i := range actions {
			if a := &actions[i]; a.Op == restore.Add || a.Op == restore.Replace {
				todo = append(todo, d.attempt(ctx, a, src))
			}
		}
		for group := range slices.Chunk(todo, groupSize) {
			err := d.group(ctx, group)
			for _, t := range group {
				if a, told := t.result(); told && !yield(a, nil) {
					return
				}
			}
			if err != nil {
				yield(restore.Action{}, err)
				return
			}
		}
	}
}

// attempt is one message on its way.
type attempt struct {
	action restore.Action
	letter letter
	note   string // about the envelope
	answer answer
	told   bool // its answer is in the ledger
	bad    string
}

func (d *Deliverer) attempt(ctx context.Context, a *restore.Action, src restore.Source) *attempt {
	t := &attempt{action: *a}
	t.letter = letter{
		size: a.Post.Size, digest: a.Post.Digest,
		open: func() (io.ReadCloser, error) { return src.Open(ctx, &t.action) },
	}
	var env replay.Envelope
	if e, ok := src.(Enveloped); ok {
		env = e.Envelope(a)
	}
	from, ok := path(env.Sender)
	if !ok && env.Sender != "" {
		t.note = "the archived sender cannot be said in LMTP: sent from the null sender"
	}
	t.letter.from = from
	if t.letter.to, ok = recipient(a.Ref.Mailbox, env.Recipient); !ok {
		t.bad = "neither the mailbox nor the recipient is an address that LMTP can carry"
	}
	return t
}

// recipient chooses whom to name to the server: the archived recipient where
// it is the mailbox's own address, perhaps with an extension that filters look
// at; the mailbox where it is named by its address; else the recipient.
func recipient(mailbox, archived string) (string, bool) {
	local, domain, _ := strings.Cut(mailbox, "@")
	if domain != "" {
		if i := strings.LastIndexByte(archived, '@'); i > 0 && strings.EqualFold(archived[i+1:], domain) && len(archived[:i]) > len(local) &&
			strings.EqualFold(archived[:len(local)], local) && strings.IndexByte("+-", archived[len(local)]) >= 0 {
			if p, ok := path(archived); ok {
				return p, true
			}
		}
		if p, ok := path(mailbox); ok {
			return p, true
		}
	}
	return path(archived)
}

// group journals, sends and journals again, in rounds: what is refused for now
// is tried once more after a pause that doubles.
func (d *Deliverer) group(ctx context.Context, group []*attempt) error {
	var todo []*attempt
	for _, t := range group {
		if t.bad == "" {
			todo = append(todo, t)
		}
	}
	pause := time.Second
	for round := 1; len(todo) > 0; round++ {
		if round > 1 {
			if err := d.o.Wait(ctx, pause); err != nil {
				return err
			}
			pause = min(2*pause, 30*time.Second)
		}
		if err := d.o.Ledger.Sent(d.records(todo, true)); err != nil {
			return err
		}
		d.send(ctx, todo)
		if err := d.o.Ledger.Sent(d.records(todo, false)); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		last := round >= attempts
		down := true
		var again []*attempt
		for _, t := range todo {
			down = down && t.answer.down
			if t.answer.state != replay.SentTemporary {
				continue
			}
			if box := t.action.Ref.Mailbox; last {
				d.tired[box] = d.tired[box] || !t.answer.down
			} else if !d.tired[box] {
				again = append(again, t)
			}
		}
		if last && down {
			return fmt.Errorf("%w: %s: %s", ErrUnreachable, d.o.Target, todo[0].answer.text)
		}
		todo = again
	}
	return nil
}

// send sends each message once, over all connections.
func (d *Deliverer) send(ctx context.Context, todo []*attempt) {
	work := make(chan *attempt, len(todo))
	for _, t := range todo {
		t.answer = answer{state: replay.SentWithdrawn, text: "not sent"}
		work <- t
	}
	close(work)
	var wg sync.WaitGroup
	for _, s := range d.sessions[:min(len(d.sessions), len(todo))] {
		wg.Go(func() {
			for t := range work {
				if ctx.Err() != nil {
					return
				}
				t.answer = s.send(ctx, &t.letter)
			}
		})
	}
	wg.Wait()
}

// records are the ledger's lines of a group: before it is sent, or after. A
// message of which no answer came keeps its intent open.
func (d *Deliverer) records(todo []*attempt, before bool) []replay.Sent {
	out := make([]replay.Sent, 0, len(todo))
	for _, t := range todo {
		r := replay.Sent{
			Mailbox: t.action.Ref.Mailbox, Digest: t.action.Post.Digest, At: d.o.Now(), Run: d.o.Run,
			State: replay.SentIntent, Recipient: t.letter.to,
		}
		if !before {
			if t.answer.state == replay.SentUnknown {
				continue
			}
			r.State, r.Answer = t.answer.state, t.answer.text
			t.told = true
		}
		out = append(out, r)
	}
	return out
}

// result is the action as it ended; told is false where it was not reached.
func (t *attempt) result() (restore.Action, bool) {
	a := t.action
	say := func(s restore.State, format string, args ...any) (restore.Action, bool) {
		a.State = s
		a.Detail = join(fmt.Sprintf(format, args...), t.note, a.Detail)
		return a, true
	}
	switch {
	case t.bad != "":
		return say(restore.Failed, "%s", t.bad)
	case t.answer.state == replay.SentUnknown:
		return say(restore.Failed, "sent, and the connection ended before the server answered (%s): the next run looks into the mailbox before it sends anything", t.answer.text)
	case !t.told:
		return a, false
	case t.answer.state == replay.SentAccepted:
		return say(restore.Done, "accepted by the server for %s (%s); that it is durable is the server's word", t.letter.to, t.answer.text)
	case t.answer.state == replay.SentRefused:
		return say(restore.Failed, "refused by the server: %s", t.answer.text)
	case t.answer.state == replay.SentTemporary:
		return say(restore.Failed, "refused for now, after several attempts: %s", t.answer.text)
	}
	if t.answer.text == "not sent" || t.answer.text == "interrupted" {
		return a, false
	}
	return say(restore.Failed, "%s", t.answer.text)
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}
