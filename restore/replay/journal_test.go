package replay

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailsync/restore/archive"
)

// Exchange splits a message's recipients over several journal reports, and
// may send a report again. The account unites them: each recipient gets one
// copy, and what is told again is a duplicate.
func TestJournalReportsUnited(t *testing.T) {
	const ann, cleo = "ann@example.com", "cleo@example.com"
	s := newStore(ann, bob, cleo)
	g := newGateway(t)
	one, two := mail(1, t0), mail(2, t0)
	for i, r := range []struct{ body, envelope string }{
		{one, "To: ann@example.com\nBcc: bob@example.com\n"},
		{one, "To: cleo@example.com, Expanded: all@example.com\n"},
		{one, "To: ann@example.com\nBcc: bob@example.com\n"}, // sent again
		{one, "To: Bob@Example.com\nTo: cleo@example.com\n"}, // overlapping
		{two, "To: ann@example.com\n"},
	} {
		id := "<1@example.net>"
		if r.body == two {
			id = "<2@example.net>"
		}
		at := t0.Add(time.Duration(i) * time.Second)
		report := fmt.Sprintf("From: <exchange@example.com>\nTo: journal@example.com\nDate: %s\nMessage-ID: <report-%d@example.com>\nX-MS-Journal-Report:\nMIME-Version: 1.0\n"+
			"Content-Type: multipart/mixed; boundary=\"=_j\"\n\n--=_j\nContent-Type: text/plain\n\nSender: ann@example.net\nSubject: x\nMessage-Id: %s\n%s\n--=_j\nContent-Type: message/rfc822\n\n%s\n--=_j--\n",
			at.Format(time.RFC1123Z), i, id, r.envelope, r.body)
		name := filepath.Join(g.dir, fmt.Sprintf("%d.eml", i))
		if err := os.WriteFile(name, []byte(report), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	o := options(t, g, s)
	a, err := archive.Open(g.dir, archive.Options{Own: []string{"journal@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	o.Archive, o.All = a, true
	r, err := run(t, o, s)
	if err != nil {
		t.Fatal(err)
	}
	for box, want := range map[string]int{ann: 2, bob: 1, cleo: 1} {
		if got := r.outcomes(box); got[Delivered] != want || len(s.boxes[box]) != want {
			t.Errorf("%s: %v, and %d messages are there; want %d delivered", box, got, len(s.boxes[box]), want)
		}
		for _, m := range s.boxes[box] {
			if strings.Contains(string(m.body), "Journal-Report") || !strings.Contains(string(m.body), "Body of message") {
				t.Errorf("%s has a report in the place of its message:\n%s", box, m.body)
			}
		}
	}
	if r.totals.Duplicate != 4 || len(r.lines) != 8 {
		t.Errorf("of %d lines %d tell a recipient again, want 4 of 8", len(r.lines), r.totals.Duplicate)
	}
	if len(r.findings) != 0 || r.totals.NoMailbox != 0 {
		t.Errorf("findings %+v, %d without a mailbox", r.findings, r.totals.NoMailbox)
	}
	again, err := run(t, o, s)
	if err != nil {
		t.Fatal(err)
	}
	if again.totals.Delivered != 0 {
		t.Errorf("a second replay delivered %d", again.totals.Delivered)
	}
}
