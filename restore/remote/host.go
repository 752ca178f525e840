package remote

import (
	"context"
	"iter"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore"
)

// Spec describes a store of the other end as the caller's configuration does.
// It names no command: what runs on a host is for that host's configuration to
// say, which goes before this where it knows the path.
type Spec struct {
	Name          string `cbor:"1,keyasint"` // in findings and refs
	Path          string `cbor:"2,keyasint"` // of its root, on its host; absolute
	Layout        string `cbor:"3,keyasint,omitempty"`
	Control       string `cbor:"4,keyasint,omitempty"`
	Index         string `cbor:"5,keyasint,omitempty"`
	Folders       string `cbor:"6,keyasint,omitempty"`
	UTF8          bool   `cbor:"7,keyasint,omitempty"`
	Digest        string `cbor:"8,keyasint,omitempty"`
	FailureDomain string `cbor:"9,keyasint,omitempty"`
	Role          string `cbor:"10,keyasint,omitempty"`
	Readers       int    `cbor:"11,keyasint,omitempty"`
	BytesPerSec   int64  `cbor:"12,keyasint,omitempty"` // of reads there
	FilesPerSec   int    `cbor:"13,keyasint,omitempty"`
	Latency       int64  `cbor:"14,keyasint,omitempty"` // nanoseconds
	Files         bool   `cbor:"15,keyasint,omitempty"` // every file answers for itself by its own stamps
}

// Folders is how folders lie below a mailbox of a store.
type Folders struct {
	FS   bool // as directories in directories; else as Maildir++
	UTF8 bool // names are UTF-8; else modified UTF-7
}

// Served is an open store of this host.
type Served struct {
	Source  compare.Source
	Witness compare.Witness
	// Record is what this host has recorded of the store; nil = nothing. Heads
	// yields its mailboxes.
	Record compare.Source
	Heads  func(ctx context.Context) iter.Seq2[manifest.Head, error]
	// About is what the record says of the store as a whole.
	About manifest.StoreRecord
	// Messages hands out messages; nil: a record has none.
	Messages restore.Source
	Folders  Folders
	ReadOnly bool // nothing is written into it at the caller's request
	Close    func() error
}

// Task is work that this host does on the caller's behalf: a scan, a
// verification. The names and contents are the commands' business; here they
// are bytes.
type Task struct {
	Name string
	Body []byte
	// Event tells the caller something while the task runs, in order. It may be
	// called by several goroutines.
	Event func([]byte) error
}

// Host is what one end serves. The stores that it opens are used by several
// goroutines at once.
type Host interface {
	// OpenStore opens a store, or fails with ErrRefused where it is not to be
	// served.
	OpenStore(ctx context.Context, s Spec) (*Served, error)
	// Run does a task and returns its result.
	Run(ctx context.Context, t *Task) ([]byte, error)
}

// Writable is a Host whose stores may be planned for and written into. Journals
// and quarantine are its own. Each method fails with ErrRefused where the store,
// or writing into it, is not to be had.
type Writable interface {
	Host
	// Plan plans what would be restored into a store of this host.
	Plan(ctx context.Context, r *Restoration, p *restore.PlanProgress) (*Planned, error)
	// PlanUndo plans the taking back of a run of this host.
	PlanUndo(ctx context.Context, u *Undo) (*restore.Plan, restore.RunInfo, error)
	// Runs tells of the runs of this host into stores that are served.
	Runs(ctx context.Context) ([]restore.RunInfo, error)
	// Begin begins a run; release undoes what it took, after the run's end.
	Begin(ctx context.Context, o *RunOptions) (run *restore.Run, release func(), err error)
}
