package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
)

// evidence streams the absences of the other stores, where something is absent.
func (l *look) evidence() error {
	open := false
	for i := range l.out {
		open = open || l.out[i].state == stAbsent
	}
	if open {
		for _, s := range l.r.o.Others {
			if err := l.other(s); err != nil {
				if l.ctx.Err() != nil {
					return context.Cause(l.ctx)
				}
				// A store that cannot be asked proves no deletion; that it
				// could not be asked is told once.
				l.r.otherTrouble(s.Info().Name, err)
			}
		}
	}
	for _, c := range l.classes {
		for _, v := range c.items {
			if v.state == stAbsent && v.heal == nil {
				l.goneVerdict(c, v)
			}
		}
	}
	return nil
}

func (l *look) other(s compare.Source) error {
	v, err := s.Open(l.ctx, l.mailbox)
	if errors.Is(err, compare.ErrNoMailbox) {
		return nil
	}
	if err != nil {
		return err
	}
	defer v.Close()
	for _, err := range v.Entries(l.ctx) { // absences come behind the entries
		if err != nil {
			return err
		}
	}
	for a, err := range v.Absences(l.ctx) {
		if err != nil {
			return err
		}
		l.absence(&a)
	}
	return nil
}

// absence keeps what a record says of a message that is gone.
func (l *look) absence(a *manifest.Absence) {
	if a.Evidence == manifest.NoEvidence {
		return
	}
	if c := l.byDigest[a.Entry.Content()]; c != nil {
		c.gone = append(c.gone, *a)
		return
	}
	if a.Entry.HeaderID != (manifest.HeaderID{}) {
		for _, c := range l.byHeader[a.Entry.HeaderID] {
			c.gone = append(c.gone, *a)
		}
	}
}

// goneVerdict weighs the absences of one message. Its bytes are gone, so that
// only the digest proves that it was this one; with the header identity alone,
// size and date must fit too.
func (l *look) goneVerdict(c *class, v *verdict) {
	var deleted, doubtful *manifest.Absence
	lost := false
	exact := false
	for i := range c.gone {
		a := &c.gone[i]
		same := a.Entry.Content() == v.digest
		fits := same || plausible(v, &a.Entry)
		if l.r.o.Undelete && a.Evidence.Deleted() || l.inCrash(a) {
			continue
		}
		switch {
		case a.Evidence.Lost() && fits:
			lost = true
		case a.Evidence.Deleted() && fits:
			if deleted == nil || same && !exact {
				deleted, exact = a, same
			}
		case a.Evidence.Deleted():
			doubtful = a
		}
	}
	switch {
	case deleted != nil && lost:
		v.state = stOpen
		v.detail = "the records contradict each other: one store shows a deletion, another a loss"
	case deleted != nil:
		v.state, v.folder = stDeleted, deleted.Entry.Folder
		if exact {
			v.match = Exact
		}
		v.detail = fmt.Sprintf("was in %s, last seen %s, gone since %s: %v", deleted.Entry.Folder,
			deleted.LastSeen.UTC().Format(time.RFC3339), deleted.FirstAbsent.UTC().Format(time.RFC3339), deleted.Evidence)
	case lost:
		v.lost = true
		v.detail = "a record shows that it was there and was lost"
	case doubtful != nil:
		v.state = stOpen
		v.detail = "a deleted message has the same Message-ID, but another size or date"
	}
}

// inCrash tells whether an absence of which only the ordinary course of things
// makes a deletion may be of the crash that the operator names.
func (l *look) inCrash(a *manifest.Absence) bool {
	at := l.r.o.CrashAt
	return !at.IsZero() && a.Evidence == manifest.OrdinaryAbsence && a.Spans(at)
}

// plausible tells whether a recorded message can be the archived one as far as
// size and date tell: delivery adds header fields, and happens soon.
func plausible(v *verdict, e *manifest.Entry) bool {
	if e.Size < v.size-v.size/8-512 || e.Size > v.size+v.size/8+16<<10 {
		return false
	}
	if v.arrival == 0 {
		return true
	}
	d := time.Duration(e.MTime - v.arrival)
	return d > -24*time.Hour && d < 6*24*time.Hour
}

// otherTrouble notes once that another store could not be asked.
func (r *Run) otherTrouble(name string, err error) {
	r.troubleMu.Lock()
	defer r.troubleMu.Unlock()
	if r.otherErrs == nil {
		r.otherErrs = map[string]error{}
	}
	if r.otherErrs[name] == nil {
		r.otherErrs[name] = err
	}
}

// unseen notes that something is absent as far as could be read.
func (r *Run) unseen() {
	r.troubleMu.Lock()
	defer r.troubleMu.Unlock()
	r.unread = true
}

type troubles struct {
	troubleMu sync.Mutex
	otherErrs map[string]error
	unread    bool // part of a store
}
