package contract

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
	"mailsync/manifest"
)

// archive writes what the gateway kept as an mbox and returns its path as an
// argument.
func (l *lab) archive(name string, want func(*sample.Message) bool) string {
	l.t.Helper()
	return l.mbox(name, l.e.Gateway(want))
}

func (l *lab) mbox(name string, mail []sample.Archived) string {
	l.t.Helper()
	f, err := os.Create(l.path(name))
	l.must(err)
	l.must(sample.WriteMbox(f, mail))
	l.must(f.Close())
	return "./" + name
}

// traffic is an estate of which much has come through the gateway.
var traffic = sample.Options{Seed: 51, Mailboxes: 3, PerMailbox: 40, Size: 1500}

// gap is a store that lacks the newest mail, as a promoted backup does.
func gap(t *testing.T, n int) (l *lab, archive string, lost []*sample.Message) {
	t.Helper()
	l = bare(t)
	l.e = sample.New(traffic)
	archive = l.archive("gateway", nil)
	l.write(l.e, "a")
	all := slices.Collect(l.e.Messages())
	slices.SortStableFunc(all, func(a, b *sample.Message) int { return b.Date.Compare(a.Date) })
	for _, m := range all {
		if m.Incoming && len(lost) < n {
			l.must(os.Remove(m.Path(l.path("a"))))
			lost = append(lost, m)
		}
	}
	return l, archive, lost
}

func incoming(e *sample.Estate) (n int64) {
	for m := range e.Messages() {
		if m.Incoming {
			n++
		}
	}
	return n
}

func outcome(s string) func(*drive.Line) bool {
	return func(d *drive.Line) bool { return d.Outcome == s }
}

func TestReplayDeliversExactlyTheAbsentOnesOnce(t *testing.T) {
	l, archive, lost := gap(t, 12)
	was := l.mail("a")
	n := incoming(l.e)
	r := l.run(1, "audit", "--from", archive, "--to", "./a", "--since", "all")
	l.counts(r, map[string]int64{"archived": n, "present": n - 12, "would_deliver": 12, "delivered": 0})
	l.sameMail(was, "a", "audit")

	r = l.run(0, "replay", "--from", archive, "--to", "./a", "--since", "all", "--yes")
	l.counts(r, map[string]int64{"archived": n, "present": n - 12, "delivered": 12, "would_deliver": 0, "done": 12})
	l.delivered(r, was, lost)

	after := l.mail("a")
	r = l.run(0, "replay", "--from", archive, "--to", "./a", "--since", "all", "--yes")
	l.counts(r, map[string]int64{"archived": n, "present": n, "delivered": 0, "would_deliver": 0, "done": 0, "planned": 0})
	l.sameMail(after, "a", "a second replay")

	r = l.run(0, "audit", "--from", archive, "--to", "./a", "--since", "all")
	l.counts(r, map[string]int64{"archived": n, "present": n})
	for _, a := range l.where(r, "account", 3, nil) {
		if !a.Closed {
			t.Errorf("not closed: %s", a.Raw)
		}
	}
}

// delivered wants that of what was there nothing has changed, and that the new
// files are the lost messages as the gateway saw them, with their arrival.
func (l *lab) delivered(r *drive.Result, was map[string]string, lost []*sample.Message) {
	l.t.Helper()
	want := map[string]int{}
	for _, m := range lost {
		want[fmt.Sprintf("%s %d %s", m.ByPath, m.Date.Unix(), manifest.BLAKE3.Sum(m.Archived()))]++
	}
	for f, v := range l.mail("a") {
		if was[f] == v {
			delete(was, f)
			continue
		}
		box, _, _ := strings.Cut(f, "/Maildir/")
		k := box + " " + v
		want[k]--
		if want[k] < 0 {
			l.t.Errorf("nobody's message: %s %s", f, v)
		}
	}
	for f := range was {
		l.t.Errorf("changed or gone: %s", f)
	}
	for k, n := range want {
		if n > 0 {
			l.t.Errorf("not delivered: %s", k)
		}
	}
	ids := map[string]bool{}
	for _, d := range l.where(r, "delivery", len(lost), outcome("delivered")) {
		if d.MessageID == nil || d.Source == "" || d.Match != "none" {
			l.t.Errorf("%s", d.Raw)
			continue
		}
		ids[*d.MessageID] = true
	}
	for _, m := range lost {
		if !ids[m.ID] {
			l.t.Errorf("no delivery names %s", m.ID)
		}
	}
}

