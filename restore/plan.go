package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/compare"
	"mailsync/scan/beneath"
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
// needed. Base of the target's side is its own record: it tells when the target
// was last looked at, and is the base of three-way merges.
type PlanOptions struct {
	Target  compare.Side
	Sources []compare.Side // in the order of the operator's trust
	Others  []compare.Side // further stores: their absences count as evidence, and they are witnesses
	Site    *Site          // of the target: its UID lists and logs are looked at; nil = a plan from records alone
	Header  PlanHeader     // kept in the plan

	Mailbox func(name string) bool // nil = all
	Named   func(name string) bool // asked for by name: planned also where the userdb does not know it; nil = none
	Order   func(name string) int  // mailboxes with a lower number first; nil = all alike

	CrashAt         time.Time // an absence whose interval holds it is a loss; zero = what the target's Info says
	Undelete        bool
	Undecided       Undecided
	UndecidedFolder string // UTF-8, levels separated by '/'
	MergeFlags      MergeFlags
	FixUIDNext      bool // plan the raising of next UIDs too, not only print the command

	Resume   []string // mailboxes that unfinished runs had begun to restore whole; see Interrupted
	Workers  int      // mailboxes compared at a time; 0 = compare's default
	Spill    func() (compare.Spill, error)
	Progress *PlanProgress
}

// PlanProgress may be read while a plan is made.
type PlanProgress struct {
	Mailboxes, Messages atomic.Int64
}

// PlanHeader says what a plan is about. It is kept in the plan file, so that
// the plan can be applied from elsewhere, on another day.
type PlanHeader struct {
	Command string       `json:"command"`
	Store   string       `json:"store"` // of the target, as given
	Path    string       `json:"path"`  // absolute, of the target's root
	Made    time.Time    `json:"made"`
	Sources []PlanSource `json:"sources,omitempty"`
	ID      string       `json:"id"`             // set by NewPlan and SavePlan
	Root    uint64       `json:"root,omitempty"` // inode of the target's root; set by NewPlan
}

// PlanSource is where bytes come from.
type PlanSource struct {
	Name    string `json:"name"` // Action.From, up to its first NUL
	Path    string `json:"path"` // absolute
	Archive bool   `json:"archive,omitempty"`
}

// Plan is what restoring would do: actions in the order in which they are
// applied, the actions of a mailbox together.
type Plan struct {
	header   PlanHeader
	forecast Forecast
	store    planStore
	strict   bool // loaded from a file: a mailbox that has moved on is refused
}

// planStore holds a plan's records.
type planStore interface {
	records(ctx context.Context) iter.Seq2[*planRecord, error]
	close() error
}

// planRecord is a mailbox' forecast and ground, or an action.
type planRecord struct {
	box    *MailboxForecast
	ground *boxGround
	action *Action
}

// boxGround is what a mailbox looked like when it was planned.
type boxGround struct {
	Absent  bool          `json:"absent,omitempty"` // there was none
	Root    uint64        `json:"root,omitempty"`   // inode
	Folders []folderStamp `json:"folders,omitempty"`
}

type folderStamp struct {
	Dir []byte   `json:"dir"`
	New [2]int64 `json:"new"` // inode, mtime
	Cur [2]int64 `json:"cur"`
}

// Header tells what the plan is about.
func (p *Plan) Header() PlanHeader { return p.header }

// Forecast says what applying the plan would do.
func (p *Plan) Forecast() *Forecast { return &p.forecast }

// Actions yields the plan's actions; may be called again.
func (p *Plan) Actions(ctx context.Context) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		for rec, err := range p.store.records(ctx) {
			switch {
			case err != nil:
				yield(Action{}, err)
				return
			case rec.action == nil:
			case !yield(*rec.action, nil):
				return
			}
		}
	}
}

