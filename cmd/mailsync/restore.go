package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
	"mailsync/restore"
)

// restoreFlags are the flags of restore.
type restoreFlags struct {
	writeFlags
	from       []string
	recorded   []string
	mailbox    config.Globs
	crashAt    config.Crash
	undelete   bool
	undecided  string
	mergeFlags string
	fixUIDNext bool
	only       matched
}

func (a *app) restoreCommand() *cobra.Command {
	var o restoreFlags
	c := &cobra.Command{
		Use: "restore TARGET --from STORE [--from STORE]...", Short: "put back into a store what it has lost",
		Long: `Restore compares TARGET with the stores given by --from, in the order of your
trust, and puts back what TARGET has lost or holds damaged. It shows a plan and
asks before it writes. What users deleted stays deleted; a damaged original
moves to the quarantine; nothing is ever removed or overwritten. Every write is
journalled: mailsync undo RUN takes it back.`,
		Args: takes(1, 1),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) { return a.restore(ctx, args[0], &o) }),
	}
	f := c.Flags()
	f.StringArrayVar(&o.from, "from", nil, "a `STORE` that holds good copies (repeatable, most trusted first)")
	f.StringArrayVar(&o.recorded, "recorded", nil, "take this `STORE` from its record: it is offline (repeatable)")
	f.Var(&o.mailbox, "mailbox", "only mailboxes that match, in this order (repeatable)")
	f.Var(&o.crashAt, "crash-at", "a crash happened then: what was there before and is gone is lost, not deleted")
	f.BoolVar(&o.undelete, "undelete", false, "bring back deleted messages, too")
	f.StringVar(&o.undecided, "undecided", "", "where neither loss nor deletion is evidenced: `leave|restore|folder=NAME` (default: ask, else leave)")
	f.StringVar(&o.mergeFlags, "merge-flags", "leave", "flags that differ without a record: `leave|union`")
	f.BoolVar(&o.fixUIDNext, "fix-uidnext", false, "raise next UIDs that are not safe, rather than print the command")
	a.writeFlags(c, &o.writeFlags)
	return c
}

// writeFlags adds the flags of every command that plans and writes.
func (a *app) writeFlags(c *cobra.Command, w *writeFlags) {
	f := c.Flags()
	f.BoolVar(&w.dryRun, "dry-run", false, "show the plan, write nothing at all")
	f.StringVar(&w.plan, "plan", "", "write the plan to `FILE` and stop")
	f.BoolVarP(&w.yes, "yes", "y", false, "apply without asking")
}

// undecidedWord reads --undecided.
func undecidedWord(s string) (restore.Undecided, string, error) {
	folder, ok := strings.CutPrefix(s, "folder=")
	switch {
	case s == "" || s == "leave":
		return restore.LeaveUndecided, "", nil
	case s == "restore":
		return restore.RestoreUndecided, "", nil
	case ok && folder != "":
		return restore.UndecidedInFolder, folder, nil
	}
	return 0, "", usage("--undecided %q is none of leave, restore, folder=NAME", s)
}

