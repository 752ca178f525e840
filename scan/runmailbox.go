package scan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mailsync/compare"
	"mailsync/manifest"
)

// mailbox looks at one mailbox and records it.
func (r *run) mailbox(ctx context.Context, j *job) error {
	crashed := r.result.Crashed && j.head != nil && j.head.Ended.Before(r.s.opt.BootAt)
	if r.skip(j, crashed) {
		return r.keep(j)
	}
	l, err := r.look(ctx, j, crashed)
	if err == nil {
		if l.unexplained > 0 && !r.o.Adopt {
			r.hold(l)
			return nil
		}
		return r.commit(l)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch {
	case errors.Is(err, compare.ErrNoMailbox), errors.Is(err, compare.ErrUnknown):
		if j.head == nil && errors.Is(err, compare.ErrNoMailbox) {
			return nil // it went as it was found
		}
	case errors.Is(err, manifest.ErrCorrupt), errors.Is(err, manifest.ErrOrder):
		// Without its record nothing can be said of the mailbox but by
		// forgetting what it held.
		err = fmt.Errorf("%w: %w", compare.ErrUnknown, err)
	case errors.Is(err, manifest.ErrLimit), errors.Is(err, manifest.ErrInvalid):
		// What its owner put there cannot be recorded; the others can.
		err = fmt.Errorf("%w: it cannot be recorded: %w", compare.ErrUnknown, err)
	default:
		return err
	}
	r.partial(j.name, err)
	r.o.Progress.Mailboxes.Add(1)
	if j.head == nil {
		return nil
	}
	return r.session.Unknown(j.name)
}

// skip tells whether the stamps prove that the mailbox is as recorded and
// nothing stands that must be told again.
func (r *run) skip(j *job, crashed bool) bool {
	h := j.head
	if h == nil || crashed || r.s.opt.Stat || r.s.doubted(j.name) || r.o.Adopt || r.o.Accept || !h.Gone.IsZero() || len(h.Watch) == 0 {
		return false
	}
	if (r.o.Rehash || j.rehash) && !h.Done {
		return false
	}
	place, err := r.s.placeAt(j.name, j.path, true)
	return err == nil && r.s.unchanged(j.path, &place, h.Watch)
}

func (r *run) keep(j *job) error {
	if err := r.session.Keep(j.name); err != nil {
		return err
	}
	h := j.head
	r.o.Progress.Mailboxes.Add(1)
	r.o.Progress.note(h.Messages, h.Bytes, 0)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Skipped++
	r.result.Add(&Counts{Mailboxes: 1, Folders: h.Folders, Messages: h.Messages, Bytes: h.Bytes, Reused: h.Messages})
	return nil
}

// looked is what one look at a mailbox leaves to record and to tell.
type looked struct {
	name        string
	draft       *manifest.Draft // sealed
	counts      Counts
	findings    []manifest.Finding
	vanished    []manifest.Finding
	accepted    []manifest.Acceptance
	unexplained int64
	mass        bool
}

// look looks at a mailbox and writes its manifest, which is not committed yet.
func (r *run) look(ctx context.Context, j *job, crashed bool) (*looked, error) {
	out := &looked{name: j.name}
	o := LookOptions{
		Progress: r.o.Progress, Crashed: crashed, Adopted: r.o.Adopt, Accept: r.o.Accept, Keep: true,
		Finding: func(f manifest.Finding) { out.findings = append(out.findings, f) },
		Accepted: func(a Acceptance) {
			out.accepted = append(out.accepted, manifest.Acceptance{
				At: r.s.opt.Now().UTC(), Mailbox: a.Ref.Mailbox, Folder: a.Ref.Folder, File: a.File,
				Reason: r.o.Reason, Old: a.Old, New: a.New,
			})
		},
	}
	if (r.o.Rehash || j.rehash) && (j.head == nil || !j.head.Done) {
		o.Decide, o.OpenFirst = DecideRead, true
	}
	if j.head != nil {
		m, err := r.from.OpenMailbox(j.name)
		if err != nil && !errors.Is(err, manifest.ErrNoMailbox) {
			return nil, fmt.Errorf("record of mailbox %q: %w", j.name, err)
		}
		if err == nil {
			o.Record = &opened{m}
		}
	}
	if o.Record == nil {
		o.NoRecord = true
	}
	v, err := r.s.lookAt(ctx, j.name, j.path, true, o)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	v.mb.Generation = r.result.Generation
	d, err := r.session.Create(j.name)
	if err != nil {
		return nil, err
	}
	if err := r.write(ctx, v, d, out); err != nil {
		d.Abort()
		return nil, err
	}
	out.draft = d
	return out, nil
}

// write puts what a look sees into a draft.
func (r *run) write(ctx context.Context, v *View, d *manifest.Draft, out *looked) error {
	for e, err := range v.Entries(ctx) {
		if err != nil {
			return err
		}
		if err := d.Add(&e); err != nil {
			return fmt.Errorf("mailbox %q: %w", out.name, err)
		}
	}
	for a, err := range v.Absences(ctx) {
		if err != nil {
			return err
		}
		if f, ok := MissingFinding(r.s.cfg.Name, out.name, &a); ok {
			v.finding(f)
			v.standing = true
		} else if v.Vanished(&a) {
			out.vanished = append(out.vanished, vanishedFinding(r.s.cfg.Name, out.name, &a))
		}
		if err := d.Absent(&a); err != nil {
			return fmt.Errorf("mailbox %q: %w", out.name, err)
		}
	}
	if err := d.Seal(v.Mailbox(), manifest.Extra{Watch: v.watch(), Disordered: v.counts.Disordered}); err != nil {
		return fmt.Errorf("mailbox %q: %w", out.name, err)
	}
	out.counts, out.unexplained, out.mass = v.counts, v.Unexplained(), v.Mass()
	return nil
}

// commit records a look and tells what it found.
func (r *run) commit(l *looked) error {
	if len(l.accepted) > 0 {
		if err := r.session.Accept(l.accepted...); err != nil {
			return err
		}
	}
	if err := l.draft.Commit(nil, manifest.Extra{}); err != nil {
		return fmt.Errorf("mailbox %q: %w", l.name, err)
	}
	r.publish(l)
	return nil
}

func vanishedFinding(store, mailbox string, a *manifest.Absence) manifest.Finding {
	return manifest.Finding{
		Store: store, Mailbox: mailbox, Folder: a.Entry.Folder, File: a.Entry.File(),
		Kind: manifest.Missing, Detail: "recorded and gone: " + a.Evidence.String(),
	}
}

// hold keeps a mailbox back whose messages are gone without evidence, until it
// is known how much of the store went with them.
func (r *run) hold(l *looked) {
	gone := r.gone.Add(l.unexplained)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = append(r.held, l)
	if gone > r.limit && r.result.Refused == nil {
		r.result.Refused = fmt.Errorf("%w: at least %d recorded messages are not there and nothing says that anybody deleted them (at most %d may be)", ErrHalfGone, gone, r.limit)
	}
}

// publish tells what a committed look has found.
func (r *run) publish(l *looked) {
	if l.mass {
		r.partial(l.name, fmt.Errorf("%w: it lost most of its mail at once, and nothing says that anybody deleted it", compare.ErrUnknown))
	}
	if l.counts.Unreadable > 0 {
		r.partial(l.name, fmt.Errorf("%d of its files and folders could not be read", l.counts.Unreadable))
	}
	slices.SortStableFunc(l.findings, func(a, b manifest.Finding) int {
		if c := strings.Compare(a.Folder, b.Folder); c != 0 {
			return c
		}
		return strings.Compare(a.File, b.File)
	})
	r.o.Progress.Mailboxes.Add(1)
	r.o.Progress.Findings.Add(int64(len(l.findings)))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Add(&l.counts)
	r.result.Accepted += int64(len(l.accepted))
	if r.o.Finding != nil {
		for _, f := range l.findings {
			r.o.Finding(f)
		}
	}
	if r.o.Vanished != nil {
		for _, f := range l.vanished {
			r.o.Vanished(f)
		}
	}
}
