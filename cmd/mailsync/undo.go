package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/restore"
	"mailsync/restore/remote"
)

func (a *app) undoCommand() *cobra.Command {
	var w writeFlags
	c := &cobra.Command{
		Use: "undo RUN", Short: "take back exactly what a run did",
		Long: `Undo takes back what a run did: messages that it added move to the quarantine,
those that it replaced come back from there, names and dates become what they
were. What has changed since is refused and listed. An undo is a run itself.
The last run can be named "last".`,
		Args: takes(1, 1),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) { return a.undo(ctx, args[0], &w) }),
	}
	c.Flags().BoolVarP(&w.yes, "yes", "y", false, "apply without asking")
	c.Flags().BoolVar(&w.dryRun, "dry-run", false, "show what would be taken back, write nothing at all")
	return c
}

func (a *app) undo(ctx context.Context, id string, w *writeFlags) (outcome, error) {
	x, info, plan, err := a.planUndo(ctx, id, w)
	if err != nil {
		return outcome{}, err
	}
	defer x.close()
	defer plan.Close()
	if err := a.permitted(w); err != nil {
		return outcome{}, err
	}
	a.out.Say("Run %s was the %s of %s, %s.", info.ID, info.Command, ui.Name(info.Store), ui.Time(info.Began))
	if err := a.showPlan(ctx, plan); err != nil {
		return outcome{}, err
	}
	f := plan.Forecast()
	if !w.writes() {
		return a.keepPlan(ctx, plan, outcome{}, w)
	}
	if !f.Work() {
		return outcome{}, a.listPlan(ctx, plan)
	}
	if err := a.confirm(ctx, w, "Take back run "+info.ID+"?"); err != nil {
		return outcome{}, err
	}
	if x.target != nil {
		if err := a.forgetRestored(x.target.store); err != nil {
			return outcome{}, err
		}
	}
	o, err := a.apply(ctx, plan, x.applied)
	if err == nil {
		a.tellUndone(info.ID, &o)
	}
	return o, err
}

func (a *app) tellUndone(id string, o *outcome) {
	n := a.summary.Counts
	a.out.Say("")
	switch {
	case o.partial:
		a.out.Say("%s taken back, %s failed (listed above). The same command tries them again.", ui.Plural(n["done"], "action"), ui.Count(n["failed"]))
	case o.findings:
		a.out.Say("%s taken back; %s refused, because they have changed since run %s.", ui.Plural(n["done"], "action"), ui.Count(n["refused"]), id)
	default:
		a.out.Say("%s", a.out.Style.Green(fmt.Sprintf("Run %s is taken back: %s (%s). What it had added is in the quarantine.", id, ui.Plural(n["done"], "action"), a.took())))
	}
}

// undoing is where a run is taken back.
type undoing struct {
	applied
	target *side // nil: on another host
}

func (u *undoing) close() {
	if u.target != nil {
		u.target.close()
	}
}

// planUndo plans the taking back of a run, on the host where its journal is.
func (a *app) planUndo(ctx context.Context, id string, w *writeFlags) (*undoing, restore.RunInfo, *restore.Plan, error) {
	none := restore.RunInfo{}
	id, far, err := a.findRun(ctx, id)
	if err != nil {
		return nil, none, nil, err
	}
	if far != nil {
		there, err := a.farTarget(ctx, far)
		if err != nil {
			return nil, none, nil, err
		}
		plan, info, err := there.peer.PlanUndo(ctx, &remote.Undo{Run: id, Writes: w.writes()})
		if err != nil {
			return nil, none, nil, there.problem(ctx, err)
		}
		info.Store, info.Path = far.Name, far.Path
		return &undoing{applied: applied{there: there, of: id}}, info, plan, nil
	}
	state, err := a.stateDir()
	if err != nil {
		return nil, none, nil, err
	}
	info, err := restore.FindRun(a.std.files, state, id)
	if err != nil {
		return nil, none, nil, a.runProblem(err)
	}
	if err := info.Err(); err != nil {
		return nil, none, nil, a.runProblem(fmt.Errorf("run %s: %w", id, err))
	}
	plan, err := restore.NewUndo(ctx, a.std.files, state, id)
	if err != nil {
		return nil, none, nil, a.runProblem(err)
	}
	sd, err := a.openLive(a.storeOfRun(info.Store, info.Path), a.budgets(), trustFiles)
	if err != nil {
		_ = plan.Close()
		return nil, none, nil, err
	}
	return &undoing{applied{site: sd.site(), src: sd.messages(), of: id}, sd}, info, plan, nil
}

