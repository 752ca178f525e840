package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
	"mailsync/scan"
	"mailsync/scan/budget"
)

// scanFlags are the flags of scan.
type scanFlags struct {
	mailbox     config.Globs
	rehash      bool
	fraction    config.Share
	maxDuration config.Duration
	adopt       bool
	accept      bool
	reason      string
	strict      bool
}

func (a *app) scanCommand() *cobra.Command {
	var o scanFlags
	c := &cobra.Command{
		Use: "scan STORE...", Short: "record what a store holds: build or refresh its manifests",
		Long: `Scan records what each STORE holds, message by message. What stamps prove
untouched is not read again. A scan never launders damage: where a message
disagrees with what was recorded of it, the record stays and the disagreement is
a finding; a message that is gone stays known. It writes nothing into a store.`,
		Args: takes(1, -1),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) { return a.scan(ctx, args, &o) }),
	}
	f := c.Flags()
	f.Var(&o.mailbox, "mailbox", "only mailboxes that match (repeatable)")
	f.BoolVar(&o.rehash, "rehash", false, "read every message, whatever the stamps prove")
	f.Var(&o.fraction, "rehash-fraction", "read this share of the store again, oldest-checked first, as in 1/30")
	f.Var(&o.maxDuration, "max-duration", "stop after this long; the next scan goes on there")
	f.BoolVar(&o.adopt, "adopt", false, "another file system lies under this path, on purpose: start a new generation")
	f.BoolVar(&o.accept, "accept", false, "take changed content as the new truth (needs --reason)")
	f.StringVar(&o.reason, "reason", "", "why content was changed; it is kept with every case")
	f.BoolVar(&o.strict, "strict", false, "disorder makes exit 1, too")
	return c
}

func (a *app) scan(ctx context.Context, args []string, o *scanFlags) (outcome, error) {
	switch {
	case o.accept && strings.TrimSpace(o.reason) == "":
		return outcome{}, usage("--accept needs --reason TEXT: it is kept with every message that it concerns")
	case o.reason != "" && !o.accept:
		return outcome{}, usage("--reason belongs to --accept")
	case o.rehash && o.fraction > 0:
		return outcome{}, usage("--rehash and --rehash-fraction exclude each other")
	}
	stores, err := a.stores(args)
	if err != nil {
		return outcome{}, err
	}
	repo, err := a.openRepo(false)
	if err != nil {
		return outcome{}, err
	}
	return a.each(ctx, stores, func(s *config.Store, set *budget.Set) (outcome, error) {
		return a.scanStore(ctx, s, repo, set, o)
	})
}

// each does one thing with several stores: those of this host one after the
// other, for they may share disks; those of other hosts beside them. A failure of
// one does not keep the others from their turn; it is told at once where there
// are several.
func (a *app) each(ctx context.Context, stores []*config.Store, f func(*config.Store, *budget.Set) (outcome, error)) (outcome, error) {
	set := a.readingBudgets()
	var all outcome
	var failed []error
	var mu sync.Mutex
	note := func(out outcome, err error) {
		mu.Lock()
		defer mu.Unlock()
		all.findings = all.findings || out.findings
		all.partial = all.partial || out.partial
		if err == nil || cancelled(ctx) != nil {
			return
		}
		if len(stores) > 1 {
			a.out.Problem(a.command, err, ui.Hint(err))
		}
		failed = append(failed, err)
	}
	far := func(s *config.Store) bool { return s.Host() != "" }
	a.several = len(stores) > 1 && slices.ContainsFunc(stores, far)
	var there sync.WaitGroup
	for _, s := range stores {
		if far(s) {
			there.Go(func() { note(f(s, set)) })
		}
	}
	for _, s := range stores {
		if !far(s) && cancelled(ctx) == nil {
			note(f(s, set))
		}
	}
	there.Wait()
	if err := cancelled(ctx); err != nil {
		return all, err
	}
	silent := func(err error) bool { return errorCode(err) == exitUnavailable }
	switch {
	case len(failed) == 0:
		return all, nil
	case len(stores) == 1:
		return all, failed[0]
	}
	code := errorCode(failed[0])
	if len(failed) < len(stores) && !slices.ContainsFunc(failed, func(err error) bool { return !silent(err) }) {
		code = exitPartial // the other hosts have answered
	}
	return all, &ui.Problem{
		What: fmt.Sprintf("%d of %s failed", len(failed), ui.Plural(int64(len(stores)), "store")), Why: failed[0],
		Hint: ui.Hint(failed[0]), Code: code, Told: true,
	}
}

