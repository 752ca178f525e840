package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/page"
	"mailsync/cmd/mailsync/runlog"
	"mailsync/cmd/mailsync/ui"
	"mailsync/compare"
	"mailsync/scan/budget"
)

// app is one run of the program.
type app struct {
	std    std
	args   []string
	cancel context.CancelCauseFunc
	poke   chan struct{} // SIGUSR1
	began  time.Time

	flags    globals
	out      *ui.Out
	cfg      *config.Config
	command  string
	started  bool    // the grammar was right, a command runs
	outcome  outcome // what the command has found
	summary  ui.Summary
	resume   string // how to go on after a signal
	shown    map[string]int64
	crashAt  string      // of verify: what comes next assumes it, too
	set      *budget.Set // of the run; nil where nothing is read
	log      *runlog.Writer
	page     *page.Report // of --html; nil where none was asked for
	pageErr  error        // the first line that it could not take
	html     string
	hosts    hosts
	onlyHere sync.Once  // that the record has no copy elsewhere is told once
	several  bool       // several stores are looked at side by side
	turn     sync.Mutex // whose lines are written, where there are several
}

// globals are the flags of every command.
type globals struct {
	config, state  string
	json           bool
	quiet, verbose bool
	progress       ui.When
	color          ui.When
	journal        ui.When
	readers        int
	limitRate      config.Size
	ssh            string
	limitNetwork   config.Size
}

func newApp(args []string, s std, cancel context.CancelCauseFunc) *app {
	a := &app{std: s, args: args, cancel: cancel, poke: make(chan struct{}, 1), began: time.Now()}
	a.flags.progress, a.flags.color, a.flags.journal = ui.Auto, ui.Auto, ui.Auto
	return a
}

// talk makes standard output ready. It is called again once the flags are
// known.
func (a *app) talk() {
	width := 0
	if a.std.width != nil {
		width = a.std.width()
	}
	a.out = ui.New(ui.Options{
		Width: width,
		Stdin: a.std.stdin, Stdout: a.std.stdout, Stderr: a.std.stderr,
		StdinTTY: a.std.stdinTTY, StdoutTTY: a.std.stdoutTTY, StderrTTY: a.std.stderrTTY,
		JSON: a.flags.json, Quiet: a.flags.quiet, Verbose: a.flags.verbose, Journal: a.toJournal(),
		Color: a.flags.color, Progress: a.flags.progress,
		NoColor: a.std.getenv("NO_COLOR") != "" || a.std.getenv("TERM") == "dumb",
		Failed:  func(err error) { a.cancel(outputError(err)) },
	})
}

// commandFunc is what a command does once its flags are read.
type commandFunc func(ctx context.Context, args []string) (outcome, error)

// do makes a cobra command of a commandFunc.
func (a *app) do(f commandFunc) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.started = true
		a.command = commandName(cmd)
		a.summary = ui.SummaryOf(a.command)
		for _, name := range counts[a.command] {
			a.summary.Counts[name] = 0
		}
		a.talk()
		if a.flags.readers < 0 {
			return usage("--readers must not be negative")
		}
		cfg, err := config.Find(a.flags.config, a.std.getenv)
		if err != nil {
			if cmd.Name() == "version" {
				cfg, err = &config.Config{}, nil
			} else {
				return configProblem(err)
			}
		}
		a.cfg = cfg
		if err := a.keepLog(cmd); err != nil {
			return err
		}
		a.outcome, err = f(cmd.Context(), args)
		return err
	}
}

// counts are the fields of the summary's counts that a command always has.
var counts = func() map[string][]string {
	looks := strings.Fields("mailboxes folders messages bytes read_bytes reused damaged suspect disordered unreadable vanished")
	writes := strings.Fields("planned done already skipped refused failed")
	account := strings.Fields("archived present delivered would_deliver deleted filtered duplicate ambiguous failed unexplained no_mailbox outside_window")
	differences := strings.Fields("mailboxes messages differences")
	for _, k := range compare.Kinds {
		differences = append(differences, string(k))
	}
	both := slices.Concat(writes, account)
	return map[string][]string{
		"scan": looks, "verify": looks, "diff": differences, "restore": writes, "apply": writes, "undo": writes,
		"replay": both, "audit": both,
	}
}()

