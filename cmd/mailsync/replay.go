package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest/durable"
	"mailsync/restore"
	"mailsync/restore/archive"
	"mailsync/restore/lmtp"
	"mailsync/restore/replay"
	"mailsync/restore/userdb"
)

// replayFlags are the flags of replay and audit.
type replayFlags struct {
	writeFlags
	from, to     string
	recorded     []string
	mailbox      config.Globs
	since, until string
	crashAt      config.When
	via          string
	ambiguous    string
	deliveryLogs []string
	multiset     bool
	keyword      string
	undelete     bool
	undecided    string
	fixUIDNext   bool
	outbound     bool     // audit: of mail that left
	queues       []string // with outbound
	service      string   // with outbound: the field that names the service
	transport    string   // with outbound: the MTA's, that writes the archive
}

func (a *app) replayCommand() *cobra.Command {
	var o replayFlags
	c := &cobra.Command{
		Use: "replay --from ARCHIVE [--to STORE]", Short: "deliver what the gateway's archive has and the store lacks",
		Long: `Replay reads the archive, works out for whom each message was, looks whether it
is already in the mailbox (in any folder), and delivers what is missing inside
the gap, straight into the store: no vacation reply, forward or bounce is sent.
It shows the account and asks before it writes. A second replay delivers
nothing. Without --since it looks for the gap and shows it.`,
		Args: cobra.NoArgs,
		RunE: a.do(func(ctx context.Context, _ []string) (outcome, error) { return a.replay(ctx, &o, true) }),
	}
	a.replayFlags(c, &o)
	a.writeFlags(c, &o.writeFlags)
	f := c.Flags()
	f.StringVar(&o.via, "via", "", "deliver by `lmtp:ADDRESS`, with the server's filters and quota, instead of straight into the store")
	f.StringVar(&o.keyword, "keyword", "", "set this keyword on what is delivered, so that it can be found")
	f.BoolVar(&o.undelete, "undelete", false, "deliver deleted messages, too")
	f.StringVar(&o.undecided, "undecided", "", "the same as --ambiguous")
	f.BoolVar(&o.fixUIDNext, "fix-uidnext", false, "raise next UIDs that are not safe")
	_ = f.MarkHidden("undecided")
	return c
}

func (a *app) auditCommand() *cobra.Command {
	var o replayFlags
	c := &cobra.Command{
		Use: "audit --from ARCHIVE [--to STORE]", Short: "the account: what became of every archived message, without delivering",
		Long: `Audit draws up the account that must close: archived = present + delivered +
deleted + filtered + duplicate + what is still open, mailbox by mailbox, with
the list behind each number. It delivers nothing and writes nothing.`,
		Args: cobra.NoArgs,
		RunE: a.do(func(ctx context.Context, _ []string) (outcome, error) {
			if o.outbound {
				return a.outbound(ctx, &o)
			}
			if len(o.queues) > 0 || o.service != "" {
				return outcome{}, usage("--queue and --service-header belong to --outbound")
			}
			return a.replay(ctx, &o, false)
		}),
	}
	a.replayFlags(c, &o)
	f := c.Flags()
	f.BoolVar(&o.outbound, "outbound", false, "of mail that left: what was sent, delayed, bounced, expired, lost, by service")
	f.StringArrayVar(&o.queues, "queue", nil, "with --outbound: `DIR` of the MTA's queue as it is now (repeatable)")
	f.StringVar(&o.transport, "archive-transport", "archive", "with --outbound: `NAME` of the MTA's transport that writes the archive; what it takes counts as sent to nobody")
	f.StringVar(&o.service, "service-header", "", "with --outbound: `FIELD` that names the service (default: SASL user or client address of the log)")
	o.dryRun = true
	return c
}