func (a *app) restore(ctx context.Context, target string, o *restoreFlags) (outcome, error) {
	opt := restore.PlanOptions{CrashAt: o.crashAt.Time, Undelete: o.undelete, FixUIDNext: o.fixUIDNext}
	var err error
	if opt.Undecided, opt.UndecidedFolder, err = undecidedWord(o.undecided); err != nil {
		return outcome{}, err
	}
	switch o.mergeFlags {
	case "leave":
	case "union":
		opt.MergeFlags = restore.UnionFlags
	default:
		return outcome{}, usage("--merge-flags %q is none of leave, union", o.mergeFlags)
	}
	if len(o.from) == 0 {
		s, err := a.store(target)
		if err != nil {
			return outcome{}, err
		}
		from := []string{"restore", target}
		for _, name := range a.replicas(s) {
			from = append(from, "--from", name)
		}
		return outcome{}, &ui.Problem{What: "restore needs at least one --from STORE", Code: exitUsage, Hint: a.cmdline(from...)}
	}
	if o.dryRun && o.plan != "" {
		return outcome{}, usage("--dry-run and --plan exclude each other: --plan writes nothing but the plan")
	}
	sides, others, there, err := a.restoreSides(ctx, target, o)
	if err != nil {
		return outcome{}, err
	}
	defer closeSides(sides)
	defer closeSides(others)
	defer there.close()
	if err := a.permitted(&o.writeFlags); err != nil {
		return outcome{}, err
	}
	o.only.globs = o.mailbox
	sources := a.planSources(&opt, sides, there)
	made := func() (*restore.Plan, error) { return restore.NewPlan(ctx, opt) }
	if there != nil {
		made = func() (*restore.Plan, error) { return there.plan(ctx, &opt, sides[1:], others, o) }
	} else if err := a.fillPlan(&opt, sides, others, o); err != nil {
		return outcome{}, err
	}
	plan, err := a.decide(ctx, &opt, o, made)
	if err != nil {
		return outcome{}, err
	}
	defer plan.Close()
	f := plan.Forecast()
	out := outcome{findings: f.Open > 0, partial: f.Unknown > 0}
	if !o.writes() {
		if out, err = a.keepPlan(ctx, plan, out, &o.writeFlags); err == nil && !f.Work() {
			err = a.emptySources(ctx, sides[1:])
		}
		return out, err
	}
	if !f.Work() {
		// What is left open is listed all the same.
		if err := a.listPlan(ctx, plan); err != nil {
			return out, err
		}
		if err := a.emptySources(ctx, sides[1:]); err != nil {
			return out, err
		}
		return out, a.tidy(ctx, &o.writeFlags, applied{site: opt.Site, there: there})
	}
	if err := a.confirm(ctx, &o.writeFlags, "Apply this plan to "+ui.Name(target)+"?"); err != nil {
		return out, err
	}
	did, err := a.apply(ctx, plan, applied{site: opt.Site, there: there, src: sources, readers: there.askers(sides, len(sides)-1)})
	did.partial = did.partial || out.partial
	if err == nil {
		if there == nil && did.clean() {
			a.noteRestored(ctx, sides[0].store, plan)
		}
		a.tellRestored(target, &did)
	}
	return did, err
}

// emptySources is for a plan without work: a source that holds no mailbox at all
// is no reason to believe that everything is in place.
func (a *app) emptySources(ctx context.Context, sources []*side) error {
	for _, s := range sources {
		if s != nil && s.empty(ctx) && ctx.Err() == nil {
			return a.emptyStore(s.store)
		}
	}
	return cancelled(ctx)
}

// restoreSides opens target and sources, and the stores that only --recorded
// names: what was deleted there counts, too.
// A target on another host is opened there, and so are the sources beside it.
func (a *app) restoreSides(ctx context.Context, target string, o *restoreFlags) (sides, others []*side, there *farTarget, err error) {
	stores, err := a.stores(append([]string{target}, o.from...))
	if err != nil {
		return nil, nil, nil, err
	}
	offline := map[string]bool{}
	var witnesses []*config.Store
	for _, name := range o.recorded {
		s, err := a.store(name)
		if err != nil {
			return nil, nil, nil, err
		}
		offline[s.Path] = true
		named := false
		for _, x := range stores {
			named = named || x.Path == s.Path
		}
		if !named {
			witnesses = append(witnesses, s)
		}
	}
	if o.writes() {
		for _, s := range stores {
			if offline[s.Path] {
				return nil, nil, nil, usage("%s is taken from its record, which holds no mail: only --dry-run and --plan can do that", ui.Name(s.Name))
			}
		}
	}
	if !offline[stores[0].Path] {
		if there, err = a.farTarget(ctx, stores[0]); err != nil {
			return nil, nil, nil, err
		}
	}
	set := a.budgets()
	if sides, err = a.openSides(ctx, stores, offline, set, trustFiles, 0, there); err != nil {
		return nil, nil, nil, err
	}
	if others, err = a.openSides(ctx, witnesses, offline, set, trustFiles, 0, there); err != nil {
		closeSides(sides)
		return nil, nil, nil, err
	}
	return sides, others, there, nil
}

// planSources names the stores in the header of a plan, and returns where this
// process gets the bytes from.
func (a *app) planSources(opt *restore.PlanOptions, sides []*side, there *farTarget) restore.Source {
	target := sides[0]
	opt.Header = restore.PlanHeader{Command: a.command, Store: target.store.Name, Path: target.store.Path, Made: a.began}
	sources := restore.BySource{}
	for _, s := range sides[1:] {
		opt.Header.Sources = append(opt.Header.Sources, restore.PlanSource{Name: s.store.Name, Path: s.store.Path})
		if src := s.messages(); src != nil {
			sources[s.store.Name] = src
		} else if there.beside(s.store) {
			there.sourceBeside(s.store)
		}
	}
	return sources
}