// commandName is the path of a command without the program's name.
func commandName(cmd *cobra.Command) string {
	name := cmd.Name()
	for p := cmd.Parent(); p != nil && p.HasParent(); p = p.Parent() {
		name = p.Name() + " " + name
	}
	return name
}

// finish says how the run ended and returns the exit code. The summary is the
// last line of standard output, also of a run that failed.
func (a *app) finish(ctx context.Context, err error) int {
	known := a.command // "" = the command line names none that there is
	if !a.started {
		if err == nil {
			return exitClean // help was asked for and printed
		}
		a.flags.json = a.flags.json || slices.Contains(a.args, "--json")
		a.talk()
		if a.command == "" {
			a.command = "mailsync"
			for _, arg := range a.args {
				if len(arg) > 0 && arg[0] != '-' {
					a.command = arg
					break
				}
			}
		}
		a.summary = ui.SummaryOf(a.command)
		var p *ui.Problem
		var gone *signalError
		if !errors.As(err, &p) && !errors.As(err, &gone) {
			err = usage("%v", err)
		}
	}
	if err == nil {
		if w := a.out.Err(); w != nil {
			err = outputError(w)
		}
	}
	code := exitCode(ctx, a.outcome, err)
	if cause := context.Cause(ctx); cause != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = cause
	}
	hint := ui.Hint(err)
	if hint == usageHint {
		hint = a.usageOf(known)
	}
	if code > 128 {
		err = context.Cause(ctx)
		hint = a.resume
		if hint == "" && a.started {
			hint = "run the same command again: " + ui.Command(append([]string{"mailsync"}, a.args...)...)
		}
	}
	a.tellDevices()
	s := &a.summary
	told := func(err error) bool {
		var p *ui.Problem
		return errors.As(err, &p) && p.Told
	}
	s.Seconds = math.Round(time.Since(a.began).Seconds()*1000) / 1000
	a.sum(code, err, hint)
	if perr := a.writePage(ctx, code); perr != nil {
		err, hint, code = perr, ui.Hint(perr), exitCantCreate
		a.sum(code, err, hint)
	}
	if err != nil && !told(err) && !a.headed(err) {
		a.out.Problem(known, err, hint)
	}
	if a.log != nil && !a.log.Held() {
		s.Log = a.logID()
	}
	a.out.Record(s)
	a.endLog()
	a.out.Ended(s)
	if w := a.out.Err(); code <= exitPartial && w != nil {
		// The summary itself was lost.
		err := outputError(w)
		if !a.headed(err) {
			a.out.Problem(known, err, "")
		}
		return exitCode(ctx, outcome{}, err)
	}
	return code
}

// sum fills the summary.
func (a *app) sum(code int, err error, hint string) {
	s := &a.summary
	s.Exit, s.Complete = code, code == exitClean || code == exitFindings
	if err != nil {
		s.Error, s.Hint = ui.Oneline(err, 2000), hint
	}
}

const usageHint = "mailsync help lists the commands, mailsync COMMAND --help the flags"

// usage is an error of grammar.
func usage(format string, args ...any) error {
	return &ui.Problem{What: fmt.Sprintf(format, args...), Code: exitUsage, Hint: usageHint}
}

// configProblem adds what to do to an error of the configuration.
func configProblem(err error) error {
	p := &ui.Problem{Why: err, Code: exitConfig, Hint: "mend the file, then check it with: mailsync config check"}
	var at *config.PositionError
	if !errors.As(err, &at) {
		p.Hint = "--config FILE or $MAILSYNC_CONFIG names another file; a STORE given as a path needs none"
	}
	return p
}
