package compare

import (
	"context"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"mailsync/manifest"
)

// Side is one replica in a comparison.
type Side struct {
	Source  Source
	Witness Witness // nil: nobody can look again, and what the Source says holds
	// Base is what was recorded of the same store before, or nil. It gives
	// each copy its base for a three-way merge, and tells a mailbox that went
	// with its disk from one that was never there.
	Base Source
	// Breaker is the share of the side's recorded messages that may be gone at
	// once without evidence of deletion. Beyond it such an absence is
	// manifest.MassDisappearing: the message is unknown there, not missing. With
	// Groups the copy stays absent and the evidence says so. 0 means one in a
	// hundred; 1 and more never. It needs a Base that is Sized.
	Breaker float64
}

// Spill is a temporary file of the caller's, for what does not fit in memory.
type Spill interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

// Options say how replicas are compared. The zero value is useful.
type Options struct {
	Mailbox func(name string) bool // nil: all
	Workers int                    // mailboxes at once; 0 means 4
	All     bool                   // yield mailboxes without a difference too, but for those that are skipped

	// Groups keeps what a plan needs beyond the lines: mailboxes that only one
	// side has are opened, and no mailbox is skipped for a missing side.
	Groups bool

	// Memory bounds what is held of messages that match no name, in bytes,
	// for all workers together. 0 means 32 MiB.
	Memory int64
	// Spill makes a temporary file for the rest; nil keeps all in memory.
	Spill func() (Spill, error)

	Now func() time.Time
}

// Progress is updated while a comparison runs and may be read at any time.
type Progress struct {
	Mailboxes, Messages, Differences, Skipped atomic.Int64
}

// Counts sums up one mailbox or a whole comparison.
type Counts struct {
	Mailboxes   int64          // 1 for a mailbox
	Messages    int64          // distinct messages: groups of copies
	Differences int64          // lines
	Kinds       map[Kind]int64 // lines of each kind; a missing kind is 0
	Skipped     int64          // messages of mailboxes whose roots are equal: not opened
	Opaque      int64          // messages whose contents differ and cannot be compared, because the server encrypts them
	Unknown     int64          // copies that could not be looked at or compared
}

// Row is one mailbox in a table.
type Row struct {
	Mailbox string
	Counts
	Sides []RowSide
}

// RowSide is one side of a row.
type RowSide struct {
	Unknown  string // why the mailbox could not be looked at; "" otherwise
	Absent   bool   // the side is proven not to have the mailbox
	Messages int64  // that the side has
	Missing  int64  // messages that another side has and this one lacks
	Damaged  int64  // copies proven damaged
	Linked   int64  // copies that are one file with another side's
}

// Doubt is a reason why a comparison is not complete.
type Doubt struct {
	Side    int    // -1: not one side's
	Mailbox string // "" = the whole side
	Reason  string
	Count   int64 // messages; 0 where it is not about messages
}

// Result is the outcome of a comparison, valid when its stream has ended.
type Result struct {
	Counts
	Sides    []Info
	Totals   []RowSide // sums a side
	Partial  []Doubt   // at most MaxDoubts are kept; not empty means exit code 3
	Doubts   int64     // all of them
	Complete bool      // the stream ended without error and was consumed whole
}

// MaxDoubts bounds Result.Partial.
const MaxDoubts = 1000

// Comparison compares replicas once.
type Comparison struct {
	sides    []Side
	infos    []Info
	can      []bool // sides whose Witness can be asked
	o        Options
	progress Progress
	state    *state
}

// New prepares a comparison of at least two sides (one is allowed with
// Options.Groups, which then only judges it by itself); at most 32.
func New(sides []Side, o Options) (*Comparison, error) { return newComparison(sides, o) }

// Progress returns counters that move while the comparison runs.
func (c *Comparison) Progress() *Progress { return &c.progress }

// Result returns the outcome.
func (c *Comparison) Result() Result { return c.state.result() }

// Mailboxes compares and yields the mailboxes as they finish. Those without a
// difference are only counted, unless Options.All. A yielded Mailbox is valid
// until the next is asked for. The error is the context's cause, or that of a
// store whose mailboxes could not be listed; nothing is concluded after it.
func (c *Comparison) Mailboxes(ctx context.Context) iter.Seq2[*Mailbox, error] { return c.walk(ctx) }

// Differences yields only the lines: those of one mailbox together, sorted by
// folder and file.
func (c *Comparison) Differences(ctx context.Context) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		for m, err := range c.Mailboxes(ctx) {
			if err != nil {
				yield(Difference{}, err)
				return
			}
			for d, err := range m.Differences() {
				if !yield(d, err) || err != nil {
					return
				}
			}
		}
	}
}

// One compares a single mailbox, whatever the listings say, and may be called
// any number of times. The caller closes what it returns.
func (c *Comparison) One(ctx context.Context, mailbox string) (*Mailbox, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return c.mailbox(ctx, &job{name: mailbox, heads: make([]Head, len(c.sides)), final: true})
}

// Close gives back the memory of a Mailbox that One returned.
func (m *Mailbox) Close() { m.body.release() }

// MailboxSide is one side's mailbox as a whole.
type MailboxSide struct {
	Mailbox *manifest.Mailbox // nil where it is absent or unknown
	// Recorded is the header of what the side's base has recorded of it; nil
	// where there is no base, the base has no such mailbox, or it was not asked.
	Recorded *manifest.Mailbox
	Absent   bool   // proven not to be there
	Unknown  string // why it could not be looked at
	Damaged  int64
}

// Mailbox is one mailbox that was compared to its end.
type Mailbox struct {
	Name  string
	Sides []MailboxSide
	Row   Row
	body  *body
}

// Differences yields the lines, sorted by folder and file.
func (m *Mailbox) Differences() iter.Seq2[Difference, error] { return m.lines() }

// Groups yields every group that is not the same on all sides, or that an
// absence or damage concerns, sorted by folder and file.
func (m *Mailbox) Groups() iter.Seq2[Group, error] { return m.groups() }
