package restore

import (
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
// What a damaged journal says after the damage is not known; runs tells of it.
type TakenBack struct {
	fs          durable.FS
	state, path string
	read        func() map[[2]uint64]time.Time
}

// NewTakenBack is about the store whose root has the absolute path. fsys may be
// nil.
func NewTakenBack(fsys durable.FS, state, path string) *TakenBack {
	t := &TakenBack{fs: fsys, state: state, path: path}
	t.read = sync.OnceValue(t.journals)
	return t
}

// Since tells whether an undo has taken a message back after the given time,
// and no run has put it there again. base is the file's name up to its flags.
func (t *TakenBack) Since(mailbox, folder, base string, since time.Time) bool {
	at, ok := t.read()[takenKey(mailbox, folder, base)]
	return ok && at.After(since)
}

func takenKey(mailbox, folder, base string) [2]uint64 {
	s := mailbox + "\x00" + folder + "\x00" + base
	return [2]uint64{maphash.String(seedA, s), maphash.String(seedB, s)}
}

// journals reads what undo took back and what later runs put there again, the
// oldest run first.
func (t *TakenBack) journals() map[[2]uint64]time.Time {
	list, err := Runs(t.fs, t.state)
	if err != nil {
		return nil
	}
	var out map[[2]uint64]time.Time
	for i := range list {
		x := &list[i]
		if x.Path != t.path || x.Command != "undo" && out == nil {
			continue
		}
		if out == nil {
			out = map[[2]uint64]time.Time{}
		}
		at := x.Ended
		if at.IsZero() {
			at = x.Began
		}
		for d, err := range deeds(t.fs, journalPath(t.state, x.ID)) {
			if err != nil {
				break
			}
			a := &d.action
			key := func(g *Ground) [2]uint64 {
				return takenKey(a.Ref.Mailbox, a.Ref.Folder, maildir.ParseName(string(g.Name)).ServerBase)
			}
			switch {
			case a.Op == Quarantine:
				out[key(&a.Pre)] = at
			case a.Op == Add && !d.loose:
				delete(out, key(&a.Post))
			}
		}
	}
	return out
}
