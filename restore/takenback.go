package restore

import (
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"mailsync/manifest/durable"
	"mailsync/scan/maildir"
)

// TakenBack tells which messages of a store undo has moved to quarantine, from
// the journals of its runs: their absence is mailsync's doing, and no deletion
// by anybody. The journals are read at the first question, which only an absence
// gives rise to. It may be asked by several goroutines at once.
//
// A journal that cannot be read may tell of any message: what was asked about a
// time before it was last written to is then not known, and never "no".
type TakenBack struct {
	fs          durable.FS
	state, path string
	read        func() taken
}

// taken is what the journals tell.
type taken struct {
	at   map[[2]uint64]time.Time // when an undo took a message away
	gaps []gap
}

// gap is a journal that tells nothing, or not all that it should.
type gap struct {
	until time.Time // it was last written to; zero: not known
	err   error
}

// NewTakenBack is about the store whose root has the absolute path. fsys may be
// nil.
func NewTakenBack(fsys durable.FS, state, path string) *TakenBack {
	if fsys == nil {
		fsys = durable.System()
	}
	t := &TakenBack{fs: fsys, state: state, path: path}
	t.read = sync.OnceValue(t.journals)
	return t
}

// Since tells whether an undo has taken a message back after the given time,
// and no run has put it there again. base is the file's name up to its flags.
// An error says why that cannot be known.
func (t *TakenBack) Since(mailbox, folder, base string, since time.Time) (bool, error) {
	all := t.read()
	at, ok := all.at[takenKey(mailbox, folder, base)]
	if ok = ok && at.After(since); ok {
		since = at // what matters is whether it was put back since
	}
	for i := range all.gaps {
		if g := &all.gaps[i]; g.until.IsZero() || !g.until.Before(since) {
			return false, g.err
		}
	}
	return ok, nil
}

func takenKey(mailbox, folder, base string) [2]uint64 {
	s := mailbox + "\x00" + folder + "\x00" + base
	return [2]uint64{maphash.String(seedA, s), maphash.String(seedB, s)}
}

// journals reads what undo took back and what later runs put there again, the
// oldest run first.
func (t *TakenBack) journals() taken {
	var out taken
	list, err := Runs(t.fs, t.state)
	if err != nil {
		out.gaps = append(out.gaps, gap{err: fmt.Errorf("the journals of runs: %w", err)})
		return out
	}
	for i := range list {
		x := &list[i]
		if x.Path != t.path && (x.Path != "" || x.err == nil) {
			continue // another store's
		}
		if x.err != nil {
			out.gaps = append(out.gaps, t.gap(x.ID, x.err))
		}
		if x.Path == "" || x.Command != "undo" && out.at == nil {
			continue
		}
		if err := t.deeds(x, &out); err != nil && x.err == nil {
			out.gaps = append(out.gaps, t.gap(x.ID, err))
		}
	}
	return out
}

// gap is what is known of a journal that cannot be read. Its last change is
// that of the last thing that it tells.
func (t *TakenBack) gap(run string, err error) gap {
	g := gap{err: fmt.Errorf("run %s: %w", run, err)}
	if st, err := t.fs.Stat(journalPath(t.state, run)); err == nil {
		g.until = st.MTime
	}
	return g
}

// deeds adds what one run did.
func (t *TakenBack) deeds(x *RunInfo, out *taken) error {
	if out.at == nil {
		out.at = map[[2]uint64]time.Time{}
	}
	at := x.Ended
	if at.IsZero() {
		at = x.Began
	}
	for d, err := range deeds(t.fs, journalPath(t.state, x.ID)) {
		if err != nil {
			return err
		}
		a := &d.action
		key := func(g *Ground) [2]uint64 {
			return takenKey(a.Ref.Mailbox, a.Ref.Folder, maildir.ParseName(string(g.Name)).ServerBase)
		}
		switch {
		case a.Op == Quarantine:
			out.at[key(&a.Pre)] = at
		case a.Op == Add && !d.loose:
			delete(out.at, key(&a.Post))
		}
	}
	return nil
}