func (a *app) scanStore(ctx context.Context, s *config.Store, repo *manifest.Repo, set *budget.Set, o *scanFlags) (outcome, error) {
	began := time.Now()
	a.idle(s)
	p := new(scan.Progress)
	lines := &group{a: a}
	opt := scan.RunOptions{
		Rehash: o.rehash, RehashFraction: float64(o.fraction), MaxDuration: o.maxDuration.Duration,
		Accept: o.accept, Reason: o.reason, Adopt: o.adopt, Progress: p,
		Finding:  func(f manifest.Finding) { lines.line(f.Mailbox, func() { a.finding(&f) }) },
		Vanished: func(f manifest.Finding) { lines.line(f.Mailbox, func() { a.vanished(&f) }) },
	}
	only := &matched{globs: o.mailbox}
	opt.Mailbox = only.filter()
	stop := a.out.Progress(ctx, a.poke, func() ui.Snapshot {
		snap := ui.Snapshot{Stage: a.stage(s, "scanning"), Done: p.Messages.Load(), Total: p.TotalMessages.Load(), Unit: "message", Bytes: p.ReadBytes.Load(), Found: p.Findings.Load(), FoundAs: "finding"}
		switch {
		case snap.Done > snap.Total:
			snap.Total = 0 // the store has grown since it was recorded
		case snap.Total > 0 && snap.Done == snap.Total:
			snap.Stage = a.stage(s, "making the record durable")
		}
		return snap
	})
	defer stop()
	scanThis := a.scanHere
	if s.Host() != "" {
		scanThis = a.scanThere
	}
	r, err := scanThis(ctx, s, repo, set, opt, only)
	stop()
	lines.end()
	a.turn.Lock()
	defer a.turn.Unlock()
	a.addCounts(&r.Counts)
	if err != nil {
		return outcome{}, a.storeProblem(s.Name, err)
	}
	if r.Refused != nil {
		return outcome{partial: true}, a.storeProblem(s.Name, r.Refused)
	}
	a.tellMore()
	if !r.TimeUp {
		if err := only.nothing(a, s.Name); err != nil {
			return outcome{}, err
		}
	}
	if r.Mailboxes == 0 && r.Complete() {
		return outcome{partial: true}, a.emptyStore(s)
	}
	a.tellScanned(s, &r, time.Since(began))
	if err := a.signRecord(ctx, s, repo); err != nil {
		return outcome{}, err
	}
	if err := a.copyRecord(ctx, s, repo); err != nil {
		return outcome{}, err
	}
	return outcome{
		findings: r.Damaged+r.Suspect > 0 || o.strict && r.Disordered > 0,
		partial:  !r.Complete(),
	}, nil
}

// stage names what is being done, and with which of several stores.
func (a *app) stage(s *config.Store, what string) string {
	if a.several {
		return s.Name + ": " + what
	}
	return what
}

// scanHere scans a store of this host.
func (a *app) scanHere(ctx context.Context, s *config.Store, repo *manifest.Repo, set *budget.Set, opt scan.RunOptions, only *matched) (scan.Result, error) {
	doubt, err := a.doubts(s)
	if err != nil {
		return scan.Result{}, err
	}
	taken, err := a.takenBack(s)
	if err != nil {
		return scan.Result{}, err
	}
	logs, err := a.savedLogs(s)
	if err != nil {
		return scan.Result{}, err
	}
	scanner, err := scan.New(a.scanConfig(s), scan.Options{Budgets: set, OnAtime: a.atimeWarning, Doubted: doubt.doubted, TakenBack: taken, SavedLogs: logs, Calls: a.readCalls()})
	if err != nil {
		_, rerr := repo.Store(key(s))
		return scan.Result{}, a.openProblem(s, err, rerr == nil)
	}
	defer scanner.Close()
	if rec, err := repo.Store(key(s)); err == nil {
		a.logStore(s, rec, false)
	} else {
		a.logStore(s, nil, false)
	}
	return a.runScan(ctx, scanner, repo, opt, doubt, only.globs)
}

