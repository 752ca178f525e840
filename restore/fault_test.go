package restore

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"mailsync/restore/place/faulty"
)

// everything sets up a target to which every kind of action is due, and
// returns the bodies of all messages by unique name.
func everything(w *world) map[string]string {
	kw := "0 Work\n1 Private\n"
	a := w.maildir("backup", "a", "")
	w.write(a+"/dovecot-keywords", kw, epoch)
	uids := "3 V1700000000 N9 G0895920c9cae026bc154000083ecc375\n"
	for n := range 5 {
		w.put("backup", "a", "", n, []string{":2,S", ":2,Sab", ":2,F", ":2,S", ":2,S"}[n])
		uids += fmt.Sprintf("%d :%s\n", n+1, msgName(n))
	}
	w.write(a+"/dovecot-uidlist", uids, epoch)
	b := w.maildir("backup", "b", "")
	w.maildir("backup", "b", ".Sent")
	w.put("backup", "b", "", 10, ":2,S")
	w.put("backup", "b", "", 11, "")
	w.put("backup", "b", ".Sent", 12, ":2,Sb")
	w.write(b+"/dovecot-uidlist", fmt.Sprintf("3 V1700000001 N9 G1895920c9cae026bc154000083ecc375\n1 :%s\n7 :%s\n", msgName(10), msgName(11)), epoch)
	w.write(b+"/.Sent/dovecot-keywords", "1 Later\n", epoch)
	w.write(b+"/subscriptions", "V\t2\n\nSent\n", epoch)

	p := w.maildir("primary", "a", "")
	w.write(p+"/dovecot-uidlist", "3 V1700000000 N5 G0895920c9cae026bc154000083ecc375\n1 :"+msgName(0)+"\n3 :"+msgName(2)+"\n4 :"+msgName(3)+"\n", epoch)
	w.write(p+"/maildirsize", "1000000S\n           0            0\n", epoch)
	w.put("primary", "a", "", 0, ":2,")                               // flags
	w.put("primary", "a", "", 2, ":2,F")                              // nothing to do
	w.write(w.put("primary", "a", "", 3, ":2,S"), "", epoch.Add(3e9)) // damaged
	w.tune = func(o *PlanOptions) { o.Undecided, o.MergeFlags, o.FixUIDNext = RestoreUndecided, UnionFlags, true }
	out := map[string]string{}
	for _, n := range []int{0, 1, 2, 3, 4, 10, 11, 12} {
		out[fmt.Sprintf("%d.M%dP1.host", epoch.Unix()+int64(n), n)] = body(n)
	}
	return out
}

// sound fails where the target shows half a message, or one twice. hurt is the
// base name of a message that may still be damaged.
func (w *world) sound(store string, bodies map[string]string, hurt string) map[string]bool {
	w.t.Helper()
	seen := map[string]bool{}
	for path, text := range w.tree(store) {
		dir := filepath.Base(filepath.Dir(path))
		if dir == "tmp" || strings.Contains(path, "..mailsync.") {
			continue
		}
		name := filepath.Base(path)
		unique, _, _ := strings.Cut(name, ",")
		want, ok := bodies[unique]
		if !ok {
			w.t.Errorf("%s: what is this?", path)
			continue
		}
		_, got, _ := strings.Cut(text, "\n")
		if got != want && !(unique == hurt && got == "") {
			w.t.Errorf("%s: visible and not whole: %d bytes of %d", path, len(got), len(want))
		}
		if seen[unique] {
			w.t.Errorf("%s: doubled", path)
		}
		seen[unique] = got == want
	}
	return seen
}

