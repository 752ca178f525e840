package main

import (
	"context"
	"fmt"
	"iter"
	"time"

	"mailsync/cmd/mailsync/config"
	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/place"
	"mailsync/restore/remote"
	"mailsync/scan"
	"mailsync/scan/budget"
	"mailsync/scan/maildir"
)

// side is one store as the other rooms see it.
type side struct {
	store    *config.Store
	scanner  *scan.Scanner          // nil when the store is taken from its record
	recorded *compare.RecordedStore // nil when there is no record
	base     *manifest.Store        // the record itself; nil when there is none
	far      *remote.Store          // on another host: it takes the scanner's place
	farCopy  *nearCopy              // of it, where this host keeps a copy of its record that may stand for it
	farBase  compare.Source         // what is recorded of it, here or there; nil when nothing is
	listing  *compare.Listing       // of the source, where sums of its parts are wanted
	down     error                  // why nobody answers for it
	breaker  float64                // the share of it that may be gone at once; 0 = as compare has it
	set      *budget.Set            // of the disks that are read
	calls    *place.Calls           // on the store; nil = the real ones
	mail     *restore.SiteSource    // its messages, once they were asked for
}

func (s *side) close() {
	if s.listing != nil {
		_ = s.listing.Close()
	}
	if s.far != nil {
		_ = s.far.Close()
	}
	if s.mail != nil {
		s.mail.Close()
	}
	if s.scanner != nil {
		s.scanner.Close()
	}
}

// source is where entries come from.
func (s *side) source() compare.Source {
	switch {
	case s.listing != nil:
		return s.listing
	case s.scanner != nil:
		return s.scanner
	case s.farCopy != nil:
		return s.farCopy
	case s.far != nil:
		return s.far
	case s.down != nil:
		return &downStore{s.store, s.down}
	}
	return s.recorded
}

// witness looks again.
func (s *side) witness() compare.Witness {
	switch {
	case s.scanner != nil:
		return s.scanner
	case s.far != nil:
		return s.far
	case s.down != nil:
		return nil
	}
	return s.recorded
}

// recordedAt tells when the last look that was recorded began, on the host
// where the store lies.
func (s *side) recordedAt() (time.Time, bool) {
	switch {
	case s.base != nil:
		return scanned(s.base.Record()), true
	case s.far != nil && s.far.Record() != nil:
		return s.far.Record().Info().Recorded, true
	}
	return time.Time{}, false
}

// hasRecord tells whether anything is recorded of the store.
func (s *side) hasRecord() bool {
	_, ok := s.recordedAt()
	return ok
}

// unfinished tells whether no scan of the store has come to its end yet: not
// every message is recorded.
func (s *side) unfinished() bool {
	return s.base != nil && s.base.Record().Complete.Began.IsZero()
}

// empty tells whether the store was looked at and no mailbox is there: more
// likely it is not mounted than that it is a store of nobody.
func (s *side) empty(ctx context.Context) bool {
	for range s.source().Mailboxes(ctx) {
		return false // a mailbox, or that it cannot be told
	}
	return true
}

// compared is the side in a comparison.
func (s *side) compared() compare.Side {
	c := compare.Side{Source: s.source(), Witness: s.witness(), Breaker: s.breaker}
	if s.far != nil && s.farBase != nil {
		c.Base = s.farBase
	}
	if s.scanner != nil && s.recorded != nil {
		c.Base = s.recorded
	}
	return c
}

// downStore is a store whose host does not answer: nothing of it is known.
type downStore struct {
	store *config.Store
	err   error
}

// Info implements compare.Source.
func (d *downStore) Info() compare.Info {
	return compare.Info{Name: d.store.Name, FailureDomain: d.store.FailureDomain, Role: d.store.Role.String()}
}

// Mailboxes implements compare.Source.
func (d *downStore) Mailboxes(context.Context) iter.Seq2[compare.Head, error] {
	return func(yield func(compare.Head, error) bool) { yield(compare.Head{}, d.err) }
}

// Open implements compare.Source.
func (d *downStore) Open(context.Context, string) (compare.View, error) {
	return nil, fmt.Errorf("%w: its host cannot be reached", compare.ErrUnknown)
}

// messages hands out the mail of a store; nil where only its record is there.
func (s *side) messages() restore.Source {
	switch {
	case s.scanner != nil:
		if s.mail == nil {
			s.mail = restore.FromSite(s.site())
		}
		return s.mail
	case s.far != nil:
		return s.far.Messages()
	}
	return nil
}

// site is a live store as restore sees it.
func (s *side) site() *restore.Site {
	if s.scanner == nil {
		return nil
	}
	return &restore.Site{
		Store: s.store.Name, Path: s.store.Path, Symlinks: s.store.Symlinks,
		Disk:    s.set.For,
		Calls:   s.calls,
		Layout:  s.store.Layout != "" || len(s.store.UsersAsGiven) > 0,
		Folders: maildir.FolderNames{Layout: folders(s.store), UTF8: s.store.UTF8},
		Place:   func(mailbox string) (maildir.Place, error) { return s.scanner.Place(context.Background(), mailbox) },
	}
}
