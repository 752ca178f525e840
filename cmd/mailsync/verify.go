package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
	"mailsync/restore/remote"
	"mailsync/scan"
	"mailsync/scan/budget"
	"mailsync/scan/verify"
)

// verifyFlags are the flags of verify.
type verifyFlags struct {
	mailbox     config.Globs
	quick       bool
	crashAt     config.Crash
	maxDuration config.Duration
	strict      bool
	evidence    bool
	rehash      bool
	fraction    config.Share
}

func (a *app) verifyCommand() *cobra.Command {
	var o verifyFlags
	c := &cobra.Command{
		Use: "verify [STORE...]", Short: "check a store against itself and against its record",
		Long: `Verify checks stores against themselves and against their record, the answer
first and the proof after: the structure of every mailbox, then everything that
a crash may have touched, then everything else. Without STORE it checks all
stores of the configuration. It writes nothing into a store and does not change
what is recorded: a finding stays one until it is mended.`,
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) { return a.verify(ctx, args, &o) }),
	}
	f := c.Flags()
	f.Var(&o.mailbox, "mailbox", "only mailboxes that match (repeatable)")
	f.BoolVar(&o.quick, "quick", false, "stop after structure and crash window")
	f.Var(&o.crashAt, "crash-at", "a crash happened then; what is gone since the last scan before it is missing")
	f.Var(&o.maxDuration, "max-duration", "stop after this long; the next run goes on there")
	f.BoolVar(&o.strict, "strict", false, "disorder makes exit 1, too")
	f.BoolVar(&o.evidence, "save-evidence", false, "first copy UID lists, keyword tables and index logs into the state directory (before the mail server starts)")
	f.BoolVar(&o.rehash, "rehash", false, "read every message (verify always does)")
	f.Var(&o.fraction, "rehash-fraction", "accepted for symmetry with scan: verify reads everything, oldest-checked first")
	_ = f.MarkHidden("rehash")
	_ = f.MarkHidden("rehash-fraction")
	return c
}

func (a *app) verify(ctx context.Context, args []string, o *verifyFlags) (outcome, error) {
	if len(args) == 0 {
		if args = a.cfg.StoreNames(); len(args) == 0 {
			return outcome{}, usage("which store? There is none in the configuration")
		}
	}
	stores, err := a.stores(args)
	if err != nil {
		return outcome{}, err
	}
	return a.each(ctx, stores, func(s *config.Store, set *budget.Set) (outcome, error) {
		return a.verifyStore(ctx, s, set, o)
	})
}

// stageLine is what is known when a stage has ended, in JSON.
type stageLine struct {
	ui.Head
	Store   string      `json:"store"`
	Stage   int         `json:"stage"`
	Name    string      `json:"name"`
	Known   string      `json:"known"`
	Seconds float64     `json:"seconds"`
	Counts  scan.Counts `json:"counts"`
}