// findRun finds a run by its id; "last" is the last that can be undone. far is
// the store of a run whose journal is on another host.
func (a *app) findRun(ctx context.Context, id string) (string, *config.Store, error) {
	if id != "last" {
		far, err := a.notedRun(id)
		return id, far, err
	}
	list, err := a.allRuns(ctx)
	if err != nil {
		return "", nil, err
	}
	if len(list.failed) > 0 {
		return "", nil, list.failed[0]
	}
	for i := len(list.runs) - 1; i >= 0; i-- {
		if x := &list.runs[i]; x.Undoable {
			far, err := a.notedRun(x.ID)
			return x.ID, far, err
		}
	}
	return "", nil, a.runProblem(fmt.Errorf("%w that can be undone", restore.ErrNoRun))
}

// storeOfRun finds the store that a journal or plan names: by its name in the
// configuration where that still leads to the same path, else by the path.
func (a *app) storeOfRun(name, path string) *config.Store {
	if s, err := a.cfg.Store(name); err == nil && !config.IsPath(name) && (path == "" || s.Path == path) {
		return s
	}
	return &config.Store{Name: name, Path: path}
}

func (a *app) runsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "runs", Short: "what was run, how it ended, what can be resumed or undone", Args: takes(0, 0),
		RunE: a.do(a.runs),
	}
}

func (a *app) runs(ctx context.Context, _ []string) (outcome, error) {
	all, err := a.allRuns(ctx)
	if err != nil {
		return outcome{}, err
	}
	list := all.runs
	// An id begins with the time; 80 columns hold what is left.
	t := ui.Table{{"run (time in UTC)", "command", "store", "ended", ">done", "next"}}
	var broken []error
	var why []string
	for i := range list {
		r := &list[i]
		a.out.Record(struct {
			ui.Head
			*restore.RunInfo
		}{ui.Head{V: 1, Type: "run"}, r})
		a.summary.Counts["runs"]++
		var can []string
		if r.Resumable {
			can = append(can, "resume")
		}
		if r.Undoable {
			can = append(can, "undo")
		}
		if r.UndoneBy != "" {
			can = append(can, "(undone)")
		}
		if n := r.Counts.Failed; n > 0 {
			why = append(why, ui.Escape(r.ID)+": "+ui.Plural(n, "action")+" failed")
		}
		switch {
		case r.Error == "":
		case r.How == restore.HowFailed: // told when it failed, and part of its story
			why = append(why, ui.Escape(r.ID)+" failed: "+ui.Oneline(errors.New(r.Error), 500))
		default:
			broken = append(broken, errors.New(r.ID+": "+r.Error))
		}
		t = append(t, []string{
			ui.Escape(r.ID), r.Command, ui.Escape(r.Store), r.How, ui.Count(r.Counts.Done), strings.Join(can, ", "),
		})
	}
	for _, err := range all.failed {
		a.out.Problem(a.command, err, ui.Hint(err))
	}
	if len(list)+len(all.failed) == 0 {
		a.out.Say("Nothing was run that wrote into a store (state directory %s).", ui.Escape(all.state))
		return outcome{}, nil
	}
	for _, row := range t.Lines(a.out.Style, 0) {
		a.out.Print(row)
	}
	for _, line := range why {
		a.out.Say("%s", line)
	}
	for _, err := range broken {
		a.out.Warn("%s", ui.Oneline(err, 500))
	}
	return outcome{partial: len(broken)+len(all.failed) > 0}, cancelled(ctx)
}
