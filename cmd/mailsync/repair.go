package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
	"mailsync/restore"
)

// writeFlags are those of every command that writes into a store.
type writeFlags struct {
	yes    bool
	dryRun bool
	plan   string
}

// writes tells whether the command would write into a store.
func (w *writeFlags) writes() bool { return !w.dryRun && w.plan == "" }

// permitted refuses early what nobody has allowed: without a terminal a
// command that writes needs --yes.
func (a *app) permitted(w *writeFlags) error {
	hint := "--dry-run shows the plan, --yes applies it without asking"
	if a.command == "restore" || a.command == "replay" {
		hint = "--dry-run shows the plan, --plan FILE keeps it, --yes applies it without asking"
	}
	if !w.writes() || w.yes || a.out.Interactive() {
		return nil
	}
	return &ui.Problem{
		What: "refused: this would write into a store, and there is no terminal to ask at", Code: exitNoPerm,
		Hint: hint,
	}
}

// errDeclined reports that the operator said no.
var errDeclined = &ui.Problem{What: "not applied: the answer was not yes", Code: exitNoPerm, Hint: "nothing was written"}

// confirm asks before the first write.
func (a *app) confirm(ctx context.Context, w *writeFlags, question string) error {
	if w.yes {
		return nil
	}
	ok, err := a.out.Confirm(ctx, question)
	if err == nil && !ok {
		err = errDeclined
	}
	return err
}

// applied is what carrying out a plan needs beyond the plan.
type applied struct {
	site  *restore.Site
	there *farTarget // the target is on another host; nil: it is at site
	of    string     // undo: the run that is taken back
	src   restore.Source
	// readers is how many messages are asked for at a time; 0 = as for sources
	// on this host. Each costs a way to and fro where the source is on another.
	readers int
}

// apply carries out a plan in a run of its own.
func (a *app) apply(ctx context.Context, plan *restore.Plan, x applied) (outcome, error) {
	run, progress, err := a.begin(ctx, &x)
	if err != nil {
		return outcome{}, err
	}
	f := plan.Forecast()
	stop := a.out.Progress(ctx, a.poke, a.applying(progress, f.Actions))
	var failed error
	for act, err := range run.Apply(ctx, plan, x.src) {
		if err != nil {
			failed = err
			break
		}
		a.action(&act, f.Actions <= fewActions)
	}
	if failed == nil {
		failed = cancelled(ctx)
	}
	stop()
	a.tellMore()
	if err := run.End(failed); err != nil && failed == nil {
		failed = err
	}
	return a.applyOutcome(run, failed)
}

// begin starts a run and its journal, where the store is.
func (a *app) begin(ctx context.Context, x *applied) (run writing, progress *restore.Progress, err error) {
	if x.there != nil {
		far, err := x.there.begin(ctx, x)
		if err != nil {
			return nil, nil, err
		}
		run, progress = far, &far.Progress
	} else {
		own, err := a.beginHere(x)
		if err != nil {
			return nil, nil, err
		}
		run, progress = own, &own.Progress
	}
	a.written(run.ID())
	return run, progress, nil
}

// beginHere starts a run on this host.
func (a *app) beginHere(x *applied) (*restore.Run, error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	run, err := restore.Begin(restore.RunOptions{Site: x.site, State: state, Command: a.command, Args: a.args, Of: x.of, Readers: x.readers, FS: a.std.files, Risky: a.riskyDisk})
	if err != nil {
		return nil, a.runProblem(err)
	}
	return run, nil
}

// riskyDisk warns of a file system that is written to, once a run.
func (a *app) riskyDisk(dir, why string) {
	a.out.Warn("%s: %s", ui.Escape(dir), ui.Escape(why))
}

// written takes up that a run has begun: from now on there is something to tell.
func (a *app) written(id string) {
	a.summary.Run = id
	if a.log != nil {
		a.log.Release()
	}
	a.resume = "nothing acknowledged is lost; go on with: " + a.again() + "\nor take it back with: " + a.cmdline("undo", id)
}

// tidy removes what runs that died on the store have left under temporary
// names. A command that has work does so by its run; here there is none.
func (a *app) tidy(ctx context.Context, w *writeFlags, x applied) error {
	if x.there != nil {
		if !w.yes || !x.there.left {
			return nil
		}
		run, _, err := a.begin(ctx, &x)
		if err != nil {
			return err
		}
		return a.runProblem(run.End(nil)) // it has removed them there
	}
	state, err := a.stateDir()
	if err != nil || !w.yes {
		return err
	}
	if left, err := restore.LeftBehind(a.std.files, state, x.site.Path); err != nil || !left {
		return a.runProblem(err)
	}
	run, err := a.beginHere(&x)
	if err != nil {
		return err
	}
	a.written(run.ID())
	return a.runProblem(run.End(run.Tidy(ctx)))
}

