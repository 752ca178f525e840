package replay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/archive"
	"mailsync/scan/message"
)

// stored is one message of a store in memory.
type stored struct {
	folder  string
	name    string
	body    []byte
	date    time.Time
	damaged bool
	good    manifest.Digest // with damaged: of the sound bytes
	unread  bool
	opaque  bool
}

func (s *stored) entry() manifest.Entry {
	e := manifest.Entry{
		Folder: s.folder, Unique: s.name, Sub: manifest.Cur, Name: s.name + ":2,S", Size: int64(len(s.body)),
		MTime: s.date.UnixNano(), Digest: manifest.BLAKE3.Sum(s.body), Status: manifest.Sound, Opaque: s.opaque,
	}
	id, _ := message.Identify(bytes.NewReader(s.body), message.Limits{}) // the body is in memory
	e.HeaderID = id.HeaderID
	switch {
	case s.damaged:
		e.Status, e.Damage = manifest.Damaged, manifest.Truncated
		if !s.good.IsZero() {
			e.Digest, e.Good = s.good, true
		}
	case s.unread:
		e.Status, e.Digest, e.HeaderID = manifest.Unread, manifest.Digest{}, manifest.HeaderID{}
	case s.opaque:
		e.HeaderID = manifest.HeaderID{}
	}
	return e
}

// store is a mail store in memory: Source, Witness and Deliverer.
type store struct {
	blind    map[string]string // folders that cannot be listed
	name     string
	boxes    map[string][]*stored
	absences map[string][]manifest.Absence
	broken   map[string]error // mailboxes that cannot be opened
	reads    atomic.Int64     // bodies read by Evidence
	n        int
	limit    int // deliveries until the power is cut; 0 = none
}

var errPower = fmt.Errorf("power cut")

func newStore(boxes ...string) *store {
	s := &store{name: "primary", boxes: map[string][]*stored{}, absences: map[string][]manifest.Absence{}, broken: map[string]error{}}
	for _, b := range boxes {
		s.boxes[b] = nil
	}
	return s
}

func (s *store) put(box, folder string, date time.Time, body string) *stored {
	s.n++
	m := &stored{folder: folder, name: fmt.Sprintf("m%d", s.n), body: []byte(body), date: date}
	s.boxes[box] = append(s.boxes[box], m)
	return m
}

// remove takes a message away and, with evidence, records its absence.
func (s *store) remove(box string, m *stored, e manifest.Evidence) {
	s.boxes[box] = slices.DeleteFunc(s.boxes[box], func(x *stored) bool { return x == m })
	s.absences[box] = append(s.absences[box], manifest.Absence{
		Entry: m.entry(), LastSeen: m.date.Add(time.Hour), FirstAbsent: m.date.Add(2 * time.Hour), Evidence: e,
	})
}

func (s *store) Info() compare.Info { return compare.Info{Name: s.name, Role: "primary"} }

func (s *store) Mailboxes(context.Context) iter.Seq2[compare.Head, error] {
	return func(yield func(compare.Head, error) bool) {
		var names []string
		for n := range s.boxes {
			names = append(names, n)
		}
		slices.SortFunc(names, manifest.CompareMailboxes)
		for _, n := range names {
			if !yield(compare.Head{Name: n, Messages: -1, Damaged: -1}, nil) {
				return
			}
		}
	}
}

func (s *store) Open(_ context.Context, box string) (compare.View, error) {
	if err := s.broken[box]; err != nil {
		return nil, err
	}
	if _, ok := s.boxes[box]; !ok {
		return nil, compare.ErrNoMailbox
	}
	return &view{s: s, box: box}, nil
}

func (s *store) Lookup(_ context.Context, _, _ string, unique []string) ([]compare.Presence, error) {
	return make([]compare.Presence, len(unique)), nil
}

func (s *store) Evidence(_ context.Context, _, box string, e *manifest.Entry, _ compare.EvidenceKind) (compare.Evidence, error) {
	s.reads.Add(1)
	for _, m := range s.boxes[box] {
		if m.name == e.Unique && !m.opaque {
			id, err := message.Identify(bytes.NewReader(m.body), message.Limits{})
			return compare.Evidence{Known: err == nil, Exact: id.Exact, Delivery: id.Delivery, Body: id.Body, ID: id.ID, NoID: id.NoID}, nil
		}
	}
	return compare.Evidence{}, nil
}

