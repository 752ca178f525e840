package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
)

// targetSource is the target of a plan. A recorded mailbox that is gone is
// unknown to everybody who only compares: it may have gone with its disk. To
// restore it is the point here, so where it is proven that only the mailbox is
// gone, it is taken for empty: everything that was recorded of it is absent
// without evidence, and what was recorded as deleted stays so.
type targetSource struct {
	compare.Source
	p    *planner
	base compare.Source

	mu     sync.Mutex
	absent map[string]bool
}

// Open implements compare.Source.
func (t *targetSource) Open(ctx context.Context, mailbox string) (compare.View, error) {
	v, err := t.Source.Open(ctx, mailbox)
	if err == nil || ctx.Err() != nil {
		return v, err
	}
	if !errors.Is(err, compare.ErrNoMailbox) && (!errors.Is(err, compare.ErrUnknown) || !t.p.provenAbsent(ctx, mailbox, t.base)) {
		return nil, err
	}
	if t.base == nil {
		return nil, fmt.Errorf("%w: %q", compare.ErrNoMailbox, mailbox)
	}
	r, e := t.base.Open(ctx, mailbox)
	if errors.Is(e, compare.ErrNoMailbox) {
		return nil, fmt.Errorf("%w: %q", compare.ErrNoMailbox, mailbox)
	}
	if e != nil {
		return nil, e
	}
	if errors.Is(err, compare.ErrNoMailbox) && !t.p.provenAbsent(ctx, mailbox, t.base) {
		_ = r.Close()
		return nil, fmt.Errorf("%w: it is recorded, and its place cannot be judged", compare.ErrUnknown)
	}
	d, e := t.base.Open(ctx, mailbox)
	if e == nil && !(d.Mailbox().Began.Equal(r.Mailbox().Began) && d.Mailbox().Ended.Equal(r.Mailbox().Ended)) {
		_ = d.Close()
		e = fmt.Errorf("%w: its record is being replaced", compare.ErrUnknown)
	}
	if e != nil {
		_ = r.Close()
		return nil, e
	}
	t.mu.Lock()
	t.absent[mailbox] = true
	t.mu.Unlock()
	return &absentView{record: r, deleted: d, now: t.p.now}, nil
}

func (t *targetSource) gone(mailbox string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.absent[mailbox]
}

// targetWitness looks again at the target of a plan. Of a mailbox that was
// taken for empty the store itself can only say that it cannot tell.
type targetWitness struct {
	compare.Witness
	t *targetSource
}

// Lookup implements compare.Witness.
func (w *targetWitness) Lookup(ctx context.Context, mailbox, folder string, unique []string) ([]compare.Presence, error) {
	if !w.t.gone(mailbox) {
		return w.Witness.Lookup(ctx, mailbox, folder, unique)
	}
	answer := compare.UnknownPresence
	if w.t.p.provenAbsent(ctx, mailbox, w.t.base) {
		answer = compare.Absent
	}
	return slices.Repeat([]compare.Presence{answer}, len(unique)), nil
}

// provenAbsent tells whether the mailbox' directory is not there although the
// file system is the recorded one, or the operator has named the mailbox. A
// mailbox that is missing with its disk is not absent.
func (p *planner) provenAbsent(ctx context.Context, mailbox string, base compare.Source) bool {
	if p.open == nil {
		return false
	}
	pl, err := p.o.Site.Place(mailbox)
	if err != nil {
		mb, err := header(ctx, base, mailbox)
		if err != nil || mb == nil || p.o.Site.Layout || !safeRelative(mb.Path) {
			return false
		}
		pl.Root = filepath.Join(p.o.Site.Path, mb.Path)
	}
	d, err := p.open.openDir(pl.Root)
	if err == nil {
		_, err = d.Stat("cur")
		_ = d.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if p.o.Named != nil && p.o.Named(mailbox) || base == nil {
		return true
	}
	mb, err := header(ctx, base, mailbox)
	if err != nil || mb == nil {
		return false
	}
	// the nearest directory that is there says which disk is mounted
	for at := pl.Root; ; at = filepath.Dir(at) {
		d, err := p.open.openDir(at)
		if errors.Is(err, fs.ErrNotExist) && at != p.o.Site.Path && len(at) > 1 {
			continue
		}
		if err != nil {
			return false
		}
		defer d.Close()
		f, err := d.FileSystem()
		if err != nil {
			return false
		}
		st, err := d.Self()
		if err != nil {
			return false
		}
		if f.ID != 0 && mb.FSID != 0 {
			return f.ID == mb.FSID
		}
		return st.Dev == mb.Device || mb.Device == 0
	}
}

// absentView is a mailbox that is gone, as its record knows it. The record is
// open twice, since its messages are merged with its deletions, which come
// behind them.
type absentView struct {
	record, deleted compare.View
	now             time.Time
}

func (v *absentView) Mailbox() *manifest.Mailbox {
	r := v.record.Mailbox()
	return &manifest.Mailbox{Name: r.Name, Path: r.Path, Began: v.now, Ended: v.now, Alg: r.Alg}
}

func (v *absentView) Entries(context.Context) iter.Seq2[manifest.Entry, error] {
	return func(func(manifest.Entry, error) bool) {}
}

// Absences merges what the record holds of deletions with all that it holds
// of messages, in the order of entries.
func (v *absentView) Absences(ctx context.Context) iter.Seq2[manifest.Absence, error] {
	return func(yield func(manifest.Absence, error) bool) {
		next, stop := iter.Pull2(v.deleted.Absences(ctx))
		defer stop()
		a, err, more := next()
		// until yields the deletions up to an entry, all of them before nil.
		until := func(e *manifest.Entry) bool {
			for more && (err != nil || e == nil || a.Entry.Compare(e) <= 0) {
				if !yield(a, err) || err != nil {
					return false
				}
				a, err, more = next()
			}
			return true
		}
		r := v.record.Mailbox()
		for e, err := range v.record.Entries(ctx) {
			if err != nil {
				yield(manifest.Absence{}, err)
				return
			}
			lost := manifest.Absence{Entry: e, LastSeen: r.Began, FirstAbsent: v.now}
			if f := r.Folder(e.Folder); f != nil {
				lost.UIDValidity = f.UIDValidity
			}
			if !until(&e) || !yield(lost, nil) {
				return
			}
		}
		until(nil)
	}
}

func (v *absentView) Close() error { return errors.Join(v.record.Close(), v.deleted.Close()) }
