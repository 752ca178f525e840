//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"testing"
	"time"

	"mailsync/cmd/internal/sample"
)

// The gateway archived every message; some never reached their mailbox. Replay
// delivers exactly those, a client sees them with the date of their arrival,
// and what users deleted stays deleted.
func TestReplayFillsTheGap(t *testing.T) {
	d := newDovecot(t)
	b := product(t, d)
	l, err := d.lmtp()
	if err != nil {
		t.Fatal(err)
	}
	var archive []sample.Archived
	missing := map[string]bool{}
	start := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	for i := range 60 {
		id := fmt.Sprintf("replay-%d", i)
		to := []string{users[i%2]}
		if i%7 == 0 {
			to = []string{anna, bela}
		}
		a := sample.Archived{From: "sender@example.net", To: to, Arrival: start.Add(time.Duration(i) * time.Minute), Data: mail(id, 700+i*13)}
		archive = append(archive, a)
		if i >= 40 && i < 52 {
			missing["<"+id+"@test.example.net>"] = true
			continue
		}
		if err := l.deliver(a.From, a.Data, a.To...); err != nil {
			t.Fatal(err)
		}
	}
	l.close()
	d.look(anna)
	d.look(bela)
	settle()
	clean(t, b, "scan", "primary")
	settle()
	deleted := d.expunge(anna, "INBOX", 3)

	path := d.file("archive.mbox")
	w, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := sample.WriteMbox(w, archive); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	writeConfig(t, d, "[archives.gateway]\npath = \""+path+"\"\n")
	args := []string{"--from", "gateway", "--since", "all"}

	before := map[string]map[string]*view{anna: d.look(anna), bela: d.look(bela)}
	wantCopies := int64(0)
	for _, a := range archive {
		if missing[messageID(a.Data)] {
			wantCopies += int64(len(a.To))
		}
	}
	r := run(t, b, []int{1}, append([]string{"audit"}, args...)...)
	if got := r.Count("would_deliver"); got != wantCopies {
		t.Errorf("audit would deliver %d, want %d: %s", got, wantCopies, r)
	}
	if got := r.Count("deleted"); got != int64(len(deleted)) {
		t.Errorf("audit: %d deleted, want %d: %s", got, len(deleted), r)
	}
	r = run(t, b, []int{0}, append([]string{"replay", "--yes"}, args...)...)
	if got := r.Count("delivered"); got != wantCopies {
		t.Errorf("replay delivered %d, want %d: %s", got, wantCopies, r)
	}
	for _, a := range r.Find("account") {
		if !a.Closed {
			t.Errorf("an account does not close: %s", a.Raw)
		}
	}
	for _, user := range []string{anna, bela} {
		after := d.look(user)
		had := map[string]bool{}
		for _, m := range before[user]["INBOX"].Messages {
			had[m.ID] = true
		}
		count := map[string]int{}
		for _, m := range after["INBOX"].Messages {
			count[m.ID]++
			if !had[m.ID] && !missing[m.ID] {
				t.Errorf("%s has got %s, which was not missing (deleted: %v)", user, m.ID, deleted[m.ID])
			}
		}
		for _, a := range archive {
			id := messageID(a.Data)
			mine := false
			for _, to := range a.To {
				mine = mine || to == user
			}
			switch {
			case !mine || user == anna && deleted[id]:
			case count[id] != 1:
				t.Errorf("%s has %s %d times", user, id, count[id])
			}
			for _, m := range after["INBOX"].Messages {
				if m.ID == id && missing[id] && !m.Date.Equal(a.Arrival.UTC()) {
					t.Errorf("%s: %s has the date %v, arrived %v", user, id, m.Date, a.Arrival)
				}
			}
		}
		if after["INBOX"].UIDValidity != before[user]["INBOX"].UIDValidity {
			t.Errorf("%s: UIDVALIDITY moved", user)
		}
	}
	r = run(t, b, []int{0}, append([]string{"replay", "--yes"}, args...)...)
	if r.Count("delivered") != 0 {
		t.Errorf("a second replay delivered %d", r.Count("delivered"))
	}
	noComplaints(t, d)
}
