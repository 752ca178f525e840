package remote

import (
	"encoding/json"
	"fmt"
	"time"

	"mailsync/restore"
)

// Restoration is what a plan is to be made of, by the host of the target: it has
// the disks, the UID lists and the logs. The other stores are the caller's, or
// lie on the same host.
type Restoration struct {
	Target          Spec
	Sources, Others []Side
	Mailbox         []string // patterns, in the order in which mailboxes are wanted
	CrashAt         time.Time
	Undelete        bool
	Undecided       restore.Undecided
	UndecidedFolder string
	MergeFlags      restore.MergeFlags
	FixUIDNext      bool
	Header          restore.PlanHeader // as the caller names the stores
	Writes          bool               // the plan is to be applied: who may not write is told at once
}

// Side is a store beside the target.
type Side struct {
	Name string // as the caller names it
	// Here describes a store on the host of the target; nil: it is the caller's.
	Here *Spec
	// Offered is the caller's store, as Offer gives it; what a Host receives is
	// Store.
	Offered *Offered
	Store   *Store
}

// Planned is a plan that the host of the target has made.
type Planned struct {
	*restore.Plan
	Matched bool // a mailbox matched the patterns
	Left    bool // runs that died there have left temporary names, which the next run removes
}

// Undo asks for the plan that takes back a run.
type Undo struct {
	Run    string `cbor:"1,keyasint"`
	Writes bool   `cbor:"2,keyasint,omitempty"` // as of Restoration
}

// RunOptions describe a run on the host of the target.
type RunOptions struct {
	Target  Spec     `cbor:"1,keyasint"`
	Command string   `cbor:"2,keyasint"`
	Args    []string `cbor:"3,keyasint,omitempty"` // of the caller
	Of      string   `cbor:"4,keyasint,omitempty"` // undo: the run that is taken back
	Readers int      `cbor:"5,keyasint,omitempty"`
	// Here are the sources that lie on the host of the target, under the names by
	// which actions call them (Action.From). All others are asked of the caller.
	Here []NamedSpec `cbor:"6,keyasint,omitempty"`
}

// NamedSpec is a store under the name by which actions call it.
type NamedSpec struct {
	Name  string `cbor:"1,keyasint"`
	Store Spec   `cbor:"2,keyasint"`
}

// maxSides bounds the stores beside a target.
const maxSides = 60

// restoration is a Restoration as it travels.
type restoration struct {
	Target          Spec       `cbor:"1,keyasint"`
	Sources         []wireSide `cbor:"2,keyasint"`
	Others          []wireSide `cbor:"3,keyasint,omitempty"`
	Mailbox         []string   `cbor:"4,keyasint,omitempty"`
	CrashAt         int64      `cbor:"5,keyasint,omitempty"`
	Undelete        bool       `cbor:"6,keyasint,omitempty"`
	Undecided       uint8      `cbor:"7,keyasint,omitempty"`
	UndecidedFolder string     `cbor:"8,keyasint,omitempty"`
	MergeFlags      uint8      `cbor:"9,keyasint,omitempty"`
	FixUIDNext      bool       `cbor:"10,keyasint,omitempty"`
	Header          []byte     `cbor:"11,keyasint"` // JSON, as in a plan file
	Writes          bool       `cbor:"12,keyasint,omitempty"`
}

type wireSide struct {
	Name    string  `cbor:"1,keyasint"`
	Here    *Spec   `cbor:"2,keyasint,omitempty"`
	Offered *opened `cbor:"3,keyasint,omitempty"`
}

func (r *Restoration) wire() (*restoration, error) {
	h, err := json.Marshal(r.Header)
	if err != nil {
		return nil, err
	}
	return &restoration{
		Target: r.Target, Sources: wireSides(r.Sources), Others: wireSides(r.Others), Mailbox: r.Mailbox, CrashAt: nanos(r.CrashAt),
		Undelete: r.Undelete, Undecided: uint8(r.Undecided), UndecidedFolder: r.UndecidedFolder, MergeFlags: uint8(r.MergeFlags),
		FixUIDNext: r.FixUIDNext, Header: h, Writes: r.Writes,
	}, nil
}

func wireSides(list []Side) []wireSide {
	out := make([]wireSide, len(list))
	for i, s := range list {
		out[i] = wireSide{Name: s.Name, Here: s.Here}
		if s.Offered != nil {
			out[i].Offered = &s.Offered.opened
		}
	}
	return out
}

// received checks what came, and finds the caller's stores.
func (r *restoration) received(caller *Peer) (*Restoration, error) {
	out := &Restoration{
		Target: r.Target, Mailbox: r.Mailbox, CrashAt: when(r.CrashAt), Undelete: r.Undelete, Undecided: restore.Undecided(r.Undecided),
		UndecidedFolder: r.UndecidedFolder, MergeFlags: restore.MergeFlags(r.MergeFlags), FixUIDNext: r.FixUIDNext, Writes: r.Writes,
	}
	if out.Undecided > restore.UndecidedInFolder || out.MergeFlags > restore.UnionFlags || len(r.Sources)+len(r.Others) > maxSides {
		return nil, fmt.Errorf("%w: a plan of %d stores, decisions %d and %d", ErrProtocol, len(r.Sources)+len(r.Others), r.Undecided, r.MergeFlags)
	}
	if err := json.Unmarshal(r.Header, &out.Header); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	for _, l := range []struct {
		from []wireSide
		to   *[]Side
	}{{r.Sources, &out.Sources}, {r.Others, &out.Others}} {
		for _, x := range l.from {
			if (x.Here == nil) == (x.Offered == nil) {
				return nil, fmt.Errorf("%w: store %q is on no host, or on two", ErrProtocol, x.Name)
			}
			s := Side{Name: x.Name, Here: x.Here}
			if x.Offered != nil {
				s.Store = caller.store(x.Name, x.Offered)
			}
			*l.to = append(*l.to, s)
		}
	}
	return out, nil
}
