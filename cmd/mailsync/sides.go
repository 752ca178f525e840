package main

import (
	"context"
	"slices"
	"sync"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/compare"
	"mailsync/restore"
	"mailsync/scan/budget"
)

// resolveRecorded finds which of the stores of a command --recorded names.
func (a *app) resolveRecorded(names []string, stores ...*config.Store) (map[string]bool, error) {
	paths := map[string]bool{}
	for _, name := range names {
		s, err := a.store(name)
		if err != nil {
			return nil, err
		}
		known := false
		for _, x := range stores {
			known = known || x.Path == s.Path
		}
		if !known {
			return nil, usage("--recorded %s: the command does not name this store", ui.Name(name))
		}
		paths[s.Path] = true
	}
	return paths, nil
}

// openSides opens stores, live or recorded. Hosts are asked side by side; down
// is how many of the stores may be unknown because their hosts do not answer.
// What lies on the host of a target there is left for that host to open.
func (a *app) openSides(ctx context.Context, stores []*config.Store, recorded map[string]bool, set *budget.Set, t trust, down int, there *farTarget) ([]*side, error) {
	sides, errs := make([]*side, len(stores)), make([]error, len(stores))
	var far sync.WaitGroup
	for i, s := range stores {
		switch {
		case recorded[s.Path]:
			sides[i], errs[i] = a.openRecorded(s)
		case there.beside(s):
			sides[i] = &side{store: s}
		case s.Host() != "":
			far.Go(func() { sides[i], errs[i] = a.openFar(ctx, s, t) })
		default:
			sides[i], errs[i] = a.openLive(s, set, t)
		}
	}
	far.Wait()
	for i, err := range errs {
		if errorCode(err) == exitUnavailable && down > 0 {
			down--
			a.out.Problem(a.command, err, ui.Hint(err))
			sides[i], err = &side{store: stores[i], down: err}, nil
		}
		if err != nil {
			closeSides(sides)
			return nil, err
		}
	}
	return sides, nil
}

// sumUp lists the stores of this host where one of another host is compared
// with them: equal parts of them all then cost a few bytes.
func sumUp(ctx context.Context, sides []*side) error {
	if !slices.ContainsFunc(sides, func(s *side) bool { return s.far != nil }) {
		return nil
	}
	for _, s := range sides {
		if s.far != nil || s.down != nil {
			continue
		}
		l, err := compare.List(ctx, s.source(), spill)
		if err != nil {
			return err
		}
		s.listing = l
	}
	return nil
}

func closeSides(sides []*side) {
	for _, s := range sides {
		if s != nil {
			s.close()
		}
	}
}

// spill takes what a comparison cannot hold in memory.
func spill() (compare.Spill, error) { return restore.TempFile() }

// farAskers fill a link of 100 Mbit/s and 50 ms with messages of 20 KB.
const farAskers = 32

// askers is how many messages a run asks its sources for at a time.
func askers(sides []*side) int {
	if slices.ContainsFunc(sides, func(s *side) bool { return s.far != nil }) {
		return farAskers
	}
	return 0
}

// farComparers hide the way there and back of every mailbox that is opened.
const farComparers = 16

// comparers is how many mailboxes a run compares at a time; 0 = as compare has
// it. Each of them holds two requests open with the host of every far side.
func comparers(sides []*side) int {
	far := 0
	for _, s := range sides {
		if s.far != nil {
			far++
		}
	}
	if far == 0 {
		return 0
	}
	return max(farComparers/far, 1)
}