// Boxes yields what the plan does to each mailbox with something to say.
func (p *Plan) Boxes(ctx context.Context) iter.Seq2[MailboxForecast, error] {
	return func(yield func(MailboxForecast, error) bool) {
		for rec, err := range p.store.records(ctx) {
			switch {
			case err != nil:
				yield(MailboxForecast{}, err)
				return
			case rec.box == nil:
			case !yield(*rec.box, nil):
				return
			}
		}
	}
}

// Close releases the spool.
func (p *Plan) Close() error { return p.store.close() }

// guard yields the plan's actions, those of a mailbox whose ground has moved
// since the plan as refused. Only a plan from a file is guarded so; the actions
// of any plan check their own ground again.
func (r *Run) guard(ctx context.Context, p *Plan) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		moved, name := "", ""
		var unknown error
		for rec, err := range p.store.records(context.WithoutCancel(ctx)) {
			if err != nil {
				yield(Action{}, err)
				return
			}
			if rec.box != nil {
				name, moved, unknown = rec.box.Mailbox, "", nil
				if p.strict && !r.begun[name] {
					moved, unknown = r.moved(name, rec.ground)
				}
			}
			if rec.action == nil {
				continue
			}
			a := *rec.action
			if (moved != "" || unknown != nil) && a.Ref.Mailbox == name && (a.State == "" || a.State == Planned) {
				switch {
				case unknown != nil:
					a.State, a.Detail = Failed, fmt.Sprintf("whether the mailbox has changed since the plan cannot be told: %v", unknown)
				case r.inPlace(&a):
					a.State = Already
				default:
					a.State, a.Detail = Refused, "the mailbox has changed since the plan: "+moved
				}
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

// moved says how a mailbox differs from what it was when it was planned; ""
// where it does not, an error where that cannot be told.
func (r *Run) moved(mailbox string, g *boxGround) (why string, err error) {
	if g == nil {
		return "", nil
	}
	m, err := r.cache.box(mailbox)
	if err != nil {
		switch {
		case !notThere(err):
			return "", err
		case g.Absent:
			return "", nil
		}
		return fmt.Sprintf("it cannot be opened: %v", err), nil
	}
	defer r.cache.releaseBox(m)
	if g.Absent {
		return "it was not there", nil
	}
	st, err := m.root.Self()
	if err != nil {
		return "", err
	}
	if g.Root != 0 && st.Inode != g.Root {
		return "it is another directory", nil
	}
	for i := range g.Folders {
		s := &g.Folders[i]
		f, err := r.open.openFolder(m, folderKey{mailbox, string(s.Dir)})
		if err != nil {
			switch {
			case !notThere(err):
				return "", err
			case s.New[0] == 0 && s.Cur[0] == 0:
				continue // it was to be made
			}
			return fmt.Sprintf("its folder %q cannot be opened: %v", s.Dir, err), nil
		}
		cur, fresh, err := f.stamps()
		f.close()
		if err != nil {
			return "", err
		}
		if !same(cur, s.Cur) || !same(fresh, s.New) {
			return fmt.Sprintf("messages came, went or were renamed in its directory %q", orDot(string(s.Dir))), nil
		}
	}
	return "", nil
}

// notThere tells whether a directory could not be opened because it is not
// there, or is none, and not because it could not be looked at.
func notThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) ||
		errors.Is(err, beneath.ErrEscape) || errors.Is(err, beneath.ErrNotRegular)
}

func same(s stamp, was [2]int64) bool {
	return int64(s.inode) == was[0] && s.mtime == was[1]
}

// wholeDone journals that what was planned for mailboxes that are restored
// whole was tried, and that nothing of it is open.
func (r *Run) wholeDone(_ context.Context) {
	for m, good := range r.whole {
		if !good {
			continue
		}
		t := entry{kind: recFinished, mailbox: m}
		if r.j.Append(t.encode()) != nil {
			return // the mailbox is taken up again by the next run: harmless
		}
		delete(r.whole, m)
	}
}
