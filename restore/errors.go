package restore

import "errors"

// Errors of a plan, a run or an undo as a whole. What concerns one action is
// in its State and Detail.
var (
	// ErrPlan: a plan file is damaged or cut short.
	ErrPlan = errors.New("damaged plan")
	// ErrNewer: a plan or journal was made by a newer mailsync.
	ErrNewer = errors.New("made by a newer mailsync")
	// ErrNoRun: there is no run of that id.
	ErrNoRun = errors.New("no such run")
	// ErrRun: the journal of a run is damaged.
	ErrRun = errors.New("damaged journal")
	// ErrBusy: another process is writing into the same store.
	ErrBusy = errors.New("another run is writing into this store")
	// ErrNotUndoable: the run was an undo, or wrote nothing.
	ErrNotUndoable = errors.New("nothing that can be undone")
	// ErrNoSpace: the target's file system is full. What was acknowledged
	// stays, the rest is still to be done.
	ErrNoSpace = errors.New("no space left")
	// ErrDisk: the target's file system fails. Nothing is acknowledged after it.
	ErrDisk = errors.New("the file system fails")
	// ErrNoSource: an action names a source that was not given.
	ErrNoSource = errors.New("no such source")
	// ErrUnreachable: a source, or the host that it is on, does not answer any
	// more. What was acknowledged stays, the rest is still to be done.
	ErrUnreachable = errors.New("the connection is lost")
	// ErrNoTarget: the target's root cannot be opened.
	ErrNoTarget = errors.New("target cannot be opened")
	// ErrReadOnly: nothing can be written into the target.
	ErrReadOnly = errors.New("the target is mounted read-only")
	// ErrOptions: options contradict each other.
	ErrOptions = errors.New("bad restore options")
)