// runScan scans, and keeps what is doubted up to date.
func (a *app) runScan(ctx context.Context, scanner *scan.Scanner, repo *manifest.Repo, opt scan.RunOptions, doubt *doubts, globs config.Globs) (scan.Result, error) {
	tell := opt.Finding
	opt.Finding = func(f manifest.Finding) {
		doubt.note(&f)
		tell(f)
	}
	r, err := scan.Run(ctx, scanner, repo, opt)
	whole := err == nil && r.Complete()
	a.saveDoubts(doubt, func(m string) bool { return whole && globs.Match(m) })
	return r, err
}

// tellScanned ends the scan of one store.
func (a *app) tellScanned(s *config.Store, r *scan.Result, took time.Duration) {
	name := ui.Name(s.Name)
	a.out.Say("%s: %s, %s, %s; %s read, %s known from the record (%s)",
		a.out.Style.Bold(name), ui.Plural(r.Mailboxes, "mailbox"), ui.Plural(r.Messages, "message"), ui.Bytes(r.Bytes),
		ui.Bytes(r.ReadBytes), ui.Plural(r.Reused, "message"), ui.Duration(took))
	for _, p := range r.Partial {
		a.out.Record(ui.UnknownOf(s.Name, p.Mailbox, ui.Oneline(p.Err, 500), 0))
	}
	for i, p := range r.Partial {
		if i == 20 && !a.out.Verbose() {
			a.out.Say("… and %s more; -v lists them", ui.Count(r.Partials-int64(i)))
			break
		}
		text := ui.Oneline(p.Err, 500)
		if p.Mailbox != "" {
			text = ui.Name(p.Mailbox) + ": " + text
		}
		a.out.Text(2, a.out.Style.Yellow("not complete: ")+text)
	}
	if r.Crashed {
		a.out.Say("The machine was started since the last scan, and nothing says that it was stopped in good order: no stamp was trusted.")
	}
	if r.Accepted > 0 {
		a.out.Say("%s accepted as the new truth; the old digests are kept.", ui.Plural(r.Accepted, "changed message"))
	}
	switch {
	case r.TimeUp:
		a.out.Say("The time was up; what was looked at is recorded. The same command goes on where this one stopped.")
	case r.Damaged+r.Suspect > 0:
		a.out.Say("%s What was recorded before stays the truth; nothing was changed in the store.",
			a.out.Style.Bold(ui.Plural(r.Damaged+r.Suspect, "message")+" damaged or suspected."))
		a.nextAfterDamage(s)
	case r.Partials > 0:
		a.out.Say("Recorded, but for what could not be looked at: of that, the old record is kept.")
	default:
		a.out.Say("%s", a.out.Style.Green("Recorded. Damage and loss from now on can be told from change."))
	}
	if r.Vanished > 0 {
		a.out.Say("%s recorded and gone, with no evidence of loss or deletion; -v lists them.", ui.Plural(r.Vanished, "message"))
	}
}

// copyRecord brings the state copies up to date, and warns while there are none.
func (a *app) copyRecord(ctx context.Context, s *config.Store, repo *manifest.Repo) error {
	if dir, err := a.stateDir(); err == nil && s.Host() == "" && under(dir, s.Path) {
		a.out.Warn("the state directory %s lies on %s: what is lost of the one is lost of the other; name another with --state or state", ui.Escape(dir), ui.Name(s.Name))
	}
	if len(a.cfg.StateCopies) == 0 {
		if !config.IsPath(s.Name) {
			a.onlyHere.Do(func() { a.out.Warn("the record lives only on this host: name another place in state_copies") })
		}
		return nil
	}
	rec, err := repo.Store(key(s))
	if err != nil {
		return a.manifestProblem(s.Name, err)
	}
	for _, dir := range a.cfg.StateCopies {
		if config.IsRemote(dir) {
			a.out.Warn("state copy %s: no copy is pushed to another host; mailsync scan HOST:PATH, run there, keeps the record there", ui.Escape(dir))
			continue
		}
		if _, err := rec.CopyTo(ctx, dir); err != nil {
			return &ui.Problem{
				What: "state copy " + dir, Why: err, Code: exitCantCreate,
				Hint: "the record itself is whole; mend or unlist the copy and scan again",
			}
		}
	}
	return nil
}
