package lmtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/replay"
)

// server is an LMTP server that does as it is told.
type server struct {
	t      *testing.T
	target Target
	rcpt   func(to string, n int) error           // n counts the attempts for this recipient
	data   func(to string, p []byte, n int) error // errDrop ends the connection without an answer
	mu     sync.Mutex
	seen   map[string]int
	got    map[string][]string // by recipient
	from   []string
	ledger *ledger
}

var errDrop = errors.New("drop")

func newServer(t *testing.T) *server {
	s := &server{t: t, seen: map[string]int{}, got: map[string][]string{}, ledger: &ledger{}}
	sock := filepath.Join(t.TempDir(), "lmtp")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	srv := smtp.NewServer(s)
	srv.LMTP, srv.Domain, srv.AllowInsecureAuth = true, "test", true
	srv.ErrorLog = discard{}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	s.target, err = ParseTarget(sock)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

// copies are the messages that a recipient has got.
func (s *server) copies(to string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got[to])
}

func (s *server) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &conversation{s: s, conn: c.Conn()}, nil
}

type conversation struct {
	s    *server
	conn net.Conn
	to   string
}

func (c *conversation) Reset()        { c.to = "" }
func (c *conversation) Logout() error { return nil }
func (c *conversation) Mail(from string, _ *smtp.MailOptions) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.from = append(c.s.from, from)
	return nil
}

func (c *conversation) Rcpt(to string, _ *smtp.RcptOptions) error {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[to]++
	c.to = to
	if s.rcpt != nil {
		return s.rcpt(to, s.seen[to])
	}
	return nil
}

func (c *conversation) Data(r io.Reader) error { return errors.New("not LMTP") }

func (c *conversation) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	p, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ledger.intends(c.to) {
		s.t.Errorf("%s was sent before it was journalled", c.to)
	}
	if s.data != nil {
		if err := s.data(c.to, p, s.seen[c.to]); err != nil {
			if errors.Is(err, errDrop) {
				s.got[c.to] = append(s.got[c.to], string(p))
				_ = c.conn.Close()
				return err
			}
			status.SetStatus(c.to, err)
			return nil
		}
	}
	s.got[c.to] = append(s.got[c.to], string(p))
	status.SetStatus(c.to, nil)
	return nil
}

// ledger keeps what was recorded.
type ledger struct {
	mu   sync.Mutex
	all  []replay.Sent
	fail error
}

func (l *ledger) Sent(list []replay.Sent) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	l.all = append(l.all, list...)
	return nil
}

func (l *ledger) intends(to string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := 0
	for _, s := range l.all {
		if strings.ReplaceAll(s.Recipient, `"`, "") != to {
			continue
		}
		if s.State == replay.SentIntent {
			open++
		} else {
			open--
		}
	}
	return open > 0
}

func (l *ledger) states(to string) (out []replay.SentState) {
	for _, s := range l.all {
		if s.Recipient == to {
			out = append(out, s.State)
		}
	}
	return out
}

// source holds messages by mailbox.
type source struct {
	bodies map[string]string
	env    replay.Envelope
}

func (s *source) Open(_ context.Context, a *restore.Action) (io.ReadCloser, error) {
	p, ok := s.bodies[a.Ref.Mailbox]
	if !ok {
		return nil, errors.New("not there")
	}
	return io.NopCloser(strings.NewReader(p)), nil
}

func (s *source) Envelope(a *restore.Action) replay.Envelope {
	e := s.env
	e.Recipient = a.Ref.Mailbox
	return e
}

func action(mailbox, body string) restore.Action {
	return restore.Action{
		Op: restore.Add, Ref: manifest.Ref{Mailbox: mailbox, Folder: "INBOX"}, From: "gw\x00p",
		Post: restore.Ground{Size: int64(len(body)), Digest: manifest.BLAKE3.Sum([]byte(body))},
	}
}

// deliver sends one message to each mailbox; slept counts the pauses.
func deliver(t *testing.T, ctx context.Context, s *server, boxes ...string) (got map[string]restore.Action, slept []time.Duration, err error) {
	t.Helper()
	src := &source{bodies: map[string]string{}, env: replay.Envelope{Sender: "s@example.net"}}
	var actions []restore.Action
	for _, b := range boxes {
		src.bodies[b] = "Subject: for " + b + "\n\nbody\n"
		actions = append(actions, action(b, src.bodies[b]))
	}
	d, err := New(ctx, Options{
		Target: s.target, Ledger: s.ledger, Run: "r1", Connections: 2, BytesPerSec: 1 << 30,
		Wait: func(_ context.Context, d time.Duration) error { slept = append(slept, d); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	got = map[string]restore.Action{}
	for a, e := range d.Deliver(ctx, actions, src) {
		if e != nil {
			return got, slept, e
		}
		got[a.Ref.Mailbox] = a
	}
	return got, slept, nil
}

func fails(code int) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 2, 0}, Message: "as told"}
}

