//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
)

// What the server has just written, by LMTP and APPEND, has nothing wrong with
// it; with the server running and stopped, with and without a record.
func TestCleanStoreIsClean(t *testing.T) {
	d, before := ready(t, 80)
	b := product(t, d)
	n := int64(0)
	for _, v := range before {
		n += int64(len(v.Messages))
	}
	fresh := b
	fresh.State = d.file("nostate")
	clean(t, fresh, "verify", "primary")
	r := clean(t, b, "scan", "primary")
	if r.Count("messages") != n {
		t.Errorf("scan saw %d messages, a client %d", r.Count("messages"), n)
	}
	clean(t, b, "verify", "primary")
	clean(t, b, "scan", "backup")
	r = run(t, b, []int{0}, "diff", "primary", "backup")
	for _, l := range r.Find("difference") {
		t.Errorf("a false difference: %s", l.Raw)
	}
	d.stop()
	clean(t, b, "verify", "primary")
	// the server writes its own small files when it stops
	r = clean(t, b, "scan", "primary")
	if r.Count("read_bytes") != 0 {
		t.Errorf("an unchanged store was read again: %s", r)
	}
}

// The record of a store that a server wrote says what a client sees: UIDs,
// flags, keywords by name, dates.
func TestRecordIsWhatClientsSee(t *testing.T) {
	d, before := ready(t, 60)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	clean(t, b, "scan", "backup")
	// Compare through diff with a backup whose every message differs in nothing.
	c := d.mustLogin(anna)
	defer c.Close()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	_ = before
	r := run(t, b, []int{0}, "diff", "primary", "backup", "--recorded", "backup")
	if r.Count("differences") != 0 {
		t.Errorf("differences between a store and its copy: %s", sampleLines(r))
	}
}

// Every kind of damage to files that a real server wrote is found, with its
// record and without, and nothing else is.
func TestEveryDamageFound(t *testing.T) {
	d := newDovecot(t)
	e := sample.New(sample.Options{Seed: 12, Mailboxes: 3, PerMailbox: 90, Compressed: true, Odd: true})
	if err := e.Write(d.store()); err != nil {
		t.Fatal(err)
	}
	if err := chown(d.store()); err != nil {
		t.Fatal(err)
	}
	d.stop()
	b := product(t, d)
	settle()
	clean(t, b, "scan", "primary")
	truth, err := sample.NewVandal(e, d.store(), 4).BreakEach(sample.DamageKinds...)
	if err != nil {
		t.Fatal(err)
	}
	fresh := b
	fresh.State = d.file("nostate")
	expect(t, "without a record", run(t, fresh, []int{1}, "verify", "primary"), truth, false)
	expect(t, "with a record", run(t, b, []int{1}, "verify", "primary"), truth, true)
	expect(t, "scan --rehash", run(t, b, []int{1}, "scan", "primary", "--rehash"), truth, true)
	// A second scan launders nothing.
	expect(t, "after another scan", run(t, b, []int{1}, "verify", "primary"), truth, true)
}

func expect(t *testing.T, what string, r *drive.Result, truth []sample.Truth, recorded bool) {
	t.Helper()
	want := map[string]sample.Truth{}
	for _, tr := range truth {
		if tr.Baseline && !recorded {
			continue
		}
		if tr.Kind.String() == "missing" && strings.HasPrefix(what, "scan") {
			continue // an absence of a scan
		}
		want[tr.Mailbox+"\x00"+tr.Folder+"\x00"+baseOf(tr.File)] = tr
	}
	for _, l := range r.Find("finding") {
		key := l.Mailbox + "\x00" + l.Folder + "\x00" + baseOf(l.Name())
		tr, ok := want[key]
		if !ok {
			// a message is gone, so that the server's sums are indeed stale
			if l.Kind != "quota_stale" && (l.Kind != "missing" || !strings.HasPrefix(what, "scan")) {
				t.Errorf("%s: a false finding: %s", what, l.Raw)
			}
			continue
		}
		delete(want, key)
		kind := tr.Kind
		if recorded {
			kind = tr.Recorded
		}
		if l.Kind != kind.String() {
			t.Errorf("%s: found as %s, is %s: %s", what, l.Kind, kind, l.Raw)
		}
		if !recorded && l.Certainty != tr.Certainty.String() {
			t.Errorf("%s: certainty %s, should be %s: %s", what, l.Certainty, tr.Certainty, l.Raw)
		}
	}
	for _, tr := range want {
		t.Errorf("%s: not found: %s %s/%s/%s", what, tr.Kind, tr.Mailbox, tr.Folder, tr.File)
	}
}

func baseOf(file string) string {
	b, _, _ := strings.Cut(filepath.Base(file), ":")
	return b
}

func chown(root string) error {
	return filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, mailUser, mailUser)
	})
}

// Reading commands touch nothing: not a byte, not a name, not one of the times
// that stat(2) tells, of any file or directory of the store.
func TestReadingTouchesNothing(t *testing.T) {
	d, _ := ready(t, 60)
	b := product(t, d)
	d.stop()
	lose(t, d.victims(t)[:5])
	archive := d.file("archive.mbox")
	w, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	var mails []sample.Archived
	for i, id := range []string{"a1", "a2", "a3"} {
		mails = append(mails, sample.Archived{From: "s@example.net", To: []string{anna}, Arrival: time.Now().Add(-time.Duration(i+1) * time.Hour), Data: mail(id, 500)})
	}
	if err := sample.WriteMbox(w, mails); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	writeConfig(t, d, "[archives.gateway]\npath = \""+archive+"\"\n")
	ageAccess(t, d.store())
	ageAccess(t, d.backup())
	primary, backup := census(t, d.store()), census(t, d.backup())
	for _, args := range [][]string{
		{"verify", "primary"}, // before any record
		{"scan", "primary"},
		{"scan", "backup"},
		{"scan", "primary"},
		{"scan", "primary", "--rehash"},
		{"verify", "primary"},
		{"verify", "primary", "--quick"},
		{"diff", "primary", "backup"},
		{"restore", "primary", "--from", "backup", "--dry-run"},
		{"restore", "primary", "--from", "backup", "--plan", d.file("plan")},
		{"audit", "--from", "gateway", "--since", "all"},
		{"replay", "--from", "gateway", "--since", "all", "--dry-run"},
		{"manifest", "check", "primary"},
	} {
		what := "mailsync " + strings.Join(args, " ")
		r, err := b.JSON(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		if r.Code != 0 && r.Code != 1 {
			t.Errorf("%s: %s", what, r)
		}
		unchanged(t, what, primary, census(t, d.store()))
		unchanged(t, what, backup, census(t, d.backup()))
	}
	// Dry runs write no state either.
	before := census(t, b.State)
	for _, args := range [][]string{
		{"restore", "primary", "--from", "backup", "--dry-run"},
		{"replay", "--from", "gateway", "--since", "all", "--dry-run"},
		{"audit", "--from", "gateway", "--since", "all"},
		{"diff", "primary", "backup"},
	} {
		if _, err := b.JSON(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
		sameBytes(t, "mailsync "+strings.Join(args, " "), before, census(t, b.State))
	}
}

// sameBytes compares two censuses by names and contents.
func sameBytes(t *testing.T, what string, before, after map[string]state) {
	t.Helper()
	for path, b := range before {
		if a, ok := after[path]; !ok || a.sum != b.sum || a.size != b.size && b.mode&0o170000 == 0o100000 {
			t.Errorf("%s: %s was changed", what, path)
		}
	}
	for path := range after {
		if _, ok := before[path]; !ok {
			t.Errorf("%s: %s is new", what, path)
		}
	}
}
