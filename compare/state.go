package compare

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrUsage reports a comparison that cannot be: too few or too many sides, or
// one that was run before.
var ErrUsage = errors.New("comparison")

// maxSides is how many replicas one comparison takes.
const maxSides = 32

func newComparison(sides []Side, o Options) (*Comparison, error) {
	least := 2
	if o.Groups {
		least = 1
	}
	if len(sides) < least || len(sides) > maxSides {
		return nil, fmt.Errorf("%w of %d stores: it takes %d to %d", ErrUsage, len(sides), least, maxSides)
	}
	if o.Workers <= 0 {
		o.Workers = 4
	}
	if o.Memory <= 0 {
		o.Memory = 32 << 20
	}
	c := &Comparison{sides: slices.Clone(sides), o: o, infos: make([]Info, len(sides)), can: make([]bool, len(sides))}
	c.state = &state{c: c, sides: make([]storeState, len(sides))}
	c.state.memory.spill = o.Spill
	c.state.memory.left.Store(o.Memory)
	c.state.sum.Kinds = make(map[Kind]int64)
	c.state.totals = make([]RowSide, len(sides))
	for i := range sides {
		c.infos[i] = sides[i].Source.Info()
		c.can[i] = sides[i].Witness != nil
		if c.sides[i].Breaker == 0 {
			c.sides[i].Breaker = 0.01
		}
		if s, ok := sides[i].Base.(Sized); ok {
			c.state.sides[i].recorded = s.Size()
		}
	}
	return c, nil
}

// Sized is a Source that knows how many messages were recorded of it.
type Sized interface{ Size() (messages int64) }

func (c *Comparison) canAsk() bool { return slices.Contains(c.can, true) }

// state is what the workers of a comparison share.
type state struct {
	c      *Comparison
	memory memory

	mu       sync.Mutex
	used     bool
	complete bool
	sum      Counts
	totals   []RowSide
	partial  []Doubt
	doubts   int64
	sides    []storeState
}

// storeState is one store as a whole.
type storeState struct {
	recorded int64 // messages; 0 unknown
	gone     int64 // without evidence, at once
	tripped  string
}

func (r *Counts) count(k Kind) {
	r.Differences++
	if r.Kinds == nil {
		r.Kinds = make(map[Kind]int64)
	}
	r.Kinds[k]++
}

// doubt records why the comparison is not complete. The lock is held.
func (s *state) doubt(d Doubt) {
	s.doubts++
	if len(s.partial) < MaxDoubts {
		s.partial = append(s.partial, d)
	}
}

// breaker adds up what each side lost without evidence. It returns true where
// the mailbox must wait until the sum over all mailboxes is known.
func (s *state) breaker(b *body, final bool) (wait bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range b.sides {
		st := &s.sides[i]
		if gone := b.sides[i].gone; gone > 0 && !final && b.sides[i].Mailbox != nil && st.recorded > 0 && s.c.sides[i].Breaker < 1 {
			st.gone += gone
			s.trip(i)
			wait = true
		}
		b.sides[i].tripped = st.tripped
	}
	return wait
}

// MayBeGone returns how many of a store's messages may be gone at once without
// evidence of deletion: a share of it, and 20 however small the store is,
// provided that they are not half of it. In a small store one message is more
// than one in a hundred.
func MayBeGone(messages int64, share float64) int64 {
	return max(int64(share*float64(messages)), min(20, messages/2), 1)
}

// trip decides whether too much of a side is gone. The lock is held.
func (s *state) trip(side int) {
	st := &s.sides[side]
	share := s.c.sides[side].Breaker
	limit := MayBeGone(st.recorded, share)
	if st.recorded == 0 || st.gone <= limit || share >= 1 {
		return
	}
	// The last text is that of the whole sum: waiting mailboxes are told then.
	st.tripped = fmt.Sprintf("%d of %d recorded messages of %s are gone at once, and nothing says that anybody deleted them (at most %d may be)",
		st.gone, st.recorded, s.c.infos[side].Name, limit)
}

// add sums up one mailbox.
func (s *state) add(b *body, row *Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum.add(&row.Counts)
	for i := range b.sides {
		side := &b.sides[i]
		t, r := &s.totals[i], &row.Sides[i]
		t.Messages += r.Messages
		t.Missing += r.Missing
		t.Damaged += r.Damaged
		t.Linked += r.Linked
		reasons := make([]string, 0, len(side.doubts))
		for why := range side.doubts {
			reasons = append(reasons, why)
		}
		slices.Sort(reasons)
		for _, why := range reasons {
			s.doubt(Doubt{Side: i, Mailbox: b.name, Reason: why, Count: side.doubts[why]})
		}
		if side.Mailbox == nil && side.gone > 0 { // the whole mailbox is gone
			s.sides[i].gone += side.gone
			s.trip(i)
		}
	}
	p := &s.c.progress
	p.Mailboxes.Add(1)
	p.Messages.Add(row.Messages)
	p.Differences.Add(row.Differences)
}

// same counts a mailbox that is equal on all sides and was not opened.
func (s *state) same(messages int64) { s.sameMany(1, messages) }

// sameMany counts mailboxes that are plainly the same everywhere.
func (s *state) sameMany(mailboxes, messages int64) {
	s.mu.Lock()
	s.sum.Mailboxes += mailboxes
	s.sum.Messages += messages
	s.sum.Skipped += messages
	for i := range s.totals {
		s.totals[i].Messages += messages
	}
	s.mu.Unlock()
	p := &s.c.progress
	p.Mailboxes.Add(mailboxes)
	p.Messages.Add(messages)
	p.Skipped.Add(mailboxes)
}

func (r *Counts) add(o *Counts) {
	r.Mailboxes += o.Mailboxes
	r.Messages += o.Messages
	r.Differences += o.Differences
	r.Skipped += o.Skipped
	r.Opaque += o.Opaque
	r.Unknown += o.Unknown
	for k, n := range o.Kinds {
		r.Kinds[k] += n
	}
}

func (s *state) result() Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Result{
		Counts: s.sum, Sides: slices.Clone(s.c.infos), Totals: slices.Clone(s.totals),
		Partial: slices.Clone(s.partial), Doubts: s.doubts, Complete: s.complete,
	}
	for i := range s.sides {
		if why := s.sides[i].tripped; why != "" {
			r.Partial = append(r.Partial, Doubt{Side: i, Reason: why, Count: s.sides[i].gone})
			r.Doubts++
		}
	}
	r.Kinds = make(map[Kind]int64, len(Kinds))
	for _, k := range Kinds {
		r.Kinds[k] = s.sum.Kinds[k]
	}
	// What comes as workers finish is put into one order.
	slices.SortStableFunc(r.Partial, compareDoubts)
	return r
}
