package contract

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
	"mailsync/manifest"
)

func TestSignalsEndARunWith130And143AndSayHowToResume(t *testing.T) {
	if _, err := exec.LookPath("timeout"); err != nil {
		t.Skip("no timeout(1) here")
	}
	l := with(t, sample.Options{Seed: 61, Mailboxes: 3, PerMailbox: 60, Size: 20000})
	_, err := l.vandal("a").BreakEach(manifest.Empty)
	l.must(err)
	for sig, want := range map[string]int{"INT": 130, "TERM": 143} {
		b := l.bin
		b.Wrap = []string{"timeout", "--preserve-status", "-s", sig, "0.5"}
		r := l.runWith(b, want, "verify", "./a", "--limit-rate", "100k/s")
		if r.Summary != nil && (r.Summary.Complete || r.Summary.Error == "" || r.Summary.Hint == "") {
			t.Errorf("%s: %s", sig, r.Summary.Raw)
		}
	}
}

// A whole-interval ordinary absence is evidence of a deletion for replay too.
func TestReplayLeavesDeletedWhatItsOwnerDeleted(t *testing.T) {
	l := with(t, sample.Options{Seed: 51, Mailboxes: 3, PerMailbox: 120, Size: 900, Bare: true})
	archive := l.archive("gateway", nil)
	l.run(0, "scan", "./a")
	gone := l.lose("a", 2, func(m *sample.Message) bool { return ordinary(m) && m.Incoming })
	l.run(0, "scan", "./a")
	was := l.mail("a")
	r := l.run(0, "replay", "--from", archive, "--to", "./a", "--since", "all", "--yes")
	l.counts(r, map[string]int64{"deleted": 2, "delivered": 0, "present": incoming(l.e) - 2})
	for _, d := range l.where(r, "delivery", 2, outcome("deleted")) {
		if !slices.ContainsFunc(gone, func(m *sample.Message) bool { return m.ID == *d.MessageID }) {
			t.Errorf("%s", d.Raw)
		}
	}
	l.sameMail(was, "a", "replay")
	l.counts(l.run(0, "replay", "--from", archive, "--to", "./a", "--since", "all", "--yes", "--undelete"), map[string]int64{"delivered": 2})
}

func TestADeliveryLogShowsWhatWasFiltered(t *testing.T) {
	l := with(t, traffic)
	archive := l.archive("gateway", nil)
	gone := l.lose("a", 2, func(m *sample.Message) bool { return ordinary(m) && m.Incoming && m.Address == "anna@example.org" })
	at := gone[0].Date.Add(time.Minute).UTC()
	l.put("mail.log", fmt.Sprintf("%s mx dovecot: lmtp(anna@example.org)<77><abc>: sieve: msgid=%s: marked message to be discarded if not explicitly delivered (discard action)\n",
		at.Format("2006-01-02T15:04:05.000000+00:00"), gone[0].ID))
	r := l.run(1, "audit", "--from", archive, "--to", "./a", "--since", "all", "--delivery-log", "./mail.log")
	l.counts(r, map[string]int64{"filtered": 1, "would_deliver": 1})
	for _, d := range l.where(r, "delivery", 1, outcome("filtered")) {
		if *d.MessageID != gone[0].ID {
			t.Errorf("%s", d.Raw)
		}
	}
}

func TestMultisetCountsCopies(t *testing.T) {
	l := with(t, traffic)
	mail := l.e.Gateway(func(m *sample.Message) bool { return m.Address == "anna@example.org" })
	archive := l.mbox("gateway", append(mail[:3:3], mail[0]))
	r := l.run(0, "audit", "--from", archive, "--to", "./a", "--since", "all")
	l.counts(r, map[string]int64{"would_deliver": 0})
	r = l.run(1, "audit", "--from", archive, "--to", "./a", "--since", "all", "--multiset")
	l.counts(r, map[string]int64{"would_deliver": 1, "present": 3})
}

