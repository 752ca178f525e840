package replay

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Window is the stretch of arrival times, Since <= t < Until, in which absent
// mail is delivered.
type Window struct {
	Since  time.Time `json:"since,omitzero"` // zero: no bound
	Until  time.Time `json:"until,omitzero"`
	All    bool      `json:"all"`   // the whole archive
	Found  bool      `json:"found"` // found by mailsync, not given
	Empty  bool      `json:"empty"` // nothing is absent: no window is needed
	Reason string    `json:"reason"`
}

// settle is how long archived mail may be on its way: what arrived that
// recently is not looked for when a gap is being found, and is not missing.
const settle = 5 * time.Minute

// contains tells whether a message that arrived then lies in the window. A
// message of which nothing tells the arrival lies only in the whole archive.
func (w *Window) contains(t time.Time) bool {
	switch {
	case w.All:
		return true
	case w.Empty || t.IsZero():
		return false
	}
	return !t.Before(w.Since) && (w.Until.IsZero() || t.Before(w.Until))
}

// stretch is a run of messages on the line of time, with how strongly it
// speaks for a gap.
type stretch struct {
	from, to        int64 // arrivals of its first and last message
	score           float64
	present, absent int64
}

// gapInside is how sure mail is to be absent inside of a gap: not quite, since
// a sender's retry or another path may have brought it later.
const gapInside = 0.98

// best returns the stretch of marks, among those for which use holds, that
// speaks most for a gap: the maximum sum of log-likelihood ratios of "absent as
// in a gap" against "absent as elsewhere", where mail is absent at the given
// rate because people delete.
func (t *Timeline) best(ctx context.Context, rate float64, use func(mark) bool) (stretch, error) {
	gain, loss := math.Log(gapInside/rate), math.Log((1-gapInside)/(1-rate))
	var top, run stretch
	err := t.each(ctx, func(m mark) {
		if !use(m) {
			run = stretch{}
			return
		}
		if run.score <= 0 {
			run = stretch{}
			if !m.absent {
				return
			}
			run.from = m.at
		}
		run.to = m.at
		if m.absent {
			run.score += gain
			run.absent++
		} else {
			run.score += loss
			run.present++
		}
		if run.score > top.score {
			top = run
		}
	})
	return top, err
}

// findGap finds the stretch in which archived mail stops being present in the
// store as a whole. Its errors are *NoGapError or those of the spool.
func (t *Timeline) findGap(ctx context.Context) (Window, error) {
	if err := t.order(ctx); err != nil {
		return Window{}, err
	}
	var present, absent int64
	if err := t.each(ctx, func(m mark) {
		if m.absent {
			absent++
		} else {
			present++
		}
	}); err != nil {
		return Window{}, err
	}
	if t.absent == 0 {
		return Window{Found: true, Empty: true, Reason: "nothing that was archived is absent without a reason"}, nil
	}
	refuse := func(format string, a ...any) (Window, error) {
		return Window{}, &NoGapError{Timeline: t, Reason: fmt.Sprintf(format, a...)}
	}
	if absent == 0 {
		return refuse("what is absent has no arrival time")
	}
	if present == 0 {
		return refuse("nothing of the archive was ever present: is this the archive of this store?")
	}
	// The rate at which mail is absent outside of the gap depends on where the
	// gap is: a few rounds settle it.
	rate := 0.5
	var gap stretch
	for range 4 {
		var err error
		if gap, err = t.best(ctx, rate, func(mark) bool { return true }); err != nil {
			return Window{}, err
		}
		out := float64(absent+present) - float64(gap.absent+gap.present)
		rate = min(0.9, (float64(absent-gap.absent)+0.5)/(out+1))
	}
	gap, err := t.best(ctx, rate, func(mark) bool { return true })
	if err != nil {
		return Window{}, err
	}
	// A stretch must be longer than chance makes one somewhere in that many
	// messages.
	clear := math.Log(float64(present+absent)) + 1.5
	switch {
	case present == gap.present:
		return refuse("nothing is present outside of the stretch where mail is absent")
	case gap.score < clear || float64(gap.absent) < 0.8*float64(gap.absent+gap.present):
		return refuse("%d of %d archived messages are absent, scattered over the time", absent, absent+present)
	case rate > 0.6:
		return refuse("most of the archived mail is absent at all times")
	}
	second, err := t.best(ctx, rate, func(m mark) bool { return m.at < gap.from || m.at > gap.to })
	if err != nil {
		return Window{}, err
	}
	if second.score >= clear && second.score >= 0.25*gap.score {
		return refuse("mail is absent in more than one stretch: %s, and %s", span(gap), span(second))
	}
	w := Window{
		Since: time.Unix(0, gap.from).UTC().Truncate(time.Second),
		Until: time.Unix(0, gap.to).UTC().Truncate(time.Second).Add(time.Second),
		Found: true,
	}
	w.Reason = fmt.Sprintf("of %d messages that arrived in it %d are absent; outside of it %d of %d",
		gap.absent+gap.present, gap.absent, absent-gap.absent, absent+present-gap.absent-gap.present)
	return w, nil
}

func span(s stretch) string {
	return time.Unix(0, s.from).UTC().Format(time.RFC3339) + " to " + time.Unix(0, s.to).UTC().Format(time.RFC3339)
}

// settleWindow settles the window: given, the whole archive, or the gap.
func (r *Run) settleWindow(ctx context.Context) error {
	o := &r.o
	switch {
	case o.All:
		r.window = Window{All: true, Reason: "the whole archive, as asked"}
		return nil
	case !o.Since.IsZero():
		r.window = Window{Since: o.Since.UTC(), Until: o.Until, Reason: "as given"}
		return nil
	}
	w, err := r.timeline.findGap(ctx)
	if err != nil {
		return err
	}
	if !o.Until.IsZero() && !w.Empty && o.Until.Before(w.Until) {
		w.Until = o.Until.UTC()
	}
	r.window = w
	return nil
}
