package main

import (
	"context"
	"errors"
	"iter"

	"mailsync/cmd/mailsync/config"
	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/remote"
)

// writing is a run: in this process (restore.Run), or on the host of the store
// (remote.Run). The action of a message is Done only when it would survive a
// power cut there.
type writing interface {
	ID() string
	Apply(ctx context.Context, p *restore.Plan, src restore.Source) iter.Seq2[restore.Action, error]
	Deliver(ctx context.Context, actions []restore.Action, src restore.Source) iter.Seq2[restore.Action, error]
	Counts() restore.Counts
	End(err error) error
}

// farTarget is a target on another host, with what a plan and a run there need
// of the other stores: those of this host, and of third ones, are offered to it;
// those of the same host it opens itself.
type farTarget struct {
	a      *app
	store  *config.Store
	peer   *remote.Peer
	here   []remote.NamedSpec // sources on the target's host
	offers []*remote.Offered
	left   bool // a run that died there has left temporary names
}

// farTarget reaches the host of a target; nil where the target is of this host.
func (a *app) farTarget(ctx context.Context, s *config.Store) (*farTarget, error) {
	if s.Host() == "" {
		return nil, nil
	}
	p, err := a.peer(ctx, s.Host())
	if err != nil {
		return nil, err
	}
	return &farTarget{a: a, store: s, peer: p}, nil
}

// close ends the offers.
func (t *farTarget) close() {
	if t == nil {
		return
	}
	for _, o := range t.offers {
		_ = o.Close()
	}
}

// beside tells whether a store lies on the target's host.
func (t *farTarget) beside(s *config.Store) bool { return t != nil && s.Host() == t.store.Host() }

// sourceBeside takes up a source of a run that lies on the target's host.
func (t *farTarget) sourceBeside(s *config.Store) {
	t.here = append(t.here, remote.NamedSpec{Name: s.Name, Store: t.a.spec(s, trustFiles)})
}

// askers is how many messages a run asks its sources for at a time: those of this
// host are far from one that is on another.
func (t *farTarget) askers(sides []*side, sources int) int {
	if t != nil && sources > len(t.here) {
		return farAskers
	}
	return askers(sides)
}

// side is a store beside the target, as a plan there sees it.
func (t *farTarget) side(s *side) (remote.Side, error) {
	x := remote.Side{Name: s.store.Name}
	if t.beside(s.store) && s.recorded == nil {
		spec := t.a.spec(s.store, trustFiles)
		x.Here = &spec
		return x, nil
	}
	served := &remote.Served{Source: s.source(), Witness: s.witness(), Messages: s.messages()}
	switch c := s.compared().Base.(type) {
	case nil:
	case *remote.Record:
		about, err := c.About()
		if err != nil {
			return x, err
		}
		served.Record, served.About = c, about
	default:
		served.Record, served.About = c, s.base.Record()
	}
	var err error
	if x.Offered, err = t.peer.Offer(served); err == nil {
		t.offers = append(t.offers, x.Offered)
	}
	return x, err
}

// plan has the host of the target plan what opt says of the sides: it has the
// disks, the UID lists and the logs.
func (t *farTarget) plan(ctx context.Context, opt *restore.PlanOptions, sources, others []*side, o *restoreFlags) (*restore.Plan, error) {
	r := remote.Restoration{
		Target: t.a.spec(t.store, trustFiles), Mailbox: o.mailbox, CrashAt: opt.CrashAt, Undelete: opt.Undelete,
		Undecided: opt.Undecided, UndecidedFolder: opt.UndecidedFolder, MergeFlags: opt.MergeFlags, FixUIDNext: opt.FixUIDNext,
		Header: opt.Header, Writes: o.writes(),
	}
	defer func() {
		t.close()
		t.offers = nil
	}()
	for _, l := range []struct {
		from []*side
		to   *[]remote.Side
	}{{sources, &r.Sources}, {others, &r.Others}} {
		for _, s := range l.from {
			x, err := t.side(s)
			if err != nil {
				return nil, err
			}
			*l.to = append(*l.to, x)
		}
	}
	made, err := t.peer.Plan(ctx, &r, opt.Progress)
	if err != nil {
		return nil, t.problem(ctx, err)
	}
	if made.Matched {
		o.only.any.Store(true)
	}
	t.left = made.Left
	return made.Plan, nil
}

// begin begins a run there, and notes here where its journal is.
func (t *farTarget) begin(ctx context.Context, x *applied) (*remote.Run, error) {
	run, err := t.peer.Begin(ctx, &remote.RunOptions{
		Target: t.a.spec(t.store, trustFiles), Command: t.a.command, Args: t.a.args, Of: x.of, Readers: x.readers, Here: t.here,
	})
	if err != nil {
		return nil, t.problem(ctx, err)
	}
	if err := t.a.noteRun(run.ID(), t.store); err != nil {
		return nil, errors.Join(err, run.End(err))
	}
	return run, nil
}

// problem says what to do about an error of the target's host.
func (t *farTarget) problem(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case cancelled(ctx) != nil:
		return context.Cause(ctx)
	case errors.Is(err, remote.ErrLost), errors.Is(err, remote.ErrRefused), errors.Is(err, remote.ErrProtocol):
		return t.a.openProblem(t.store, err, false)
	case errors.Is(err, manifest.ErrOther):
		return t.a.storeProblem(t.store.Name, err)
	}
	return t.a.runProblem(err)
}
