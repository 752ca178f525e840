package main

import (
	"context"
	"fmt"
	"slices"

	"mailsync/cmd/mailsync/config"
	"mailsync/restore"
	"mailsync/restore/remote"
)

// server is a remote.Writable, unless it is read-only.
var _ remote.Writable = (*server)(nil)

// writable refuses where nothing may be written.
func (h *server) writable(writes bool) error {
	if writes && h.readOnly {
		return fmt.Errorf("%w: it serves --read-only, and nothing is written there", remote.ErrRefused)
	}
	return nil
}

// Plan implements remote.Writable: this host's stores are opened, the caller's
// are asked.
func (h *server) Plan(ctx context.Context, r *remote.Restoration, p *restore.PlanProgress) (*remote.Planned, error) {
	if err := h.writable(r.Writes); err != nil {
		return nil, err
	}
	globs, err := checkGlobs(r.Mailbox)
	if err != nil {
		return nil, err
	}
	var open []*side
	defer func() { closeSides(open) }()
	own := func(spec *remote.Spec) (*side, error) {
		spec.Files = bool(trustFiles)
		sd, err := h.open(spec)
		if err == nil {
			open = append(open, sd)
		}
		return sd, err
	}
	target, err := own(&r.Target)
	if err != nil {
		return nil, err
	}
	sides, others := []*side{target}, []*side(nil)
	for _, l := range []struct {
		from []remote.Side
		to   *[]*side
	}{{r.Sources, &sides}, {r.Others, &others}} {
		for _, x := range l.from {
			sd := callers(&x)
			if x.Here != nil {
				if sd, err = own(x.Here); err != nil {
					return nil, err
				}
			}
			*l.to = append(*l.to, sd)
		}
	}
	o := &restoreFlags{mailbox: globs, only: matched{globs: globs}}
	opt := restore.PlanOptions{
		CrashAt: r.CrashAt, Undelete: r.Undelete, Undecided: r.Undecided, UndecidedFolder: r.UndecidedFolder,
		MergeFlags: r.MergeFlags, FixUIDNext: r.FixUIDNext, Progress: p,
	}
	if err := h.a.fillPlan(&opt, sides, others, o); err != nil {
		return nil, err
	}
	opt.Header = r.Header // the stores as the caller names them
	left, err := h.left(target)
	if err != nil {
		return nil, err
	}
	plan, err := restore.NewPlan(ctx, opt)
	if err != nil {
		return nil, err
	}
	return &remote.Planned{Plan: plan, Matched: o.only.any.Load(), Left: left}, nil
}

// left tells whether runs that died on a store have left something.
func (h *server) left(target *side) (bool, error) {
	state, err := h.a.stateDir()
	if err != nil {
		return false, err
	}
	return restore.LeftBehind(h.a.std.files, state, target.store.Path)
}

// callers is a store of the caller's.
func callers(x *remote.Side) *side {
	sd := &side{store: &config.Store{Name: x.Name, Path: x.Name}, far: x.Store}
	if x.Store != nil {
		if rec := x.Store.Record(); rec != nil {
			sd.farBase = rec
		}
	}
	return sd
}

// PlanUndo implements remote.Writable.
func (h *server) PlanUndo(ctx context.Context, u *remote.Undo) (*restore.Plan, restore.RunInfo, error) {
	none := restore.RunInfo{}
	if err := h.writable(u.Writes); err != nil {
		return nil, none, err
	}
	state, err := h.a.stateDir()
	if err != nil {
		return nil, none, err
	}
	info, err := restore.FindRun(h.a.std.files, state, u.Run)
	if err != nil {
		return nil, none, err
	}
	if !h.allowed(info.Path) {
		return nil, none, fmt.Errorf("%w: %q", restore.ErrNoRun, u.Run)
	}
	plan, err := restore.NewUndo(ctx, h.a.std.files, state, u.Run)
	return plan, info, err
}

// Runs implements remote.Writable.
func (h *server) Runs(context.Context) ([]restore.RunInfo, error) {
	state, err := h.a.stateDir()
	if err != nil {
		return nil, err
	}
	list, err := restore.Runs(h.a.std.files, state)
	return slices.DeleteFunc(list, func(x restore.RunInfo) bool { return !h.allowed(x.Path) }), err
}

// writingCommands are the commands that begin a run.
var writingCommands = []string{"restore", "replay", "apply", "undo"}

// maxAskers bounds how many messages a run asks its caller for at a time.
const maxAskers = 2 * farAskers

// Begin implements remote.Writable.
func (h *server) Begin(_ context.Context, o *remote.RunOptions) (*restore.Run, func(), error) {
	if err := h.writable(true); err != nil {
		return nil, nil, err
	}
	if !slices.Contains(writingCommands, o.Command) || o.Of != "" && !restore.ValidRunID(o.Of) {
		return nil, nil, fmt.Errorf("%w: a run of command %q, of run %q", remote.ErrProtocol, o.Command, o.Of)
	}
	sd, err := h.open(&o.Target)
	if err != nil {
		return nil, nil, err
	}
	state, err := h.a.stateDir()
	if err != nil {
		sd.close()
		return nil, nil, err
	}
	run, err := restore.Begin(restore.RunOptions{
		Site: sd.site(), State: state, Command: o.Command, Args: o.Args, Of: o.Of, Readers: min(max(o.Readers, 0), maxAskers), FS: h.a.std.files, Risky: h.a.riskyDisk,
		Root: sd.scanner.Identity().RootInode, // what h.open has proven to be served
	})
	if err != nil {
		sd.close()
		return nil, nil, err
	}
	return run, sd.close, nil
}