func (a *app) verifyStore(ctx context.Context, s *config.Store, set *budget.Set, o *verifyFlags) (outcome, error) {
	began := time.Now()
	a.idle(s)
	sd, err := a.openStore(ctx, s, set, trustStamps)
	if err != nil {
		return outcome{}, err
	}
	defer sd.close()
	state, err := a.stateDir()
	if err != nil {
		return outcome{}, err
	}
	doubt, err := a.doubts(s)
	if err != nil {
		return outcome{}, err
	}
	lines := &group{a: a}
	lines.alone(func() {
		if !o.crashAt.IsZero() {
			a.crashAt = o.crashAt.UTC().Format(time.RFC3339)
		}
		a.baseline(sd)
	})
	left, short := *o, false
	if o.evidence {
		began := time.Now()
		if short, err = a.saveEvidence(ctx, sd, o.maxDuration.Duration); err != nil {
			return outcome{}, err
		}
		if o.maxDuration.Duration > 0 {
			left.maxDuration.Duration = max(time.Millisecond, o.maxDuration.Duration-time.Since(began))
		}
	}
	only := &matched{globs: o.mailbox}
	v, err := a.verification(ctx, sd, filepath.Join(state, "places"), only, &left)
	if err != nil {
		return outcome{}, err
	}
	stop := a.out.Progress(ctx, a.poke, func() ui.Snapshot {
		p := v.Progress()
		snap := ui.Snapshot{
			Stage: a.stage(s, verify.StageID(p.Stage.Load()).String()), Done: p.Done.Load(), Total: p.Total.Load(), Unit: "message",
			Bytes: p.Bytes.Load(), Found: p.Finding.Load(), FoundAs: "finding",
		}
		if snap.Done > snap.Total {
			snap.Total = 0 // the store has grown since it was recorded
		}
		return snap
	})
	defer stop()
	for ev, err := range v.Events(ctx) {
		switch {
		case err != nil:
			lines.end()
			a.saveDoubts(doubt, none)
			return outcome{}, a.storeProblem(s.Name, err)
		case ev.Finding != nil:
			doubt.note(ev.Finding)
			lines.line(ev.Finding.Mailbox, func() { a.finding(ev.Finding) })
		case ev.Vanished != nil:
			lines.line(ev.Vanished.Mailbox, func() { a.vanished(ev.Vanished) })
		case ev.Stage != nil:
			lines.alone(func() { a.tellStage(s, ev.Stage) })
		}
	}
	stop()
	lines.end()
	a.turn.Lock()
	defer a.turn.Unlock()
	r := v.Result()
	whole := verifiedWhole(&r, o.quick)
	a.saveDoubts(doubt, func(m string) bool { return whole && o.mailbox.Match(m) })
	a.addCounts(&r.Counts)
	if !r.Ended { // else it had no time to see what there is
		if err := only.nothing(a, s.Name); err != nil {
			return outcome{}, err
		}
		if r.Mailboxes == 0 && !r.Refused && len(r.Partial) == 0 {
			return outcome{partial: true}, a.emptyStore(s)
		}
	}
	a.tellVerified(sd, &r, time.Since(began))
	return outcome{
		findings: r.Damaged+r.Suspect > 0 || o.strict && r.Disordered > 0,
		partial:  short || r.Ended || r.Refused || r.Unreadable > 0 || len(r.Partial) > 0,
	}, nil
}

// verification prepares the check of a store, by the host on which it lies.
func (a *app) verification(ctx context.Context, sd *side, places string, only *matched, o *verifyFlags) (verifying, error) {
	if sd.far == nil {
		return verify.New(sd.scanner, verify.Options{
			Mailbox: only.filter(), Quick: o.quick, CrashAt: o.crashAt.Time, MaxDuration: o.maxDuration.Duration,
			Record: sd.base, PlaceDir: places, FS: a.std.files, Scope: o.mailbox.String(),
		}), nil
	}
	p, err := a.peer(ctx, sd.store.Host())
	if err != nil {
		return nil, err
	}
	v := &farVerify{p: p, store: sd.store.Name, only: only, task: lookTask{
		Store: a.spec(sd.store, trustStamps), Mailbox: o.mailbox, Quick: o.quick, MaxDuration: int64(o.maxDuration.Duration),
	}}
	if !o.crashAt.IsZero() {
		v.task.CrashAt = o.crashAt.UnixNano()
	}
	return v, nil
}

// verifiedWhole tells whether everything was read, by this run.
func verifiedWhole(r *verify.Result, quick bool) bool {
	return r.Complete && !quick && !r.Ended && !r.Resumed && !r.Refused && len(r.Partial) == 0
}

// tellStage says what is known when a stage has ended.
func (a *app) tellStage(s *config.Store, st *verify.Stage) {
	a.tellMore()
	a.out.Record(stageLine{
		Head: ui.Head{V: 1, Type: "stage"}, Store: s.Name, Stage: int(st.ID), Name: st.ID.String(),
		Known: st.Known, Seconds: st.Took.Seconds(), Counts: st.Counts,
	})
	if !a.out.Quiet() {
		a.out.Text(17, a.out.Style.Bold(pad(a.stage(s, st.ID.String()+":"), 16))+" "+ui.EscapeText(st.Known))
	}
}