func (a *app) replayFlags(c *cobra.Command, o *replayFlags) {
	f := c.Flags()
	f.StringVar(&o.from, "from", "", "the `ARCHIVE`")
	f.StringVar(&o.to, "to", "", "the `STORE` (default: the one with role primary)")
	f.StringArrayVar(&o.recorded, "recorded", nil, "take this `STORE` from its record: it is offline (repeatable)")
	f.Var(&o.mailbox, "mailbox", "only mailboxes that match, in this order (repeatable)")
	f.StringVar(&o.since, "since", "", "`TIME` from which absent mail is missing, or all (default: the gap that is found)")
	f.StringVar(&o.until, "until", "", "`TIME` up to which")
	f.Var(&o.crashAt, "crash-at", "a crash happened then: what was there before and is gone is lost, not deleted")
	f.StringVar(&o.ambiguous, "ambiguous", "skip", "where another version is present: `skip|deliver|folder=NAME`")
	f.StringArrayVar(&o.deliveryLogs, "delivery-log", nil, "mail log `FILE` that shows what was filtered or forwarded (repeatable)")
	f.BoolVar(&o.multiset, "multiset", false, "count copies, instead of asking for one of each message")
	a.pageFlag(f)
}

// window reads --since and --until.
func (o *replayFlags) window(opt *replay.Options) error {
	if o.since == "all" {
		opt.All = true
	} else if o.since != "" {
		var w config.When
		if err := w.Set(o.since); err != nil {
			return usage("--since: %v", err)
		}
		opt.Since = w.Time
	}
	if o.until != "" {
		var w config.When
		if err := w.Set(o.until); err != nil {
			return usage("--until: %v", err)
		}
		opt.Until = w.Time
	}
	return nil
}

// decision reads --ambiguous.
func (o *replayFlags) decision(opt *replay.Options) error {
	word := o.ambiguous
	if o.undecided != "" {
		word = o.undecided
	}
	folder, ok := strings.CutPrefix(word, "folder=")
	switch {
	case word == "skip" || word == "leave":
	case word == "deliver" || word == "restore":
		opt.Ambiguous = replay.Deliver
	case ok && strings.EqualFold(folder, "INBOX"):
		opt.Ambiguous = replay.Deliver
	case ok && !slices.Contains(strings.Split(folder, "/"), "") && !strings.ContainsFunc(folder, unicode.IsControl):
		opt.Ambiguous, opt.AmbiguousFolder = replay.InFolder, folder
	default:
		return usage("--ambiguous %q is none of skip, deliver, folder=NAME", word)
	}
	return nil
}

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
	ar, err := a.openArchive(from)
	if err != nil {
		return outcome{}, err
	}
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
	if o.writes() && target.scanner == nil {
		return outcome{}, usage("%s is taken from its record: only audit, --dry-run and --plan can do that", ui.Name(target.store.Name))
	}
	if err := a.permitted(&o.writeFlags); err != nil {
		return outcome{}, err
	}
	opt.Target, opt.Witness = target.source(), target.witness()
	if site := target.site(); site != nil {
		opt.FolderDir = func(mailbox, folder string) (string, error) {
			p, err := site.Place(mailbox)
			if err != nil {
				return "", err
			}
			return p.Folders().Dir(folder)
		}
	}
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
	if opt.Ledger, err = a.ledger(target, !o.writes()); err != nil {
		return outcome{}, a.replayProblem(err)
	}
	defer opt.Ledger.Close()
	return a.account(ctx, &opt, o, target, from, only, via)
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
	a.tellWindow(run)
	if changed := replay.MapsChanged(opt.Resolver); !run.Window().Until.IsZero() && changed.After(run.Window().Until) {
		a.out.Warn("the maps of recipients changed %s, after the window: aliases may have led elsewhere then; [recipients] as_of names a directory that holds them as they were", ui.Time(changed))
	}
	exp := run.Expected()
	if o.plan != "" {
		return a.keepReplayPlan(ctx, run, o, target, from)
	}
	var d replay.Deliverer
	var written *restore.Run
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
			if written, err = a.begin(&applied{site: target.site()}); err != nil {
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
	case errors.Is(err, replay.ErrResolver):
		p.Hint = "mailsync config check looks at the maps of [recipients]"
	default:
		return a.runProblem(err)
	}
	return p
}

