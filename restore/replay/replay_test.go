package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore/archive"
)

const bob = "bob@example.com"

func TestOutcomes(t *testing.T) {
	in := t0.Add(10 * time.Hour)
	early := t0.Add(time.Hour)
	for name, c := range map[string]struct {
		at      time.Time
		set     func(s *store, m string)
		opts    func(o *Options)
		want    Outcome
		match   Match
		deliver bool // as a replay
		inboxes int  // messages in the mailbox afterwards
	}{
		"exact":             {at: in, set: func(s *store, m string) { s.put(bob, "Archive/2026", in, m) }, want: Present, match: Exact},
		"headers added":     {at: in, set: func(s *store, m string) { s.put(bob, "INBOX", in, deliveredCopy(m, bob, 1)) }, want: Present, match: Canonical},
		"CRLF":              {at: in, set: func(s *store, m string) { s.put(bob, "Trash", in, deliveredCopy(m, bob, 2)) }, want: Present, match: Canonical},
		"quoted":            {at: in, set: func(s *store, m string) { s.put(bob, "INBOX", in, deliveredCopy(m, bob, 3)) }, want: Present, match: Canonical},
		"absent":            {at: in, want: WouldDeliver, match: NoMatch},
		"delivered":         {at: in, want: Delivered, match: NoMatch, deliver: true, inboxes: 1},
		"outside":           {at: early, want: Unexplained, match: NoMatch, deliver: true},
		"outside, present":  {at: early, set: func(s *store, m string) { s.put(bob, "INBOX", in, m) }, want: Present, match: Exact},
		"footer":            {at: in, set: func(s *store, m string) { s.put(bob, "INBOX", in, m+"-- \nA footer of a list\n") }, want: Ambiguous, match: Altered, deliver: true, inboxes: 1},
		"footer, outside":   {at: early, set: func(s *store, m string) { s.put(bob, "INBOX", in, m+"-- \nA footer\n") }, want: OutsideWindow, match: Altered},
		"footer, altered":   {at: in, set: func(s *store, m string) { s.put(bob, "INBOX", in, m+"-- \nA footer\n") }, opts: func(o *Options) { o.Altered = true }, want: Present, match: Altered},
		"footer, delivered": {at: in, set: func(s *store, m string) { s.put(bob, "INBOX", in, m+"-- \nA footer\n") }, opts: func(o *Options) { o.Ambiguous = Deliver }, want: Delivered, match: Altered, deliver: true, inboxes: 2},
		"same id only": {at: in, set: func(s *store, m string) {
			s.put(bob, "INBOX", in, "From: x@y\nDate: Mon, 5 Jan 2026 10:00:00 +0000\nMessage-ID: <1@example.net>\n\nquite another\n")
		}, want: WouldDeliver, match: NoMatch},
		"damaged": {at: in, set: func(s *store, m string) {
			x := s.put(bob, "INBOX", in, m[:len(m)-20])
			x.damaged = true
		}, want: Delivered, match: NoMatch, deliver: true, inboxes: 2},
		"healed": {at: in, set: func(s *store, m string) {
			x := s.put(bob, "Work", in, m[:len(m)-20])
			x.damaged, x.good = true, manifest.BLAKE3.Sum([]byte(m))
		}, want: Delivered, match: NoMatch, deliver: true, inboxes: 1},
		"damaged before it was archived": {at: in, set: func(s *store, m string) { s.put(bob, "INBOX", in, m).damaged = true }, want: Present, match: Exact},
		"unread":                         {at: in, set: func(s *store, m string) { s.put(bob, "INBOX", in, m).unread = true }, want: Unexplained, match: NoMatch, deliver: true, inboxes: 1},
		"opaque":                         {at: in, set: func(s *store, m string) { s.put(bob, "INBOX", in, "ciphertext").opaque = true }, want: Unexplained, match: NoMatch, deliver: true, inboxes: 1},
		"unreadable mailbox":             {at: in, set: func(s *store, m string) { s.broken[bob] = fmt.Errorf("%w: EIO", compare.ErrUnknown) }, want: Unexplained, match: NoMatch, deliver: true},
		"deleted": {at: in, set: func(s *store, m string) {
			s.remove(bob, s.put(bob, "INBOX", in, deliveredCopy(m, bob, 1)), manifest.ServerExpunge)
		}, want: Deleted, match: NoMatch, deliver: true},
		"deleted, same bytes": {at: in, set: func(s *store, m string) { s.remove(bob, s.put(bob, "INBOX", in, m), manifest.OrdinaryAbsence) }, want: Deleted, match: Exact, deliver: true},
		"deleted long after, other size": {at: in, set: func(s *store, m string) {
			s.remove(bob, s.put(bob, "INBOX", in.Add(-30*24*time.Hour), m+strings.Repeat("x", 40_000)), manifest.ServerExpunge)
		}, want: Ambiguous, match: NoMatch, deliver: true},
		"lost in the crash": {at: in, set: func(s *store, m string) { s.remove(bob, s.put(bob, "INBOX", in, m), manifest.ServerNoticed) }, want: Delivered, match: NoMatch, deliver: true, inboxes: 1},
		"vanished":          {at: in, set: func(s *store, m string) { s.remove(bob, s.put(bob, "INBOX", in, m), manifest.NoEvidence) }, want: Delivered, match: NoMatch, deliver: true, inboxes: 1},
		"vanished outside":  {at: early, set: func(s *store, m string) { s.remove(bob, s.put(bob, "INBOX", in, m), manifest.InsideCrash) }, want: Unexplained, match: NoMatch, deliver: true},
		"contradiction": {at: in, set: func(s *store, m string) {
			x := s.put(bob, "INBOX", in, m)
			s.remove(bob, x, manifest.ServerExpunge)
			s.remove(bob, x, manifest.ServerNoticed)
		}, want: Ambiguous, match: NoMatch, deliver: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, g := newStore(bob), newGateway(t)
			m := mail(1, c.at)
			if c.set != nil {
				c.set(s, m)
			}
			g.put(c.at, m, bob)
			o := options(t, g, s)
			o.Since, o.Until = t0.Add(6*time.Hour), t0.Add(20*time.Hour)
			if c.opts != nil {
				c.opts(&o)
			}
			var d Deliverer
			if c.deliver {
				d = s
			}
			r, err := run(t, o, d)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.lines) != 1 || r.lines[0].Outcome != c.want || r.lines[0].Match != c.match {
				t.Fatalf("%+v, want %s %s", r.lines, c.want, c.match)
			}
			if l := r.lines[0]; *l.MessageID != "<1@example.net>" || l.Recipient != bob || l.Digest != manifest.BLAKE3.Sum([]byte(m)) {
				t.Errorf("%+v", l)
			}
			if c.deliver && len(s.boxes[bob]) != c.inboxes {
				t.Errorf("%d messages in the mailbox, want %d", len(s.boxes[bob]), c.inboxes)
			}
			open := c.want == WouldDeliver || c.want == Ambiguous || c.want == Unexplained
			if (r.exit == 0) == open {
				t.Errorf("exit %d for %s", r.exit, c.want)
			}
			// Whatever it did, doing it again delivers nothing.
			if c.deliver {
				n := len(s.boxes[bob])
				again, err := run(t, o, s)
				if err != nil {
					t.Fatal(err)
				}
				if again.totals.Delivered != 0 && name != "footer, delivered" || len(s.boxes[bob]) != n && name != "footer, delivered" {
					t.Errorf("a second replay delivered %d", again.totals.Delivered)
				}
			}
		})
	}
}

