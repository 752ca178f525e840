package main

import (
	"context"
	"errors"
	"math"
	"runtime/debug"
	"time"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest/durable"
	"mailsync/restore"
	"mailsync/restore/lmtp"
	"mailsync/restore/remote"
	"mailsync/restore/replay"
)

// replayMemory is what the collector keeps a replay's memory below, whatever the
// archive's size; what is needed at a time is less than half of it.
const replayMemory = 240 << 20

func (a *app) replay(ctx context.Context, o *replayFlags, delivers bool) (outcome, error) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // GOMEMLIMIT says nothing
		debug.SetMemoryLimit(replayMemory)
	}
	opt := replay.Options{Multiset: o.multiset, Keyword: o.keyword, Undelete: o.undelete, CrashAt: o.crashAt.Time}
	if o.from == "" {
		return outcome{}, usage("%s needs --from ARCHIVE", a.command)
	}
	via, err := o.through()
	if err != nil {
		return outcome{}, err
	}
	if err := o.window(&opt); err != nil {
		return outcome{}, err
	}
	if err := o.decision(&opt); err != nil {
		return outcome{}, err
	}
	if o.dryRun && o.plan != "" {
		return outcome{}, usage("--dry-run and --plan exclude each other: --plan writes nothing but the plan")
	}
	from, err := a.archive(o.from)
	if err != nil {
		return outcome{}, err
	}
	ar, err := a.openArchive(ctx, from)
	if err != nil {
		return outcome{}, err
	}
	defer ar.Close()
	opt.Archive, opt.Altered = ar, from.Altered == config.AlteredPresent
	only := &matched{globs: o.mailbox}
	if len(o.mailbox) > 0 {
		opt.Mailbox, opt.Order = only.match, o.mailbox.Rank
	}
	target, others, err := a.replaySides(ctx, o)
	if err != nil {
		return outcome{}, err
	}
	defer closeSides(append(others, target))
	lost, err := a.unmounted(ctx, target)
	if err != nil {
		return outcome{}, err
	}
	if o.writes() && target.scanner == nil && target.far == nil {
		return outcome{}, usage("%s is taken from its record: only audit, --dry-run and --plan can do that", ui.Name(target.store.Name))
	}
	if err := a.permitted(&o.writeFlags); err != nil {
		return outcome{}, err
	}
	if o.fixUIDNext && target.site() == nil {
		return outcome{}, usage("--fix-uidnext looks at the UID lists of the store: replay with it on the host that has it")
	}
	opt.Target, opt.Witness = target.source(), target.witness()
	opt.FolderDir = target.folderDir()
	for _, s := range others {
		opt.Others = append(opt.Others, s.source())
	}
	if opt.Resolver, err = a.resolver(ctx, target); err != nil {
		return outcome{}, err
	}
	if len(o.deliveryLogs) > 0 {
		if opt.Log, err = replay.OpenDeliveryLog(o.deliveryLogs...); err != nil {
			return outcome{}, &ui.Problem{Why: err, Code: exitNoInput}
		}
	}
	if opt.Ledger, err = a.ledger(ctx, target, !o.writes()); err != nil {
		return outcome{}, a.replayProblem(err)
	}
	defer opt.Ledger.Close()
	x := replaying{replayFlags: o, opt: &opt, target: target, others: others, from: from, only: only, via: via}
	done, err := a.account(ctx, &x)
	done.partial = done.partial || lost
	return done, err
}

// replaying is what a replay or an audit is about.
type replaying struct {
	*replayFlags
	opt    *replay.Options
	target *side
	others []*side // stores whose evidence counts
	from   *config.Archive
	only   *matched
	via    *lmtp.Target // nil: straight into the store
}

