package verify

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan"
	"mailsync/scan/maildir"
)

// outcome is what one look at one mailbox showed.
type outcome struct {
	at          int // in Verification.targets
	findings    []manifest.Finding
	vanished    []manifest.Finding
	counts      scan.Counts
	unexplained int64
	partial     []string
	bad, packed bool
}

// stage looks at every mailbox once, several at a time.
func (v *Verification) stage(outer context.Context, id StageID, yield func(Event) bool) (stopped bool, err error) {
	v.order(id)
	group, ctx := errgroup.WithContext(outer)
	feed, cancel := context.WithCancel(ctx)
	defer cancel()
	jobs, out := make(chan int), make(chan *outcome)
	first := v.first(id)
	v.progress.Total.Store(v.expected(id, first))
	v.progress.Done.Store(0)
	v.place.low = first
	timeUp := false
	group.Go(func() error {
		defer close(jobs)
		for i := first; i < len(v.targets); i++ {
			if v.targets[i].bad {
				continue
			}
			if !v.deadline.IsZero() && !v.o.Now().Before(v.deadline) {
				timeUp = true
				return nil
			}
			select {
			case jobs <- i:
			case <-feed.Done():
				return context.Cause(feed)
			}
		}
		return nil
	})
	for range v.o.Workers {
		group.Go(func() error {
			for i := range jobs {
				o, err := v.look(ctx, id, i)
				if err != nil {
					return err
				}
				select {
				case out <- o:
				case <-feed.Done():
					return context.Cause(feed)
				}
			}
			return nil
		})
	}
	end := make(chan error, 1)
	go func() {
		end <- group.Wait()
		close(out)
	}()
	t := teller{v: v, id: id, yield: yield, hold: id == Structure && v.hasRec && first == 0 && !v.place.Going}
	if id == Structure && first == 0 && len(v.lost) > 0 {
		err = t.take(v.losses())
		if stopped = t.stopped; stopped || err != nil {
			cancel()
		}
	}
	for o := range out {
		if stopped {
			continue
		}
		if err == nil {
			err = t.take(o)
		}
		if t.stopped || err != nil {
			stopped = t.stopped
			cancel()
		}
	}
	werr := <-end
	if stopped || err != nil {
		return stopped, err
	}
	if outer.Err() != nil {
		return false, context.Cause(outer)
	}
	if werr != nil {
		return false, werr
	}
	v.result.Ended = timeUp
	err = t.finish()
	return t.stopped, err
}

// expected is how many messages a stage that begins at a target will see, as
// far as the record or the first stage knows; 0 where neither does.
func (v *Verification) expected(id StageID, first int) (n int64) {
	if !v.hasRec {
		if id == Structure || first > 0 {
			return 0
		}
		return v.result.Messages
	}
	for i := range v.targets[first:] {
		n += v.targets[first+i].recorded
	}
	return n
}

