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
	done, err := a.account(ctx, &opt, o, target, from, only, via)
	done.partial = done.partial || lost
	return done, err
}

// account prepares the replay, shows what would be done, asks, and does it.
func (a *app) account(ctx context.Context, opt *replay.Options, o *replayFlags, target *side, from *config.Archive, only *matched, via *lmtp.Target) (outcome, error) {
	p := new(replay.Progress)
	opt.Progress = p
	opt.Waits = func(d time.Duration) {
		a.out.Warn("an earlier run was ended before the server answered: waiting %s, until the server has certainly done or dropped what it was sent, before its mailboxes are looked at", ui.Duration(d))
	}
	look := func() ui.Snapshot {
		s := ui.Snapshot{Stage: "reading the archive", Done: p.Done.Load(), Total: p.Total.Load(), Unit: "message", Bytes: p.Bytes.Load(), Found: p.Findings.Load(), FoundAs: "finding"}
		if st := p.Stage.Load(); st != nil {
			s.Stage = *st
		}
		return s
	}
	stop := a.out.Progress(ctx, a.poke, look)
	defer stop()
	run, err := replay.Prepare(ctx, *opt)
	if err != nil {
		stop()
		return outcome{}, a.replayProblem(err)
	}
	defer run.Close()
	if err := only.nothing(a, target.store.Name); err != nil {
		stop()
		return outcome{}, err
	}
	stop()
	a.tellSurvey(run, from)
	if s := run.Survey(); s.Messages == 0 && s.Refused == 0 && s.Truncated == 0 {
		return outcome{}, a.emptyArchive(from)
	}
	a.tellWindow(run)
	if changed := replay.MapsChanged(opt.Resolver); !run.Window().Until.IsZero() && changed.After(run.Window().Until) {
		a.out.Warn("the maps of recipients changed %s, after the window: aliases may have led elsewhere then; [recipients] as_of names a directory that holds them as they were", ui.Time(changed))
	}
	exp := run.Expected()
	if o.plan != "" {
		return a.keepReplayPlan(ctx, run, o, target, from)
	}
	var d replay.Deliverer
	var written writing
	if o.writes() && exp.WouldDeliver > 0 {
		a.out.Say("%s to deliver (%s) into %s.", a.out.Style.Bold(ui.Plural(exp.WouldDeliver, "message")), ui.Bytes(exp.Bytes), ui.Name(target.store.Name))
		if via != nil {
			a.tellVia(via)
		}
		if err := a.confirm(ctx, &o.writeFlags, "Deliver them?"); err != nil {
			return outcome{}, err
		}
		if via != nil {
			sent, err := a.deliverer(ctx, via, opt.Ledger)
			if err != nil {
				return outcome{}, err
			}
			defer sent.Close()
			d = sent
		} else {
			x := applied{site: target.site()}
			if x.there, err = a.farTarget(ctx, target.store); err != nil {
				return outcome{}, err
			}
			x.readers = x.there.askers(nil, 1)
			if written, _, err = a.begin(ctx, &x); err != nil {
				return outcome{}, err
			}
			d = written
		}
	}
	stop = a.out.Progress(ctx, a.poke, look)
	defer stop()
	var rep accounts
	var failed error
	var counts restore.Counts
	for ev, err := range run.Events(ctx, d) {
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
	if failed == nil {
		failed = cancelled(ctx)
	}
	stop()
	if written != nil {
		if err := written.End(failed); err != nil && failed == nil {
			failed = err
		}
		c := written.Counts()
		a.addActions(&c)
	} else if d != nil {
		a.addActions(&counts)
	} else {
		a.addActions(&restore.Counts{Planned: run.Totals().WouldDeliver})
	}
	t := run.Totals()
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
	a.tellAccount(&rep, &t, o, target, from)
	code := run.Exit()
	return outcome{findings: code == exitFindings, partial: code == exitPartial}, nil
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

// keepReplayPlan saves what would be delivered, for apply.
func (a *app) keepReplayPlan(ctx context.Context, run *replay.Run, o *replayFlags, target *side, from *config.Archive) (outcome, error) {
	h := restore.PlanHeader{
		Command: a.command, Store: target.store.Name, Path: target.store.Path, Made: a.began,
		Sources: []restore.PlanSource{{Name: from.Name, Path: from.Path, Archive: true}},
	}
	if err := restore.SavePlan(o.plan, h, run.Actions(ctx)); err != nil {
		if cerr := cancelled(ctx); cerr != nil {
			return outcome{}, cerr
		}
		return outcome{}, &ui.Problem{What: "plan " + o.plan, Why: err, Code: exitCantCreate, Hint: "nothing was written into a store"}
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
	a.out.Say("The plan is in %s: %s to deliver; nothing else was written. Apply it with:", ui.Name(o.plan), ui.Plural(exp.WouldDeliver, "message"))
	a.next("apply", o.plan)
	return outcome{findings: exp.WouldDeliver > 0 || !exp.Closed() || exp.NoMailbox > 0}, cancelled(ctx)
}