// account prepares the replay, shows what would be done, asks, and does it.
func (a *app) account(ctx context.Context, x *replaying) (outcome, error) {
	p := new(replay.Progress)
	x.opt.Progress = p
	x.opt.Waits = func(d time.Duration) {
		a.out.Warn("an earlier run was ended before the server answered: waiting %s, until the server has certainly done or dropped what it was sent, before its mailboxes are looked at", ui.Duration(d))
	}
	look := func() ui.Snapshot {
		s := ui.Snapshot{Stage: "reading the archive", Done: p.Done.Load(), Total: p.Total.Load(), Unit: "message", Bytes: p.Bytes.Load(), Found: p.Findings.Load(), FoundAs: "finding"}
		if st := p.Stage.Load(); st != nil {
			s.Stage = *st
		}
		return s
	}
	run, err := a.prepareReplay(ctx, x, look)
	if err != nil {
		return outcome{}, err
	}
	defer run.Close()
	raise, err := a.nextUIDs(ctx, x)
	if err != nil {
		return outcome{}, err
	}
	defer raise.close()
	if x.plan != "" {
		return a.keepReplayPlan(ctx, run, x, raise)
	}
	d := delivering{}
	if x.writes() && (run.Expected().WouldDeliver > 0 || raise.work() > 0) {
		if d, err = a.beginReplay(ctx, x, run, raise); err != nil {
			return outcome{}, err
		}
		defer d.close()
	} else if err := raise.list(ctx, a); err != nil {
		return outcome{}, err
	}
	stop := a.out.Progress(ctx, a.poke, look)
	defer stop()
	var rep accounts
	var counts restore.Counts
	failed := raise.apply(ctx, a, d.into)
	if failed == nil {
		for ev, err := range run.Events(ctx, d.by) {
			if err != nil {
				failed = err
				break
			}
			a.event(&ev)
			rep.add(&ev)
			if ev.Action != nil {
				counts.Add(ev.Action)
			}
		}
	}
	if failed == nil {
		failed = cancelled(ctx)
	}
	stop()
	t := run.Totals()
	if d.into != nil {
		if err := d.into.End(failed); err != nil && failed == nil {
			failed = err
		}
		counts = d.into.Counts()
	} else if d.by == nil {
		counts = restore.Counts{Planned: t.WouldDeliver}
	}
	a.addActions(&counts)
	a.addTotals(&t)
	if failed != nil {
		if errors.Is(failed, restore.ErrNoSpace) {
			failed = &ui.Problem{Why: failed, Code: exitPartial, Hint: "what was acknowledged stays; make room, then go on with: " + a.again()}
		}
		return outcome{}, a.replayProblem(failed)
	}
	for name, err := range run.Unasked() {
		a.out.Warn("%s could not be asked what was deleted there: %s", ui.Name(name), ui.Oneline(err, 300))
	}
	a.tellMore()
	a.tellAccount(&rep, &t, x.replayFlags, x.target, x.from)
	code := run.Exit()
	o := raise.outcome(x.writes())
	return outcome{findings: o.findings || code == exitFindings, partial: o.partial || code == exitPartial}, nil
}

// prepareReplay works the account out and says what it rests on.
func (a *app) prepareReplay(ctx context.Context, x *replaying, look func() ui.Snapshot) (*replay.Run, error) {
	stop := a.out.Progress(ctx, a.poke, look)
	run, err := replay.Prepare(ctx, *x.opt)
	stop()
	if err != nil {
		return nil, a.replayProblem(err)
	}
	if err := x.only.nothing(a, x.target.store.Name); err != nil {
		run.Close()
		return nil, err
	}
	a.tellSurvey(run, x.from)
	if s := run.Survey(); s.Messages == 0 && s.Refused == 0 && s.Truncated == 0 {
		run.Close()
		return nil, a.emptyArchive(x.from)
	}
	a.tellWindow(run)
	if changed := replay.MapsChanged(x.opt.Resolver); !run.Window().Until.IsZero() && changed.After(run.Window().Until) {
		a.out.Warn("the maps of recipients changed %s, after the window: aliases may have led elsewhere then; [recipients] as_of names a directory that holds them as they were", ui.Time(changed))
	}
	return run, nil
}

// delivering is how a replay delivers; the zero value delivers nothing.
type delivering struct {
	by   replay.Deliverer
	into writing         // straight into the store; nil: not so
	sent *lmtp.Deliverer // through the server; nil: not so
}

func (d *delivering) close() {
	if d.sent != nil {
		d.sent.Close()
	}
}

