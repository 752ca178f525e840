package remote_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailsync/restore"
	"mailsync/restore/remote"
)

// slow is a source that does something before each message.
type slow struct {
	restore.Source
	before func(*restore.Action)
}

// Open implements restore.Source.
func (s *slow) Open(ctx context.Context, a *restore.Action) (io.ReadCloser, error) {
	if s.before != nil {
		s.before(a)
	}
	return s.Source.Open(ctx, a)
}

// estate is two hosts and a connection between them.
type estate struct {
	t         tb
	near, far *machine
	p         *remote.Peer
}

func newEstate(t testing.TB) *estate {
	t.Helper()
	e := &estate{t: t, near: &machine{t: t, dir: t.TempDir()}, far: &machine{t: t, dir: t.TempDir()}}
	e.p = pair(t, remote.Options{Spill: spillIn(t)}, remote.Options{Host: e.far})
	return e
}

// plan has the far host plan a restore of its store from one of the near host.
func (e *estate) plan(target, from string) (*restore.Plan, func(), error) {
	e.t.Helper()
	served, err := e.near.served(from)
	if err != nil {
		e.t.Fatalf("%v", err)
	}
	offer, err := e.p.Offer(served)
	if err != nil {
		e.t.Fatalf("%v", err)
	}
	plan, err := e.p.Plan(context.Background(), &remote.Restoration{
		Target: remote.Spec{Name: "far:" + target, Path: target}, Sources: []remote.Side{{Name: from, Offered: offer}},
		Undecided: restore.RestoreUndecided, MergeFlags: restore.UnionFlags,
		Header: restore.PlanHeader{Command: "restore", Store: "far:" + target, Path: "far:" + target},
		Writes: true,
	}, nil)
	if err != nil {
		_ = offer.Close()
		return nil, nil, err
	}
	return plan.Plan, func() { _ = plan.Close(); _ = offer.Close() }, nil
}

// result is what a run did.
type result struct {
	id      string
	actions []restore.Action
	counts  restore.Counts
	err     error
}

func (r *result) done() int {
	n := 0
	for i := range r.actions {
		if r.actions[i].State == restore.Done {
			n++
		}
	}
	return n
}

// apply carries out a plan on the far host.
func (e *estate) apply(ctx context.Context, plan *restore.Plan, target, command, of string, src restore.Source) (result, error) {
	e.t.Helper()
	run, err := e.p.Begin(ctx, &remote.RunOptions{Target: remote.Spec{Name: "far:" + target, Path: target}, Command: command, Of: of})
	if err != nil {
		return result{}, err
	}
	out := result{id: run.ID()}
	for a, err := range run.Apply(ctx, plan, src) {
		if err != nil {
			out.err = err
			break
		}
		out.actions = append(out.actions, a)
	}
	out.counts = run.Counts()
	return out, run.End(out.err)
}

// restore plans and applies.
func (e *estate) restore(target, from string) result {
	e.t.Helper()
	plan, done, err := e.plan(target, from)
	if err != nil {
		e.t.Fatalf("%v", err)
	}
	defer done()
	r, err := e.apply(context.Background(), plan, target, "restore", "", restore.BySource{from: e.near.source(from)})
	if err != nil || r.err != nil {
		e.t.Fatalf("%v, %v", r.err, err)
	}
	return r
}

// A message that a store on the other host has lost comes back from here; the
// run's journal is there, and it is taken back from here.
func TestRestoreThere(t *testing.T) {
	e := newEstate(t)
	for n := range 3 {
		e.near.put("backup", "a", n, ":2,S")
		e.far.put("spare", "a", n, ":2,S")
	}
	lost := e.far.path("spare", "a", "cur", "1700000001.M1P1.host:2,S")
	e.near.must(os.Remove(lost))
	before := e.far.tree("spare")
	r := e.restore("spare", "backup")
	if d := cmp.Diff(e.near.tree("backup"), e.far.tree("spare")); d != "" {
		t.Errorf("the stores differ:\n%s", d)
	}
	if len(r.actions) != 1 || r.actions[0].State != restore.Done || r.actions[0].Ref.Store != "far:spare" || r.counts.Done != 1 {
		t.Errorf("%+v", r)
	}
	list, err := e.p.Runs(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != r.id || list[0].How != restore.HowComplete || list[0].Counts.Done != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if own, _ := restore.Runs(nil, e.near.state()); len(own) > 0 {
		t.Errorf("a journal here: %+v", own)
	}
	plan, info, err := e.p.PlanUndo(t.Context(), &remote.Undo{Run: r.id, Writes: true})
	if err != nil || info.ID != r.id {
		t.Fatalf("%+v, %v", info, err)
	}
	defer plan.Close()
	u, err := e.apply(t.Context(), plan, "spare", "undo", r.id, nil)
	if err != nil || u.err != nil || u.done() != 1 {
		t.Fatalf("%+v, %v", u, err)
	}
	if d := cmp.Diff(before, e.far.tree("spare")); d != "" {
		t.Errorf("not taken back:\n%s", d)
	}
	if _, _, err := e.p.PlanUndo(t.Context(), &remote.Undo{Run: r.id}); !errors.Is(err, restore.ErrNotUndoable) {
		t.Error(err)
	}
	if _, _, err := e.p.PlanUndo(t.Context(), &remote.Undo{Run: "20260101-000000.000-abcdef12"}); !errors.Is(err, restore.ErrNoRun) {
		t.Error(err)
	}
}

// A host that may only be read plans, but does not write, and says so before it
// compares anything.
func TestReadOnlyHost(t *testing.T) {
	e := newEstate(t)
	e.near.put("backup", "a", 1, ":2,S")
	e.far.put("spare", "a", 2, ":2,S")
	e.far.readOnly = true
	if _, _, err := e.plan("spare", "backup"); !errors.Is(err, remote.ErrRefused) || !strings.Contains(err.Error(), "read-only") {
		t.Error(err)
	}
	if _, err := e.p.Begin(t.Context(), &remote.RunOptions{Target: remote.Spec{Path: "spare"}, Command: "restore"}); !errors.Is(err, remote.ErrRefused) {
		t.Error(err)
	}
	if n := len(e.far.tree("spare")); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// A host that hands out nothing refuses to be written into.
func TestNothingToWriteInto(t *testing.T) {
	p := pair(t, remote.Options{}, remote.Options{Host: &host{}})
	if _, err := p.Begin(t.Context(), &remote.RunOptions{}); !errors.Is(err, remote.ErrRefused) {
		t.Error(err)
	}
	if _, err := p.Runs(t.Context()); !errors.Is(err, remote.ErrRefused) {
		t.Error(err)
	}
}
