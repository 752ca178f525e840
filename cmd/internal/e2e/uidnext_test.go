//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
)

// mailboxForecast is what a plan says of one mailbox.
type mailboxForecast struct {
	Mailbox    string `json:"mailbox"`
	QuotaLimit int64  `json:"quota_limit"`
	QuotaAfter int64  `json:"quota_after"`
	NextUID    []struct {
		Folder        string `json:"folder"`
		Now           uint32 `json:"now"`
		Safe          uint32 `json:"safe"`
		HighestModSeq uint64 `json:"highest_modseq"`
		Command       string `json:"command"`
	} `json:"next_uid"`
}

func forecastOf(t *testing.T, r *drive.Result, mailbox string) mailboxForecast {
	t.Helper()
	for _, l := range r.Find("mailbox_forecast") {
		var f mailboxForecast
		if err := json.Unmarshal([]byte(l.Raw), &f); err != nil {
			t.Fatal(err)
		}
		if f.Mailbox == mailbox {
			return f
		}
	}
	t.Fatalf("no forecast of %s: %s", mailbox, r)
	return mailboxForecast{}
}

// status is what the server says of a folder's counters.
func (d *dovecot) status(user, folder string) *imap.StatusData {
	d.t.Helper()
	c := d.mustLogin(user)
	defer c.Close()
	s, err := c.Status(folder, &imap.StatusOptions{UIDNext: true, UIDValidity: true, HighestModSeq: true}).Wait()
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

// failedOver is a server on an older copy of its store, and the store that it
// had, "old", which has gone on since: clients know UIDs and change counters
// that the copy does not.
func failedOver(t *testing.T) (d *dovecot, b drive.Bin, last map[string]*view, was *imap.StatusData) {
	t.Helper()
	d, _ = ready(t, 40)
	b = product(t, d)
	writeConfig(t, d, fmt.Sprintf("[stores.old]\npath = %q\nlayout = \"%%d/%%n/Maildir\"\n", d.file("old")))
	l, err := d.lmtp()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 25 {
		if err := l.deliver("sender@example.net", mail(fmt.Sprintf("late-%d", i), 900), anna); err != nil {
			t.Fatal(err)
		}
	}
	l.close()
	d.look(anna)
	c := d.mustLogin(anna)
	if _, err := c.Select("INBOX", &imap.SelectOptions{CondStore: true}).Wait(); err != nil {
		t.Fatal(err)
	}
	for i := range 60 { // moves the counter of changes far on
		op := imap.StoreFlagsAdd
		if i%2 == 1 {
			op = imap.StoreFlagsDel
		}
		if err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: op, Silent: true, Flags: []imap.Flag{imap.FlagFlagged}}, nil).Close(); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	last, was = d.look(anna), d.status(anna, "INBOX")
	d.stop()
	if err := os.Rename(d.store(), d.file("old")); err != nil {
		t.Fatal(err)
	}
	replicate(t, d.backup(), d.store())
	clean(t, b, "scan", "old")
	d.start()
	return d, b, last, was
}

// noUIDTwice wants that no UID which clients know names another message now.
func noUIDTwice(t *testing.T, last, now map[string]*view) {
	t.Helper()
	for name, v := range last {
		known := map[imap.UID][32]byte{}
		for _, m := range v.Messages {
			known[m.UID] = m.Sum
		}
		if now[name] == nil || now[name].UIDValidity != v.UIDValidity {
			t.Errorf("%s: gone, or its UIDVALIDITY moved", name)
			continue
		}
		for _, m := range now[name].Messages {
			if sum, ok := known[m.UID]; ok && sum != m.Sum {
				t.Errorf("%s: UID %d is another message now: %s", name, m.UID, m.ID)
			}
		}
	}
}

func (d *dovecot) deliverOne(id string) {
	d.t.Helper()
	l, err := d.lmtp()
	if err != nil {
		d.t.Fatal(err)
	}
	defer l.close()
	if err := l.deliver("sender@example.net", mail(id, 900), anna); err != nil {
		d.t.Fatal(err)
	}
}

