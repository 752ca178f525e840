package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/restore/replay"
)

// replaySides opens the target and the stores whose evidence counts.
func (a *app) replaySides(ctx context.Context, o *replayFlags) (*side, []*side, error) {
	var target *config.Store
	var err error
	if o.to != "" {
		target, err = a.store(o.to)
	} else {
		target, err = a.defaultTarget(ctx, o)
	}
	if err != nil {
		return nil, nil, err
	}
	offline := map[string]bool{}
	var rest []*config.Store
	add := func(s *config.Store) {
		for _, x := range rest {
			if x.Path == s.Path {
				return
			}
		}
		if s.Path != target.Path {
			rest = append(rest, s)
		}
	}
	for _, name := range o.recorded {
		s, err := a.store(name)
		if err != nil {
			return nil, nil, err
		}
		offline[s.Path] = true
		add(s)
	}
	sides, err := a.openSides(ctx, []*config.Store{target}, offline, a.budgets(), trustFiles, 0, nil)
	if err != nil {
		return nil, nil, err
	}
	// What was deleted on another configured store counts too; its record says so.
	var others []*side
	for _, name := range a.cfg.StoreNames() {
		if s := a.cfg.Stores[name]; !config.IsPath(target.Name) {
			offline[s.Path] = true
			add(s)
		}
	}
	for _, s := range rest {
		rec, err := a.record(s)
		if err != nil {
			a.out.Warn("%s has no record: what its users deleted there cannot be told from what is missing (every configured store is asked)", ui.Name(s.Name))
			continue
		}
		others = append(others, &side{store: s, base: rec, recorded: a.recordedStore(s, rec, o.crashAt.Time)})
		a.logStore(s, rec, true)
	}
	return sides[0], others, nil
}

// defaultTarget is the store with role primary, unless another holds newer
// deliveries or it cannot be reached.
func (a *app) defaultTarget(ctx context.Context, o *replayFlags) (*config.Store, error) {
	names := a.cfg.StoreNames()
	if len(names) == 0 {
		return nil, usage("into which store? Name it with --to STORE")
	}
	set := a.budgets()
	var candidates []replay.Candidate
	var stores []*config.Store
	for _, name := range names {
		s := a.cfg.Stores[name]
		c := replay.Candidate{Name: name, Role: s.Role.String()}
		if sd, err := a.openStore(ctx, s, set, trustStamps); err == nil {
			defer sd.close()
			c.Source = sd.source()
			if rec, err := a.record(s); err == nil && sd.far != nil {
				c.Source = a.recordedStore(s, rec, time.Time{}) // the copy here: nobody waits for a million answers
			}
		} else if cancelled(ctx) != nil {
			return nil, context.Cause(ctx)
		} else {
			c.Unreachable = true
		}
		candidates, stores = append(candidates, c), append(stores, s)
	}
	i, why, err := replay.ChooseTarget(ctx, candidates, a.began)
	if err != nil {
		return nil, err
	}
	if i < 0 {
		return nil, &ui.Problem{What: "into which store? " + why, Code: exitUsage, Hint: "name it with --to STORE"}
	}
	return stores[i], nil
}

// ledger opens the memory of earlier replays into this store.
func (a *app) ledger(ctx context.Context, target *side, readOnly bool) (*replay.Ledger, error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	name, base := key(target.store), target.base
	if target.far != nil {
		base, _ = a.record(target.store) // the copy that is kept here, where there is one
	}
	if base != nil && base.Record().Generation > 1 {
		name = fmt.Sprintf("%s#%d", name, base.Record().Generation)
	}
	runs, err := a.runsInto(ctx, target.store)
	if err != nil {
		return nil, err
	}
	undone := map[string]bool{}
	for _, x := range runs {
		undone[x.ID] = x.UndoneBy != ""
	}
	l, err := replay.OpenLedger(a.std.files, filepath.Join(state, "ledgers"), name, readOnly)
	if err != nil {
		return nil, err
	}
	l.Forget(func(run string) bool { return undone[run] })
	return l, nil
}