func TestRecipients(t *testing.T) {
	s, g := newStore(bob, "eve@example.com"), newGateway(t)
	at := t0.Add(time.Hour)
	g.put(at, mail(1, at), "Bob@EXAMPLE.com", "bob+tag@example.com", "eve@example.com", "nobody@example.com")
	g.put(at, mail(2, at))
	g.put(at, mail(1, at), bob) // the same message, archived twice
	o := options(t, g, s)
	o.All = true
	r, err := run(t, o, s)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.outcomes(bob); got[Delivered] != 1 || got[Duplicate] != 2 {
		t.Errorf("bob: %v", got)
	}
	if got := r.outcomes("eve@example.com"); got[Delivered] != 1 {
		t.Errorf("eve: %v", got)
	}
	if r.totals.NoMailbox != 1 || count(r.findings, manifest.ArchiveNoRecipients) != 1 || r.exit != 3 {
		t.Errorf("no mailbox %d, findings %v, exit %d", r.totals.NoMailbox, r.findings, r.exit)
	}
	if len(s.boxes[bob]) != 1 || len(s.boxes["eve@example.com"]) != 1 {
		t.Errorf("%d and %d messages", len(s.boxes[bob]), len(s.boxes["eve@example.com"]))
	}
	m := s.boxes[bob][0]
	if !m.date.Equal(at) || m.folder != "INBOX" || strings.Contains(string(m.body), "X-Envelope") {
		t.Errorf("delivered as %+v", m)
	}
}

