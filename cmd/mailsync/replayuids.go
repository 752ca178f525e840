package main

import (
	"context"
	"iter"

	"mailsync/cmd/mailsync/ui"
	"mailsync/restore"
)

// raising is what replay --fix-uidnext does before it delivers: after an older
// copy was promoted, the server would give to new mail UIDs that clients know as
// other messages. nil raises nothing.
type raising struct {
	*restore.Plan
	counts restore.Counts
}

// nextUIDs plans the raising, by what the records of all stores know.
func (a *app) nextUIDs(ctx context.Context, x *replaying) (*raising, error) {
	if !x.fixUIDNext {
		return nil, nil
	}
	p := new(restore.PlanProgress)
	opt := restore.PlanOptions{Header: a.replayHeader(x), Target: x.target.compared(), Site: x.target.site(), Spill: spill, Progress: p}
	for _, s := range x.others {
		opt.Others = append(opt.Others, s.compared())
	}
	if len(x.mailbox) > 0 {
		opt.Mailbox, opt.Named = x.mailbox.Match, x.mailbox.Match
	}
	stop := a.out.Progress(ctx, a.poke, func() ui.Snapshot {
		return ui.Snapshot{Stage: "looking at UIDs", Done: p.Mailboxes.Load(), Unit: "mailbox"}
	})
	plan, err := restore.PlanNextUIDs(ctx, opt)
	stop()
	if err != nil {
		return nil, a.runProblem(err)
	}
	var notes []string
	for b, err := range plan.Boxes(ctx) {
		if err != nil {
			_ = plan.Close()
			return nil, err
		}
		notes = append(notes, boxNotes(&b, 8-len(notes))...)
	}
	for _, n := range notes {
		a.out.Say("%s", n)
	}
	for _, d := range plan.Forecast().Doubts {
		a.out.Record(ui.UnknownOf(x.target.store.Name, "", d, 0))
		a.out.Warn("next UIDs: %s", ui.EscapeText(d))
	}
	return &raising{Plan: plan}, nil
}

func (r *raising) close() {
	if r != nil {
		_ = r.Close()
	}
}

// work is how many next UIDs are to be raised.
func (r *raising) work() int64 {
	if r == nil {
		return 0
	}
	return r.Forecast().Actions
}

// list tells what would be raised.
func (r *raising) list(ctx context.Context, a *app) error {
	if r.work() == 0 {
		return nil
	}
	return a.listPlan(ctx, r.Plan)
}

// apply raises them.
func (r *raising) apply(ctx context.Context, a *app, into writing) error {
	if r.work() == 0 || into == nil {
		return nil
	}
	for act, err := range into.Apply(ctx, r.Plan, restore.BySource{}) {
		if err != nil {
			return err
		}
		r.counts.Add(&act)
		a.action(&act, r.work() <= fewActions)
	}
	return nil
}

// outcome is what the raising adds to how the command ends.
func (r *raising) outcome(writes bool) outcome {
	if r == nil {
		return outcome{}
	}
	return outcome{
		findings: r.counts.Refused > 0 || !writes && r.work() > 0,
		partial:  r.counts.Failed > 0 || r.Forecast().Unknown > 0,
	}
}

// concat yields the actions of both.
func concat(first, then iter.Seq2[restore.Action, error]) iter.Seq2[restore.Action, error] {
	return func(yield func(restore.Action, error) bool) {
		for _, seq := range []iter.Seq2[restore.Action, error]{first, then} {
			for act, err := range seq {
				if !yield(act, err) {
					return
				}
			}
		}
	}
}