func TestDeliver(t *testing.T) {
	s := newServer(t)
	s.rcpt = func(to string, n int) error {
		switch {
		case strings.HasPrefix(to, "unknown"):
			return fails(550)
		case strings.HasPrefix(to, "busy") && n < 3:
			return fails(451)
		}
		return nil
	}
	s.data = func(to string, _ []byte, n int) error {
		switch {
		case strings.HasPrefix(to, "full"):
			return fails(452)
		case strings.HasPrefix(to, "virus"):
			return fails(554)
		case strings.HasPrefix(to, "later") && n < 2:
			return fails(451)
		}
		return nil
	}
	boxes := []string{"ok@x.org", "unknown@x.org", "busy@x.org", "full@x.org", "virus@x.org", "later@x.org", "odd one@x.org", "no address@x y"}
	got, slept, err := deliver(t, t.Context(), s, boxes...)
	if err != nil {
		t.Fatal(err)
	}
	const (
		intent, yes, soft, hard = replay.SentIntent, replay.SentAccepted, replay.SentTemporary, replay.SentRefused
	)
	for _, c := range []struct {
		box    string
		state  restore.State
		detail string
		copies int
		ledger []replay.SentState
	}{
		{"ok@x.org", restore.Done, "server's word", 1, []replay.SentState{intent, yes}},
		{"unknown@x.org", restore.Failed, "550", 0, []replay.SentState{intent, hard}},
		{"busy@x.org", restore.Done, "server's word", 1, []replay.SentState{intent, soft, intent, soft, intent, yes}},
		{"full@x.org", restore.Failed, "after several attempts", 0, []replay.SentState{intent, soft, intent, soft, intent, soft, intent, soft, intent, soft}},
		{"virus@x.org", restore.Failed, "554", 0, []replay.SentState{intent, hard}},
		{"later@x.org", restore.Done, "server's word", 1, []replay.SentState{intent, soft, intent, yes}},
	} {
		a := got[c.box]
		if a.State != c.state || !strings.Contains(a.Detail, c.detail) || len(s.copies(c.box)) != c.copies {
			t.Errorf("%s: %s %q, %d copies", c.box, a.State, a.Detail, len(s.copies(c.box)))
		}
		if st := s.ledger.states(c.box); !slices.Equal(st, c.ledger) {
			t.Errorf("%s: the ledger says %v, want %v", c.box, st, c.ledger)
		}
	}
	if a := got["odd one@x.org"]; a.State != restore.Done || len(s.copies("odd one@x.org")) != 1 {
		t.Errorf("quoted: %s %q", a.State, a.Detail)
	}
	if a := got["no address@x y"]; a.State != restore.Failed || !strings.Contains(a.Detail, "LMTP can carry") {
		t.Errorf("no address: %s %q", a.State, a.Detail)
	}
	if s.copies("ok@x.org")[0] != "Subject: for ok@x.org\r\n\r\nbody\r\n" {
		t.Errorf("%q", s.copies("ok@x.org"))
	}
	if want := []time.Duration{1e9, 2e9, 4e9, 8e9}; !slices.Equal(slept, want) {
		t.Errorf("pauses %v, want %v", slept, want)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.from {
		if f != "s@example.net" {
			t.Errorf("sender %q", f)
		}
	}
}

// A mailbox that was refused for now to the last attempt costs the next
// messages one attempt each.
func TestTired(t *testing.T) {
	s := newServer(t)
	s.data = func(string, []byte, int) error { return fails(452) }
	boxes := make([]string, groupSize+3)
	for i := range boxes {
		boxes[i] = "full@x.org"
	}
	if _, _, err := deliver(t, t.Context(), s, boxes...); err != nil {
		t.Fatal(err)
	}
	if n := s.seen["full@x.org"]; n != 5*groupSize+3 {
		t.Errorf("%d attempts", n)
	}
}

// Nothing is sent again while nobody knows what became of it.
func TestNoAnswer(t *testing.T) {
	s := newServer(t)
	s.data = func(to string, _ []byte, _ int) error {
		if strings.HasPrefix(to, "dropped") {
			return errDrop
		}
		return nil
	}
	got, _, err := deliver(t, t.Context(), s, "dropped@x.org", "a@x.org", "b@x.org", "c@x.org")
	if err != nil {
		t.Fatal(err)
	}
	if a := got["dropped@x.org"]; a.State != restore.Failed || !strings.Contains(a.Detail, "before it sends anything") || len(s.copies("dropped@x.org")) != 1 {
		t.Errorf("%s %q, sent %d times", a.State, a.Detail, len(s.copies("dropped@x.org")))
	}
	if st := s.ledger.states("dropped@x.org"); !slices.Equal(st, []replay.SentState{replay.SentIntent}) {
		t.Errorf("the ledger says %v", st)
	}
	for _, b := range []string{"a@x.org", "b@x.org", "c@x.org"} {
		if got[b].State != restore.Done || len(s.copies(b)) != 1 {
			t.Errorf("%s: %v", b, got[b])
		}
	}
}

func TestServerGone(t *testing.T) {
	s := newServer(t)
	d, err := New(t.Context(), Options{Target: s.target, Ledger: s.ledger, Wait: func(context.Context, time.Duration) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	d.sessions[0].drop()
	nowhere, _ := ParseTarget(filepath.Join(t.TempDir(), "none"))
	for _, x := range d.sessions {
		x.target = nowhere
	}
	src := &source{bodies: map[string]string{"a@x.org": "x"}}
	var last error
	for a, err := range d.Deliver(t.Context(), []restore.Action{action("a@x.org", "x")}, src) {
		if last = err; err == nil && a.State == restore.Done {
			t.Error("delivered")
		}
	}
	if !errors.Is(last, ErrUnreachable) {
		t.Errorf("error %v", last)
	}
	if _, err := New(t.Context(), Options{Target: nowhere, Ledger: s.ledger}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

// What changed since the plan is not delivered, nor a part of it.
func TestChangedSource(t *testing.T) {
	s := newServer(t)
	d, err := New(t.Context(), Options{Target: s.target, Ledger: s.ledger})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for name, body := range map[string]string{"other": "y", "longer": "xx", "empty": ""} {
		src := &source{bodies: map[string]string{"a@x.org": body}}
		for a, err := range d.Deliver(t.Context(), []restore.Action{action("a@x.org", "x")}, src) {
			if err != nil || a.State != restore.Failed || !strings.Contains(a.Detail, "not the one that was planned") {
				t.Errorf("%s: %v %q %v", name, a.State, a.Detail, err)
			}
		}
	}
	if got := s.copies("a@x.org"); len(got) > 0 {
		t.Errorf("delivered: %q", got)
	}
}

// A cancelled run tells only what it knows, and its intents are taken back.
func TestCancelled(t *testing.T) {
	s := newServer(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	s.data = func(string, []byte, int) error { cancel(stop); return nil }
	boxes := make([]string, 40)
	for i := range boxes {
		boxes[i] = fmt.Sprintf("b%d@x.org", i)
	}
	got, _, err := deliver(t, ctx, s, boxes...)
	if !errors.Is(err, stop) {
		t.Fatalf("error %v", err)
	}
	for _, b := range boxes {
		if (got[b].State == restore.Done) != (len(s.copies(b)) == 1) {
			t.Errorf("%s: %q, %d copies", b, got[b].State, len(s.copies(b)))
		}
		if st := s.ledger.states(b); len(st) != 2 {
			t.Errorf("%s: the ledger says %v", b, st)
		}
	}
	if len(got) > 2 {
		t.Errorf("%d were told", len(got))
	}
}

// With a ledger that cannot be written, nothing is sent.
func TestLedgerFails(t *testing.T) {
	s := newServer(t)
	s.ledger.fail = errors.New("no space")
	if _, _, err := deliver(t, t.Context(), s, "a@x.org"); !errors.Is(err, s.ledger.fail) || len(s.copies("a@x.org")) > 0 {
		t.Errorf("error %v", err)
	}
}

// Every byte at every place of a body: one message in, one out.
func TestEveryByte(t *testing.T) {
	s := newServer(t)
	d, err := New(t.Context(), Options{Target: s.target, Ledger: s.ledger, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	n := 0
	for _, form := range []string{"#A: b\n\nx\n", "A: #b\n\nx\n", "A: b\n#\nx\n", "A: b\n\n#", "A: b\n\n#.\nx", "A: b\n\n.#\nx\n", "A: b\n\n\n.#.\n", "A: b\n\nx#.\r\nQUIT\r\n", "A: b\n\nx\r#.\n"} {
		for c := range 256 {
			body := strings.Replace(form, "#", string([]byte{byte(c)}), 1)
			src := &source{bodies: map[string]string{"a@x.org": body}}
			for a, err := range d.Deliver(t.Context(), []restore.Action{action("a@x.org", body)}, src) {
				if err != nil || a.State != restore.Done {
					t.Fatalf("%q: %v %v %s", body, err, a.State, a.Detail)
				}
			}
			n++
			if len(s.copies("a@x.org")) != n {
				t.Fatalf("%q: %d messages for %d", body, len(s.copies("a@x.org")), n)
			}
			want := bytes.ReplaceAll([]byte(strings.ReplaceAll(body, "\r\n", "\n")), []byte("\n"), []byte("\r\n"))
			if !bytes.HasSuffix(want, []byte("\n")) {
				want = append(want, "\r\n"...)
			}
			// The reader of this test's server takes a CR of its own away.
			if got := s.copies("a@x.org")[n-1]; strings.ReplaceAll(got, "\r", "") != strings.ReplaceAll(string(want), "\r", "") {
				t.Errorf("%q arrives as %q", body, got)
			}
		}
	}
}
