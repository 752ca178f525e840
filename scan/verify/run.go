package verify

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"mailsync/manifest"
	"mailsync/scan"
)

// ErrUsed reports a Verification that is run a second time.
var ErrUsed = errors.New("this verification was run before")

// beforeCrash is how long before a crash writes may still have been under way:
// file systems keep data in memory for up to a minute, and operators name the
// minute, not the second.
const beforeCrash = time.Hour

// noWindow is the start of a window of which nothing tells when it began.
const noWindow = 1<<63 - 1

// maxPartials bounds Result.Partial.
const maxPartials = 1000

func (v *Verification) run(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if v.used {
			yield(Event{}, ErrUsed)
			return
		}
		v.used = true
		stopped, err := v.stages(ctx, func(e Event) bool { return yield(e, nil) })
		if stopped {
			return
		}
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			yield(Event{}, err)
			return
		}
		v.result.Complete = true
	}
}

// stages goes through the stages. It returns true when the consumer wants no more.
func (v *Verification) stages(ctx context.Context, yield func(Event) bool) (stopped bool, err error) {
	v.begin()
	if v.result.Refused {
		return false, nil
	}
	if err := v.census(ctx); err != nil || v.result.Refused {
		return false, err
	}
	v.resume()
	last := Rest
	if v.o.Quick {
		last = Window
	}
	for id := v.place.Stage; id <= last; id++ {
		v.progress.Stage.Store(int32(id))
		began, before := v.o.Now(), v.result.Counts
		if id == Window && v.windowAt == 0 {
			v.windowAt = began.UnixNano()
		}
		stopped, err := v.stage(ctx, id, yield)
		if stopped || err != nil || v.result.Refused {
			return stopped, err
		}
		if v.result.Ended {
			return false, v.save(id, true)
		}
		if id == Window {
			v.breaker()
		}
		s := Stage{ID: id, Counts: v.result.Counts.Since(&before), Took: v.o.Now().Sub(began), Known: v.known(id)}
		if !yield(Event{Stage: &s}) {
			return true, nil
		}
		v.place.After, v.place.Checked, v.place.Going = nil, 0, false
		v.place.Told = v.result.told()
	}
	return false, v.forget()
}

// begin works out what is known of the past: the record, and a crash.
func (v *Verification) begin() {
	v.told = make(map[uint64]bool)
	if v.o.MaxDuration > 0 {
		v.deadline = v.o.Now().Add(v.o.MaxDuration)
	}
	v.result.Crash = v.o.CrashAt
	v.result.Crashed = !v.o.CrashAt.IsZero()
	var last time.Time
	if v.o.Record != nil {
		v.rec, v.hasRec = v.o.Record.Record(), true
		now := v.s.ManifestIdentity(v.rec.Name)
		if why := v.rec.Identity.Differs(&now); why != "" {
			v.result.Refused = true
			v.partial(fmt.Sprintf("%s: %s", scan.ErrOtherFilesystem, why))
			return
		}
		if v.s.Crashed(v.rec) {
			v.result.Crashed = true
		}
		last = v.rec.Complete.Began
		if last.IsZero() {
			last = v.rec.Open.Began
		}
	}
	if c := v.o.CrashAt; !c.IsZero() && (last.IsZero() || c.Add(-beforeCrash).Before(last)) {
		last = c.Add(-beforeCrash)
	}
	v.from = last.UnixNano()
	if last.IsZero() {
		v.from = noWindow
	}
}

func (v *Verification) partial(why string) {
	v.result.Partials++
	if len(v.result.Partial) < maxPartials {
		v.result.Partial = append(v.result.Partial, why)
	}
}

// breaker notes that more of the store is gone without evidence of deletion
// than ordinary operation takes with it: then nobody may rely on the rest of
// the answer either.
func (v *Verification) breaker() {
	n := v.recorded()
	limit := max(int64(v.s.Config().Breaker*float64(n)), min(breakerFloor, n/2), 1)
	if v.result.Vanished <= limit {
		return
	}
	v.partial(fmt.Sprintf("%d of %d recorded messages are gone, and nothing says that anybody deleted or lost them (at most %d may be; is everything mounted?)",
		v.result.Vanished, n, limit))
}

// breakerFloor is the number of messages that may be gone however small the
// store is, provided that they are not half of it; a scan has the same.
const breakerFloor = 20

// recorded is the number of messages that the record holds of the mailboxes
// that are verified.
func (v *Verification) recorded() (n int64) {
	for i := range v.targets {
		n += v.targets[i].recorded
	}
	return n
}

// finding counts a finding that is told.
func (v *Verification) finding(f *manifest.Finding) {
	c := &v.result.Counts
	v.progress.Finding.Add(1)
	switch f.Kind.Class() {
	case manifest.Damage:
		if f.Certainty == manifest.Proof {
			c.Damaged++
		} else {
			c.Suspect++
		}
		if f.Kind == manifest.Missing {
			v.result.Missing++
		}
	case manifest.Disorder:
		c.Disordered++
	case manifest.Unknown:
		c.Unreadable++
	}
}
