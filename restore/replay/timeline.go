package replay

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// Hour is one row of a timeline, as counts of messages for mailboxes.
type Hour struct {
	Start    time.Time `json:"start"`
	Archived int64     `json:"archived"` // messages for mailboxes that arrived in this hour
	Present  int64     `json:"present"`  // of these: found, or accounted for by evidence
	Absent   int64     `json:"absent"`   // neither found nor accounted for
	Replayed int64     `json:"replayed"` // of Present: delivered by an earlier replay
	Unknown  int64     `json:"unknown"`  // nothing could be established
}

// Timeline is the archive hour by hour; hours without mail are left out.
type Timeline struct {
	Hours  []Hour
	NoTime int64 // messages for mailboxes whose arrival nothing tells

	hours  map[int64]*Hour
	marks  *sorter   // arrival and whether it was absent, of each message
	events *tape     // the same, in order
	absent int64     // without an earlier replay's
	until  time.Time // what arrived later may be on its way
	err    error
}

func newTimeline(memory int, until time.Time) *Timeline {
	return &Timeline{until: until, hours: map[int64]*Hour{}, marks: newSorter(memory), events: newTape()}
}

// add counts one verdict. Copies of what came before are no mail of their own.
func (t *Timeline) add(v *verdict) {
	if v.state == stDuplicate {
		return
	}
	if v.arrival == 0 {
		t.NoTime++
		if v.state == stAbsent {
			t.absent++
		}
		return
	}
	at := v.time()
	key := at.Unix() / 3600
	h := t.hours[key]
	if h == nil {
		h = &Hour{Start: at.Truncate(time.Hour)}
		t.hours[key] = h
	}
	h.Archived++
	mark := byte(0)
	switch {
	case at.After(t.until):
		h.Unknown++
		return
	case v.state == stUnknown:
		h.Unknown++
		return
	case v.state == stAbsent:
		h.Absent++
		t.absent++
		mark = 1
	default:
		h.Present++
		if v.replayed {
			// The gap is that of the store before it was filled.
			h.Replayed++
			mark = 1
		}
	}
	var rec [9]byte
	binary.BigEndian.PutUint64(rec[:], uint64(v.arrival)^1<<63)
	rec[8] = mark
	if err := t.marks.add(rec[:]); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *Timeline) end() {
	t.Hours = t.Hours[:0]
	for _, h := range t.hours {
		t.Hours = append(t.Hours, *h)
	}
	slices.SortFunc(t.Hours, func(a, b Hour) int { return a.Start.Compare(b.Start) })
}

func (t *Timeline) close() {
	t.marks.close()
	t.events.close()
}

// mark is one message for one mailbox on the line of time.
type mark struct {
	at     int64
	absent bool
}

// order puts the marks in the order of time.
func (t *Timeline) order(ctx context.Context) error {
	if t.err != nil {
		return t.err
	}
	for rec, err := range t.marks.sorted(ctx) {
		if err != nil {
			return err
		}
		if err := t.events.add(rec); err != nil {
			return err
		}
	}
	return nil
}

func (t *Timeline) each(ctx context.Context, do func(mark)) error {
	for rec, err := range t.events.records(ctx) {
		if err != nil {
			return err
		}
		if len(rec) != 9 {
			return errRecord
		}
		do(mark{at: int64(binary.BigEndian.Uint64(rec) ^ 1<<63), absent: rec[8] != 0})
	}
	return nil
}

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