// archive resolves an ARCHIVE argument.
func (a *app) archive(arg string) (*config.Archive, error) {
	x, err := a.cfg.Archive(arg)
	if err != nil {
		return nil, a.nameProblem(err, arg, "archive", a.cfg.ArchiveNames())
	}
	return x, nil
}

// openArchive opens an archive as the configuration describes it.
func (a *app) openArchive(x *config.Archive) (*archive.Archive, error) {
	zone, err := x.Zone()
	if err != nil {
		return nil, err
	}
	ar, err := archive.Open(x.Path, archive.Options{
		Name: x.Name, Zone: zone, Header: x.Header, SenderFrom: x.Sender, ReceivedBy: x.ReceivedBy,
		Own: x.Own, Pattern: x.Pattern, Variant: x.Variant,
	})
	if err != nil {
		p := &ui.Problem{What: "archive " + x.Name, Why: err}
		if errors.Is(err, archive.ErrNoInput) {
			p.Hint = "is it mounted, and readable for this user?"
		} else if !config.IsPath(x.Name) {
			p.Code = exitConfig
		}
		return nil, p
	}
	return ar, nil
}

// archiveSource opens an archive that a saved plan names.
func (a *app) archiveSource(name, path string) (*replay.ArchiveSource, error) {
	x, err := a.cfg.Archive(name)
	if err != nil || config.IsPath(name) {
		x = &config.Archive{Name: name, Path: path}
	}
	ar, err := a.openArchive(x)
	if err != nil {
		return nil, err
	}
	return replay.FromArchive(ar), nil
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

// replaySides opens the target and the stores whose evidence counts.
func (a *app) replaySides(ctx context.Context, o *replayFlags) (*side, []*side, error) {
	var target *config.Store
	var err error
	if o.to != "" {
		target, err = a.store(o.to)
	} else {
		target, err = a.defaultTarget(ctx, o)
	}
	if err != nil {
		return nil, nil, err
	}
	if o.writes() || o.plan != "" {
		if err := a.targetHere(target); err != nil {
			return nil, nil, err
		}
	}
	offline := map[string]bool{}
	var rest []*config.Store
	add := func(s *config.Store) {
		for _, x := range rest {
			if x.Path == s.Path {
				return
			}
		}
		if s.Path != target.Path {
			rest = append(rest, s)
		}
	}
	for _, name := range o.recorded {
		s, err := a.store(name)
		if err != nil {
			return nil, nil, err
		}
		offline[s.Path] = true
		add(s)
	}
	sides, err := a.openSides(ctx, []*config.Store{target}, offline, a.budgets(), trustFiles, 0)
	if err != nil {
		return nil, nil, err
	}
	// What was deleted on another configured store counts too; its record says so.
	var others []*side
	for _, name := range a.cfg.StoreNames() {
		if s := a.cfg.Stores[name]; !config.IsRemote(s.Path) && !config.IsPath(target.Name) {
			offline[s.Path] = true
			add(s)
		}
	}
	for _, s := range rest {
		rec, err := a.record(s)
		if err != nil {
			a.out.Warn("%s has no record: what its users deleted there cannot be told from what is missing (every configured store is asked)", ui.Name(s.Name))
			continue
		}
		others = append(others, &side{store: s, base: rec, recorded: a.recordedStore(s, rec, o.crashAt.Time)})
		a.logStore(s, rec, true)
	}
	return sides[0], others, nil
}

// defaultTarget is the store with role primary, unless another holds newer
// deliveries or it cannot be reached.
func (a *app) defaultTarget(ctx context.Context, o *replayFlags) (*config.Store, error) {
	names := a.cfg.StoreNames()
	if len(names) == 0 {
		return nil, usage("into which store? Name it with --to STORE")
	}
	set := a.budgets()
	var candidates []replay.Candidate
	var stores []*config.Store
	for _, name := range names {
		s := a.cfg.Stores[name]
		if config.IsRemote(s.Path) {
			continue
		}
		c := replay.Candidate{Name: name, Role: s.Role.String()}
		if sd, err := a.openLive(s, set, trustStamps); err == nil {
			defer sd.close()
			c.Source = sd.source()
		} else {
			c.Unreachable = true
		}
		candidates, stores = append(candidates, c), append(stores, s)
	}
	i, why, err := replay.ChooseTarget(ctx, candidates, a.began)
	if err != nil {
		return nil, err
	}
	if i < 0 {
		return nil, &ui.Problem{What: "into which store? " + why, Code: exitUsage, Hint: "name it with --to STORE"}
	}
	return stores[i], nil
}

// resolver reads the operator's maps.
func (a *app) resolver(ctx context.Context, target *side) (replay.Resolver, error) {
	names, err := replay.NewNames(ctx, target.source())
	if err != nil {
		return nil, a.storeProblem(target.store.Name, err)
	}
	r := a.cfg.Recipients
	m := replay.Maps{
		Delimiter: r.Delimiter, KeepCase: r.CaseFold != nil && !*r.CaseFold, Domains: r.Domains, Virtual: r.Virtual, Aliases: r.Aliases,
		VirtualMailbox: r.Mailboxes, VirtualMailboxBase: r.MailboxBase, PasswdFiles: r.PasswdFiles, Command: r.Command, AsOf: r.AsOf,
		Mailboxes: names,
	}
	if target.scanner != nil {
		m.At = a.mailboxAt(ctx, target)
		if target.store.Layout != "" {
			m.Placed = func(name string) bool {
				_, err := target.scanner.Place(ctx, name)
				return err == nil
			}
		}
	}
	if m.Userdbs, err = a.userdbs(ctx); err != nil {
		return nil, err
	}
	res, err := replay.NewResolver(m)
	if err != nil {
		return nil, a.replayProblem(err)
	}
	return res, nil
}

// userdbs opens the databases of [recipients]. They are closed when the
// command ends.
func (a *app) userdbs(ctx context.Context) ([]replay.Userdb, error) {
	r := a.cfg.Recipients
	var out []replay.Userdb
	if q := r.SQL; q != nil {
		db, err := userdb.Open(ctx, userdb.Options{
			Driver: userdb.Driver(q.Driver), DSN: q.DSN, Base: q.Base,
			Queries: userdb.Queries{Aliases: q.Aliases, AliasDomains: q.AliasDomains, Mailboxes: q.Mailboxes},
		})
		if err != nil {
			return nil, &ui.Problem{What: "recipients.sql", Why: err, Hint: "is dsn right, and may this user connect? docs/configuration.md shows both forms"}
		}
		context.AfterFunc(ctx, func() { _ = db.Close() }) // nothing was written
		out = append(out, db)
	}
	if len(r.Doveadm) > 0 {
		out = append(out, &userdb.Doveadm{Command: r.Doveadm, Maildir: r.HomeMaildir})
	}
	return out, nil
}

// mailboxAt names the mailbox whose Maildir is at an absolute path. The paths
// are looked up once, when the first is asked for.
func (a *app) mailboxAt(ctx context.Context, target *side) func(string) string {
	var paths map[string]string
	return func(path string) string {
		if paths == nil {
			paths = map[string]string{}
			for h, err := range target.scanner.Mailboxes(ctx) {
				if err != nil {
					break
				}
				if p, err := target.scanner.Place(ctx, h.Name); err == nil {
					paths[p.Root] = h.Name
				}
			}
		}
		return paths[strings.TrimRight(path, "/")]
	}
}

// ledger opens the memory of earlier replays into this store.
func (a *app) ledger(target *side, readOnly bool) (*replay.Ledger, error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	name := key(target.store)
	if target.base != nil && target.base.Record().Generation > 1 {
		name = fmt.Sprintf("%s#%d", name, target.base.Record().Generation)
	}
	runs, err := restore.Runs(state)
	if err != nil {
		return nil, err
	}
	undone := map[string]bool{}
	for i := range runs {
		undone[runs[i].ID] = runs[i].UndoneBy != ""
	}
	l, err := replay.OpenLedger(filepath.Join(state, "ledgers"), name, readOnly)
	if err != nil {
		return nil, err
	}
	l.Forget(func(run string) bool { return undone[run] })
	return l, nil
}
