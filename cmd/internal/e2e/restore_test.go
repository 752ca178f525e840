//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

// ready returns a server with mail, a record of it, a backup, and what
// anna's client sees.
func ready(t *testing.T, n int) (*dovecot, map[string]*view) {
	t.Helper()
	d := newDovecot(t)
	d.fill(anna, n)
	d.look(anna) // gives every message its UID
	before := d.look(anna)
	replicate(t, d.store(), d.backup())
	settle()
	return d, before
}

// victims are every third message of anna's INBOX and folders.
func (d *dovecot) victims(t *testing.T) []string {
	t.Helper()
	var out []string
	for i, f := range messageFiles(t, d.maildir(anna)) {
		if i%3 == 1 {
			out = append(out, f)
		}
	}
	return out
}

func lose(t *testing.T, files []string) {
	t.Helper()
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

// Lost while the server was down, put back before it looks: no client notices
// anything. UIDs, flags, keywords, dates are the same.
func TestLoseAndRestoreStopped(t *testing.T) {
	d, before := ready(t, 60)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	d.stop()
	gone := d.victims(t)
	lose(t, gone)
	r := run(t, b, []int{0}, "restore", "primary", "--from", "backup", "--yes")
	if r.Count("done") < int64(len(gone)) {
		t.Errorf("%d messages were lost, %d put back", len(gone), r.Count("done"))
	}
	d.start()
	same(t, before, d.look(anna), false)
	noComplaints(t, d)
	r = run(t, b, []int{0}, "restore", "primary", "--from", "backup", "--yes")
	if r.Count("done") != 0 {
		t.Errorf("a second restore did something: %s", r)
	}
}

// Lost while the server runs, put back before any client looks into the folder.
func TestLoseAndRestoreUnnoticed(t *testing.T) {
	d, before := ready(t, 60)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	lose(t, d.victims(t))
	run(t, b, []int{0}, "restore", "primary", "--from", "backup", "--yes")
	same(t, before, d.look(anna), false)
	noComplaints(t, d)
}

// Lost while the server runs, and it has noticed: the messages come back under
// new UIDs, everything else is as before, UIDVALIDITY does not move.
func TestLoseAndRestoreNoticed(t *testing.T) {
	d, before := ready(t, 60)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	settle()
	gone := d.victims(t)
	lose(t, gone)
	for _, v := range d.look(anna) { // the server notices
		for _, m := range v.Messages {
			_ = m
		}
	}
	settle()
	r := run(t, b, []int{0}, "restore", "primary", "--from", "backup", "--yes")
	if r.Count("done") < int64(len(gone)) {
		t.Errorf("%d messages were lost, %d put back", len(gone), r.Count("done"))
	}
	same(t, before, d.look(anna), true)
	kept := map[string]bool{}
	for _, v := range before {
		for _, m := range v.Messages {
			kept[v.Folder+string(rune(m.UID))+m.ID] = true
		}
	}
	for _, v := range d.look(anna) { // a UID never names another message than before
		for _, m := range v.Messages {
			for _, w := range before[v.Folder].Messages {
				if w.UID == m.UID && w.Sum != m.Sum {
					t.Errorf("%s: UID %d was %s and is now %s", v.Folder, m.UID, w.ID, m.ID)
				}
			}
		}
	}
}

// The uidlist is lost or torn: it is restored from the record before the
// server looks, and no message changes its UID.
func TestUIDListRestored(t *testing.T) {
	for _, c := range []struct {
		name  string
		harm  func(t *testing.T, path string)
		scans int // after the harm
	}{
		{name: "lost", harm: func(t *testing.T, path string) { lose(t, []string{path}) }},
		{name: "lost and scanned", scans: 2, harm: func(t *testing.T, path string) { lose(t, []string{path}) }},
		{name: "torn", harm: func(t *testing.T, path string) {
			p, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			clear(p[len(p)/2:])
			if err := os.WriteFile(path, p, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, before := ready(t, 40)
			b := product(t, d)
			clean(t, b, "scan", "primary")
			d.stop()
			c.harm(t, filepath.Join(d.maildir(anna), "dovecot-uidlist"))
			lose(t, d.victims(t)[:3])
			for range c.scans {
				run(t, b, []int{1}, "scan", "primary")
			}
			run(t, b, []int{0}, "restore", "primary", "--from", "backup", "--yes")
			d.start()
			same(t, before, d.look(anna), false)
		})
	}
}

// What a user has expunged stays expunged: the server's log says who did it.
func TestExpungedStaysExpunged(t *testing.T) {
	for _, c := range []struct {
		name string
		scan bool // a scan has recorded the absence
	}{{"scanned since", true}, {"not scanned since", false}} {
		t.Run(c.name, func(t *testing.T) {
			d, _ := ready(t, 48)
			b := product(t, d)
			clean(t, b, "scan", "primary")
			clean(t, b, "scan", "backup")
			settle()
			deleted := d.expunge(anna, "INBOX", 4)
			after := d.look(anna)
			if c.scan {
				settle()
				clean(t, b, "scan", "primary")
			}
			d.stop()
			gone := d.victims(t)
			lose(t, gone)
			r := run(t, b, []int{0}, "restore", "primary", "--from", "backup", "--yes")
			for _, l := range r.Find("action") {
				if l.Op == "add" && l.State == "done" && deleted[l.Digest] {
					t.Errorf("a deleted message was planned: %s", l.Raw)
				}
			}
			d.start()
			same(t, after, d.look(anna), false)
		})
	}
}

// expunge deletes the first n messages of a folder as a user does, and returns
// their Message-IDs.
func (d *dovecot) expunge(user, folder string, n uint32) map[string]bool {
	d.t.Helper()
	before := d.look(user)[folder]
	c := d.mustLogin(user)
	defer c.Close()
	if _, err := c.Select(folder, nil).Wait(); err != nil {
		d.t.Fatal(err)
	}
	var some imap.SeqSet
	some.AddRange(1, n)
	if err := c.Store(some, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		d.t.Fatal(err)
	}
	if err := c.Expunge().Close(); err != nil {
		d.t.Fatal(err)
	}
	out := map[string]bool{}
	for _, m := range before.Messages[:n] {
		out[m.ID] = true
	}
	return out
}

// Damaged files are replaced by good copies; clients see the same messages
// under the same UIDs.
func TestDamagedReplaced(t *testing.T) {
	d, before := ready(t, 40)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	clean(t, b, "scan", "backup")
	d.stop()
	files := d.victims(t)[:6]
	for i, f := range files {
		p, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		switch i % 3 {
		case 0:
			p = nil
		case 1:
			p = p[:len(p)/2]
		case 2:
			p[len(p)-20] ^= 1 // only the record can tell
		}
		fi, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, p, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(f, fi.ModTime(), fi.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	v := run(t, b, []int{1}, "verify", "primary")
	if got := len(v.Find("finding")); got != len(files) {
		t.Errorf("%d files were damaged, %d findings", len(files), got)
	}
	r := run(t, b, []int{0}, "restore", "primary", "--from", "backup", "--yes")
	n := 0
	for _, l := range r.Find("action") {
		if l.Op == "replace" && l.State == "done" {
			n++
		}
	}
	if n != len(files) {
		t.Errorf("%d files were damaged, %d replaced: %s", len(files), n, sampleLines(r))
	}
	d.start()
	same(t, before, d.look(anna), false)
	clean(t, b, "verify", "primary")
	noComplaints(t, d)

	// and back: the damaged files are there again, byte for byte
	u := run(t, b, []int{0}, "undo", r.Summary.Run, "--yes")
	if u.Count("done") == 0 {
		t.Errorf("undo did nothing: %s", u)
	}
	v = run(t, b, []int{1}, "verify", "primary")
	if got := len(v.Find("finding")); got != len(files) {
		t.Errorf("after undo %d findings, want %d", got, len(files))
	}
}

// A folder that is gone comes back with its messages, keywords by name, UIDs
// and its subscription.
func TestFolderRestored(t *testing.T) {
	d, before := ready(t, 60)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	clean(t, b, "scan", "backup")
	d.stop()
	if err := os.RemoveAll(filepath.Join(d.maildir(anna), ".Archive.2026")); err != nil {
		t.Fatal(err)
	}
	// With nothing said of a crash, a user may have deleted the folder: it stays gone.
	r := run(t, b, []int{0}, "restore", "primary", "--from", "backup", "--yes")
	if r.Count("done") != 0 {
		t.Errorf("a folder that a user may have deleted came back: %s", r)
	}
	run(t, b, []int{0}, "restore", "primary", "--from", "backup", "--crash-at", time.Now().Format(time.RFC3339), "--yes")
	d.start()
	after := d.look(anna)
	if after["Archive/2026"] == nil {
		t.Fatal("the folder did not come back")
	}
	for _, v := range []map[string]*view{before, after} { // a folder made anew has a UIDVALIDITY of its own, unless its list came back too
		if v["Archive/2026"] != nil {
			v["Archive/2026"].UIDValidity, v["Archive/2026"].UIDNext = 0, 0
		}
	}
	same(t, before, after, true)
}

func noComplaints(t *testing.T, d *dovecot) {
	t.Helper()
	for _, l := range d.complaints() {
		if strings.Contains(l, "doveadm") {
			continue
		}
		t.Errorf("the server complains: %s", l)
	}
}
