package restore

import (
	"context"
	"iter"
	"sync/atomic"
	"time"
)

// RunOptions describe a run.
type RunOptions struct {
	Site    *Site
	State   string   // state directory
	Command string   // restore, replay, apply, undo
	Args    []string // the command line, printed as the way to resume
	Of      string   // undo: the run that is taken back
	Now     func() time.Time
	Host    string // of unique names and lock files; "" = os.Hostname

	BatchMessages int   // default 512
	BatchBytes    int64 // default 64 MiB
}

// Counts are the outcomes of a run's actions.
type Counts struct {
	Planned int64 `json:"planned"`
	Done    int64 `json:"done"`
	Already int64 `json:"already"`
	Skipped int64 `json:"skipped"`
	Refused int64 `json:"refused"`
	Failed  int64 `json:"failed"`
	Open    int64 `json:"open"`
	Bytes   int64 `json:"bytes"` // of messages added and replaced
}

// Progress may be read while a run goes on.
type Progress struct {
	Done, Failed, Bytes atomic.Int64
}

// Run is one journalled series of changes to a store.
type Run struct {
	Progress Progress
}

// Begin starts a run and its journal. Temporary files of dead runs are removed
// as their folders are touched. ErrBusy where another run writes into the store.
func Begin(o RunOptions) (*Run, error) { return nil, ErrOptions }

// ID names the run for undo and runs; ids sort by time.
func (r *Run) ID() string { return "" }

// Apply carries out a plan and yields each action as it ends, with State set;
// those of a mailbox come together. Cancelled, it ends what is in flight,
// leaves the rest planned and yields context.Cause.
func (r *Run) Apply(ctx context.Context, actions iter.Seq2[Action, error], src Source) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {}
}

// Deliver carries out actions that were decided elsewhere (replay): Add with an
// empty Post.Name gets a new unique name with true sizes. It may be called many
// times in a run, by one goroutine.
func (r *Run) Deliver(ctx context.Context, actions []Action, src Source) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {}
}

// Counts returns the outcomes so far.
func (r *Run) Counts() Counts { return Counts{} }

// End closes the journal. err is why the run ended, nil where everything was tried.
func (r *Run) End(err error) error { return nil }

// RunInfo is what the journal of a run tells.
type RunInfo struct {
	ID        string    `json:"run"`
	Command   string    `json:"command"`
	Args      []string  `json:"args,omitempty"`
	Store     string    `json:"store"`
	Of        string    `json:"of,omitempty"` // undo: the run it took back
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended,omitzero"` // zero: killed, or still going on
	How       string    `json:"how"`            // complete, interrupted, failed, killed, running
	Counts    Counts    `json:"counts"`
	Resumable bool      `json:"resumable"` // the same command again goes on with it
	Undoable  bool      `json:"undoable"`
	UndoneBy  string    `json:"undone_by,omitempty"`
	Error     string    `json:"error,omitempty"`
}

// Runs lists the runs of a state directory, the oldest first. A damaged
// journal is an entry with an Error.
func Runs(state string) ([]RunInfo, error) { return nil, nil }

// FindRun returns one run; ErrNoRun.
func FindRun(state, id string) (RunInfo, error) { return RunInfo{}, ErrNoRun }

// Interrupted returns the mailboxes that unfinished runs on a store had begun
// to restore whole, for PlanOptions.Resume.
func Interrupted(state, store string) ([]string, error) { return nil, nil }

// NewUndo plans the taking back of a run: added messages go to quarantine,
// replaced ones come back from it, names and dates become what they were. Apply
// it in a run of its own (RunOptions.Of); its source is the site itself.
func NewUndo(ctx context.Context, state, id string) (*Plan, error) { return nil, ErrNoRun }

// FromSite returns a Source that reads messages of a local store.
func FromSite(s *Site) Source { return nil }