// A store that was replaced by an older copy: the plan says which next UIDs are
// not safe, and its command makes the server raise them, and its counter of
// changes, above all that clients know.
func TestNextUIDByTheServer(t *testing.T) {
	d, b, last, was := failedOver(t)
	now := d.status(anna, "INBOX")
	if now.UIDNext >= was.UIDNext || now.HighestModSeq >= was.HighestModSeq {
		t.Fatalf("the copy is not older: next UID %d and %d, counter %d and %d", now.UIDNext, was.UIDNext, now.HighestModSeq, was.HighestModSeq)
	}
	r := run(t, b, []int{0, 1}, "restore", "primary", "--from", "old", "--dry-run")
	raised := 0
	for _, u := range forecastOf(t, r, anna).NextUID {
		if u.Folder != "INBOX" {
			continue
		}
		raised++
		if u.Safe < uint32(was.UIDNext) || u.HighestModSeq < was.HighestModSeq {
			t.Errorf("next UID %d and counter %d are called safe; clients know %d and %d", u.Safe, u.HighestModSeq, was.UIDNext, was.HighestModSeq)
		}
		c := exec.Command("sh", "-c", u.Command) // as it is printed, beside a server with a configuration of its own
		c.Env = append(os.Environ(), "CONFIG_FILE="+d.conf())
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", u.Command, err, out)
		}
	}
	if raised != 1 {
		t.Fatalf("the next UID of INBOX is called safe: %s", r)
	}
	after := d.status(anna, "INBOX")
	if after.UIDNext < was.UIDNext || after.HighestModSeq < was.HighestModSeq || after.UIDValidity != was.UIDValidity {
		t.Errorf("next UID %d (clients know %d), counter %d (%d), UIDVALIDITY %d (%d)", after.UIDNext, was.UIDNext, after.HighestModSeq, was.HighestModSeq, after.UIDValidity, was.UIDValidity)
	}
	run(t, b, []int{0}, "restore", "primary", "--from", "old", "--undecided", "restore", "--yes")
	d.deliverOne("after")
	noUIDTwice(t, last, d.look(anna))
	noComplaints(t, d)
}

// The same by --fix-uidnext, while the server runs.
func TestNextUIDByUs(t *testing.T) {
	d, b, last, was := failedOver(t)
	d.look(anna)
	run(t, b, []int{0}, "restore", "primary", "--from", "old", "--undecided", "restore", "--fix-uidnext", "--yes")
	d.deliverOne("after")
	now := d.look(anna)
	noUIDTwice(t, last, now)
	if s := d.status(anna, "INBOX"); s.UIDNext < was.UIDNext || s.UIDValidity != was.UIDValidity {
		t.Errorf("next UID %d, clients know %d; UIDVALIDITY %d, was %d", s.UIDNext, was.UIDNext, s.UIDValidity, was.UIDValidity)
	}
	have := map[string]int{}
	for _, m := range now["INBOX"].Messages {
		have[m.ID]++
	}
	for _, m := range last["INBOX"].Messages {
		if have[m.ID] != 1 {
			t.Errorf("%s is there %d times", m.ID, have[m.ID])
		}
	}
	noComplaints(t, d)
}

// Where only the record of the lost store is left, and the gateway's archive,
// replay raises next UIDs before it delivers.
func TestNextUIDByReplay(t *testing.T) {
	d, b, last, was := failedOver(t)
	d.look(anna)
	path := d.file("gap.mbox")
	w, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	gap := sample.Archived{From: "sender@example.net", To: []string{anna}, Arrival: time.Now().Add(-time.Hour).Truncate(time.Second), Data: mail("gap", 900)}
	if err := errors.Join(sample.WriteMbox(w, []sample.Archived{gap}), w.Close(), os.Rename(d.file("old"), d.file("lost"))); err != nil {
		t.Fatal(err)
	}
	writeConfig(t, d, fmt.Sprintf("[stores.old]\npath = %q\nlayout = \"%%d/%%n/Maildir\"\n\n[archives.gateway]\npath = %q\n", d.file("old"), path))
	run(t, b, []int{0}, "replay", "--from", "gateway", "--to", "primary", "--recorded", "old", "--since", "all", "--fix-uidnext", "--yes")
	now := d.look(anna)
	noUIDTwice(t, last, now)
	delivered := 0
	for _, m := range now["INBOX"].Messages {
		if m.ID == messageID(gap.Data) {
			delivered++
		}
	}
	if s := d.status(anna, "INBOX"); delivered != 1 || s.UIDNext < was.UIDNext || s.UIDValidity != was.UIDValidity {
		t.Errorf("delivered %d times; next UID %d, clients know %d; UIDVALIDITY %d, was %d", delivered, s.UIDNext, was.UIDNext, s.UIDValidity, was.UIDValidity)
	}
	noComplaints(t, d)
}

// An ordinary restore never lowers the counter of changes.
func TestModSeqKept(t *testing.T) {
	d, _ := ready(t, 40)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	was := d.status(anna, "INBOX")
	lose(t, d.victims(t))
	d.look(anna) // the server notices
	settle()
	run(t, b, []int{0}, "restore", "primary", "--from", "backup", "--yes")
	d.look(anna)
	if now := d.status(anna, "INBOX"); was.HighestModSeq == 0 || now.HighestModSeq < was.HighestModSeq || now.UIDNext < was.UIDNext {
		t.Errorf("counter %d, was %d; next UID %d, was %d", now.HighestModSeq, was.HighestModSeq, now.UIDNext, was.UIDNext)
	}
}