func count(f []manifest.Finding, k manifest.Kind) int {
	n := 0
	for _, x := range f {
		if x.Kind == k {
			n++
		}
	}
	return n
}

func TestNoEnvelopes(t *testing.T) {
	s, g := newStore(bob), newGateway(t)
	g.put(t0, mail(1, t0))
	g.put(t0, mail(2, t0))
	o := options(t, g, s)
	o.All = true
	_, err := run(t, o, nil)
	var e *NoEnvelopesError
	if !errors.Is(err, ErrNoEnvelopes) || !errors.As(err, &e) || e.Messages != 2 || e.Hint == "" {
		t.Errorf("%v", err)
	}
}

// The delivery fields of a Maildir that all name one address name the archive.
func TestArchiveOwnAddress(t *testing.T) {
	s, g := newStore(bob, "archive@example.com"), newGateway(t)
	dir := filepath.Join(g.dir, "Maildir", "new")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		body := "Return-Path: <s@example.net>\nX-Original-To: archive@example.com\nDelivered-To: archive@example.com\n" + mail(i, t0)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.M1.gw", t0.Unix()+int64(i))), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := options(t, g, s)
	o.All = true
	if _, err := run(t, o, nil); !errors.Is(err, ErrNoEnvelopes) {
		t.Errorf("%v, want ErrNoEnvelopes", err)
	}
}