func TestReplayTakesTheGapThatItFinds(t *testing.T) {
	l, archive, _ := gap(t, 15)
	r := l.run(0, "replay", "--from", archive, "--to", "./a", "--yes")
	l.counts(r, map[string]int64{"delivered": 15})
}

func TestReplayWithoutAClearGapExits64WithTheTimeline(t *testing.T) {
	l := with(t, traffic)
	archive := l.archive("gateway", nil)
	// Holes everywhere, as users who delete make them.
	i := 0
	for m := range l.e.Messages() {
		if i++; m.Incoming && i%3 == 0 {
			l.must(os.Remove(m.Path(l.path("a"))))
		}
	}
	was := l.mail("a")
	for _, command := range []string{"audit", "replay"} {
		r, err := l.bin.JSON(t.Context(), command, "--from", archive, "--to", "./a", "--yes")
		if command == "audit" {
			r, err = l.bin.JSON(t.Context(), command, "--from", archive, "--to", "./a")
		}
		l.must(err)
		if r.Code != 64 || len(r.Find("hour")) == 0 || r.Summary.Hint == "" || !strings.Contains(r.Summary.Error+r.Summary.Hint, "--since") {
			t.Errorf("%s: %d hours: %s", command, len(r.Find("hour")), r)
		}
	}
	l.sameMail(was, "a", "a refused replay")
}

func TestAnArchiveWithoutEnvelopesExits65(t *testing.T) {
	l := with(t, traffic)
	var b bytes.Buffer
	for _, a := range l.e.Gateway(nil)[:5] {
		fmt.Fprintf(&b, "From x@example.net %s\n%s\n", a.Arrival.UTC().Format("Mon Jan _2 15:04:05 2006"), a.Data)
	}
	l.put("plain", b.String())
	was := l.mail("a")
	for _, args := range [][]string{{"audit"}, {"replay", "--yes"}} {
		l.run(65, append(args, "--from", "./plain", "--to", "./a", "--since", "all")...)
	}
	l.sameMail(was, "a", "replay without envelopes")
}

func TestRecipientsWithoutAMailboxAreCountedApart(t *testing.T) {
	l := with(t, traffic)
	mail := l.e.Gateway(nil)
	mail[3].To = append(mail[3].To, "nobody@example.org")
	archive := l.mbox("gateway", mail)
	r := l.run(1, "audit", "--from", archive, "--to", "./a", "--since", "all")
	l.counts(r, map[string]int64{"no_mailbox": 1, "archived": incoming(l.e), "present": incoming(l.e)})
	d := l.where(r, "delivery", 1, outcome("no_mailbox"))
	if len(d) == 1 && (d[0].Recipient != "nobody@example.org" || *d[0].MessageID != mail[3].Message.ID) {
		t.Errorf("%s", d[0].Raw)
	}
	l.run(1, "replay", "--from", archive, "--to", "./a", "--since", "all", "--yes")
}

func TestASecondRecipientOfTheSameMailboxIsADuplicate(t *testing.T) {
	l := with(t, traffic)
	maps := l.put("virtual", "info@example.org anna@example.org\nall@example.org anna@example.org, bela@example.org\n")
	l.config("[stores.primary]\npath = \"$DIR/a\"\nlayout = \"%d/%n/Maildir\"\nrole = \"primary\"\n[archives.gateway-archive]\npath = \"$DIR/gateway\"\n[recipients]\ndelimiter = \"+\"\nvirtual = [\"" + maps + "\"]\n")
	var mine []sample.Archived
	for _, a := range l.e.Gateway(nil) {
		if a.To[0] == "anna@example.org" && len(mine) < 3 {
			mine = append(mine, a)
		}
	}
	mine[0].To = []string{"Anna@Example.org", "info@example.org", "anna+lists@example.org"}
	mine[1].To = []string{"anna@example.org"}
	mine[2].To = []string{"all@example.org"}
	l.mbox("gateway", mine)
	r := l.run(1, "audit", "--from", "gateway-archive", "--since", "all")
	l.counts(r, map[string]int64{"duplicate": 2, "present": 3, "would_deliver": 1, "archived": 6})
	for _, to := range []string{"info@example.org", "anna+lists@example.org"} {
		for _, d := range l.where(r, "delivery", 1, func(d *drive.Line) bool { return d.Recipient == to }) {
			if d.Mailbox != "anna@example.org" {
				t.Errorf("%s", d.Raw)
			}
		}
	}
	// An alias to two mailboxes is two lines.
	l.where(r, "delivery", 2, func(d *drive.Line) bool { return d.Recipient == "all@example.org" })
	l.run(0, "replay", "--from", "gateway-archive", "--since", "all", "--yes")
	r = l.run(0, "replay", "--from", "gateway-archive", "--since", "all", "--yes")
	l.counts(r, map[string]int64{"duplicate": 2, "present": 4, "delivered": 0})
}