// look looks at one mailbox. What cannot be looked at is a finding; an error
// is the context's cause or a failure that ends the run.
func (v *Verification) look(ctx context.Context, id StageID, i int) (*outcome, error) {
	t := &v.targets[i]
	o := &outcome{at: i, packed: t.packed}
	err := v.lookWith(ctx, id, t, o, v.o.Record != nil)
	if err != nil && ctx.Err() == nil && (errors.Is(err, manifest.ErrCorrupt) || errors.Is(err, manifest.ErrTruncated) || errors.Is(err, manifest.ErrOrder) || errors.Is(err, manifest.ErrLimit)) {
		*o = outcome{at: i, packed: t.packed}
		o.partial = append(o.partial, fmt.Sprintf("mailbox %q is checked without its record, which cannot be read: %v", t.name, err))
		err = v.lookWith(ctx, id, t, o, false)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if errors.Is(err, compare.ErrNoMailbox) && t.recorded == 0 && t.checked == 0 {
		o.bad = true // it went as it was found
		return o, nil
	}
	if err != nil {
		o.bad = true
		o.partial = append(o.partial, err.Error())
		o.findings = append(o.findings, manifest.Finding{
			Store: v.s.Config().Name, Mailbox: t.name, Kind: manifest.Unreadable, Detail: err.Error(),
		})
	}
	return o, nil
}

func (v *Verification) lookWith(ctx context.Context, id StageID, t *target, o *outcome, record bool) error {
	opt := scan.LookOptions{
		Finding:    func(f manifest.Finding) { o.findings = append(o.findings, f) },
		NoDisorder: id != Structure,
		CrashAt:    v.o.CrashAt,
		LastGood:   v.rec.Complete.Began,
		NoRecord:   !record,
		Decide:     v.decide(id, t),
		OpenFirst:  id == Rest,
	}
	if record {
		r, err := v.o.Record.OpenMailbox(t.name)
		switch {
		case errors.Is(err, manifest.ErrNoMailbox):
			opt.NoRecord = true
		case err != nil:
			return err
		default:
			opt.Record = &recorded{r}
		}
	}
	view, err := v.s.Look(ctx, t.name, opt)
	if err != nil {
		return err
	}
	defer view.Close()
	var crashed overtaken
	if id == Window && !opt.NoRecord {
		if crashed, err = v.overtaken(t.name); err != nil {
			return err
		}
	}
	var sized, wrong int64
	for e, err := range view.Entries(ctx) {
		if err != nil {
			return err
		}
		v.progress.Done.Add(1)
		crashed.moved(&e)
		if id != Structure {
			continue
		}
		if n := maildir.ParseName(e.Name); n.HasS && e.Size > 0 {
			sized++
			if n.S != e.Size {
				wrong++
			}
		}
	}
	if id == Structure {
		// Where most sizes in names are not those of the files, the store is
		// compressed or encrypted by the server, and nothing is wrong.
		o.packed = wrong*2 > sized && wrong > 4
	}
	o.counts = view.Counts()
	o.unexplained = view.Unexplained()
	if id == Window && !opt.NoRecord {
		return v.absences(ctx, view, t, crashed, o)
	}
	return nil
}

// absences tells which recorded messages are gone.
func (v *Verification) absences(ctx context.Context, view *scan.View, t *target, crashed overtaken, o *outcome) error {
	store := v.s.Config().Name
	if view.Mass() {
		o.partial = append(o.partial, fmt.Sprintf("mailbox %q lost most of its mail at once, and nothing says that anybody deleted it", t.name))
	}
	for a, err := range view.Absences(ctx) {
		if err != nil {
			return err
		}
		if v.byCrash(&a) && crashed.has(&a) {
			a.Evidence = manifest.InsideCrash
		}
		if f, ok := scan.MissingFinding(store, t.name, &a); ok {
			o.findings = append(o.findings, f)
			continue
		}
		if view.Vanished(&a) {
			o.vanished = append(o.vanished, manifest.Finding{
				Store: store, Mailbox: t.name, Folder: a.Entry.Folder, File: a.Entry.File(),
				Kind: manifest.Missing, Detail: "recorded and gone: " + a.Evidence.String(),
			})
		}
	}
	return nil
}

// decide chooses which files a stage reads.
func (v *Verification) decide(id StageID, t *target) func(seen, old *manifest.Entry, same bool) scan.Choice {
	switch id {
	case Structure:
		return func(seen, _ *manifest.Entry, _ bool) scan.Choice {
			if seen.Size == 0 {
				return scan.Read // nothing is read, and all that is wrong is said
			}
			return scan.Leave
		}
	case Window:
		return func(seen, old *manifest.Entry, _ bool) scan.Choice {
			if seen.Size != 0 && v.inWindow(seen, old, t) {
				return scan.Read
			}
			return scan.Leave
		}
	}
	return func(seen, old *manifest.Entry, _ bool) scan.Choice {
		// What changed since the second stage began (a flag renames the file)
		// may not have been in the window then.
		if seen.Size == 0 || seen.CTime < v.windowAt && v.inWindow(seen, old, t) {
			return scan.Leave
		}
		return scan.Read
	}
}

// inWindow tells whether a file is read before all others: it may have been
// written around the crash, it is not as the record knows it, or its size
// contradicts its name.
func (v *Verification) inWindow(seen, old *manifest.Entry, t *target) bool {
	switch {
	case seen.Sub == manifest.New, seen.CTime >= v.from, seen.MTime >= v.from:
		return true
	case old == nil:
		if v.hasRec {
			return true
		}
	case old.Status != manifest.Sound:
		return true
	case !old.Plain.IsZero(), old.Opaque:
		return false // compressed: the size in the name is not the file's
	}
	if t.packed {
		return false
	}
	n := maildir.ParseName(seen.Name)
	return n.HasS && n.S != seen.Size
}

// recorded makes a compare.View of an open manifest.
type recorded struct{ *manifest.Opened }