type view struct {
	s   *store
	box string
}

func (v *view) Mailbox() *manifest.Mailbox { return &manifest.Mailbox{Name: v.box} }
func (v *view) Close() error               { return nil }
func (v *view) Blind() map[string]string   { return v.s.blind }

func (v *view) Entries(context.Context) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for _, m := range v.s.boxes[v.box] {
			if !yield(m.entry(), nil) {
				return
			}
		}
	}
}

func (v *view) Absences(context.Context) iter.Seq2[manifest.Absence, error] {
	return func(yield func(manifest.Absence, error) bool) {
		for _, a := range v.s.absences[v.box] {
			if !yield(a, nil) {
				return
			}
		}
	}
}

// Deliver puts messages into the store, as package restore does.
func (s *store) Deliver(ctx context.Context, actions []restore.Action, src restore.Source) iter.Seq2[restore.Action, error] {
	return func(yield func(restore.Action, error) bool) {
		for _, a := range actions {
			if a.Op == restore.Mkdir {
				if _, ok := s.boxes[a.Ref.Mailbox]; !ok {
					s.boxes[a.Ref.Mailbox] = nil
				}
				a.State = restore.Done
				if !yield(a, nil) {
					return
				}
				continue
			}
			if s.limit > 0 {
				if s.limit--; s.limit == 0 {
					yield(a, errPower)
					return
				}
			}
			r, err := src.Open(ctx, &a)
			if err != nil {
				a.State, a.Detail = restore.Failed, err.Error()
				if !yield(a, nil) {
					return
				}
				continue
			}
			b, err := io.ReadAll(r)
			r.Close()
			if err != nil || manifest.BLAKE3.Sum(b) != a.Post.Digest {
				a.State, a.Detail = restore.Failed, "digest differs"
			} else if a.Op == restore.Replace {
				for _, m := range s.boxes[a.Ref.Mailbox] {
					if m.name == a.Ref.Unique {
						m.body, m.damaged = b, false
						a.State = restore.Done
					}
				}
			} else {
				m := s.put(a.Ref.Mailbox, a.Ref.Folder, a.Date, string(b))
				a.State, a.Post.Name = restore.Done, []byte(m.name)
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

// gateway writes an archive of batched SMTP with a date in each file's mtime.
type gateway struct {
	t   testing.TB
	dir string
	n   int
}

func newGateway(t testing.TB) *gateway { return &gateway{t: t, dir: t.TempDir()} }

// put archives one message for recipients at a time.
func (g *gateway) put(at time.Time, body string, to ...string) {
	g.t.Helper()
	g.n++
	var b strings.Builder
	fmt.Fprintf(&b, "X-Envelope-From: <s@example.net>\n")
	if len(to) > 0 {
		fmt.Fprintf(&b, "X-Envelope-To: <%s>\n", strings.Join(to, ">,\n <"))
	}
	b.WriteString(body)
	name := filepath.Join(g.dir, fmt.Sprintf("%06d.eml", g.n))
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Chtimes(name, at, at); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gateway) open() *archive.Archive {
	g.t.Helper()
	a, err := archive.Open(g.dir, archive.Options{Name: "gw"})
	if err != nil {
		g.t.Fatal(err)
	}
	return a
}

var t0 = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// mail builds a message as the gateway saw it.
func mail(id int, at time.Time) string {
	return fmt.Sprintf("Received: from mx.example.net by gw.example.com; %s\nFrom: Ann <ann@example.net>\nTo: all@example.com\nSubject: message %d\nDate: %s\nMessage-ID: <%d@example.net>\n\nBody of message %d.\nFrom here on nothing.\n",
		at.Format(time.RFC1123Z), id, at.Format(time.RFC1123Z), id, id)
}

// deliveredCopy is the message as a server stored it: fields added, quoting,
// line ends.
func deliveredCopy(body, to string, how int) string {
	switch how % 5 {
	case 1:
		body = "Return-Path: <s@example.net>\nDelivered-To: " + to + "\nReceived: from gw by store; Sun, 22 Nov 2026 09:00:00 +0000\n" + body
	case 2:
		body = "Return-Path: <s@example.net>\nX-Spam-Status: No, score=0.1\n" + strings.ReplaceAll(body, "\n", "\r\n")
		body = strings.Replace(body, "\nX-Spam-Status: No, score=0.1\n", "\r\nX-Spam-Status: No, score=0.1\r\n", 1)
	case 3:
		body = strings.Replace(body, "\nFrom here", "\n>From here", 1) + "\n"
	case 4:
		body = "Authentication-Results: gw; dkim=none\nX-Virus-Scanned: yes\n" + body
	}
	return body
}

type result struct {
	lines    []Delivery
	accounts map[string]Account
	findings []manifest.Finding
	totals   Totals
	exit     int
	window   Window
}

func (r *result) outcomes(box string) map[Outcome]int {
	out := map[Outcome]int{}
	for _, l := range r.lines {
		if l.Mailbox == box {
			out[l.Outcome]++
		}
	}
	return out
}

// run prepares and consumes; a nil deliverer audits.
func run(t testing.TB, o Options, d Deliverer) (*result, error) {
	t.Helper()
	r, err := Prepare(context.Background(), o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out := &result{accounts: map[string]Account{}, window: r.Window()}
	last := ""
	for e, err := range r.Events(context.Background(), d) {
		if err != nil {
			return out, err
		}
		switch {
		case e.Delivery != nil:
			out.lines = append(out.lines, *e.Delivery)
			if box := e.Delivery.Mailbox; box != last && box != "" {
				if _, twice := out.accounts[box]; twice {
					t.Errorf("lines of %s are not together", box)
				}
				last = box
			}
		case e.Account != nil:
			if _, twice := out.accounts[e.Account.Mailbox]; twice {
				t.Errorf("two accounts of %s", e.Account.Mailbox)
			}
			out.accounts[e.Account.Mailbox] = *e.Account
		case e.Finding != nil:
			out.findings = append(out.findings, *e.Finding)
		}
	}
	out.totals, out.exit = r.Totals(), r.Exit()
	checkAccounts(t, out)
	return out, nil
}

// checkAccounts counts the lines again.
func checkAccounts(t testing.TB, r *result) {
	t.Helper()
	sums := map[string]*Counts{}
	var total Totals
	for i := range r.lines {
		l := &r.lines[i]
		total.Add(l)
		if l.Mailbox == "" {
			continue
		}
		if sums[l.Mailbox] == nil {
			sums[l.Mailbox] = &Counts{}
		}
		sums[l.Mailbox].Add(l.Outcome)
	}
	for box, c := range sums {
		a := r.accounts[box]
		if a.Counts != *c {
			t.Errorf("account of %s is %+v, its lines say %+v", box, a.Counts, *c)
		}
		sum := c.Present + c.Delivered + c.WouldDeliver + c.Deleted + c.Filtered + c.Duplicate + c.Ambiguous + c.Failed + c.Unexplained
		if c.Archived != sum || a.Closed != (c.WouldDeliver+c.Ambiguous+c.Failed+c.Unexplained == 0) {
			t.Errorf("account of %s does not add up: %+v closed=%v", box, *c, a.Closed)
		}
	}
	if total.Counts != r.totals.Counts || total.NoMailbox != r.totals.NoMailbox || total.OutsideWindow != r.totals.OutsideWindow {
		t.Errorf("totals %+v, the lines say %+v", r.totals, total)
	}
}

func options(t testing.TB, g *gateway, s *store) Options {
	t.Helper()
	names := &Names{}
	for n := range s.boxes {
		names.Add(n)
	}
	res, err := NewResolver(Maps{Delimiter: "+", Mailboxes: names, Placed: func(n string) bool { return strings.HasPrefix(n, "new") }})
	if err != nil {
		t.Fatal(err)
	}
	return Options{Archive: g.open(), Target: s, Witness: s, Resolver: res, Workers: 2, Now: t0.Add(48 * time.Hour)}
}