// faultCase runs everything with one fault, then without, and checks that
// nothing false was said, shown or lost.
func faultCase(t testing.TB, at faulty.Point) {
	w := newWorld(t)
	bodies := everything(w)
	hurt, _, _ := strings.Cut(msgName(3), ",")
	p := w.plan("primary", "backup")
	j := &faulty.Injector{At: at}
	w.calls = j.Store()
	var res result
	r, err := w.begin("primary", "restore")
	if err == nil {
		res = w.finish(r, p, "backup")
	}
	_ = p.Close()
	w.calls = nil
	seen := w.sound("primary", bodies, hurt)
	for _, a := range res.actions {
		if a.State == Done && (a.Op == Add || a.Op == Replace) && !seen[a.Ref.Unique] {
			t.Errorf("%s of %s is said to be done", a.Op, a.Ref.Unique)
		}
	}
	if _, hit := j.Hit(); !hit {
		t.Errorf("not met")
	}
	again := w.plan("primary", "backup")
	res2 := w.apply(again, "primary", "backup")
	_ = again.Close()
	if res2.err != nil {
		t.Errorf("the second run: %v", res2.err)
	}
	for _, a := range res2.actions {
		if a.State == Failed || a.State == Refused {
			t.Errorf("the second run: %s %s/%s: %s: %s", a.Op, a.Ref.Mailbox, a.Ref.Folder, a.State, a.Detail)
		}
	}
	seen = w.sound("primary", bodies, "")
	if len(seen) != len(bodies) {
		t.Errorf("after the second run %d messages of %d", len(seen), len(bodies))
	}
	w.noLeftovers("primary")
	last := w.plan("primary", "backup")
	if last.Forecast().Work() {
		t.Errorf("work is left: %v", summary(w.actions(last)))
	}
	_ = last.Close()
}

// points lists what can fail in a run that restores everything.
func points(t *testing.T) []faulty.Point {
	t.Helper()
	var j faulty.Injector
	w := newWorld(t)
	bodies := everything(w)
	w.calls = j.Store()
	res := w.restore("primary", "backup")
	w.calls = nil
	if got := w.sound("primary", bodies, ""); len(got) != len(bodies) {
		t.Errorf("%d messages", len(got))
	}
	ops := map[Op]int{}
	for _, a := range res.actions {
		ops[a.Op]++
	}
	for _, op := range []Op{Add, Replace, Flags, Mkdir, Subscribe, UID} {
		if ops[op] == 0 {
			t.Errorf("no %s in the scenario: %v", op, ops)
		}
	}
	t.Logf("%d calls, %v", j.Calls(), res.counts)
	return j.Points()
}

// Every system call of a run that restores, repairs, merges and makes folders
// fails once, in every way. Nothing is said to be done that is not, nothing is
// shown by halves or twice, and the same command again completes.
func TestEveryCallFails(t *testing.T) {
	known, step := points(t), 1
	if !exhaustive() {
		step = 27
	}
	injected := 0
	for i := 0; i < len(known); i += step {
		faultCase(t, known[i])
		injected++
		if t.Failed() {
			t.Fatal(known[i])
		}
	}
	t.Logf("%d of %d points", injected, len(known))
	if injected < 40 {
		t.Fatalf("only %d faults were injected: the test is broken", injected)
	}
}

// A call of an undo fails, or takes effect and is denied. A message that could
// not be looked at is no message that somebody has changed; what was put back is
// told as done; no temporary name stays, and the next undo ends in the state
// before the run.
func TestEveryCallOfAnUndoFails(t *testing.T) {
	once := func(at faulty.Point) (j *faulty.Injector, bad []string) {
		w := newWorld(t)
		w.maildir("backup", "a", "")
		w.maildir("primary", "a", "")
		for n := range 2 {
			w.put("backup", "a", "", n, ":2,S")
		}
		w.write(w.put("primary", "a", "", 0, ":2,S"), "", epoch)
		w.tune = func(o *PlanOptions) { o.Undecided = RestoreUndecided }
		before := w.tree("primary")
		id := w.restore("primary", "backup").id
		j = &faulty.Injector{At: at}
		w.calls = j.Store()
		res := w.undo("primary", id)
		w.calls = nil
		w.noLeftovers("primary")
		for _, a := range res.actions {
			if a.State != Done && a.State != Failed {
				bad = append(bad, fmt.Sprintf("%s: %s: %s", a.Op, a.State, a.Detail))
			}
		}
		if u, err := NewUndo(t.Context(), nil, w.state(), id); err == nil {
			_ = u.Close()
			w.must(w.undo("primary", id).err)
		}
		w.sameTree(before, w.tree("primary"))
		return j, bad
	}
	plain, _ := once(faulty.Point{})
	hit := 0
	for _, at := range plain.Points() {
		if !exhaustive() && at.Way != faulty.Late && at.Op != "store newfstatat" {
			continue
		}
		j, bad := once(at)
		if _, ok := j.Hit(); !ok || t.Failed() || len(bad) > 0 {
			t.Fatalf("%s: hit %v: %v", at, ok, bad)
		}
		hit++
	}
	t.Logf("%d points", hit)
	if hit == 0 {
		t.Fatal("nothing was injected: the test is broken")
	}
}
