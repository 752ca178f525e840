//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The incident from end to end: a real Postfix archives every message and
// delivers it to a real Dovecot; the store is lost and an older backup is
// promoted; replay delivers what the backup lacks, and nothing else. A client
// sees every message once, with the time at which the gateway took it, and no
// message that was deleted before.
func TestGatewayFillsTheGap(t *testing.T) {
	d := newDovecot(t)
	b := product(t, d)
	p := newPostfix(t, d)
	writeConfig(t, d, "[archives.gateway]\npath = \""+p.archive+"\"\n[recipients]\ndelimiter = \"+\"\nvirtual = [\""+filepath.Join(p.conf, "virtual")+"\"]\n")

	type sent struct {
		id    string
		to    []string // mailboxes
		begin time.Time
		end   time.Time
	}
	var all []sent
	send := func(n int) {
		for range n {
			i := len(all)
			x := sent{id: fmt.Sprintf("gw-%d", i), begin: time.Now().Truncate(time.Second)}
			envelope := []string{users[i%2]}
			x.to = envelope
			switch i % 5 {
			case 1: // an alias to two mailboxes, one of them named beside it
				envelope, x.to = []string{"team@example.org", anna}, []string{anna, bela}
			case 2:
				envelope, x.to = []string{"anna+lists@example.org"}, []string{anna}
			case 3:
				envelope, x.to = []string{bela, carla}, []string{bela, carla}
			}
			p.send(mail(x.id, 600+i*37), envelope...)
			x.end = time.Now()
			all = append(all, x)
		}
		p.release()
	}
	look := func() map[string]*view {
		out := map[string]*view{}
		for _, u := range users {
			out[u] = d.look(u)["INBOX"]
		}
		return out
	}

	send(25)
	look()
	settle()
	clean(t, b, "scan", "primary")
	settle()
	deleted := d.expunge(anna, "INBOX", 3)
	copyStore := func(from, to string) {
		t.Helper()
		if out, err := exec.Command("cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	d.stop()
	kept := d.file("kept")
	if err := os.Mkdir(kept, 0o755); err != nil {
		t.Fatal(err)
	}
	copyStore(d.store(), kept)
	d.start()

	settle() // the gap begins in another second
	gap := time.Now().Truncate(time.Second)
	first := len(all)
	send(20)
	whole := look()
	settle()
	after := time.Now().Truncate(time.Second)

	// The store is lost, the backup takes its place.
	d.stop()
	old, err := filepath.Glob(filepath.Join(d.store(), "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range old {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	copyStore(kept, d.store())
	d.start()
	last := len(all)
	send(10)
	before := look()

	absent := int64(0)
	for _, x := range all[first:last] {
		absent += int64(len(x.to))
	}
	lost := 0
	for _, u := range users {
		has := map[string]bool{}
		for _, m := range before[u].Messages {
			has[m.ID] = true
		}
		for _, m := range whole[u].Messages {
			if !has[m.ID] {
				lost++
			}
		}
	}
	if int64(lost) != absent {
		t.Fatalf("the promotion lost %d messages, want %d: no gap to fill", lost, absent)
	}
	window := []string{"--from", "gateway", "--since", gap.Format(time.RFC3339), "--until", after.Format(time.RFC3339)}
	r := run(t, b, []int{1}, append([]string{"audit"}, window...)...)
	if got := r.Count("would_deliver"); got != absent {
		t.Errorf("audit would deliver %d, want %d: %s", got, absent, r)
	}
	if got := r.Count("deleted"); got != int64(len(deleted)) {
		t.Errorf("audit: %d deleted, want %d: %s", got, len(deleted), r)
	}
	r = run(t, b, []int{0}, append([]string{"replay", "--yes"}, window...)...)
	if got := r.Count("delivered"); got != absent {
		t.Errorf("replay delivered %d, want %d: %s", got, absent, r)
	}
	for _, a := range r.Find("account") {
		if !a.Closed {
			t.Errorf("an account does not close: %s", a.Raw)
		}
	}

	now := look()
	for _, u := range users {
		count, dates := map[string]int{}, map[string]time.Time{}
		for _, m := range now[u].Messages {
			count[m.ID]++
			dates[m.ID] = m.Date
		}
		for i, x := range all {
			id := "<" + x.id + "@test.example.net>"
			want := 0
			for _, to := range x.to {
				if to == u && !(u == anna && deleted[id]) {
					want = 1
				}
			}
			if count[id] != want {
				t.Errorf("%s has %s %d times, want %d", u, id, count[id], want)
			}
			delete(count, id)
			if want == 1 && i >= first && i < last && (dates[id].Before(x.begin) || dates[id].After(x.end)) {
				t.Errorf("%s: %s has the date %v, the gateway took it between %v and %v", u, id, dates[id], x.begin, x.end)
			}
		}
		for id := range count {
			t.Errorf("%s has %s, which nobody sent", u, id)
		}
		if now[u].UIDValidity != before[u].UIDValidity || now[u].UIDValidity != whole[u].UIDValidity {
			t.Errorf("%s: UIDVALIDITY moved", u)
		}
	}
	r = run(t, b, []int{0}, append([]string{"replay", "--yes"}, window...)...)
	if r.Count("delivered") != 0 {
		t.Errorf("a second replay delivered %d", r.Count("delivered"))
	}
	noComplaints(t, d)
}
