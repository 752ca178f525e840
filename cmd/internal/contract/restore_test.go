package contract

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
	"mailsync/manifest"
)

// crashed is a recorded store with lost and damaged mail, and a sound replica.
func crashed(t *testing.T, lost int, harm ...manifest.Kind) (l *lab, good map[string]string) {
	t.Helper()
	l = twins(t, twin)
	l.run(0, "scan", "./a")
	good = l.mail("a")
	used := map[*sample.Message]bool{}
	truth, err := l.vandal("a").BreakEach(harm...)
	l.must(err)
	for _, tr := range truth {
		used[tr.Message] = true
	}
	l.lose("a", lost, func(m *sample.Message) bool { return ordinary(m) && !used[m] })
	return l, good
}

var harms = []manifest.Kind{manifest.Truncated, manifest.NULFilled, manifest.Empty, manifest.ContentChanged}

func (l *lab) sameMail(want map[string]string, store, what string) {
	l.t.Helper()
	if d := changes(want, l.mail(store)); len(d) > 0 {
		l.t.Errorf("%s: the mail of %s is not as it was:\n%s", what, store, strings.Join(d[:min(5, len(d))], "\n"))
	}
}

func TestRestoreBringsBackTheLostAndReplacesTheDamaged(t *testing.T) {
	l, good := crashed(t, 5, harms...)
	untouched := l.before("b")
	r := l.run(0, "restore", "./a", "--from", "./b", "--yes")
	l.sameMail(good, "a", "restore") // names with flags and keyword letters, dates, bytes
	l.counts(r, map[string]int64{"done": 9, "planned": 0, "failed": 0, "refused": 0})
	l.where(r, "action", 5, func(a *drive.Line) bool { return a.Op == "add" && a.State == "done" })
	l.where(r, "action", 4, func(a *drive.Line) bool { return a.Op == "replace" && a.State == "done" })
	untouched("restore, of its source,")
	for _, d := range l.where(l.run(0, "diff", "./a", "./b"), "difference", 0, nil) {
		t.Error(d.Raw)
	}
	// A second restore has nothing to do.
	r = l.run(0, "restore", "./a", "--from", "./b", "--yes")
	l.counts(r, map[string]int64{"planned": 0, "done": 0})
	l.run(0, "restore", "./a", "--from", "./b", "--dry-run")
	l.where(l.run(0, "verify", "./a"), "finding", 0, nil)
}

// The letters of keywords differ on every replica; the names are what counts.
func TestRestoredMailKeepsKeywordsByName(t *testing.T) {
	l := with(t, twin)
	b, _ := l.e.Replica(1, "none")
	l.write(b, "b")
	l.run(0, "scan", "./a")
	good := l.mail("a")
	l.lose("a", 3, func(m *sample.Message) bool { return ordinary(m) && len(m.Keywords) > 0 && m.Flags != "" })
	l.run(0, "restore", "./a", "--from", "./b", "--yes")
	l.sameMail(good, "a", "restore")
	l.where(l.run(0, "diff", "./a", "./b"), "difference", 0, nil)
}

func TestUndoTakesBackExactlyWhatARunDid(t *testing.T) {
	l, _ := crashed(t, 4, harms...)
	was := l.mail("a")
	run := l.id(l.run(0, "restore", "./a", "--from", "./b", "--yes"))
	after := l.mail("a")
	r := l.run(0, "undo", run, "--yes")
	l.sameMail(was, "a", "undo")
	if r.Count("done") == 0 || len(r.Find("action")) == 0 {
		t.Errorf("%s", r)
	}
	// Undone twice is harmless.
	again, err := l.bin.JSON(t.Context(), "undo", run, "--yes")
	l.must(err)
	if again.Code == 70 || len(again.Faults) > 0 {
		t.Errorf("%s", again)
	}
	l.sameMail(was, "a", "a second undo")
	// What was undone can be restored again.
	l.run(0, "restore", "./a", "--from", "./b", "--yes")
	l.sameMail(after, "a", "restore after undo")
}