func TestAnOfflineTargetIsAuditedFromItsRecord(t *testing.T) {
	l := with(t, traffic)
	archive := l.archive("gateway", nil)
	l.run(0, "scan", "./a")
	l.must(os.Rename(l.path("a"), l.path("offline")))
	l.run(66, "audit", "--from", archive, "--to", "./a", "--since", "all")
	r, err := l.bin.JSON(t.Context(), "audit", "--from", archive, "--to", "./a", "--since", "all", "--recorded", "./a")
	l.must(err)
	for _, bad := range append(breaches(r), r.Faults...) {
		t.Error(bad)
	}
	if r.Code > 3 || r.Count("archived") != incoming(l.e) || r.Count("would_deliver") != 0 {
		t.Errorf("%s", r)
	}
}

// A side's change since the record wins over no change; without a base flags
// are left and reported.
func TestFlagsMergeAgainstTheRecord(t *testing.T) {
	l := twins(t, twin)
	flag := func(m *sample.Message) {
		p := m.Path(l.path("b"))
		name, flags, _ := strings.Cut(p, ":2,")
		l.must(os.Rename(p, name+":2,F"+flags))
	}
	var some []*sample.Message
	for m := range l.e.Messages() {
		if ordinary(m) && !strings.Contains(m.Flags, "F") && len(m.Keywords) == 0 && m.Flags != "DS" && m.Flags < "F" == (m.Flags == "") {
			some = append(some, m)
		}
	}
	flag(some[0])
	was := l.mail("a")
	r, err := l.bin.JSON(t.Context(), "restore", "./a", "--from", "./b", "--yes")
	l.must(err)
	l.sameMail(was, "a", "restore without a base")
	if r.Code > 1 || r.Count("skipped") != 1 {
		t.Errorf("flags that differ without a record are reported: %s", r)
	}
	l.run(0, "scan", "./a")
	l.run(0, "scan", "./b")
	flag(some[1])
	r, err = l.bin.JSON(t.Context(), "restore", "./a", "--from", "./b", "--yes")
	l.must(err)
	l.where(r, "action", 1, func(a *drive.Line) bool {
		return a.Op == "flags" && a.State == "done" && strings.Contains(a.Name(), some[1].Unique)
	})
	for _, d := range l.run(1, "diff", "./a", "./b").Find("difference") {
		if strings.Contains(d.Raw, some[1].Unique) {
			t.Errorf("not merged: %s", d.Raw)
		}
	}
}

// A mailbox that is gone as a whole comes back when it is named.
func TestALostMailboxIsRestoredWhenNamed(t *testing.T) {
	l := twins(t, twin)
	l.run(0, "scan", "./a")
	good := l.mail("a")
	l.must(os.RemoveAll(filepath.Join(l.path("a"), filepath.Dir(l.e.Boxes[2].Path))))
	l.run(0, "restore", "./a", "--from", "./b", "--yes", "--mailbox", l.e.Boxes[2].ByPath)
	l.sameNames(good, "restore of a mailbox")
}

func TestALostFolderComesBackInsideACrash(t *testing.T) {
	l := twins(t, twin)
	l.run(0, "scan", "./a")
	good, crash := l.mail("a"), now()
	box := l.e.Boxes[0]
	l.must(os.RemoveAll(filepath.Join(l.path("a"), box.Path, box.Folders[1].Dir)))
	r := l.run(0, "restore", "./a", "--from", "./b", "--yes", "--crash-at", crash)
	l.sameNames(good, "restore of a folder")
	for _, d := range l.all("diff", "./a", "./b").Find("difference") {
		if d.Kind != "uidvalidity" && d.Kind != "uid" {
			t.Errorf("%s", d.Raw)
		}
	}
	l.where(r, "action", len(box.Folders[1].Messages), func(a *drive.Line) bool { return a.Op == "add" && a.State == "done" })
}