// beginReplay asks, and begins what delivers.
func (a *app) beginReplay(ctx context.Context, x *replaying, run *replay.Run, raise *raising) (delivering, error) {
	exp := run.Expected()
	if n := raise.work(); n > 0 {
		a.out.Say("Next UIDs of %s in %s are raised first.", ui.Plural(n, "folder"), ui.Name(x.target.store.Name))
	}
	question := "Raise them?"
	if exp.WouldDeliver > 0 {
		question = "Deliver them?"
		a.out.Say("%s to deliver (%s) into %s.", a.out.Style.Bold(ui.Plural(exp.WouldDeliver, "message")), ui.Bytes(exp.Bytes), ui.Name(x.target.store.Name))
	}
	if x.via != nil {
		a.tellVia(x.via)
	}
	if err := a.confirm(ctx, &x.writeFlags, question); err != nil {
		return delivering{}, err
	}
	if x.via != nil {
		sent, err := a.deliverer(ctx, x.via, x.opt.Ledger)
		return delivering{by: sent, sent: sent}, err
	}
	to := applied{site: x.target.site()}
	var err error
	if to.there, err = a.farTarget(ctx, x.target.store); err != nil {
		return delivering{}, err
	}
	to.readers = to.there.askers(nil, 1)
	into, _, err := a.begin(ctx, &to)
	return delivering{by: into, into: into}, err
}

// emptyArchive is what an archive without a single message comes to: more likely
// a wrong directory, or one that is not mounted, than a gateway without mail.
// Nothing is accounted for by it.
func (a *app) emptyArchive(from *config.Archive) error {
	return &ui.Problem{
		What: "archive " + from.Name + ": no message was found in " + from.Path, Code: exitPartial,
		Hint: "is it mounted, and is it the right directory? Nothing is known of any mail by this",
	}
}

// replayProblem says what to do about an error of an archive or a replay.
func (a *app) replayProblem(err error) error {
	p := &ui.Problem{Why: err}
	var noEnv *replay.NoEnvelopesError
	var noGap *replay.NoGapError
	switch {
	case errors.As(err, &noEnv):
		p.Hint = noEnv.Hint
	case errors.As(err, &noGap):
		if noGap.Timeline != nil {
			a.timeline(noGap.Timeline.Hours, nil)
		}
		p.Hint = "choose the window with --since TIME (and --until TIME), or take the whole archive with --since all"
	case errors.Is(err, replay.ErrLedger) && !errors.Is(err, durable.ErrLocked) && !errors.Is(err, durable.ErrNewer):
		p.Hint = "the ledger can be moved away: no message is delivered twice without it, but what was delivered and then deleted would be delivered again"
	case errors.Is(err, remote.ErrLost):
		p.Code, p.Hint = exitPartial, broken+a.again()
	case errors.Is(err, replay.ErrResolver):
		p.Hint = "mailsync config check looks at the maps of [recipients]"
	default:
		return a.runProblem(err)
	}
	return p
}

// replayHeader is what a plan of a replay says of itself.
func (a *app) replayHeader(x *replaying) restore.PlanHeader {
	return restore.PlanHeader{
		Command: a.command, Store: x.target.store.Name, Path: x.target.store.Path, Made: a.began,
		Sources: []restore.PlanSource{{Name: x.from.Name, Path: x.from.Path, Archive: true}},
	}
}

// keepReplayPlan saves what would be done, for apply.
func (a *app) keepReplayPlan(ctx context.Context, run *replay.Run, x *replaying, raise *raising) (outcome, error) {
	actions := run.Actions(ctx)
	if raise != nil {
		actions = concat(raise.Actions(ctx), actions)
	}
	if err := restore.SavePlan(x.plan, a.replayHeader(x), actions); err != nil {
		if cerr := cancelled(ctx); cerr != nil {
			return outcome{}, cerr
		}
		return outcome{}, &ui.Problem{What: "plan " + x.plan, Why: err, Code: exitCantCreate, Hint: "nothing was written into a store"}
	}
	if err := raise.list(ctx, a); err != nil {
		return outcome{}, err
	}
	for ev, err := range run.Events(ctx, nil) {
		if err != nil {
			return outcome{}, a.replayProblem(err)
		}
		a.event(&ev)
	}
	a.tellMore()
	exp := run.Totals()
	a.addTotals(&exp)
	a.addActions(&restore.Counts{Planned: exp.WouldDeliver})
	a.out.Say("The plan is in %s: %s to deliver; nothing else was written. Apply it with:", ui.Name(x.plan), ui.Plural(exp.WouldDeliver, "message"))
	a.next("apply", x.plan)
	o := raise.outcome(false)
	o.findings = o.findings || exp.WouldDeliver > 0 || !exp.Closed() || exp.NoMailbox > 0
	return o, cancelled(ctx)
}
