package replay

import (
	"fmt"
	"time"
)

// Window is the stretch of arrival times, Since <= t < Until, in which absent
// mail is delivered.
type Window struct {
	Since, Until time.Time // zero: no bound
	All          bool      // the whole archive
	Found        bool      // found by mailsync, not given
	Reason       string    // for a person: how it was found
}

// Hour is one row of a timeline, as counts of messages for mailboxes.
type Hour struct {
	Start    time.Time
	Archived int64 // messages for mailboxes that arrived in this hour
	Present  int64 // of these: found, or accounted for by evidence
	Absent   int64 // neither found nor accounted for
	Replayed int64 // of Present: delivered by an earlier replay
	Unknown  int64 // nothing could be established
}

// Timeline is the archive hour by hour; hours without mail are left out.
type Timeline struct{ Hours []Hour }

// NoGapError is ErrNoGap with what was seen.
type NoGapError struct {
	Timeline *Timeline
	Reason   string
}

// Error implements error.
func (e *NoGapError) Error() string { return fmt.Sprintf("%v: %s", ErrNoGap, e.Reason) }

// Unwrap returns ErrNoGap.
func (e *NoGapError) Unwrap() error { return ErrNoGap }

// NoEnvelopesError is ErrNoEnvelopes with what would help.
type NoEnvelopesError struct {
	Messages int64
	Hint     string // what the operator can do, for a person
}

// Error implements error.
func (e *NoEnvelopesError) Error() string {
	return fmt.Sprintf("%v: none of its %d messages says for whom it was", ErrNoEnvelopes, e.Messages)
}

// Unwrap returns ErrNoEnvelopes.
func (e *NoEnvelopesError) Unwrap() error { return ErrNoEnvelopes }