// fillPlan wires the stores into the options of a plan that is made here.
func (a *app) fillPlan(opt *restore.PlanOptions, sides, others []*side, o *restoreFlags) error {
	target := sides[0]
	opt.Target, opt.Site, opt.Spill = target.compared(), target.site(), spill
	opt.Workers = comparers(append(slices.Clone(sides), others...))
	for _, s := range sides[1:] {
		opt.Sources = append(opt.Sources, s.compared())
	}
	for _, s := range others {
		opt.Others = append(opt.Others, s.compared())
	}
	if len(o.mailbox) > 0 {
		opt.Mailbox, opt.Named, opt.Order = o.only.match, o.mailbox.Match, o.mailbox.Rank
	}
	state, err := a.stateDir()
	if err != nil {
		return err
	}
	if opt.Resume, err = restore.Interrupted(a.std.files, state, target.store.Path); err != nil {
		return a.runProblem(err)
	}
	return nil
}

// decide makes the plan and shows it. Where messages are undecided and a
// person is there, it asks once and plans again with the answer.
func (a *app) decide(ctx context.Context, opt *restore.PlanOptions, o *restoreFlags, made func() (*restore.Plan, error)) (*restore.Plan, error) {
	for {
		p := new(restore.PlanProgress)
		opt.Progress = p
		stop := a.out.Progress(ctx, a.poke, func() ui.Snapshot {
			return ui.Snapshot{Stage: "planning", Done: p.Messages.Load(), Unit: "message"}
		})
		plan, err := made()
		stop()
		switch {
		case errors.Is(err, manifest.ErrOther):
			return nil, a.storeProblem(opt.Header.Store, err)
		case err != nil:
			return nil, a.runProblem(err)
		}
		if err := o.only.nothing(a, opt.Header.Store); err != nil {
			_ = plan.Close()
			return nil, err
		}
		if err := a.showPlan(ctx, plan); err != nil {
			_ = plan.Close()
			return nil, err
		}
		n := plan.Forecast().Undecided
		if n == 0 || o.undecided != "" || o.yes || !o.writes() || !a.out.Interactive() {
			return plan, nil
		}
		answer, err := a.out.Ask(ctx, fmt.Sprintf("%s: nothing shows whether they were lost or deleted. [l]eave, [r]estore, or a folder's name:", ui.Plural(n, "message")))
		if err != nil {
			_ = plan.Close()
			return nil, err
		}
		o.undecided = "leave"
		switch strings.ToLower(answer) {
		case "", "l", "leave":
			return plan, nil
		case "r", "restore":
			o.undecided, opt.Undecided = "restore", restore.RestoreUndecided
		default:
			o.undecided, opt.Undecided, opt.UndecidedFolder = "folder", restore.UndecidedInFolder, answer
		}
		_ = plan.Close()
	}
}

// keepPlan lists the plan, and saves it where --plan asks for it.
func (a *app) keepPlan(ctx context.Context, plan *restore.Plan, out outcome, w *writeFlags) (outcome, error) {
	out.findings = out.findings || plan.Forecast().Work()
	if err := a.listPlan(ctx, plan); err != nil {
		return out, err
	}
	if w.plan == "" {
		a.out.Say("Nothing was written.")
		return out, nil
	}
	if err := plan.Save(w.plan); err != nil {
		return out, &ui.Problem{What: "plan " + w.plan, Why: err, Code: exitCantCreate, Hint: "nothing was written into a store"}
	}
	if err := a.signPlan(w.plan, plan.Header()); err != nil {
		return out, err
	}
	a.out.Say("The plan is in %s; nothing else was written. Apply it with:", ui.Name(w.plan))
	a.next("apply", w.plan)
	return out, nil
}

// tellRestored ends a run: what is now known, how to take it back, what comes next.
func (a *app) tellRestored(target string, o *outcome) {
	n := a.summary.Counts
	a.out.Say("")
	switch {
	case o.partial:
		a.out.Say("%s done, %s failed (listed above). The same command tries them again:", ui.Plural(n["done"], "action"), ui.Count(n["failed"]))
		a.out.Command(a.again())
	case o.findings:
		a.out.Say("%s done; %s left alone, as listed above.", ui.Plural(n["done"], "action"), ui.Plural(n["skipped"]+n["refused"], "item"))
	default:
		a.out.Say("%s", a.out.Style.Green(fmt.Sprintf("Everything in the plan is in place, and would survive a power cut now: %s done, %s already there (%s).",
			ui.Plural(n["done"], "action"), ui.Count(n["already"]), a.took())))
	}
	if n["done"] > 0 {
		a.out.Say("To take it back, or to see that it is whole:")
		a.next("undo", a.summary.Run)
	}
	a.next("verify", target)
}