func TestDryRunAndPlanWriteNothingButThePlan(t *testing.T) {
	l, _ := crashed(t, 3, harms...)
	archive := l.archive("gateway", nil)
	untouched := l.before("a", "b", "state", "gateway")
	r := l.run(1, "restore", "./a", "--from", "./b", "--dry-run")
	untouched("restore --dry-run")
	l.where(r, "action", 7, func(a *drive.Line) bool { return a.State == "planned" })
	l.counts(r, map[string]int64{"planned": 7, "done": 0})
	l.run(1, "restore", "./a", "--from", "./b", "--plan", "./plan")
	untouched("restore --plan")
	for _, args := range [][]string{{"--dry-run"}, {"--plan", "./plan2"}} {
		r, err := l.bin.JSON(t.Context(), append([]string{"replay", "--from", archive, "--to", "./a", "--since", "all"}, args...)...)
		l.must(err)
		if r.Code != 1 || len(r.Faults) > 0 {
			t.Errorf("%s", r)
		}
		untouched("replay " + args[0])
	}
	for _, p := range []string{"plan", "plan2"} {
		if fi, err := os.Stat(l.path(p)); err != nil || fi.Size() == 0 {
			t.Errorf("no plan: %v", err)
		}
	}
	if _, err := os.Stat(l.path("a", ".mailsync")); err == nil {
		t.Error("a quarantine was made")
	}
	// With no state directory at all, none is made.
	bin := l.bin
	bin.State = l.path("nostate")
	res, err := bin.JSON(t.Context(), "restore", "./a", "--from", "./b", "--dry-run")
	l.must(err)
	if _, err := os.Lstat(l.path("nostate")); err == nil {
		t.Errorf("a dry run made a state directory: %s", res)
	}
}

func TestASavedPlanIsAppliedLater(t *testing.T) {
	l, good := crashed(t, 3, harms...)
	l.run(1, "restore", "./a", "--from", "./b", "--plan", "./plan")
	bin := l.bin
	bin.Dir = "/" // a plan knows its stores
	r := l.runWith(bin, 0, "apply", l.path("plan"), "--yes")
	l.counts(r, map[string]int64{"done": 7, "refused": 0})
	l.sameMail(good, "a", "apply")
	r = l.runWith(bin, 0, "apply", l.path("plan"), "--yes")
	l.counts(r, map[string]int64{"done": 0, "refused": 0})
	l.sameMail(good, "a", "a second apply")
}

func TestAPlanWhoseGroundMovedIsRefusedMailboxByMailbox(t *testing.T) {
	l, good := crashed(t, 0)
	var lost []*sample.Message
	seen := map[string]bool{}
	lost = l.lose("a", 2, func(m *sample.Message) bool {
		ok := ordinary(m) && !seen[m.Address]
		seen[m.Address] = seen[m.Address] || ok
		return ok
	})
	l.run(1, "restore", "./a", "--from", "./b", "--plan", "./plan")
	// The first one's place is taken by something else in the meantime.
	moved := lost[0]
	l.must(os.WriteFile(moved.Path(l.path("a")), []byte("From: x@example.org\n\nsomething else\n"), 0o600))
	r := l.run(1, "apply", "./plan", "--yes")
	l.where(r, "action", 1, func(a *drive.Line) bool { return a.State == "refused" && a.Mailbox == moved.ByPath })
	l.where(r, "action", 1, func(a *drive.Line) bool { return a.State == "done" && a.Mailbox == lost[1].ByPath })
	got := l.mail("a")
	key := strings.TrimPrefix(lost[1].Path(l.path("a")), l.path("a")+"/")
	if got[key] != good[key] {
		t.Errorf("the other mailbox was not restored")
	}
	if p := l.read(moved.Path(l.path("a"))); !strings.Contains(string(p), "something else") {
		t.Error("what came in between was overwritten")
	}
}

func TestABrokenPlanExits65(t *testing.T) {
	l, _ := crashed(t, 3)
	l.run(1, "restore", "./a", "--from", "./b", "--plan", "./plan")
	p := l.read(l.path("plan"))
	was := l.mail("a")
	for i, q := range map[string][]byte{
		"cut": p[:len(p)*2/3], "flipped": flip(p, len(p)/2), "empty": {}, "text": []byte("hello\n"), "early": flip(p, 9),
	} {
		l.must(os.WriteFile(l.path(i), q, 0o600))
		l.run(65, "apply", "./"+i, "--yes")
	}
	l.sameMail(was, "a", "broken plans")
}

func flip(p []byte, at int) []byte {
	q := append([]byte{}, p...)
	q[at] ^= 4
	return q
}

// A scan in ordinary operation recorded the absence: its owner deleted it.
func TestWhatWasDeletedStaysDeletedUnlessUndelete(t *testing.T) {
	l := with(t, sample.Options{Seed: 41, Mailboxes: 4, PerMailbox: 120, Size: 1000, Bare: true})
	l.write(l.e, "b")
	l.run(0, "scan", "./a")
	good := l.mail("a")
	l.lose("a", 2, ordinary)
	l.run(0, "scan", "./a")
	was := l.mail("a")
	r := l.run(0, "restore", "./a", "--from", "./b", "--yes")
	l.counts(r, map[string]int64{"planned": 0, "done": 0})
	l.sameMail(was, "a", "restore")
	r = l.run(0, "restore", "./a", "--from", "./b", "--yes", "--undelete")
	l.counts(r, map[string]int64{"done": 2})
	l.sameMail(good, "a", "restore --undelete")
}