// baseline says what a store is checked against.
func (a *app) baseline(sd *side) {
	at, ok := sd.recordedAt()
	if !ok {
		a.out.Say("%s has no record yet: it is checked against itself alone.", ui.Name(sd.store.Name))
		return
	}
	if sd.unfinished() {
		a.out.Say("%s, against what an unfinished scan has recorded (begun %s); what that did not reach is checked against itself alone.", a.out.Style.Bold(ui.Name(sd.store.Name)), a.when(at))
		return
	}
	a.out.Say("%s, against its record of %s.", a.out.Style.Bold(ui.Name(sd.store.Name)), a.when(at))
}

// vanished lists a message that is gone without evidence either way; only
// --verbose asks for it.
func (a *app) vanished(f *manifest.Finding) {
	if !a.out.Verbose() {
		return
	}
	l := ui.FindingOf(f)
	l.Type = "vanished"
	a.out.Record(l)
	a.out.Detail("%s %s", a.out.Style.Dim(pad("vanished", 10)), where(f.Mailbox, f.Folder, f.File))
}

// emptyStore is what a store without a single mailbox comes to: more likely a
// wrong directory, or one that is not mounted, than a store of nobody.
func (a *app) emptyStore(s *config.Store) error {
	return &ui.Problem{
		What: "store " + s.Name + ": no mailbox was found below " + s.Path, Code: exitPartial,
		Hint: "is it mounted, and is it the right directory? A mailbox is a directory with cur and new in it",
	}
}

// addCounts adds the counts of one store to the summary.
func (a *app) addCounts(c *scan.Counts) {
	m := a.summary.Counts
	m["mailboxes"] += c.Mailboxes
	m["folders"] += c.Folders
	m["messages"] += c.Messages
	m["bytes"] += c.Bytes
	m["read_bytes"] += c.ReadBytes
	m["reused"] += c.Reused
	m["damaged"] += c.Damaged
	m["suspect"] += c.Suspect
	m["disordered"] += c.Disordered
	m["unreadable"] += c.Unreadable
	m["vanished"] += c.Vanished
}

// tellVerified ends the check of one store: the sum, what is now known, what
// comes next.
func (a *app) tellVerified(sd *side, r *verify.Result, took time.Duration) {
	name := ui.Name(sd.store.Name)
	a.tellMore()
	a.out.Say("")
	if r.Resumed {
		a.out.Say("It went on where an earlier run stopped; what that found is counted, and was told then.")
	}
	a.out.Say("%s: %s, %s, %s; %s read (%s)", name, ui.Plural(r.Mailboxes, "mailbox"), ui.Plural(r.Messages, "message"), ui.Bytes(r.Bytes), ui.Bytes(r.ReadBytes), ui.Duration(took))
	for _, why := range r.Partial {
		a.out.Record(ui.UnknownOf(sd.store.Name, "", why, 0))
		a.out.Text(2, a.out.Style.Yellow("not complete: ")+ui.EscapeText(why))
	}
	if more := r.Partials - int64(len(r.Partial)); more > 0 {
		a.out.Say("… and %s more", ui.Count(more))
	}
	switch {
	case r.Refused:
		a.out.Say("Nothing is concluded about messages that are gone: the store looks empty or half gone.")
		a.out.Say("Is everything mounted? The record is kept as it was.")
	case r.Damaged+r.Suspect > 0:
		a.out.Say("%s", a.out.Style.Bold(damageSentence(r))+" Nothing was changed.")
		a.nextAfterDamage(sd.store)
	case r.Ended:
		a.out.Say("No damage so far. The time was up; the same command goes on where this one stopped.")
	case r.Unreadable > 0 || len(r.Partial) > 0:
		a.out.Say("No damage in what could be looked at; the rest is not known.")
	case !sd.hasRecord():
		a.out.Say("Nothing contradicts itself. Change and loss can be told once there is a record:")
		a.next("scan", sd.store.Name)
	case sd.unfinished():
		a.out.Say("Nothing contradicts itself, or what is recorded. Change and loss of the rest can be told once a scan was finished:")
		a.next("scan", sd.store.Name)
	case r.Vanished > 0:
		a.out.Say("Every message that is there is what it was when it was recorded; none is damaged.")
	default:
		a.out.Say("%s", a.out.Style.Green("Every message is what it was when it was recorded; none is damaged or missing."))
	}
	if r.Disordered > 0 {
		a.out.Say("%s in the housekeeping (names, lists, leftovers): no mail is harmed.", ui.Plural(r.Disordered, "disorder"))
	}
	if r.Vanished > 0 {
		a.out.Say("%s recorded and gone, with no evidence of loss or deletion; -v lists them.", ui.Plural(r.Vanished, "message"))
	}
	if r.Crashed {
		a.out.Say("A crash was assumed%s.", crashTime(r.Crash))
	}
}

func crashTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " at " + ui.Time(t)
}

func damageSentence(r *verify.Result) string {
	var parts []string
	if n := r.Damaged; n > 0 {
		parts = append(parts, ui.Plural(n, "message")+" proven damaged")
	}
	if n := r.Suspect - r.Missing; n > 0 {
		parts = append(parts, ui.Count(n)+" suspected")
	}
	if r.Missing > 0 {
		parts = append(parts, ui.Count(r.Missing)+" missing")
	}
	return strings.Join(parts, ", ") + "."
}

// nextAfterDamage names the commands that come after damage was found, with
// the real names of the other stores.
func (a *app) nextAfterDamage(s *config.Store) {
	others := a.replicas(s)
	a.next(append([]string{"diff", s.Name}, others...)...)
	restore := []string{"restore", s.Name}
	if a.crashAt != "" {
		restore = append(restore, "--crash-at", a.crashAt)
	}
	for _, o := range others {
		restore = append(restore, "--from", o)
	}
	a.next(restore...)
}

// replicas names the other stores of the configuration in the order of trust: a
// backup, which lags, last.
func (a *app) replicas(s *config.Store) (others []string) {
	for _, role := range []config.Role{config.Primary, config.Spare, {}, config.Backup} {
		for _, o := range a.cfg.WithRole(role) {
			if o.Path != s.Path && !config.IsRemote(o.Path) {
				others = append(others, o.Name)
			}
		}
	}
	if config.IsPath(s.Name) || len(others) == 0 {
		return []string{"REPLICA"}
	}
	return others
}

// cmdline writes a command that comes next, with the configuration and state of
// this one: pasted, it must mean the same store.
func (a *app) cmdline(args ...string) string {
	all := []string{"mailsync"}
	if a.flags.config != "" {
		all = append(all, "--config", a.flags.config)
	}
	if a.flags.state != "" {
		all = append(all, "--state", a.flags.state)
	}
	if a.flags.ssh != "" {
		all = append(all, "--ssh", a.flags.ssh)
	}
	return ui.Command(append(all, args...)...)
}

// next prints a command that comes next, ready to be pasted.
func (a *app) next(args ...string) {
	a.out.Command(a.cmdline(args...))
}

// storeProblem adds what to do to an error that ended the look at a store.
func (a *app) storeProblem(name string, err error) error {
	p := &ui.Problem{What: "store " + name, Why: err}
	var told *ui.Problem
	switch {
	case ended(err), errors.As(err, &told):
		return err
	case errors.Is(err, remote.ErrLost):
		p.Code, p.Hint = exitPartial, broken+a.again()
	case errors.Is(err, scan.ErrOtherFilesystem), errors.Is(err, manifest.ErrOther):
		p.Code = exitPartial
		p.Hint = "is the right volume mounted? If it was replaced on purpose: " + a.cmdline("scan", "--adopt", name)
	case errors.Is(err, scan.ErrHalfGone):
		p.Code = exitPartial
		p.Hint = "is everything mounted? The record is kept as it was"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		p.Hint = "make room in the state directory, or name another one with --state; what was recorded stays, and the same command goes on"
	case errors.Is(err, syscall.EROFS):
		p.Code, p.Hint = exitCantCreate, "the state directory cannot be written; name another one with --state"
	case errors.Is(err, manifest.ErrLocked):
		p.Code = exitTempFail
		p.Hint = "another mailsync works on this store; try again when it has ended"
	}
	return p
}

// took is how long a run took, for a closing line.
func (a *app) took() string { return ui.Duration(time.Since(a.began)) }