func TestAnAlteredCopyIsAmbiguousUnlessTheArchiveSaysPresent(t *testing.T) {
	l := with(t, traffic)
	l.config("[stores.primary]\npath = \"$DIR/a\"\nrole = \"primary\"\n[archives.one]\npath = \"$DIR/gateway\"\n[archives.two]\npath = \"$DIR/gateway\"\naltered = \"present\"\n")
	mail := l.e.Gateway(func(m *sample.Message) bool { return m.Address == "anna@example.org" })
	mail[2].Data = append(slices.Clone(mail[2].Data), "-- \nA footer that the store's copy does not have.\n"...)
	l.mbox("gateway", mail)
	n := int64(len(mail))
	was := l.mail("a")
	r := l.run(1, "replay", "--from", "one", "--since", "all", "--yes")
	l.counts(r, map[string]int64{"ambiguous": 1, "present": n - 1, "delivered": 0})
	for _, d := range l.where(r, "delivery", 1, outcome("ambiguous")) {
		if d.Match != "altered" {
			t.Errorf("%s", d.Raw)
		}
	}
	for _, a := range r.Find("account") {
		if a.Mailbox == mail[0].Message.ByPath && a.Closed {
			t.Errorf("closed: %s", a.Raw)
		}
	}
	l.sameMail(was, "a", "an ambiguous replay")
	l.counts(l.run(0, "audit", "--from", "two", "--since", "all"), map[string]int64{"ambiguous": 0, "present": n})
	l.run(0, "replay", "--from", "one", "--since", "all", "--yes", "--ambiguous", "deliver")
	if len(l.mail("a")) != len(was)+1 {
		t.Error("--ambiguous deliver did not deliver")
	}
}

func TestOutsideTheWindowNothingIsDelivered(t *testing.T) {
	l, archive, lost := gap(t, 12)
	slices.SortFunc(lost, func(a, b *sample.Message) int { return a.Date.Compare(b.Date) })
	since := lost[6].Date.UTC().Format(time.RFC3339)
	r := l.run(1, "replay", "--from", archive, "--to", "./a", "--since", since, "--yes")
	// What is absent before the window and has no evidence stays unexplained.
	l.counts(r, map[string]int64{"delivered": 6, "would_deliver": 0})
	if n := r.Count("unexplained"); n != 6 {
		t.Errorf("%d unexplained, want 6: %s", n, r)
	}
	r, err := l.bin.JSON(t.Context(), "audit", "--from", archive, "--to", "./a", "--since", "2026-11-01 00:00", "--until", "2026-11-10T00:00:00Z")
	l.must(err)
	if len(r.Faults) > 0 || r.Code > 1 {
		t.Errorf("%s", r)
	}
	for _, bad := range breaches(r) {
		t.Error(bad)
	}
}

func TestADamagedCopyIsNotPresentAndIsHealed(t *testing.T) {
	l := with(t, traffic)
	archive := l.archive("gateway", nil)
	var m *sample.Message
	for x := range l.e.Messages() {
		if ordinary(x) && x.Incoming && len(x.Bytes()) > 1200 {
			m = x
			break
		}
	}
	_, err := l.vandal("a").BreakMessage(m, manifest.Truncated)
	l.must(err)
	r := l.run(1, "audit", "--from", archive, "--to", "./a", "--since", "all")
	l.counts(r, map[string]int64{"would_deliver": 1, "present": incoming(l.e) - 1})
	l.run(0, "replay", "--from", archive, "--to", "./a", "--since", "all", "--yes")
	want := manifest.BLAKE3.Sum(m.Archived()).String()
	found := false
	for _, v := range l.mail("a") {
		found = found || strings.HasSuffix(v, want)
	}
	if !found {
		t.Error("the archived message is not in the store")
	}
	l.run(0, "audit", "--from", archive, "--to", "./a", "--since", "all")
}

