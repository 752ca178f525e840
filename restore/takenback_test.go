package restore

import (
	"os"
	"testing"

	"mailsync/manifest"
)

// What undo has taken back is no deletion, whatever scans ran in between: the
// loss is what it was before. A deletion stays one, and what came back another
// way and went again is no business of the undo.
func TestUndoIsNoDeletion(t *testing.T) {
	w := newWorld(t)
	w.maildir("backup", "a", "")
	w.maildir("primary", "a", "")
	for n := range 12 {
		w.put("backup", "a", "", n, ":2,S")
		w.put("primary", "a", "", n, ":2,S")
	}
	w.scan("primary", "backup")
	for n := range 3 {
		w.must(os.Remove(w.path("primary", "a", "cur", msgName(n)+":2,S")))
	}
	w.tune = func(o *PlanOptions) { o.Undelete = true }
	res := w.restore("primary", "backup")
	if res.counts.Done != 3 {
		t.Fatalf("%d came back", res.counts.Done)
	}
	w.tune = nil
	w.scan("primary") // sees them, before
	w.must(w.undo("primary", res.id).err)
	w.must(os.Remove(w.path("primary", "a", "cur", msgName(5)+":2,S"))) // a deletion beside it
	w.scan("primary")                                                   // sees them gone

	p := w.plan("primary", "backup")
	planned, deleted := 0, 0
	for _, a := range w.actions(p) {
		switch {
		case a.Op == Add && a.State == Planned:
			planned++
		case a.Why == WhyDeleted:
			deleted++
		}
	}
	if planned != 3 || deleted != 1 {
		t.Errorf("planned %d, left deleted %d: %v", planned, deleted, summary(w.actions(p)))
	}
	w.must(p.Close())

	// They come back, are seen, and their owner deletes one: that stays deleted.
	w.restore("primary", "backup")
	w.scan("primary")
	w.must(os.Remove(w.path("primary", "a", "cur", msgName(0)+":2,S")))
	w.scan("primary")
	if p := w.plan("primary", "backup"); p.Forecast().Work() {
		t.Errorf("a deletion is taken for the undo: %v", summary(w.actions(p)))
	}
	if manifest.OwnJournal.Deleted() || manifest.OwnJournal.Lost() {
		t.Error("an undo is neither a deletion nor a loss of its own")
	}
}
