package replay

import "context"

// A mailbox of whose mail outside the window so much is absent, of at least so
// many messages, is taken for one that is emptied by POP3.
const (
	takeawayMin   = 30
	takeawayShare = 0.97
)

// habits finds the mailboxes for which absence is normal.
func (r *Run) habits(ctx context.Context) error {
	r.takeaway = map[string]bool{}
	var box string
	var seen, absent int64
	flush := func() {
		if seen >= takeawayMin && float64(absent) >= takeawayShare*float64(seen) {
			r.takeaway[box] = true
		}
		seen, absent = 0, 0
	}
	for rec, err := range r.verdicts.records(ctx) {
		if err != nil {
			return err
		}
		d := newDec(rec)
		v := d.verdict()
		if d.bad {
			return errRecord
		}
		if v.mailbox != box {
			flush()
			box = v.mailbox
		}
		if v.noBox || v.replayed || v.state == stDuplicate || v.state == stUnknown || r.window.contains(v.time()) {
			continue
		}
		seen++
		if v.state == stAbsent || v.state == stDeleted {
			absent++
		}
	}
	flush()
	return nil
}

// expect sums up what an audit would say.
func (r *Run) expect(ctx context.Context) error {
	if !r.window.All && !r.window.Empty {
		if err := r.habits(ctx); err != nil {
			return err
		}
	}
	for rec, err := range r.verdicts.records(ctx) {
		if err != nil {
			return err
		}
		d := newDec(rec)
		v := d.verdict()
		if d.bad {
			return errRecord
		}
		line, _, _ := r.delivery(&v)
		r.expected.Add(&line)
	}
	r.expected.NoMailbox = r.nowhere.n
	return nil
}