func TestNewMailbox(t *testing.T) {
	s, g := newStore(bob), newGateway(t)
	g.put(t0, mail(1, t0), "new@example.com")
	o := options(t, g, s)
	res, err := NewResolver(Maps{Mailboxes: &Names{}, Command: []string{"sh", "-c", `while read a; do printf '%s\t%s\n' "$a" "$a"; done`}, Placed: func(string) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	o.Resolver, o.All = res, true
	r, err := run(t, o, s)
	if err != nil || r.totals.Delivered != 1 || len(s.boxes["new@example.com"]) != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

// A message without Message-ID, to which the server added one.
func TestAddedMessageID(t *testing.T) {
	s, g := newStore(bob), newGateway(t)
	m := "From: cron@example.net\nTo: bob@example.com\nDate: " + t0.Format(time.RFC1123Z) + "\nSubject: report\n\nall is well\n"
	s.put(bob, "INBOX", t0.Add(time.Minute), "Message-Id: <added@store>\n"+m)
	s.put(bob, "INBOX", t0.Add(2*time.Minute), mail(7, t0))
	g.put(t0, m, bob)
	o := options(t, g, s)
	o.All = true
	r, err := run(t, o, nil)
	if err != nil || len(r.lines) != 1 || r.lines[0].Outcome != Present || r.lines[0].MessageID != nil {
		t.Errorf("%+v %v", r, err)
	}
}

func TestMultiset(t *testing.T) {
	s, g := newStore(bob), newGateway(t)
	s.put(bob, "INBOX", t0, mail(1, t0))
	for range 3 {
		g.put(t0, mail(1, t0), bob)
	}
	o := options(t, g, s)
	o.All = true
	if r, err := run(t, o, nil); err != nil || r.totals.Present != 1 || r.totals.Duplicate != 2 {
		t.Errorf("one an identity: %+v %v", r.totals, err)
	}
	o.Multiset = true
	if r, err := run(t, o, s); err != nil || r.totals.Present != 1 || r.totals.Delivered != 2 {
		t.Errorf("multiset: %+v %v", r.totals, err)
	}
	if r, err := run(t, o, s); err != nil || r.totals.Present != 3 || r.totals.Delivered != 0 {
		t.Errorf("multiset again: %+v %v", r.totals, err)
	}
}

func TestFindGap(t *testing.T) {
	build := func(n int, absent func(i int) bool) (*store, *gateway) {
		s, g := newStore(bob), newGateway(t)
		for i := range n {
			at := t0.Add(time.Duration(i) * 10 * time.Minute)
			m := mail(i, at)
			g.put(at, m, bob)
			if !absent(i) {
				s.put(bob, "INBOX", at, deliveredCopy(m, bob, i))
			}
		}
		return s, g
	}
	t.Run("clear", func(t *testing.T) {
		s, g := build(60, func(i int) bool { return i >= 30 && i < 42 || i == 7 || i == 55 })
		ledger := t.TempDir()
		open := func(ro bool) *Ledger {
			l, err := OpenLedger(nil, ledger, "primary", ro)
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		o := options(t, g, s)
		o.Ledger = open(false)
		r, err := run(t, o, s)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Ledger.Close(); err != nil {
			t.Fatal(err)
		}
		if w := r.window; !w.Since.Equal(t0.Add(300*time.Minute)) || w.Until.Sub(t0) <= 410*time.Minute || w.Until.Sub(t0) > 420*time.Minute || !w.Found {
			t.Errorf("window %+v", w)
		}
		if r.totals.Delivered != 12 || r.totals.Unexplained != 2 || r.exit != 1 {
			t.Errorf("%+v exit %d", r.totals, r.exit)
		}
		// The second replay sees the same gap, filled.
		o = options(t, g, s)
		o.Ledger = open(true)
		again, err := run(t, o, s)
		if err != nil {
			t.Fatal(err)
		}
		if again.totals.Delivered != 0 || again.totals.Present != 58 || again.window.Since != r.window.Since {
			t.Errorf("again: %+v %+v", again.totals, again.window)
		}
		// What a user deletes of it is not delivered once more.
		s.boxes[bob] = s.boxes[bob][:len(s.boxes[bob])-1]
		again, err = run(t, o, s)
		if err != nil || again.totals.Delivered != 0 || again.totals.Ambiguous != 1 {
			t.Errorf("after a deletion: %+v %v", again.totals, err)
		}
	})
	for name, c := range map[string]struct {
		n      int
		absent func(i int) bool
		why    string
	}{
		"scattered":     {60, func(i int) bool { return i%4 == 0 }, "scattered"},
		"never present": {20, func(int) bool { return true }, "ever present"},
		"two gaps":      {90, func(i int) bool { return i >= 20 && i < 35 || i >= 60 && i < 75 }, "more than one"},
		"one absent":    {30, func(i int) bool { return i == 10 }, "scattered"},
	} {
		t.Run(name, func(t *testing.T) {
			s, g := build(c.n, c.absent)
			_, err := run(t, options(t, g, s), s)
			var e *NoGapError
			if !errors.As(err, &e) || !strings.Contains(e.Reason, c.why) || len(e.Timeline.Hours) == 0 {
				t.Errorf("%v, want a refusal that says %q", err, c.why)
			}
		})
	}
	t.Run("nothing absent", func(t *testing.T) {
		s, g := build(10, func(int) bool { return false })
		r, err := run(t, options(t, g, s), s)
		if err != nil || r.exit != 0 || !r.window.Empty {
			t.Errorf("%+v %v", r, err)
		}
	})
	t.Run("to the end", func(t *testing.T) {
		s, g := build(10, func(i int) bool { return i >= 6 })
		r, err := run(t, options(t, g, s), s)
		if err != nil || r.totals.Delivered != 4 || r.exit != 0 {
			t.Errorf("%+v %v", r, err)
		}
	})
}

// A kill between any two deliveries: the next run ends what was begun, nothing
// is lost and nothing is there twice.
func TestKilled(t *testing.T) {
	for cut := 1; cut < 40; cut += 3 {
		s, g := newStore(bob, "eve@example.com"), newGateway(t)
		for i := range 40 {
			at := t0.Add(time.Duration(i) * time.Minute)
			to := bob
			if i%2 == 1 {
				to = "eve@example.com"
			}
			g.put(at, mail(i, at), to)
		}
		dir := t.TempDir()
		for _, limit := range []int{cut, cut, 0} {
			l, err := OpenLedger(nil, dir, "primary", false)
			if err != nil {
				t.Fatal(err)
			}
			o := options(t, g, s)
			o.All, o.Ledger = true, l
			s.limit = limit
			_, err = run(noCheck{t}, o, s)
			if limit == 0 && err != nil || limit > 0 && err != nil && !errors.Is(err, errPower) {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if a, b := len(s.boxes[bob]), len(s.boxes["eve@example.com"]); a != 20 || b != 20 {
			t.Fatalf("cut at %d: %d and %d messages, want 20 each", cut, a, b)
		}
	}
}

// noCheck is a testing.TB whose run is allowed to end early.
type noCheck struct{ testing.TB }

func (noCheck) Errorf(string, ...any) {}

// What the gateway's filter blocked was never meant to arrive: it is not
// delivered, unless it was let through for another address of the mailbox, or at
// another time, or a log shows that the mailbox had it.
func TestBlockedByTheGateway(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	s, g := newStore(bob, "eve@example.com"), newGateway(t)
	put := func(n int, to, blocked string) {
		g.put(at, "X-Envelope-To-Blocked: "+blocked+"\nX-Quarantine-ID: <q>\n"+mail(n, at), strings.Split(to, " ")...)
	}
	put(1, bob+" eve@example.com", "<"+bob+">")
	put(2, "bob+tag@example.com "+bob, "<bob+tag@example.com>")
	put(3, bob, "<"+bob+">")
	put(3, bob, "")
	put(4, bob, "<"+bob+">")
	log := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(log, []byte("Nov 22 08:00:03 store dovecot: lmtp(bob@example.com)<9><x>: sieve: msgid=<4@example.net>: stored mail into mailbox 'INBOX'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := OpenDeliveryLog(log)
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, g, s)
	o.All, o.Log = true, l
	r, err := run(t, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.outcomes(bob); got[Filtered] != 1 || got[WouldDeliver] != 3 || got[Duplicate] != 2 {
		t.Errorf("bob: %v", got)
	}
	if got := r.outcomes("eve@example.com"); got[WouldDeliver] != 1 {
		t.Errorf("eve: %v", got)
	}
}

func TestDeliveryLog(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	log := strings.Join([]string{
		"Nov 22 08:00:01 gw postfix/cleanup[1]: 4A1B2C3D4E: message-id=<1@example.net>",
		"Nov 22 08:00:02 gw postfix/discard[1]: 4A1B2C3D4E: to=<bob@example.com>, relay=none, delay=0, status=sent (spam)",
		"Nov 22 08:00:02 gw postfix/qmgr[1]: 4A1B2C3D4E: removed",
		"Nov 22 08:00:03 store dovecot: lmtp(bob@example.com)<9><x>: sieve: msgid=<2@example.net>: marked message to be discarded if not explicitly delivered (discard action)",
		"Nov 22 08:00:03 store dovecot: lmtp(bob@example.com)<9><x>: sieve: msgid=<3@example.net>: forwarded to <else@example.org>",
		"Nov 22 08:00:03 store dovecot: lmtp(bob@example.com)<9><x>: sieve: msgid=<4@example.net>: forwarded to <else@example.org>",
		"Nov 22 08:00:03 store dovecot: lmtp(bob@example.com)<9><x>: sieve: msgid=<4@example.net>: stored mail into mailbox 'INBOX'",
		"2026-11-22T08:00:04Z gw postfix/cleanup[1]: 5A1B2C3D4E: message-id=<5@example.net>",
		"2026-11-22T08:00:05Z gw postfix/lmtp[1]: 5A1B2C3D4E: to=<bob@example.com>, orig_to=<b@example.com>, relay=x, dsn=5.1.1, status=bounced (no such user)",
		"Nov 22 08:00:04 gw postfix/cleanup[1]: 6A1B2C3D4E: message-id=<6@example.net>",
		"Nov 22 08:00:05 gw postfix/lmtp[1]: 6A1B2C3D4E: to=<bob@example.com>, relay=none, status=deferred (connection refused)",
		"Nov 22 08:00:03 store dovecot: lmtp(eve@example.com)<9><x>: sieve: msgid=<7@example.net>: discarded",
		"Nov 22 08:00:03 store dovecot: lmtp(bob@example.com)<9><x>: sieve: msgid=<9@example.net>: stored mail into mailbox 'INBOX'",
		"Nov 22 08:00:04 store dovecot: lmtp(bob@example.com)<9><x>: sieve: msgid=<9@example.net>: forwarded to <else@example.org>",
		"Nov  2 08:00:03 store dovecot: lmtp(bob@example.com)<9><x>: sieve: msgid=<8@example.net>: discarded",
		// Postfix calls sent what it handed over, also what Sieve then forwards.
		"Nov 22 08:00:04 gw postfix/cleanup[1]: 7A1B2C3D4E: message-id=<10@example.net>",
		"Nov 22 08:00:05 store dovecot: lmtp(bob@example.com)<9><x>: sieve: msgid=<10@example.net>: forwarded to <else@example.org>",
		"Nov 22 08:00:05 gw postfix/lmtp[1]: 7A1B2C3D4E: to=<bob@example.com>, relay=store[private/dovecot-lmtp], dsn=2.0.0, status=sent (250 2.0.0 <bob@example.com> x Saved)",
		"Nov 22 08:00:04 gw postfix/cleanup[1]: 8A1B2C3D4E: message-id=<11@example.net>",
		"Nov 22 08:00:05 gw postfix/pipe[1]: 8A1B2C3D4E: to=<bob@example.com>, relay=dovecot, dsn=2.0.0, status=sent (delivered via dovecot service)",
		"Nov 22 08:00:05 store dovecot: lda(bob@example.com)<9><x>: sieve: msgid=<12@example.net>: discarded duplicate vacation response to <sender@example.net>",
		"Nov 22 08:00:04 gw postfix/cleanup[1]: 9A1B2C3D4E: message-id=<13@example.net>",
		"Nov 22 08:00:05 gw postfix/local[1]: 9A1B2C3D4E: to=<bob@example.com>, relay=local, dsn=2.0.0, status=sent (delivered to command: /usr/lib/dovecot/dovecot-lda)",
		"Nov 22 08:00:05 gw postfix/local[1]: 9A1B2C3D4E: to=<bob@example.com>, relay=local, dsn=2.0.0, status=sent (forwarded as AA1B2C3D4E)",
	}, "\n") + "\n"
	name := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(name, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := OpenDeliveryLog(name)
	if err != nil {
		t.Fatal(err)
	}
	s, g := newStore(bob), newGateway(t)
	want := map[string]Outcome{
		"<1@example.net>": Filtered, "<2@example.net>": Filtered, "<3@example.net>": Filtered, "<4@example.net>": WouldDeliver,
		"<5@example.net>": Filtered, "<6@example.net>": Ambiguous, "<7@example.net>": WouldDeliver, "<8@example.net>": WouldDeliver,
		"<9@example.net>": WouldDeliver, "<10@example.net>": Filtered, "<11@example.net>": WouldDeliver,
		"<12@example.net>": WouldDeliver, "<13@example.net>": WouldDeliver,
	}
	for i := 1; i <= 13; i++ {
		g.put(at, mail(i, at), bob)
	}
	o := options(t, g, s)
	o.All, o.Log = true, l
	r, err := run(t, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range r.lines {
		if l.Outcome != want[*l.MessageID] {
			t.Errorf("%s: %s (%s), want %s", *l.MessageID, l.Outcome, l.Detail, want[*l.MessageID])
		}
	}
	if _, err := OpenDeliveryLog(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a log that does not exist")
	}
}

// A message for very many recipients is nothing special; one whose envelope
// cannot be held is a finding, and stops nothing.
func TestManyRecipients(t *testing.T) {
	s, g := newStore(bob), newGateway(t)
	to := []string{bob}
	for i := range 60_000 {
		to = append(to, fmt.Sprintf("somebody.else.%d@example.com", i))
	}
	g.put(t0, mail(1, t0), to...)
	g.put(t0, mail(2, t0), bob)
	o := options(t, g, s)
	o.All = true
	r, err := run(t, o, s)
	if err != nil {
		t.Fatal(err)
	}
	if r.totals.Delivered != 2 || r.totals.NoMailbox != 60_000 || len(s.boxes[bob]) != 2 {
		t.Errorf("%+v, %d messages", r.totals, len(s.boxes[bob]))
	}
	g.put(t0, mail(3, t0), bob, strings.Repeat("a", maxEnvelope)+"@example.com")
	g.put(t0, mail(4, t0), bob)
	o = options(t, g, s)
	o.All = true
	if r, err = run(t, o, s); err != nil {
		t.Fatal(err)
	}
	if r.totals.Delivered != 1 || r.exit != 3 {
		t.Errorf("%+v, exit %d", r.totals, r.exit)
	}
}

// What is absent from the folders that could be listed may lie in one that could
// not: it is unexplained and never delivered.
func TestBlind(t *testing.T) {
	for _, how := range []Decision{Skip, Deliver, InFolder} {
		s, g := newStore(bob), newGateway(t)
		s.put(bob, "INBOX", t0, mail(1, t0))
		s.put(bob, "INBOX", t0, mail(3, t0)+"a footer\n")
		for i := 1; i <= 3; i++ {
			g.put(t0, mail(i, t0), bob)
		}
		s.blind = map[string]string{"Archive": "permission denied"}
		o := options(t, g, s)
		o.All, o.Ambiguous, o.AmbiguousFolder = true, how, "Recovered"
		r, err := run(t, o, s)
		if err != nil {
			t.Fatal(err)
		}
		if r.totals.Present != 1 || r.totals.Unexplained != 2 || r.totals.Delivered != 0 || r.exit != 3 || len(s.boxes[bob]) != 2 {
			t.Errorf("%v: %+v, exit %d", how, r.totals, r.exit)
		}
		for _, l := range r.lines {
			if l.Outcome == Unexplained && l.Detail != "Archive cannot be looked into: permission denied" {
				t.Errorf("detail %q", l.Detail)
			}
		}
		s.blind = nil
		if r, err = run(t, o, s); err != nil || r.totals.Delivered == 0 {
			t.Errorf("%v, once it can be listed: %+v %v", how, r.totals, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	s, g := newStore(bob), newGateway(t)
	for i := range 50 {
		g.put(t0, mail(i, t0), bob)
	}
	why := errors.New("asked to stop")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	o := options(t, g, s)
	o.All = true
	if _, err := Prepare(ctx, o); !errors.Is(err, why) {
		t.Errorf("%v, want the cause", err)
	}
}

func TestChooseTarget(t *testing.T) {
	old, fresh := newStore(bob), newStore(bob)
	old.put(bob, "INBOX", t0, mail(1, t0))
	fresh.put(bob, "INBOX", t0.Add(time.Hour), mail(2, t0))
	now := t0.Add(48 * time.Hour)
	for name, c := range map[string]struct {
		list []Candidate
		want int
		why  string
	}{
		"primary":      {[]Candidate{{Name: "b", Role: "backup", Source: old}, {Name: "p", Role: "primary", Source: fresh}}, 1, ""},
		"newer backup": {[]Candidate{{Name: "b", Role: "backup", Source: fresh}, {Name: "p", Role: "primary", Source: old}}, -1, "newer deliveries"},
		"unreachable":  {[]Candidate{{Name: "b", Role: "backup", Source: old}, {Name: "p", Role: "primary", Unreachable: true}}, -1, "cannot be reached"},
		"none":         {[]Candidate{{Name: "b", Role: "backup", Source: old}}, -1, "no store has the role primary"},
		"two":          {[]Candidate{{Name: "a", Role: "primary", Source: old}, {Name: "b", Role: "primary", Source: old}}, -1, "more than one"},
	} {
		i, why, err := ChooseTarget(context.Background(), c.list, now)
		if err != nil || i != c.want || !strings.Contains(why, c.why) {
			t.Errorf("%s: %d %q %v", name, i, why, err)
		}
	}
}

// A Maildir archive that names only itself, on a gateway whose Received fields
// name the recipient.
func TestReceivedBehindOwnAddress(t *testing.T) {
	s, g := newStore(bob), newGateway(t)
	dir := filepath.Join(g.dir, "new")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		body := "X-Original-To: archive@example.com\nDelivered-To: archive@example.com\nReceived: from x by gw.example.com for <bob@example.com>; Sun, 22 Nov 2026 00:00:00 +0000\n" + mail(i, t0)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.M1.gw", t0.Unix()+int64(i))), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := options(t, g, s)
	a, err := archive.Open(g.dir, archive.Options{Name: "gw", ReceivedBy: []string{"gw.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	o.Archive, o.All = a, true
	r, err := run(t, o, s)
	if err != nil || r.totals.Delivered != 2 || r.totals.NoMailbox != 0 {
		t.Errorf("%+v %v", r, err)
	}
}

// What arrived a moment ago is not missing: the queue may still hold it.
func TestOnItsWay(t *testing.T) {
	s, g := newStore(bob), newGateway(t)
	for i := range 40 {
		at := t0.Add(time.Duration(i) * time.Minute)
		m := mail(i, at)
		g.put(at, m, bob)
		if i < 36 {
			s.put(bob, "INBOX", at, m)
		}
	}
	o := options(t, g, s)
	o.Now = t0.Add(40 * time.Minute)
	r, err := run(t, o, s)
	if err != nil || r.totals.OutsideWindow != 4 || r.totals.Delivered != 0 || r.exit != 0 {
		t.Errorf("%+v %v", r, err)
	}
	o.Since = t0.Add(30 * time.Minute)
	if r, err = run(t, o, s); err != nil || r.totals.Delivered != 4 {
		t.Errorf("asked for: %+v %v", r, err)
	}
}

// A mailbox that is emptied by POP3 is not flooded.
func TestTakeaway(t *testing.T) {
	s, g := newStore(bob, "eve@example.com"), newGateway(t)
	for i := range 100 {
		at := t0.Add(time.Duration(i) * time.Minute)
		m := mail(i, at)
		g.put(at, m, bob, "eve@example.com")
		if i < 60 {
			s.put("eve@example.com", "INBOX", at, m)
		}
	}
	o := options(t, g, s)
	o.Since = t0.Add(60 * time.Minute)
	r, err := run(t, o, s)
	if err != nil {
		t.Fatal(err)
	}
	if b, e := r.outcomes(bob), r.outcomes("eve@example.com"); b[Ambiguous] != 40 || b[Unexplained] != 60 || e[Delivered] != 40 {
		t.Errorf("bob %v, eve %v", b, e)
	}
	o.Ambiguous = Deliver
	if r, err = run(t, o, s); err != nil || r.outcomes(bob)[Delivered] != 40 {
		t.Errorf("decided: %v %v", r.outcomes(bob), err)
	}
}

// Mail of an archive's file whose checksum fails is not delivered.
func TestDamagedArchiveFile(t *testing.T) {
	s, g := newStore(bob), newGateway(t)
	g.put(t0, mail(1, t0), bob)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprintf(z, "From a@b Sun Nov 22 01:00:00 2026\nX-Envelope-To: %s\n%s\nFrom a@b Sun Nov 22 02:00:00 2026\nX-Envelope-To: %s\n%s\n", bob, mail(2, t0), bob, mail(3, t0))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	raw := b.Bytes()
	raw[len(raw)-6] ^= 0xff // the checksum
	if err := os.WriteFile(filepath.Join(g.dir, "x.mbox.gz"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(t, g, s)
	o.All = true
	r, err := run(t, o, s)
	if err != nil || r.totals.Delivered != 1 || r.totals.Unexplained == 0 || r.exit != 3 {
		t.Errorf("%+v %v", r, err)
	}
}

// Bodies are read only of messages that the header identity nominates.
func TestReadsOnlyCandidates(t *testing.T) {
	s, g := newStore(bob), newGateway(t)
	for i := range 100 {
		s.put(bob, "INBOX", t0, deliveredCopy(mail(1000+i, t0), bob, i))
	}
	for i := range 10 {
		g.put(t0, mail(i, t0), bob)
	}
	s.put(bob, "INBOX", t0, mail(1, t0))                        // the same bytes: its digest is known
	s.put(bob, "Trash", t0, deliveredCopy(mail(2, t0), bob, 1)) // a candidate
	o := options(t, g, s)
	o.All = true
	r, err := run(t, o, nil)
	if err != nil || r.totals.Present != 2 || s.reads.Load() != 1 {
		t.Errorf("%d bodies read: %+v %v", s.reads.Load(), r.totals, err)
	}
}
