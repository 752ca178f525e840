package restore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A mailbox that the target lacks comes back whole: names, bytes, dates,
// flags; a second plan has nothing to do; undo leaves what was before.
func TestWholeMailboxAndUndo(t *testing.T) {
	w := newWorld(t)
	for _, box := range []string{"a", "b"} {
		for _, dir := range []string{"", ".Sent", ".Archive.2024"} {
			w.maildir("backup", box, dir)
			for n := range 7 {
				w.put("backup", box, dir, n, []string{":2,", ":2,S", ":2,FS"}[n%3])
			}
		}
	}
	w.maildir("primary", "a", "")
	want := w.tree("backup")
	before := w.tree("primary")
	res := w.restore("primary", "backup")
	if res.counts.Done != 42+2+3 {
		t.Errorf("%d actions done: %v", res.counts.Done, res.counts)
	}
	w.sameTree(want, w.tree("primary"))
	w.noLeftovers("primary")

	p := w.plan("primary", "backup")
	if p.Forecast().Work() {
		t.Errorf("a second plan has work: %v", summary(w.actions(p)))
	}
	u := w.undo("primary", res.id)
	w.must(u.err)
	if u.counts.Done != res.counts.Done {
		t.Errorf("undo did %v", summary(u.actions))
	}
	w.sameTree(before, w.tree("primary"))
	if _, err := os.Stat(w.path("primary", "b")); !os.IsNotExist(err) {
		t.Errorf("the mailbox that was made is still there: %v", err)
	}
	if _, err := NewUndo(t.Context(), nil, w.state(), res.id); err == nil {
		t.Error("a run was undone twice")
	}
	runs, err := Runs(nil, w.state())
	w.must(err)
	if len(runs) != 2 || runs[0].UndoneBy != u.id || runs[1].Of != res.id || runs[0].Undoable || !strings.HasPrefix(runs[0].How, HowComplete) {
		t.Errorf("runs: %+v", runs)
	}
}

// Undo takes away the mailboxes and folders that a run has made, also where it
// has given them UID lists, so that undo works under the server's lock.
func TestUndoOfMadeFolders(t *testing.T) {
	w := newWorld(t)
	for i, dir := range []string{"", ".Sent"} {
		p := w.maildir("backup", "b", dir)
		w.put("backup", "b", dir, i, ":2,S")
		w.write(p+"/dovecot-uidlist", fmt.Sprintf("3 V1700000000 N9 G%d895920c9cae026bc154000083ecc375\n7 :%s\n", i, msgName(i)), epoch)
	}
	w.maildir("primary", "a", "")
	res := w.restore("primary", "backup")
	for _, a := range w.undo("primary", res.id).actions {
		if a.State != Done {
			t.Errorf("%s %s: %s: %s", a.Op, a.Ref.Folder, a.State, a.Detail)
		}
	}
	if _, err := os.Stat(w.path("primary", "b")); !os.IsNotExist(err) {
		t.Errorf("the mailbox that was made is still there: %v", err)
	}
	w.noLeftovers("primary")
}

