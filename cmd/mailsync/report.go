package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/page"
	"mailsync/cmd/mailsync/runlog"
	"mailsync/cmd/mailsync/ui"
)

// reportFlags are the flags of report.
type reportFlags struct{ text bool }

func (a *app) reportCommand() *cobra.Command {
	var o reportFlags
	c := &cobra.Command{
		Use: "report [RUN|FILE]", Short: "show others what a run found: a page or a text",
		Long: `Report makes a page (--html FILE) or a text for an e-mail (--text) of what a run
told. RUN is an id that mailsync runs or the summary's "log" names, or "last";
without it the runs that are known are listed, of the last 90 days. FILE, with a
'/' in it, or - for standard input, holds lines that a run gave with --json.
The page is one file that loads nothing: it can be sent as it is.`,
		Args: takes(0, 1),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) {
			if len(args) == 0 {
				if o.text || a.html != "" {
					return outcome{}, usage("report of which run? Name one, or last")
				}
				return a.reportList(ctx)
			}
			return a.report(ctx, args[0], &o)
		}),
	}
	a.pageFlag(c.Flags())
	c.Flags().BoolVar(&o.text, "text", false, "plain text to standard output (what happens without --html, too)")
	return c
}

// reportLine is one run that a report can be made of, in JSON.
type reportLine struct {
	ui.Head
	Log      string     `json:"log"`
	Command  string     `json:"command"`
	Began    time.Time  `json:"began,omitzero"`
	Ended    bool       `json:"ended"`
	Exit     int        `json:"exit"`
	State    page.State `json:"state"`
	Sentence string     `json:"sentence"`
}

func reportOf(id string, r *page.Report) reportLine {
	l := reportLine{Head: ui.Head{V: 1, Type: "report"}, Log: id, State: r.State(), Sentence: r.Sentence()}
	l.Command, l.Began = r.Command()
	l.Exit, l.Ended = r.Ended()
	return l
}

// readReport reads the log of a run, or a file of lines.
func (a *app) readReport(arg string) (*page.Report, error) {
	in, err := a.openReport(arg)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	r, err := page.Read(in)
	if err != nil {
		return nil, &ui.Problem{What: "report of " + arg, Why: err, Code: exitData, Hint: "FILE holds what a command wrote with --json"}
	}
	return r, nil
}

func (a *app) openReport(arg string) (io.ReadCloser, error) {
	switch {
	case arg == "-":
		return io.NopCloser(a.std.stdin), nil
	case strings.Contains(arg, "/"):
		return os.Open(arg)
	}
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	in, err := runlog.Open(state, arg)
	if errors.Is(err, runlog.ErrNoLog) {
		return nil, &ui.Problem{What: arg, Why: err, Code: exitNoInput, Hint: a.cmdline("report") + " lists the runs that are known; a file has a '/': ./" + arg}
	}
	return in, err
}

func (a *app) report(ctx context.Context, arg string, o *reportFlags) (outcome, error) {
	r, err := a.readReport(arg)
	if err != nil {
		return outcome{}, err
	}
	a.arrivals(ctx, r)
	if err := cancelled(ctx); err != nil {
		return outcome{}, err
	}
	a.out.Record(reportOf(arg, r))
	if (o.text || a.html == "") && !a.out.JSON() {
		var b strings.Builder
		if err := r.Text(&b); err != nil {
			return outcome{}, err
		}
		a.out.Raw([]byte(b.String()))
	}
	if a.html == "" {
		return outcome{}, nil
	}
	return outcome{}, a.savePage(r, a.html)
}

// reportList lists the runs of which a log is kept; people see the last twenty.
func (a *app) reportList(ctx context.Context) (outcome, error) {
	state, err := a.stateDir()
	if err != nil {
		return outcome{}, err
	}
	ids, err := runlog.List(state)
	if err != nil {
		return outcome{}, err
	}
	const some = 20
	if more := len(ids) - some; more > 0 && !a.out.Verbose() && !a.out.JSON() {
		a.out.Say("… %s older ones; -v lists them", ui.Count(int64(more)))
		ids = ids[more:]
	}
	var broken bool
	told := 0
	for _, id := range ids {
		r, err := a.readReport(id)
		if err := cancelled(ctx); err != nil {
			return outcome{}, err
		}
		if err != nil {
			a.out.Warn("%s: %s", id, ui.Oneline(err, 300))
			broken = true
			continue
		}
		l := reportOf(id, r)
		a.out.Record(l)
		a.summary.Counts["reports"]++
		told++
		a.out.Say("%s  %s", a.out.Style.Bold(id), ui.Escape(l.Command))
		a.out.Say("    %s", ui.EscapeText(l.Sentence))
	}
	if told == 0 {
		a.out.Say("No log is kept yet (state directory %s): scan, verify, restore, replay and undo leave one.", ui.Escape(state))
		return outcome{partial: broken}, nil
	}
	return outcome{partial: broken}, nil
}
