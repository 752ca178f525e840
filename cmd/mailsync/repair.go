package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

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
// will see.
func (a *app) showPlan(ctx context.Context, plan *restore.Plan) error {
	f := plan.Forecast()
	if a.out.JSON() {
		a.out.Record(struct {
			ui.Head
			*restore.Forecast
		}{ui.Head{V: 1, Type: "forecast"}, f})
	}
	const rows = 20
	t := ui.Table{{"mailbox", ">messages", ">bytes", ">other", ">undecided", "UIDs", ">clients fetch"}}
	more := 0
	var notes []string
	for b, err := range plan.Boxes(ctx) {
		if err != nil {
			return err
		}
		a.out.Record(struct {
			ui.Head
			restore.MailboxForecast
		}{ui.Head{V: 1, Type: "mailbox_forecast"}, b})
		notes = append(notes, boxNotes(&b, 8-len(notes))...)
		if len(t) > rows && !a.out.Verbose() {
			more++
			continue
		}
		fetch := "nothing"
		if b.FetchMessages > 0 {
			fetch = ui.Count(b.FetchMessages) + ", " + ui.Bytes(b.FetchBytes)
		}
		t = append(t, []string{
			ui.Name(b.Mailbox), ui.Count(b.Messages), ui.Bytes(b.Bytes), ui.Count(b.Other),
			ui.Count(b.Undecided + b.Moved), uidText(b.UIDs), fetch,
		})
	}
	if len(t) > 1 {
		a.out.Table(t.WithoutZeros())
	}
	if more > 0 {
		a.out.Say("… and %s more; -v lists all", ui.Plural(int64(more), "mailbox"))
	}
	for _, n := range notes {
		a.out.Say("%s", n)
	}
	a.out.Say("")
	if a.command == "undo" {
		a.out.Say("%s", a.out.Style.Bold(fmt.Sprintf("Plan: take back %s in %s.", ui.Plural(f.Actions, "action"), ui.Plural(f.Mailboxes, "mailbox"))))
	} else {
		a.out.Say("%s", a.out.Style.Bold(planSentence(f)))
	}
	a.tellSpace(f)
	if f.Deleted > 0 {
		a.out.Say("Left deleted: %s, for the record or the server's log shows that the owner deleted them. --undelete brings them back.", ui.Plural(f.Deleted, "message"))
	}
	if f.Undecided > 0 {
		a.out.Say("Undecided: %s, for nothing shows whether they were lost or deleted. --undecided restore or folder=NAME decides.", ui.Plural(f.Undecided, "message"))
	}
	if f.Unknown > 0 {
		a.out.Print(a.out.Style.Yellow(ui.Count(f.Unknown)+" could not be looked at") + " and are left alone:")
		for _, d := range f.Doubts {
			a.out.Record(ui.UnknownOf("", "", d, 0))
			a.out.Print("  " + ui.EscapeText(d))
		}
	}
	return nil
}

// tellSpace says what the plan takes of the target's file systems, and warns
// where it will not fit.
func (a *app) tellSpace(f *restore.Forecast) {
	for i := range f.Space {
		s := &f.Space[i]
		switch {
		case !s.Fits() && s.Need <= s.Free:
			a.out.Warn("it will not fit: %s has inodes for %s, and %s are made", ui.Escape(s.Path), ui.Plural(s.Inodes, "file"), ui.Count(s.Files))
		case !s.Fits():
			a.out.Warn("it will not fit: %s has %s free, and %s are needed", ui.Escape(s.Path), ui.Bytes(s.Free), ui.Bytes(s.Need))
		default:
			a.out.Say("Space: %s of the %s that are free on %s.", ui.Bytes(s.Need), ui.Bytes(s.Free), ui.Escape(s.Path))
		}
	}
}

func planSentence(f *restore.Forecast) string {
	if !f.Work() {
		if f.Open > 0 {
			return fmt.Sprintf("There is nothing to do by itself; %s to be decided.", ui.Plural(f.Open, "item"))
		}
		if f.Unknown > 0 {
			return "There is nothing to do in what could be looked at."
		}
		if f.Deleted > 0 {
			return "There is nothing to do: what the sources hold is in place, or was deleted."
		}
		return "There is nothing to do: what the sources hold is in place."
	}
	var parts []string
	if n := f.Messages - f.Replaced; n > 0 {
		parts = append(parts, ui.Plural(n, "message")+" to add")
	}
	if f.Replaced > 0 {
		parts = append(parts, ui.Plural(f.Replaced, "damaged message")+" to replace")
	}
	if n := f.Actions - f.Messages; n > 0 {
		parts = append(parts, ui.Plural(n, "change")+" beside mail")
	}
	s := fmt.Sprintf("Plan: %s in %s: %s, nothing to delete (%s)", ui.Plural(f.Actions, "action"), ui.Plural(f.Mailboxes, "mailbox"),
		strings.Join(parts, ", "), ui.Bytes(f.Bytes))
	if f.ETA >= time.Second {
		s += ", about " + ui.Duration(f.ETA)
	}
	if f.Moves > 0 {
		s += fmt.Sprintf("; UIDVALIDITY moves in %s", ui.Plural(f.Moves, "mailbox"))
	}
	return s + "."
}

func uidText(c restore.UIDCase) string {
	switch c {
	case restore.UIDKept:
		return "kept"
	case restore.UIDNew:
		return "new"
	case restore.UIDRestored:
		return "rebuilt"
	case restore.UIDResync:
		return "resync"
	}
	return ""
}

// boxNotes are the things about a mailbox that need a person, at most room.
func boxNotes(b *restore.MailboxForecast, room int) []string {
	var notes []string
	add := func(format string, args ...any) {
		if room > len(notes) {
			notes = append(notes, ui.Name(b.Mailbox)+": "+fmt.Sprintf(format, args...))
		}
	}
	if b.OverQuota() {
		add("goes over its quota (%s of %s)", ui.Bytes(b.QuotaAfter), ui.Bytes(b.QuotaLimit))
	}
	if b.QuotaCommand != "" && b.OverQuota() {
		add("let the server count anew: %s", ui.EscapeText(b.QuotaCommand))
	}
	if b.Note != "" {
		add("%s", ui.EscapeText(b.Note))
	}
	for _, n := range b.NextUID {
		if n.Command != "" {
			add("before the server opens it (next UID of %s is %d, safe is %d): %s", ui.Name(n.Folder), n.Now, n.Safe, ui.EscapeText(n.Command))
		}
	}
	return notes
}

// listPlan prints the actions of a plan without carrying them out.
func (a *app) listPlan(ctx context.Context, plan *restore.Plan) error {
	few := plan.Forecast().Actions <= fewActions
	for act, err := range plan.Actions(ctx) {
		if err != nil {
			return err
		}
		if act.State == "" {
			act.State = restore.Planned
		}
		switch act.State {
		case restore.Planned:
			a.summary.Counts["planned"]++
		case restore.Skipped:
			a.summary.Counts["skipped"]++
		case restore.Already:
			a.summary.Counts["already"]++
		}
		a.action(&act, few)
	}
	a.tellMore()
	if !few && !a.out.Verbose() {
		a.out.Say("-v lists every action.")
	}
	return cancelled(ctx)
}

// fewActions is how many actions are listed one by one without --verbose.
const fewActions = 50