// again is the command line of this run.
func (a *app) again() string { return ui.Command(append([]string{"mailsync"}, a.args...)...) }

func (a *app) applying(p *restore.Progress, total int64) func() ui.Snapshot {
	return func() ui.Snapshot {
		return ui.Snapshot{
			Stage: "applying", Done: p.Done.Load() + p.Failed.Load(), Total: total, Unit: "action",
			Bytes: p.Bytes.Load(), Found: p.Failed.Load(), FoundAs: "failure",
		}
	}
}

// applyOutcome turns the end of a run into an outcome and the summary's counts.
func (a *app) applyOutcome(run writing, failed error) (outcome, error) {
	c := run.Counts()
	a.addActions(&c)
	o := outcome{findings: c.Refused > 0 || c.Open > 0, partial: c.Failed > 0}
	if errors.Is(failed, restore.ErrNoSpace) {
		failed = &ui.Problem{
			Why: failed, Code: exitPartial,
			Hint: "what was acknowledged stays; make room, then go on with: " + a.again(),
		}
	} else if errors.Is(failed, restore.ErrUnreachable) {
		failed = &ui.Problem{
			Why: failed, Code: exitPartial,
			Hint: "what was acknowledged stays; when the host answers, go on with: " + a.again(),
		}
	} else if failed != nil && !ended(failed) {
		failed = a.runProblem(failed)
	}
	return o, failed
}

func (a *app) addActions(c *restore.Counts) {
	n := a.summary.Counts
	n["planned"] += c.Planned
	n["done"] += c.Done
	n["already"] += c.Already
	n["skipped"] += c.Skipped
	n["refused"] += c.Refused
	n["failed"] += c.Failed
}

// runProblem says what to do about an error of a plan or a run.
func (a *app) runProblem(err error) error {
	p := &ui.Problem{Why: err}
	var told *ui.Problem
	switch {
	case ended(err):
		return err
	case errors.Is(err, restore.ErrUnreachable) && !errors.As(err, &told):
		p.Code, p.Hint = exitPartial, broken+a.again()
	case errors.Is(err, restore.ErrBusy):
		p.Hint = "mailsync runs shows it; try again when it has ended"
	case errors.Is(err, restore.ErrReadOnly):
		p.Hint = "nothing was written; a file system that met an error goes read-only by itself: look at the kernel's log before it is mounted to be written again"
	case errors.Is(err, manifest.ErrOther):
		p.Code, p.Hint = exitPartial, "nothing was applied: is the right volume mounted? If it was replaced on purpose, make the plan anew with restore"
	case errors.Is(err, restore.ErrNewer):
		p.Hint = "use the mailsync that made it, or a newer one"
	case errors.Is(err, restore.ErrPlan):
		p.Hint = "nothing was applied; make the plan anew with restore --plan"
	case errors.Is(err, restore.ErrNoRun):
		p.Hint = "mailsync runs lists the runs that there are"
	case errors.Is(err, restore.ErrDisk):
		p.Hint = "look at the kernel's log; nothing was acknowledged after the failure. Then: " + a.again()
	case errors.Is(err, os.ErrPermission):
		p.Hint = "run mailsync as root, or as the user that owns the mail"
	default:
		return err
	}
	return p
}

// action prints one action as it ends. People see those that need them, all of
// a small plan, and everything with --verbose.
func (a *app) action(act *restore.Action, few bool) {
	a.out.Record(ui.ActionOf(act))
	if a.out.JSON() {
		return
	}
	trouble := act.State == restore.Failed || act.State == restore.Refused || act.State == restore.Skipped && act.Open()
	settled := act.State == restore.Skipped && !act.Open() || act.State == restore.Already
	switch {
	case trouble, a.out.Verbose():
	case a.out.Quiet(), settled, !few:
		return
	}
	if !a.show(string(act.Op) + " " + string(act.State)) {
		return
	}
	word := pad(string(act.State), 8)
	switch act.State {
	case restore.Done:
		word = a.out.Style.Green(word)
	case restore.Failed, restore.Refused:
		word = a.out.Style.Red(word)
	case restore.Planned:
	default:
		word = a.out.Style.Yellow(word)
	}
	l := ui.ActionOf(act)
	line := fmt.Sprintf("%s  %s  %s", word, pad(string(act.Op), 10), where(act.Ref.Mailbox, act.Ref.Folder, l.Text()))
	if act.From != "" {
		line += a.out.Style.Dim("  from " + ui.Name(ui.FromText(act.From)))
	}
	a.out.Text(10, line)
	if act.Detail != "" && (trouble || a.out.Verbose()) {
		a.out.Text(10, "          "+a.out.Style.Dim(ui.EscapeText(act.Detail)))
	}
}

// showPlan prints what a plan would do: the sum, the mailboxes, what clients
