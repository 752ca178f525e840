package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mailsync/manifest/durable"
)

// RunInfo is what the journal of a run tells.
type RunInfo struct {
	ID        string    `json:"run"`
	Command   string    `json:"command"`
	Args      []string  `json:"args,omitempty"`
	Store     string    `json:"store"`
	Path      string    `json:"path"` // absolute, of the store's root
	Of        string    `json:"of,omitempty"`
	Plan      string    `json:"plan,omitempty"`
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended,omitzero"` // zero: killed, or still going on
	How       string    `json:"how"`            // complete, interrupted, failed, killed, running
	Counts    Counts    `json:"counts"`
	Resumable bool      `json:"resumable"` // the same command again goes on with it
	Undoable  bool      `json:"undoable"`
	UndoneBy  string    `json:"undone_by,omitempty"`
	Error     string    `json:"error,omitempty"`

	err error // why the journal cannot be read
}

// Err returns why the journal of a run cannot be read, nil where it can.
func (x *RunInfo) Err() error { return x.err }

// Runs lists the runs of a state directory, the oldest first. A damaged
// journal is an entry with an Error. It writes nothing. fsys may be nil.
func Runs(fsys durable.FS, state string) ([]RunInfo, error) {
	if fsys == nil {
		fsys = durable.System()
	}
	list, err := fsys.Names(runsDir(state))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []RunInfo
	for _, name := range list {
		if strings.HasPrefix(name, ".") {
			continue
		}
		x, err := readRun(fsys, state, name)
		if errors.Is(err, errNotBegun) {
			continue
		}
		if err != nil {
			x.Error, x.err = err.Error(), err
		}
		out = append(out, x)
	}
	for i := range out {
		u := &out[i]
		if u.Of == "" || u.How != HowComplete || u.Counts.Done == 0 {
			continue
		}
		for k := range out {
			if out[k].ID == u.Of && u.Counts.Failed+u.Counts.Refused == 0 {
				out[k].UndoneBy, out[k].Undoable, out[k].Resumable = u.ID, false, false
			}
		}
	}
	return out, nil
}

// errNotBegun: a run died before it wrote anything, its journal included.
var errNotBegun = errors.New("never begun")

// died tells whether a run on the store at path was killed, so that its
// temporary names may lie about.
func (x *RunInfo) died(path string) bool {
	return x.Path == path && x.Ended.IsZero() && x.Error == ""
}

// LeftBehind tells whether runs that died on the store at path may have left
// temporary names: none has ended since, which would have removed them. fsys may
// be nil.
func LeftBehind(fsys durable.FS, state, path string) (bool, error) {
	list, err := Runs(fsys, state)
	left := false
	for i := range list {
		switch x := &list[i]; {
		case x.died(path):
			left = true
		case x.Path == path && x.How == HowComplete:
			left = false
		}
	}
	return left, err
}

// FindRun returns one run; ErrNoRun. fsys may be nil.
func FindRun(fsys durable.FS, state, id string) (RunInfo, error) {
	if !ValidRunID(id) {
		return RunInfo{}, fmt.Errorf("%w: %q", ErrNoRun, id)
	}
	list, err := Runs(fsys, state)
	if err != nil {
		return RunInfo{}, err
	}
	for _, x := range list {
		if x.ID == id {
			return x, nil
		}
	}
	return RunInfo{}, fmt.Errorf("%w: %q", ErrNoRun, id)
}

// ValidRunID tells whether an id can be one of a run: its journal lies in a
// directory of that name.
func ValidRunID(id string) bool {
	if id == "" || id[0] == '.' || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func journalPath(state, id string) string { return filepath.Join(runsDir(state), id, journalName) }

func readRun(fsys durable.FS, state, id string) (RunInfo, error) {
	x := RunInfo{ID: id, How: HowKilled}
	if d, err := fsys.Stat(filepath.Join(runsDir(state), id)); err == nil && !d.Dir {
		return x, errNotBegun // nothing of ours
	}
	path := journalPath(state, id)
	if _, err := fsys.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return x, errNotBegun
	}
	var tail durable.Tail
	seen := false
	for t, err := range readJournal(fsys, path, &tail, recDone, recEnd) {
		if err != nil {
			if !seen && tail.Records == 0 && tail.Torn >= 0 && errors.Is(err, ErrRun) && isEmptyJournal(fsys, path) {
				return x, errNotBegun
			}
			return x, err
		}
		seen = true
		switch t.kind {
		case recBegin:
			b := &t.begin
			x.Command, x.Args, x.Store, x.Path, x.Of, x.Plan, x.Began = b.Command, b.Args, b.Store, b.Path, b.Of, b.Plan, b.Began
		case recDone:
			for i := range t.done {
				x.Counts.Add(&Action{State: t.done[i].State})
			}
		case recEnd:
			x.How, x.Error, x.Ended, x.Counts = t.end.How, t.end.Error, t.end.Ended, t.end.Counts
		}
	}
	if x.Ended.IsZero() && journalBusy(fsys, path) {
		x.How = HowRunning
	}
	x.Resumable = x.How == HowKilled || x.How == HowInterrupted || x.How == HowFailed
	x.Undoable = x.How != HowRunning && x.Command != "undo" && (x.Counts.Done > 0 || x.How == HowKilled)
	return x, nil
}

// isEmptyJournal tells whether a journal holds no record at all: its run died
// before it touched anything.
func isEmptyJournal(fsys durable.FS, path string) bool {
	for range durable.Recover(path, journalOptions(fsys), nil) {
		return false
	}
	return true
}

// journalBusy tells whether a process still appends to a journal.
func journalBusy(fsys durable.FS, path string) bool {
	f, err := fsys.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(f.Lock(), durable.ErrLocked)
}

// begunBy returns the mailboxes of which earlier runs of a plan have changed
// something: their ground has moved, but it is ours.
func begunBy(fsys durable.FS, state, plan string) map[string]bool {
	out := map[string]bool{}
	list, err := Runs(fsys, state)
	if err != nil {
		return out
	}
	for _, x := range list {
		if x.Plan != plan {
			continue
		}
		for t, err := range readJournal(fsys, journalPath(state, x.ID), nil, recIntent) {
			if err != nil {
				break
			}
			for i := range t.actions {
				out[t.actions[i].Ref.Mailbox] = true
			}
		}
	}
	return out
}

// Interrupted returns the mailboxes of a store (by the absolute path of its
// root) that unfinished runs had begun to restore whole, for
// PlanOptions.Resume: what such a mailbox holds is no sign that it was in use.
// fsys may be nil.
func Interrupted(fsys durable.FS, state, path string) ([]string, error) {
	list, err := Runs(fsys, state)
	if err != nil {
		return nil, err
	}
	open := map[string]bool{}
	for _, x := range list {
		if x.Path != path || x.Error != "" && x.How != HowFailed || x.UndoneBy != "" {
			continue
		}
		for t, err := range readJournal(fsys, journalPath(state, x.ID), nil, recWhole, recFinished) {
			if err != nil {
				return nil, err
			}
			switch t.kind {
			case recWhole:
				open[t.mailbox] = true
			case recFinished:
				delete(open, t.mailbox)
			}
		}
	}
	out := make([]string, 0, len(open))
	for m := range open {
		out = append(out, m)
	}
	return out, nil
}
