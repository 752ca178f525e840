package restore

import (
	"context"
	"iter"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
)

// Undecided says what to do with messages for which neither loss nor deletion
// is evidenced.
type Undecided uint8

// The decisions.
const (
	LeaveUndecided    Undecided = iota // list them (default)
	RestoreUndecided                   // where they were
	UndecidedInFolder                  // into PlanOptions.UndecidedFolder
)

// MergeFlags says what to do with flags that differ where no record shows
// which side has changed them.
type MergeFlags uint8

// The ways to merge flags without a base.
const (
	LeaveFlags MergeFlags = iota // leave and report (default)
	UnionFlags                   // flags of both sides, never T
)

// PlanOptions say what to compare and how to decide. Target and Sources are
// needed.
type PlanOptions struct {
	Target  compare.Source
	Base    compare.Source   // the target's own record, the base of three-way merges; nil = none
	Sources []compare.Source // in the order of the operator's trust
	Others  []compare.Source // further stores whose absences count as evidence
	Witness compare.Witness  // of all stores: looks again before anything is called missing; nil = not asked
	Site    *Site            // of the target: its UID lists and logs are looked at; nil = a plan from records alone

	Mailbox func(name string) bool // nil = all
	Named   func(name string) bool // asked for by name: planned also where the userdb does not know it; nil = none
	Order   func(name string) int  // mailboxes with a lower number first; nil = all alike

	CrashAt         time.Time // an absence whose interval holds it is a loss; zero = what Target.Info says
	Undelete        bool
	Undecided       Undecided
	UndecidedFolder string // UTF-8, levels separated by '/'
	MergeFlags      MergeFlags
	FixUIDNext      bool             // plan the raising of next UIDs too, not only print the command
	Arrivals        map[string]int64 // messages that an archive knows to have arrived since, by mailbox; for the safe next UID

	Resume   []string  // mailboxes that an unfinished run had begun to restore whole; see Interrupted
	Workers  int       // mailboxes planned at a time; default 2
	SpoolDir string    // default: the system's temporary directory
	Now      time.Time // default: time.Now
}

// NewPlan compares the target with the sources and decides what to do. It
// writes nothing but a spool without a name. The caller closes the plan.
func NewPlan(ctx context.Context, o PlanOptions) (*Plan, error) { return nil, ErrOptions }

// LoadPlan opens a plan that Save has written and checks all of it: ErrPlan,
// ErrNewer.
func LoadPlan(path string) (*Plan, error) { return nil, ErrPlan }

// Plan is what restoring would do: actions in the order in which they are
// applied, the actions of a mailbox together.
type Plan struct {
	forecast Forecast
}

// Forecast says what applying the plan would do.
func (p *Plan) Forecast() *Forecast { return &p.forecast }

// Actions yields the plan's actions; may be called again.
func (p *Plan) Actions(ctx context.Context) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {}
}

// Save writes the plan to a file, durably, replacing one that is there.
func (p *Plan) Save(path string) error { return ErrPlan }

// Close releases the spool.
func (p *Plan) Close() error { return nil }

// UIDCase is what restoring does to the UIDs of a mailbox.
type UIDCase string

// The cases.
const (
	UIDNone     UIDCase = ""         // nothing is added
	UIDKept     UIDCase = "kept"     // the server has not noticed the loss: UIDs stay, its list is not touched
	UIDNew      UIDCase = "new"      // the server has noticed: what comes back gets new UIDs
	UIDRestored UIDCase = "restored" // the UID list is lost or torn and is restored first
	UIDResync   UIDCase = "resync"   // UIDVALIDITY will move: clients fetch the folder again
)

// MailboxForecast is what a plan does to one mailbox.
type MailboxForecast struct {
	Mailbox       string  `json:"mailbox"`
	Messages      int64   `json:"messages"` // to add or replace
	Bytes         int64   `json:"bytes"`
	Other         int64   `json:"other"` // actions on flags, dates, folders, UID lists
	Deleted       int64   `json:"deleted,omitempty"`
	Undecided     int64   `json:"undecided,omitempty"`
	Moved         int64   `json:"moved,omitempty"`
	Open          int64   `json:"open,omitempty"`
	UIDs          UIDCase `json:"uids,omitempty"`
	FetchMessages int64   `json:"fetch_messages"` // what each of the mailbox' clients fetches again
	FetchBytes    int64   `json:"fetch_bytes"`
	UIDValidity   bool    `json:"uidvalidity_moves,omitempty"`
	QuotaLimit    int64   `json:"quota_limit,omitempty"` // bytes; 0 = none known
	QuotaAfter    int64   `json:"quota_after,omitempty"`
	Command       string  `json:"command,omitempty"` // the server's command that belongs after or before it
	NextUID       []SafeUID
}

// OverQuota tells whether the mailbox would be over its quota.
func (m *MailboxForecast) OverQuota() bool { return m.QuotaLimit > 0 && m.QuotaAfter > m.QuotaLimit }

// SafeUID is the next UID from which no client can meet a UID again that it
// knows as another message.
type SafeUID struct {
	Folder        string `json:"folder"`
	Now           uint32 `json:"now"`
	Safe          uint32 `json:"safe"`
	HighestModSeq uint64 `json:"highest_modseq,omitempty"`
	Command       string `json:"command"` // that raises it, to be run before the server opens the store
}

// Forecast sums up a plan.
type Forecast struct {
	Mailboxes int64         `json:"mailboxes"` // with something to do
	Actions   int64         `json:"actions"`
	Messages  int64         `json:"messages"`
	Bytes     int64         `json:"bytes"`
	Skipped   int64         `json:"skipped"`
	Open      int64         `json:"open"`    // left alone and to be decided
	Unknown   int64         `json:"unknown"` // mailboxes that could not be looked at
	Deleted   int64         `json:"deleted"`
	Undecided int64         `json:"undecided"`
	Moved     int64         `json:"moved"`
	Fetch     int64         `json:"fetch_messages"`
	FetchSize int64         `json:"fetch_bytes"`
	Moves     int64         `json:"uidvalidity_moves"` // mailboxes whose UIDVALIDITY moves
	ETA       time.Duration `json:"eta"`
	// Box is given each mailbox with something to say while the plan is read
	// again by Boxes.
}

// Boxes yields what the plan does to each mailbox.
func (p *Plan) Boxes(ctx context.Context) iter.Seq2[MailboxForecast, error] {
	return func(yield func(MailboxForecast, error) bool) {}
}

// Work tells whether applying the plan would write anything.
func (f *Forecast) Work() bool { return f.Actions > 0 }

var _ = manifest.NoAlg
