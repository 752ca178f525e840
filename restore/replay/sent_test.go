package replay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mailsync/manifest"
)

// What the ledger makes of a message that went to a server and is not in its
// mailbox: accepted, nobody knows why it is gone, so it is not sent again; of
// no answer, or refused, it is missing like any other.
func TestSentBefore(t *testing.T) {
	for _, c := range []struct {
		name   string
		states []SentState
		want   Outcome
		detail string
	}{
		{"accepted", []SentState{SentIntent, SentAccepted}, Ambiguous, "the server accepted it from run r1"},
		{"accepted and told", []SentState{SentIntent, SentAccepted, SentDelivered}, Ambiguous, "the server accepted it from run r1"},
		{"no answer", []SentState{SentIntent}, WouldDeliver, "heard no answer"},
		{"refused", []SentState{SentIntent, SentRefused}, WouldDeliver, ""},
		{"refused for now, then no answer", []SentState{SentIntent, SentTemporary, SentIntent}, WouldDeliver, "heard no answer"},
		{"withdrawn", []SentState{SentIntent, SentWithdrawn}, WouldDeliver, ""},
		{"refused, then accepted", []SentState{SentIntent, SentTemporary, SentIntent, SentAccepted}, Ambiguous, "accepted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, g := newStore(bob), newGateway(t)
			g.put(t0, mail(1, t0), bob)
			g.put(t0.Add(time.Minute), mail(2, t0.Add(time.Minute)), bob)
			l, err := OpenLedger(nil, t.TempDir(), "primary", false)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			o := options(t, g, s)
			o.All, o.Ledger = true, l
			first, err := run(t, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			digest := first.lines[0].Digest
			for _, st := range c.states {
				err := l.Sent([]Sent{{Mailbox: bob, Digest: digest, At: time.Now().Add(-time.Hour), Run: "r1", State: st, Recipient: bob, Answer: strings.Repeat("x", 2000)}})
				if err != nil {
					t.Fatal(err)
				}
			}
			r, err := run(t, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range r.lines {
				want, detail := WouldDeliver, ""
				if d.Digest == digest {
					want, detail = c.want, c.detail
				}
				if d.Outcome != want || !strings.Contains(d.Detail, detail) || detail == "" && d.Detail != "" {
					t.Errorf("%s: %s %q, want %s %q", d.Source, d.Outcome, d.Detail, want, detail)
				}
			}
		})
	}
}

// The order in which a mailbox' lines come says nothing.
func TestFold(t *testing.T) {
	list := []delivered{
		{state: SentIntent, at: 1, run: "a"},
		{state: SentTemporary, at: 1, run: "a"},
		{state: SentIntent, at: 2, run: "b"},
		{state: SentAccepted, at: 2, run: "b"},
		{state: SentDelivered, at: 3, run: "b"},
	}
	for range len(list) {
		list = append(list[1:], list[0])
		p := fold(list)[manifest.Digest{}]
		if !p.arrived || p.last.state != SentAccepted || p.open > 1 {
			t.Errorf("%+v", p)
		}
		back := slices.Clone(list)
		slices.Reverse(back)
		if q := fold(back)[manifest.Digest{}]; q.last.state != SentAccepted || q.open != p.open {
			t.Errorf("backwards: %+v", q)
		}
	}
}

// What was sent a moment ago without an answer is waited for, and told; what
// was answered, or sent long ago, is not. Only the wait itself needs time: the
// run is cancelled as soon as it begins.
func TestWaitIsTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		age    time.Duration
		states []SentState
		want   bool
	}{
		{"a moment ago", 0, []SentState{SentIntent}, true},
		{"long ago", time.Hour, []SentState{SentIntent}, false},
		{"answered", 0, []SentState{SentIntent, SentAccepted}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, g := newStore(bob), newGateway(t)
			g.put(t0, mail(1, t0), bob)
			l, err := OpenLedger(nil, t.TempDir(), "primary", false)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			for _, st := range c.states {
				if err := l.Sent([]Sent{{Mailbox: bob, Digest: manifest.BLAKE3.Sum([]byte("x")), At: time.Now().Add(-c.age), Run: "r1", State: st, Recipient: bob}}); err != nil {
					t.Fatal(err)
				}
			}
			o := options(t, g, s)
			o.All, o.Ledger = true, l
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var told time.Duration
			o.Waits = func(d time.Duration) { told = d; cancel() }
			r, err := Prepare(ctx, o)
			if err == nil {
				r.Close()
			}
			if got := told > 0 && told <= quiet+time.Second; got != c.want || errors.Is(err, context.Canceled) != c.want {
				t.Errorf("told of %v, then %v; want a wait: %t", told, err, c.want)
			}
		})
	}
}
