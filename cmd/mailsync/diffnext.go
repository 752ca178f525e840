package main

import (
	"cmp"
	"slices"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/compare"
)

// nextAfterDiff names the command that makes a store whole. A store that is
// offline can be neither the target nor a source of bytes; what its record
// knows of deletions counts all the same.
func (a *app) nextAfterDiff(stores []*config.Store, lacking []int64, r *compare.Result) {
	offline := func(i int) bool { return i < len(r.Sides) && !r.Sides[i].Recorded.IsZero() }
	target := neediest(stores, r, lacking, offline)
	var from, recorded []string
	for i, s := range stores {
		switch {
		case i == target:
		case offline(i):
			recorded = append(recorded, "--recorded", s.Name)
		default:
			from = append(from, "--from", s.Name)
		}
	}
	if target < 0 || len(from) == 0 {
		a.out.Say("Nothing was changed. To put something back, two of the stores must be online.")
		return
	}
	if n := lacking[target]; n > 0 {
		a.out.Say("%s lacks %s, or they could not be looked at: is all of it mounted?", ui.Name(stores[target].Name), ui.Plural(n, "whole mailbox"))
	}
	if stores[target].Role == config.Backup {
		a.out.Say("%s is a backup, and the others lack nothing: its next run may bring what arrived since.", ui.Name(stores[target].Name))
	}
	a.out.Say("Nothing was changed. To make %s whole (it shows a plan and asks first):", ui.Name(stores[target].Name))
	a.next(slices.Concat([]string{"restore", stores[target].Name}, from, recorded)...)
}

// neediest is the store online that a restore should make whole first, -1 where
// none is online:
//
//   - one that lacks or holds damaged anything, before one that does not;
//   - any other before a backup: what a backup lacks has mostly arrived since it
//     was made;
//   - the one that lacks most whole mailboxes: a store whose volumes are gone is
//     no source, however few messages it is known to lack;
//   - the primary, which people use, before the others;
//   - one that holds damage, before one that only lacks;
//   - the one with most of both, the first named where there is nothing between
//     them.
func neediest(stores []*config.Store, r *compare.Result, lacking []int64, offline func(int) bool) int {
	need := func(i int) int64 { return r.Totals[i].Missing + r.Totals[i].Damaged }
	rank := func(x, y int, is func(int) bool) int {
		switch {
		case is(x) == is(y):
			return 0
		case is(x):
			return 1
		}
		return -1
	}
	best := -1
	for i := range r.Totals {
		switch {
		case offline(i):
		case best < 0, cmp.Or(
			rank(i, best, func(i int) bool { return lacking[i]+need(i) > 0 }),
			rank(i, best, func(i int) bool { return stores[i].Role != config.Backup }),
			cmp.Compare(lacking[i], lacking[best]),
			rank(i, best, func(i int) bool { return stores[i].Role == config.Primary }),
			rank(i, best, func(i int) bool { return r.Totals[i].Damaged > 0 }),
			cmp.Compare(need(i), need(best)),
		) > 0:
			best = i
		}
	}
	return best
}