// Without any record nothing tells a loss from a deletion.
func TestUndecidedIsLeftRestoredOrPutIntoAFolder(t *testing.T) {
	l := with(t, sample.Options{Seed: 41, Mailboxes: 2, PerMailbox: 60, Size: 1000, Bare: true})
	l.write(l.e, "b")
	good := l.mail("a")
	lost := l.lose("a", 1, ordinary)
	was := l.mail("a")
	r := l.run(1, "restore", "./a", "--from", "./b", "--yes")
	l.where(r, "action", 1, func(a *drive.Line) bool { return a.State == "skipped" })
	l.sameMail(was, "a", "undecided")
	l.run(1, "restore", "./a", "--from", "./b", "--yes", "--undecided", "leave")
	l.sameMail(was, "a", "--undecided leave")
	run := l.id(l.run(0, "restore", "./a", "--from", "./b", "--yes", "--undecided", "restore"))
	l.sameMail(good, "a", "--undecided restore")
	l.run(0, "undo", run, "--yes")
	l.sameMail(was, "a", "undo")
	l.run(0, "restore", "./a", "--from", "./b", "--yes", "--undecided", "folder=Recovered")
	box := filepath.Join(strings.TrimSuffix(l.e.Boxes[0].Path, "/"), ".Recovered")
	n := 0
	for f := range l.mail("a") {
		if strings.HasPrefix(f, box) {
			n++
		}
	}
	if n != len(lost) {
		t.Errorf("%d messages in the folder Recovered", n)
	}
}

func TestRunsTellsWhatWasRunAndHowItEnded(t *testing.T) {
	l, _ := crashed(t, 2)
	run := l.id(l.run(0, "restore", "./a", "--from", "./b", "--yes"))
	undo := l.id(l.run(0, "undo", run, "--yes"))
	r := l.run(0, "runs")
	got := map[string]drive.Line{}
	for _, x := range r.Lines {
		if x.Type == "run" {
			got[x.Run] = x
		}
	}
	if got[run].Command != "restore" || got[undo].Command != "undo" || !strings.Contains(got[run].Raw, `"undone_by":"`+undo+`"`) {
		t.Errorf("%v", got)
	}
	text, err := l.bin.Text(t.Context(), "runs")
	l.must(err)
	if !strings.Contains(text.Stdout, run) || !strings.Contains(text.Stdout, undo) {
		t.Errorf("%s", text.Stdout)
	}
}

func TestRestoreOfOneMailboxLeavesTheOthers(t *testing.T) {
	l, good := crashed(t, 0)
	seen := map[string]bool{}
	lost := l.lose("a", 2, func(m *sample.Message) bool {
		ok := ordinary(m) && !seen[m.Address]
		seen[m.Address] = seen[m.Address] || ok
		return ok
	})
	l.run(0, "restore", "./a", "--from", "./b", "--yes", "--mailbox", lost[1].ByPath)
	want := maps.Clone(good)
	delete(want, strings.TrimPrefix(lost[0].Path(l.path("a")), l.path("a")+"/"))
	l.sameMail(want, "a", "restore --mailbox")
}

func TestNothingIsEverDeleted(t *testing.T) {
	l, _ := crashed(t, 2, harms...)
	before := map[string]bool{}
	for _, v := range l.mail("a") {
		before[strings.Fields(v)[1]] = true
	}
	run := l.id(l.run(0, "restore", "./a", "--from", "./b", "--yes"))
	l.everything(before, "restore")
	for _, v := range l.mail("a") {
		before[strings.Fields(v)[1]] = true
	}
	l.run(0, "undo", run, "--yes")
	l.everything(before, "undo")
	fi, err := os.Stat(l.path("a", ".mailsync"))
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode().Perm() != 0o700 {
		t.Errorf("the quarantine has mode %v", fi.Mode())
	}
	// It is never taken for a mailbox.
	l.counts(l.run(1, "scan", "./a"), map[string]int64{"mailboxes": 4})
}

// everything wants each of these contents somewhere below the store.
func (l *lab) everything(want map[string]bool, what string) {
	l.t.Helper()
	have := map[string]bool{}
	for _, v := range l.files("a") {
		f := strings.Fields(v)
		have[f[len(f)-1]] = true
	}
	for d := range want {
		if !have[d] {
			l.t.Errorf("%s: %s is nowhere any more", what, d)
		}
	}
}
