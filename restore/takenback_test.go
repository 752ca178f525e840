package restore

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/manifest/durable"
)

// threePutBack restores three messages of a recorded primary that were lost.
func threePutBack(t *testing.T) (*world, result) {
	t.Helper()
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
	return w, res
}

// What undo has taken back is no deletion, whatever scans ran in between: the
// loss is what it was before. A deletion stays one, and what came back another
// way and went again is no business of the undo.
func TestUndoIsNoDeletion(t *testing.T) {
	w, res := threePutBack(t)
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

// TestUndoThatCannotBeRead: what the journal of an undo would tell is not known
// where it cannot be read: no message that is gone counts as deleted then, or as
// taken back. What was recorded after the journal was last written to is known.
func TestUndoThatCannotBeRead(t *testing.T) {
	w, res := threePutBack(t)
	w.tune = nil
	w.scan("primary")
	undo := w.undo("primary", res.id)
	w.must(undo.err)
	w.must(os.Remove(w.path("primary", "a", "cur", msgName(5)+":2,S")))

	ruled := func() (restored, deleted, undecided int) {
		p := w.plan("primary", "backup")
		defer p.Close()
		for _, a := range w.actions(p) {
			switch {
			case a.Op == Add && a.State == Planned:
				restored++
			case a.Why == WhyDeleted:
				deleted++
			case a.Why == WhyUndecided:
				undecided++
			}
		}
		return restored, deleted, undecided
	}
	path := journalPath(w.state(), undo.id)
	whole, err := os.ReadFile(path)
	w.must(err)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)*2/3] ^= 0xff
	for _, c := range []struct {
		name                         string
		harm                         func()
		restored, deleted, undecided int
	}{
		{"whole", func() {}, 3, 1, 0},
		{"damaged", func() { w.must(os.WriteFile(path, flipped, 0o600)) }, 0, 0, 4},
		{"emptied of all it said", func() { w.must(os.WriteFile(path, make([]byte, len(whole)), 0o600)) }, 0, 0, 4},
		{"no file", func() { w.must(os.Remove(path)); w.must(os.Mkdir(path, 0o700)) }, 0, 0, 4},
		{"whole again", func() { w.must(os.Remove(path)); w.must(os.WriteFile(path, whole, 0o600)) }, 3, 1, 0},
	} {
		c.harm()
		if r, d, u := ruled(); r != c.restored || d != c.deleted || u != c.undecided {
			t.Errorf("%s: restored %d, left deleted %d, undecided %d", c.name, r, d, u)
		}
	}

	// Whoever lists the runs cannot tell either.
	tb := NewTakenBack(noRuns{durable.System()}, w.state(), w.store("primary"))
	if back, err := tb.Since("a", "INBOX", msgName(0), time.Time{}); back || !errors.Is(err, unix.EIO) {
		t.Errorf("no run can be listed: %v, %v", back, err)
	}

	// What is recorded from here on is after all that the journal can tell.
	w.must(os.WriteFile(path, flipped, 0o600))
	early := time.Now().Add(-time.Hour)
	w.must(os.Chtimes(path, early, early))
	tb = NewTakenBack(nil, w.state(), w.store("primary"))
	if back, err := tb.Since("a", "INBOX", msgName(5), time.Now().Add(-time.Minute)); back || err != nil {
		t.Errorf("recorded after the journal's end: %v, %v", back, err)
	}
	// Another store's journals say nothing of this one.
	tb = NewTakenBack(nil, w.state(), w.store("backup"))
	if back, err := tb.Since("a", "INBOX", msgName(0), time.Time{}); back || err != nil {
		t.Errorf("another store: %v, %v", back, err)
	}
}

// noRuns is a state directory whose runs cannot be listed.
type noRuns struct{ durable.FS }

func (noRuns) Names(name string) ([]string, error) {
	return nil, &os.PathError{Op: "getdents64", Path: name, Err: unix.EIO}
}
