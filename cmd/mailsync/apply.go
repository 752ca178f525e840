package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/ui"
	"mailsync/restore"
)

func (a *app) applyCommand() *cobra.Command {
	var w writeFlags
	c := &cobra.Command{
		Use: "apply PLANFILE", Short: "carry out a plan that restore or replay has written",
		Long: `Apply carries out a plan that --plan has written. A mailbox that has changed
since in what the plan is about is refused, the others go on.`,
		Args: takes(1, 1),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) { return a.applyPlan(ctx, args[0], &w) }),
	}
	c.Flags().BoolVarP(&w.yes, "yes", "y", false, "apply without asking")
	c.Flags().BoolVar(&w.dryRun, "dry-run", false, "show the plan, write nothing at all")
	return c
}

func (a *app) applyPlan(ctx context.Context, file string, w *writeFlags) (outcome, error) {
	plan, closePlan, err := a.loadPlan(file)
	if errors.Is(err, fs.ErrNotExist) {
		return outcome{}, &ui.Problem{What: "plan " + file, Why: fs.ErrNotExist, Code: exitNoInput, Hint: "restore --plan FILE and replay --plan FILE write plans"}
	}
	if err != nil {
		return outcome{}, a.runProblem(err)
	}
	defer closePlan()
	defer plan.Close()
	if err := a.permitted(w); err != nil {
		return outcome{}, err
	}
	h := plan.Header()
	set := a.budgets()
	into := a.storeOfRun(h.Store, h.Path)
	there, err := a.farTarget(ctx, into)
	if err != nil {
		return outcome{}, err
	}
	var site *restore.Site
	if there == nil {
		target, err := a.openLive(into, set, trustFiles)
		if err != nil {
			return outcome{}, err
		}
		defer target.close()
		site = target.site()
	}
	sources := restore.BySource{}
	var sides []*side
	for _, src := range h.Sources {
		if src.Archive {
			from, err := a.archiveSource(ctx, src.Name, src.Path)
			if err != nil {
				return outcome{}, err
			}
			defer from.Close()
			sources[src.Name] = from
			continue
		}
		s := a.storeOfRun(src.Name, src.Path)
		if there.beside(s) {
			there.sourceBeside(s)
			continue
		}
		sd, err := a.openStore(ctx, s, set, trustFiles)
		if err != nil {
			return outcome{}, err
		}
		defer sd.close()
		sides = append(sides, sd)
		sources[src.Name] = sd.messages()
	}
	a.out.Say("Plan of %s for %s.", ui.Time(h.Made), ui.Name(h.Store))
	if err := a.showPlan(ctx, plan); err != nil {
		return outcome{}, err
	}
	f := plan.Forecast()
	out := outcome{findings: f.Open > 0, partial: f.Unknown > 0}
	if !w.writes() {
		return a.keepPlan(ctx, plan, out, w)
	}
	if !f.Work() {
		if err := a.listPlan(ctx, plan); err != nil {
			return out, err
		}
		return out, a.tidy(ctx, w, applied{site: site, there: there})
	}
	if err := a.confirm(ctx, w, "Apply this plan to "+ui.Name(h.Store)+"?"); err != nil {
		return outcome{}, err
	}
	did, err := a.apply(ctx, plan, applied{site: site, there: there, src: sources, readers: there.askers(sides, len(h.Sources))})
	did.partial = did.partial || out.partial
	if err == nil {
		if there == nil && did.clean() {
			a.noteRestored(ctx, into, plan)
		}
		a.tellRestored(h.Store, &did)
	}
	return did, err
}