func TestUndoOfAReplayTakesItBackAndItMayBeReplayed(t *testing.T) {
	l, archive, lost := gap(t, 6)
	was := l.mail("a")
	run := l.id(l.run(0, "replay", "--from", archive, "--to", "./a", "--since", "all", "--yes"))
	l.run(0, "undo", run, "--yes")
	l.sameMail(was, "a", "undo")
	r := l.run(0, "replay", "--from", archive, "--to", "./a", "--since", "all", "--yes")
	l.delivered(r, was, lost)
}

func TestAPlanOfAReplayIsApplied(t *testing.T) {
	l, archive, _ := gap(t, 6)
	was := l.mail("a")
	r := l.run(1, "replay", "--from", archive, "--to", "./a", "--since", "all", "--plan", "./plan")
	l.counts(r, map[string]int64{"would_deliver": 6, "delivered": 0})
	l.sameMail(was, "a", "--plan")
	r = l.run(0, "apply", "./plan", "--yes")
	l.counts(r, map[string]int64{"done": 6})
	r = l.run(0, "audit", "--from", archive, "--to", "./a", "--since", "all")
	l.counts(r, map[string]int64{"present": incoming(l.e)})
}

func TestWhatIsWholeInATornArchiveIsUsed(t *testing.T) {
	l, _, _ := gap(t, 6)
	f, err := os.Create(l.path("batch"))
	l.must(err)
	l.must(sample.WriteBSMTP(f, l.e.Gateway(nil)))
	l.must(f.Close())
	p := l.read(l.path("batch"))
	l.must(os.WriteFile(l.path("batch"), p[:len(p)-300], 0o600))
	r := l.run(3, "audit", "--from", "./batch", "--to", "./a", "--since", "all")
	if n := len(r.Find("delivery")); int64(n) < incoming(l.e)-2 {
		t.Errorf("%d deliveries of what is whole", n)
	}
	for _, x := range l.where(r, "finding", 1, nil) {
		if x.Kind != "archive_truncated" || x.Store != "./batch" || x.File == "" {
			t.Errorf("%s", x.Raw)
		}
	}
}

func TestTheAccountIsWrittenAsAPage(t *testing.T) {
	l, archive, _ := gap(t, 3)
	l.run(1, "audit", "--from", archive, "--to", "./a", "--since", "all", "--html", "./account.html")
	p := l.read(l.path("account.html"))
	if !bytes.Contains(p, []byte("<html")) || !bytes.Contains(p, []byte("example.org/anna")) {
		t.Errorf("%.300s", p)
	}
}

func TestTheDefaultTargetIsThePrimary(t *testing.T) {
	l := twins(t, traffic)
	archive := l.archive("gateway", nil)
	l.config("[stores.one]\npath = \"$DIR/b\"\nrole = \"spare\"\n[stores.two]\npath = \"$DIR/a\"\nrole = \"primary\"\n")
	for m := range l.e.Messages() {
		if m.Incoming {
			l.must(os.Remove(m.Path(l.path("a"))))
			break
		}
	}
	r := l.run(1, "audit", "--from", archive, "--since", "all")
	l.counts(r, map[string]int64{"would_deliver": 1})
	// Without any primary it asks.
	l.config("[stores.one]\npath = \"$DIR/b\"\n")
	l.run(64, "audit", "--from", archive, "--since", "all")
}

func TestAMessageThatWasMovedByItsOwnerIsPresent(t *testing.T) {
	l := with(t, traffic)
	archive := l.archive("gateway", nil)
	box := l.e.Boxes[0]
	for _, m := range box.Folders[0].Messages {
		if m.Sub == manifest.Cur && m.Incoming {
			to := filepath.Join(l.path("a"), box.Path, box.Folder("Archive/2026").Dir, m.File())
			l.must(os.Rename(m.Path(l.path("a")), to))
		}
	}
	r := l.run(0, "audit", "--from", archive, "--to", "./a", "--since", "all")
	l.counts(r, map[string]int64{"present": incoming(l.e), "would_deliver": 0})
}
