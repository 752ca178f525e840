// Package verify checks a mail store against itself and against its record.
//
// It gives the answer first and the proof after: the structure of every
// mailbox, without reading mail; then the files in new and tmp and everything
// written inside the crash window; then everything else, never-checked and
// oldest-checked first. Each stage ends with a line that says what is now known.
//
// It only reads, never changes the record of what a message holds, and so never
// launders damage or loss: what it finds stays a finding until it is mended.
package verify

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"mailsync/manifest"
	"mailsync/manifest/durable"
	"mailsync/scan"
)

// StageID numbers the stages of a verification.
type StageID uint8

// The stages.
const (
	Structure StageID = iota + 1 // names, lists, quota, sizes against names: no mail is read
	Window                       // new, tmp, and everything written inside the crash window
	Rest                         // everything else
)

// String returns the stage's name for people.
func (s StageID) String() string {
	switch s {
	case Structure:
		return "structure"
	case Window:
		return "crash window"
	case Rest:
		return "everything else"
	}
	return "?"
}

// Stage is what is known when a stage has ended.
type Stage struct {
	ID     StageID
	Counts scan.Counts // what the stage has added
	Took   time.Duration
	Known  string // one sentence for a person
}

// Event is one thing that a verification tells. Exactly one field is set.
type Event struct {
	Finding  *manifest.Finding
	Vanished *manifest.Finding // recorded and gone without evidence either way: counted, no finding
	Stage    *Stage
}

// Options say how a store is verified. The zero value verifies everything
// without a baseline.
type Options struct {
	Mailbox func(name string) bool // nil: all
	Quick   bool                   // stop after the second stage
	CrashAt time.Time              // a crash happened then; zero = none known but what the record shows
	// MaxDuration ends the run early and saves its place; 0 = no limit.
	MaxDuration time.Duration
	// Record is the baseline, nil where there is none.
	Record *manifest.Store
	// PlaceDir is where the place of an interrupted verification is kept; ""
	// keeps none. It must not lie in the store.
	PlaceDir string
	FS       durable.FS // of PlaceDir; nil = the real one
	// Scope names what is verified beside the store (the globs of Mailbox): a
	// place is gone on with only by a run of the same scope.
	Scope   string
	Workers int // mailboxes at once; 0 means 4
	Now     func() time.Time
}

// Progress is updated while a verification runs and may be read at any time.
type Progress struct {
	Stage          atomic.Int32 // a StageID
	Done, Total    atomic.Int64 // messages of the stage looked at, and expected; a Total of 0 is not known
	Bytes, Finding atomic.Int64 // bytes of mail read, findings
}

// Result is the outcome of a verification, valid when its stream has ended.
// Where it went on from an earlier run, the counts are those of all runs: what
// was found then has been told then, and stands.
type Result struct {
	scan.Counts
	Crash    time.Time // the crash that was assumed; zero = none
	Crashed  bool
	Partial  []string // why it is not complete; not empty means exit code 3
	Partials int64    // all of them
	Ended    bool     // MaxDuration ended it; the same command goes on
	Refused  bool     // the store looks empty or half gone: nothing was concluded
	Resumed  bool     // it went on where an earlier run stopped
	Missing  int64    // missing findings
	Complete bool     // the stream ended without error and was consumed whole
}

// Verification checks one store once.
type Verification struct {
	s        *scan.Scanner
	o        Options
	progress Progress
	result   Result
	used     bool

	rec      manifest.StoreRecord
	hasRec   bool
	from     int64 // start of the window, nanoseconds; files changed since are read in the second stage
	windowAt int64 // when the second stage began, nanoseconds
	deadline time.Time
	targets  []target
	lost     []string        // recorded mailboxes that are not there
	told     map[uint64]bool // damage and unreadable things that were told
	place    place
}

// New prepares a verification.
func New(s *scan.Scanner, o Options) *Verification {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FS == nil {
		o.FS = durable.System()
	}
	if o.Workers <= 0 {
		o.Workers = 4
	}
	return &Verification{s: s, o: o}
}

// Progress returns counters that move while the verification runs.
func (v *Verification) Progress() *Progress { return &v.progress }

// Result returns the outcome.
func (v *Verification) Result() Result { return v.result }

// Events verifies the store and tells what it finds as it becomes known.
// Findings of one mailbox and stage come together, sorted by folder and file;
// a Stage follows the last finding of its stage.
//
// An error means that the work could not go on; it is the context's cause where
// that ended it. What is merely unknown is a finding and in Result.Partial.
func (v *Verification) Events(ctx context.Context) iter.Seq2[Event, error] { return v.run(ctx) }