// Hidden and hostile names reach the terminal escaped, JSON as they are.
func TestTextForAPersonNeedsNoJSONAndAgreesOnTheCode(t *testing.T) {
	l := with(t, broken)
	_, err := l.vandal("a").BreakEach(manifest.Empty, manifest.Truncated)
	l.must(err)
	r, err := l.bin.Text(t.Context(), "verify", "./a")
	l.must(err)
	if r.Code != 1 || !strings.Contains(r.Stdout, "truncated") || !strings.Contains(r.Stdout, "empty") || strings.Contains(r.Stdout, `"v":1`) {
		t.Errorf("%s\n%s", r, r.Stdout)
	}
	q, err := l.bin.Text(t.Context(), "verify", "./a", "--quiet")
	l.must(err)
	if q.Code != 1 || len(q.Stdout) > len(r.Stdout) {
		t.Errorf("%s\n%s", q, q.Stdout)
	}
}

// A BCC recipient is in the envelope prefix only: it is not delivered.
func TestTheArchivesOwnPrefixIsNotDelivered(t *testing.T) {
	l, archive, _ := gap(t, 4)
	was := l.mail("a")
	l.run(0, "replay", "--from", archive, "--to", "./a", "--since", "all", "--yes")
	for f := range l.mail("a") {
		if was[f] != "" {
			continue
		}
		p := string(l.read(filepath.Join(l.path("a"), f)))
		head, _, _ := strings.Cut(p, "\n\n")
		for _, field := range []string{"X-Envelope-To", "X-Quarantine-ID", "archive@gateway"} {
			if strings.Contains(head, field) {
				t.Errorf("%s was delivered with %s", f, field)
			}
		}
		if strings.HasPrefix(p, "From ") {
			t.Errorf("%s begins with the mbox line", f)
		}
	}
}

// Two stores behind one --from list: the sound copy is taken wherever it is.
func TestSeveralSourcesAreAsked(t *testing.T) {
	l := twins(t, twin)
	l.write(l.e, "c")
	l.run(0, "scan", "./a")
	good := l.mail("a")
	lost := l.lose("a", 2, ordinary)
	l.must(os.Remove(lost[0].Path(l.path("b"))))
	l.run(0, "restore", "./a", "--from", "./b", "--from", "./c", "--yes")
	l.sameMail(good, "a", "restore from two")
}

// A copy that is damaged itself is never a source.
func TestADamagedSourceIsNeverCopied(t *testing.T) {
	l := twins(t, twin)
	l.run(0, "scan", "./a")
	var m *sample.Message
	for x := range l.e.Messages() {
		if ordinary(x) && len(x.Bytes()) > 1200 {
			m = x
			break
		}
	}
	_, err := l.vandal("b").BreakMessage(m, manifest.NULFilled)
	l.must(err)
	l.must(os.Remove(m.Path(l.path("a"))))
	was := l.mail("a")
	r, err := l.bin.JSON(t.Context(), "restore", "./a", "--from", "./b", "--yes")
	l.must(err)
	if r.Code != 1 && r.Code != 3 || len(r.Faults) > 0 {
		t.Errorf("%s", r)
	}
	l.sameMail(was, "a", "a restore from a damaged source")
}

// sameNames compares base names, dates and bytes: a new keyword table may give
// other letters, and what is restored goes into cur.
func (l *lab) sameNames(want map[string]string, what string) {
	l.t.Helper()
	strip := func(m map[string]string) map[string]string {
		out := map[string]string{}
		for k, v := range m {
			name, _, _ := strings.Cut(k, ":2,")
			out[strings.Replace(name, "/new/", "/cur/", 1)] = v
		}
		return out
	}
	if d := changes(strip(want), strip(l.mail("a"))); len(d) > 0 {
		l.t.Errorf("%s:\n%s", what, strings.Join(d[:min(5, len(d))], "\n"))
	}
}

// all runs a command whatever its exit code up to 3.
func (l *lab) all(args ...string) *drive.Result {
	l.t.Helper()
	r, err := l.bin.JSON(l.t.Context(), args...)
	l.must(err)
	if r.Code > 3 || len(r.Faults) > 0 {
		l.t.Errorf("%s", r)
	}
	for _, bad := range breaches(r) {
		l.t.Error(bad)
	}
	return r
}
