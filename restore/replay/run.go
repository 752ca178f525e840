package replay

import (
	"context"
	"iter"

	"mailsync/restore"
	"mailsync/restore/archive"
)

// Run is a replay or audit that has looked at archive and store, and knows what
// it would do. The caller closes it.
type Run struct {
	survey   *archive.Survey
	timeline *Timeline
	window   Window
	expected Totals
	totals   Totals
}

// Prepare reads the archive, resolves its recipients, looks at every mailbox
// they lead to, and determines the window. It writes nothing but its spool.
//
// Errors: ErrNoEnvelopes (as *NoEnvelopesError), ErrNoGap (as *NoGapError),
// ErrOptions, and whatever ends a stream.
func Prepare(ctx context.Context, o Options) (*Run, error) { return nil, ErrOptions }

// Survey is what the archive holds: known before anything is delivered.
func (r *Run) Survey() *archive.Survey { return r.survey }

// Timeline is the archive hour by hour, with what was absent.
func (r *Run) Timeline() *Timeline { return r.timeline }

// Window is the window in use.
func (r *Run) Window() Window { return r.window }

// Expected are the totals if everything that can be delivered is: known before
// anything is delivered, to be shown to the operator.
func (r *Run) Expected() Totals { return r.expected }

// Events yields the account, and delivers through d what is missing; with a
// nil d nothing is delivered (audit, dry run). It may be consumed once.
func (r *Run) Events(ctx context.Context, d Deliverer) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {}
}

// Actions yields what Events would have delivered, for a plan to be saved: the
// actions of one mailbox together. Action.From is Archive.Name, a NUL byte and
// the position.
func (r *Run) Actions(ctx context.Context) iter.Seq2[restore.Action, error] {
	return func(yield func(restore.Action, error) bool) {}
}

// Totals are the sums after Events ended.
func (r *Run) Totals() Totals { return r.totals }

// Exit is the exit code of a run that ended without error: 0 where the account
// closes, 1 where something is open, 3 where something could not be read or
// delivered.
func (r *Run) Exit() int { return 0 }

// Close removes the spool.
func (r *Run) Close() error { return nil }
