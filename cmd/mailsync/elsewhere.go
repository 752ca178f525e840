package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mailsync/cmd/mailsync/config"
	"mailsync/manifest/durable"
	"mailsync/restore"
)

// elsewhere is a note in elsewhere/RUN of the state directory: a run that was
// begun from here has its journal on the host of the store. With it, undo and
// runs find that host.
type elsewhere struct {
	Store string `json:"store"` // as it was given
	Path  string `json:"path"`  // host:/path
}

// maxNote bounds a note, in bytes.
const maxNote = 64 << 10

func (a *app) notesDir() (string, error) {
	state, err := a.stateDir()
	return filepath.Join(state, "elsewhere"), err
}

// noteRun notes that a run is on the host of a store.
func (a *app) noteRun(id string, s *config.Store) error {
	dir, err := a.notesDir()
	if err != nil {
		return err
	}
	p, err := json.Marshal(elsewhere{s.Name, s.Path})
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(nil, dir, 0o700); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if err := durable.WriteFile(nil, filepath.Join(dir, id), p, 0o600); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// notedRun returns the store of a run on another host; nil where none is noted.
func (a *app) notedRun(id string) (*config.Store, error) {
	if !restore.ValidRunID(id) {
		return nil, nil
	}
	dir, err := a.notesDir()
	if err != nil {
		return nil, err
	}
	p, err := durable.ReadFile(nil, filepath.Join(dir, id), maxNote)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var n elsewhere
	if err == nil {
		err = json.Unmarshal(p, &n)
	}
	if err == nil && !config.IsRemote(n.Path) {
		err = fmt.Errorf("%q is on no other host", n.Path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: where run %s is: %w", restore.ErrRun, id, err)
	}
	return a.storeOfRun(n.Store, n.Path), nil
}

// notedRuns returns the ids of all runs that are noted, the oldest first.
func (a *app) notedRuns() ([]string, error) {
	dir, err := a.notesDir()
	if err != nil {
		return nil, err
	}
	list, err := os.ReadDir(dir) // sorted by name, which is by time
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range list {
		if restore.ValidRunID(e.Name()) && e.Type().IsRegular() && filepath.Ext(e.Name()) != durable.TempSuffix {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// runList is what was run from here, wherever the journals are.
type runList struct {
	state  string // state directory of this host
	runs   []restore.RunInfo
	failed []error // hosts that could not be asked
}

// allRuns lists the runs of this host, and those that were begun from here as
// their hosts tell of them, the oldest first. Each host is asked once.
func (a *app) allRuns(ctx context.Context) (*runList, error) {
	l := new(runList)
	var err error
	if l.state, err = a.stateDir(); err != nil {
		return nil, err
	}
	if l.runs, err = restore.Runs(a.std.files, l.state); err != nil {
		return nil, a.runProblem(err)
	}
	ids, err := a.notedRuns()
	if err != nil {
		return nil, err
	}
	hosts := map[string]map[string]restore.RunInfo{} // nil: cannot be asked
	for _, id := range ids {
		s, err := a.notedRun(id)
		if err != nil {
			l.failed = append(l.failed, err)
			continue
		}
		if s == nil {
			continue // it has just been removed
		}
		told, asked := hosts[s.Host()]
		if !asked {
			if told, err = a.runsOn(ctx, s); err != nil {
				l.failed = append(l.failed, err)
			}
			hosts[s.Host()] = told
		}
		if err := cancelled(ctx); err != nil {
			return nil, err
		}
		if told == nil {
			continue
		}
		info, ok := told[id]
		if !ok {
			info = restore.RunInfo{ID: id, How: howGone, Error: s.Host() + " shows no journal of it"}
		}
		info.Store, info.Path = s.Name, s.Path
		l.runs = append(l.runs, info)
	}
	slices.SortStableFunc(l.runs, func(x, y restore.RunInfo) int { return strings.Compare(x.ID, y.ID) })
	return l, nil
}

// howGone is the end of a run of which its host shows no journal.
const howGone = "unknown"

// runsOn asks the host of a store for its runs.
func (a *app) runsOn(ctx context.Context, s *config.Store) (map[string]restore.RunInfo, error) {
	t, err := a.farTarget(ctx, s)
	if err != nil {
		return nil, err
	}
	list, err := t.peer.Runs(ctx)
	if err != nil {
		return nil, t.problem(ctx, err)
	}
	out := make(map[string]restore.RunInfo, len(list))
	for _, x := range list {
		out[x.ID] = x
	}
	return out, nil
}

// runsInto returns the runs of the host on which a store lies.
func (a *app) runsInto(ctx context.Context, s *config.Store) ([]restore.RunInfo, error) {
	if s.Host() != "" {
		told, err := a.runsOn(ctx, s)
		return slices.Collect(maps.Values(told)), err
	}
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	return restore.Runs(a.std.files, state)
}