// The decision table: deleted stays deleted, lost comes back, what arrived
// later comes, the undecided is left and listed.
func TestDecisions(t *testing.T) {
	w := newWorld(t)
	w.maildir("primary", "a", "")
	for n := range 300 {
		w.put("primary", "a", "", n, ":2,S")
	}
	w.copy("primary", "backup")
	w.put("backup", "a", "", 900, ":2,S") // the target was never seen with it
	w.scan("primary")
	w.must(os.Remove(w.path("primary", "a", "cur", msgName(3)+":2,S"))) // an ordinary deletion
	afterNow()
	w.put("backup", "a", "", 901, ":2,S") // came later
	res := w.restore("primary", "backup")
	got := summary(res.actions)
	want := []string{"done add a/INBOX", "skipped add a/INBOX deleted", "skipped add a/INBOX undecided"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if res.counts.Open != 1 {
		t.Errorf("open: %+v", res.counts)
	}
	if _, err := os.Stat(w.path("primary", "a", "cur", msgName(901)+":2,S")); err != nil {
		t.Error(err)
	}

	w.tune = func(o *PlanOptions) { o.Undecided, o.UndecidedFolder = UndecidedInFolder, "Recovered" }
	w.restore("primary", "backup")
	if _, err := os.Stat(w.path("primary", "a", ".Recovered", "cur", msgName(900)+":2,S")); err != nil {
		t.Error(err)
	}
	w.tune = func(o *PlanOptions) { o.Undelete = true }
	w.restore("primary", "backup")
	if _, err := os.Stat(w.path("primary", "a", "cur", msgName(3)+":2,S")); err != nil {
		t.Error(err)
	}
	w.tune = nil
	if p := w.plan("primary", "backup"); p.Forecast().Work() {
		t.Errorf("work is left: %v", summary(w.actions(p)))
	}
}

// A proven damaged message is replaced under its name, its date kept, and the
// damaged file is in quarantine; undo brings it back.
func TestReplaceDamaged(t *testing.T) {
	w := newWorld(t)
	w.maildir("primary", "a", "")
	for n := range 5 {
		w.put("primary", "a", "", n, ":2,S")
	}
	w.copy("primary", "backup")
	w.scan("primary", "backup")
	whole := w.tree("primary")
	hurt := w.path("primary", "a", "cur", msgName(2)+":2,S")
	w.write(hurt, strings.Repeat("\x00", len(body(2))), epoch.Add(time.Hour))
	w.write(w.path("primary", "a", "cur", msgName(4)+":2,S"), "", epoch)
	broken := w.tree("primary")
	res := w.restore("primary", "backup")
	if got := summary(res.actions); len(got) != 2 || !strings.HasPrefix(got[0], "done replace") {
		t.Errorf("%v", got)
	}
	w.sameTree(whole, w.tree("primary"))
	w.noLeftovers("primary")
	q, err := filepath.Glob(w.path("primary", QuarantineDir, "quarantine", res.id, "0*"))
	if err != nil || len(q) != 2 {
		t.Errorf("quarantine: %v %v", q, err)
	}
	u := w.undo("primary", res.id)
	w.must(u.err)
	w.sameTree(broken, w.tree("primary"))
}

// Damage is never copied: a source whose copy is damaged is no source.
func TestDamagedSource(t *testing.T) {
	w := newWorld(t)
	w.maildir("backup", "a", "")
	w.put("backup", "a", "", 1, ":2,S")
	w.write(w.put("backup", "a", "", 2, ":2,S"), "", epoch)
	w.maildir("primary", "a", "")
	res := w.restore("primary", "backup")
	want := []string{"done add a/INBOX", "skipped add a/INBOX no_good_copy"}
	if d := cmp.Diff(want, summary(res.actions)); d != "" {
		t.Error(d)
	}
}

// Flags merge three-way, keywords by name into other letters, and T is not
// carried over.
func TestMergeOnDisk(t *testing.T) {
	w := newWorld(t)
	p := w.maildir("primary", "a", "")
	w.write(p+"/dovecot-keywords", "0 $Forwarded\n1 Work\n", epoch)
	for n := range 6 {
		w.put("primary", "a", "", n, ":2,S")
	}
	w.copy("primary", "spare")
	w.write(w.path("spare", "a", "dovecot-keywords"), "0 Work\n1 Private\n", epoch)
	w.scan("primary", "spare")
	mv := func(store string, n int, from, to string) {
		w.must(os.Rename(w.path(store, "a", "cur", msgName(n)+from), w.path(store, "a", "cur", msgName(n)+to)))
	}
	mv("spare", 0, ":2,S", ":2,FS")   // added there
	mv("spare", 1, ":2,S", ":2,")     // taken away there
	mv("primary", 2, ":2,S", ":2,RS") // added here and …
	mv("spare", 2, ":2,S", ":2,FS")   // … there
	mv("spare", 3, ":2,S", ":2,ST")   // marked deleted there
	mv("spare", 4, ":2,S", ":2,Sab")  // keywords there
	res := w.restore("primary", "spare")
	_ = res
	for n, want := range []string{":2,FS", ":2,", ":2,FRS", ":2,S", ":2,Sbc", ":2,S"} {
		if _, err := os.Stat(w.path("primary", "a", "cur", msgName(n)+want)); err != nil {
			got, _ := filepath.Glob(w.path("primary", "a", "cur", msgName(n)+"*"))
			t.Errorf("message %d: want %s, got %v", n, want, got)
		}
	}
	kw, err := os.ReadFile(p + "/dovecot-keywords")
	w.must(err)
	if string(kw) != "0 $Forwarded\n1 Work\n2 Private\n" {
		t.Errorf("keywords: %q", kw)
	}
	u := w.undo("primary", res.id)
	w.must(u.err)
	for n, want := range []string{":2,S", ":2,S", ":2,RS", ":2,S", ":2,S", ":2,S"} {
		if _, err := os.Stat(w.path("primary", "a", "cur", msgName(n)+want)); err != nil {
			t.Errorf("undone message %d: %v", n, err)
		}
	}
}

// What comes back was counted before it was lost: the quota file is moved
// aside, so that servers count anew. What is delivered new is added to it, and
// taken out again by undo; Trash does not count.
func TestQuotaFile(t *testing.T) {
	w := newWorld(t)
	w.maildir("backup", "a", "")
	w.put("backup", "a", "", 1, ":2,S")
	p := w.maildir("primary", "a", "")
	w.maildir("primary", "a", ".Trash")
	quota := "1000000S\n           0            0\n"
	w.write(p+"/maildirsize", quota, epoch)
	w.restore("primary", "backup")
	if _, err := os.Stat(p + "/maildirsize"); !os.IsNotExist(err) {
		t.Errorf("the quota file is still there: %v", err)
	}

	w.write(p+"/maildirsize", quota, epoch)
	inbox, from := newMail("a", "Subject: x\n\n", 1)
	trash, _ := newMail("a", "Subject: x\n\n", 1)
	trash.Ref.Folder, trash.Dir = "Trash", ".Trash"
	r, err := w.begin("primary", "replay")
	w.must(err)
	for a, err := range r.Deliver(t.Context(), []Action{inbox, trash}, texts{from: "Subject: x\n\n"}) {
		w.must(err)
		if a.State != Done {
			t.Errorf("%s: %s", a.State, a.Detail)
		}
	}
	w.must(r.End(nil))
	usage := func() string {
		b, err := os.ReadFile(p + "/maildirsize")
		w.must(err)
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		return strings.Join(strings.Fields(lines[len(lines)-1]), " ")
	}
	if got := usage(); got != "12 1" {
		t.Errorf("last line %q", got)
	}
	w.must(w.undo("primary", r.ID()).err)
	if got := usage(); got != "-12 -1" {
		t.Errorf("last line after undo %q", got)
	}
}

// A plan file applies once; again it finds everything in place; on ground that
// has moved it refuses the mailbox and goes on with the others.
func TestPlanFile(t *testing.T) {
	w := newWorld(t)
	for _, box := range []string{"a", "b", "c"} {
		w.maildir("backup", box, "")
		for n := range 4 {
			w.put("backup", box, "", n, ":2,S")
		}
	}
	w.maildir("primary", "a", "")
	w.put("primary", "a", "", 0, ":2,S")
	w.maildir("primary", "b", "")
	w.tune = func(o *PlanOptions) { o.Undecided = RestoreUndecided }
	p := w.plan("primary", "backup")
	file := w.path("plan")
	w.must(p.Save(file))
	w.must(p.Close())
	if len(w.tree("primary")) != 1 {
		t.Error("planning wrote into the store")
	}
	if _, err := os.Stat(w.state()); !os.IsNotExist(err) {
		t.Error("planning wrote state")
	}
	w.put("primary", "b", "", 77, ":2,S") // somebody delivers

	load := func() result {
		p, err := LoadPlan(file)
		w.must(err)
		defer p.Close()
		r, err := w.begin("primary", "apply")
		w.must(err)
		return w.finish(r, p, "backup")
	}
	res := load()
	if res.counts.Refused != 4 || res.counts.Done != 3+4+1 {
		t.Errorf("%+v %v", res.counts, summary(res.actions))
	}
	res = load()
	if res.counts.Refused != 4 || res.counts.Already != 3+4+1 {
		t.Errorf("again: %+v %v", res.counts, summary(res.actions))
	}
	w.restore("primary", "backup") // another way to the same state
	if res = load(); res.counts.Refused != 0 || res.counts.Already != 12 {
		t.Errorf("after a restore: %+v %v", res.counts, summary(res.actions))
	}
}

// Every prefix and every flipped byte of a plan file is refused.
func TestDamagedPlanFile(t *testing.T) {
	w := newWorld(t)
	w.maildir("backup", "a", "")
	w.put("backup", "a", "", 1, ":2,S")
	w.must(os.MkdirAll(w.store("primary"), 0o700))
	p := w.plan("primary", "backup")
	file := w.path("plan")
	w.must(p.Save(file))
	whole, err := os.ReadFile(file)
	w.must(err)
	if _, err := LoadPlan(file); err != nil {
		t.Fatal(err)
	}
	check := func(what string, b []byte) {
		t.Helper()
		w.must(os.WriteFile(file, b, 0o600))
		if _, err := LoadPlan(file); err == nil {
			t.Errorf("%s: accepted", what)
		} else if !errors.Is(err, ErrPlan) && !errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for n := range whole {
		check("prefix of "+itoa(n), whole[:n])
		b := bytes.Clone(whole)
		b[n] ^= 0x20
		check("flipped byte "+itoa(n), b)
	}
	check("bytes behind the end", append(bytes.Clone(whole), "xyz"...))
	check("twice", append(bytes.Clone(whole), whole...))
}
