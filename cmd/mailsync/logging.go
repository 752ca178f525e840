package main

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/page"
	"mailsync/cmd/mailsync/runlog"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
	"mailsync/manifest/durable"
	"mailsync/scan/budget"
)

// keepsLog tells of which commands the lines are kept, so that a report can be
// made of them later; held is a log that is kept only if a run begins. diff,
// audit and dry runs promise to write nothing; --html makes their page at once.
func keepsLog(command string) (keeps, held bool) {
	switch command {
	case "scan", "verify":
		return true, false
	case "restore", "replay", "apply", "undo", "drill":
		return true, true
	}
	return false, false
}

// pageFlag adds --html.
func (a *app) pageFlag(f *pflag.FlagSet) {
	f.StringVar(&a.html, "html", "", "write what was found as a page to `FILE`")
}

// keepLog lets the lines of this run be kept, and be collected for a page.
func (a *app) keepLog(cmd *cobra.Command) error {
	if a.command == "report" {
		return nil
	}
	if a.html != "" {
		if st, err := os.Stat(filepath.Dir(a.html)); err != nil || !st.IsDir() {
			return &ui.Problem{What: "--html " + a.html, Why: reason(err), Code: exitCantCreate, Hint: "the page is written into a directory that exists"}
		}
		a.page = new(page.Report)
		a.out.Sink(func(line []byte) {
			a.pageErr = cmp.Or(a.pageErr, a.page.Line(line))
		})
	}
	set := func(name string) bool { f := cmd.Flags().Lookup(name); return f != nil && f.Changed }
	keeps, held := keepsLog(a.command)
	if state, err := a.stateDir(); err == nil && keeps && !set("dry-run") && !set("plan") {
		a.log = runlog.New(state, a.began, held)
		a.out.Sink(a.log.Line)
	}
	if a.log != nil || a.page != nil {
		host, _ := os.Hostname()
		a.out.Log(page.Start{
			Head: ui.Head{V: 1, Type: "start"}, Command: a.command, Args: a.args, Version: buildInfo().Version, Host: host, Began: a.began.UTC(),
		})
	}
	return nil
}

// logStore tells log and page which store is looked at.
func (a *app) logStore(s *config.Store, rec *manifest.Store, offline bool) {
	l := page.Store{Head: ui.Head{V: 1, Type: "store"}, Store: s.Name, Path: s.Path, Role: s.Role.String(), Offline: offline}
	if rec != nil {
		r := rec.Record()
		l.Recorded = r.Complete.Began.UTC()
	}
	if st, err := os.Stat(s.Path); err == nil {
		if sys, ok := st.Sys().(*syscall.Stat_t); ok {
			l.Device = new(budget.Kernel).Device(s.Path, uint64(sys.Dev))
		}
	}
	a.out.Log(l)
}

// logID is the id that report takes: that of the run, where it has one.
func (a *app) logID() string {
	if a.summary.Run != "" {
		return a.summary.Run
	}
	return a.log.ID()
}

// endLog closes the log. That there is none is worth a word only to those who
// ask for detail: the run itself lacks nothing.
func (a *app) endLog() {
	if a.log == nil || a.log.Held() {
		return
	}
	if err := a.log.Close(a.summary.Run); err != nil {
		if a.out.Verbose() {
			a.out.Note("no log is kept of this run: %s", ui.Oneline(err, 300))
		}
		return
	}
	if c := a.summary.Exit; c == exitFindings || c == exitPartial {
		a.out.Detail("To show this to others: %s", a.cmdline("report", a.logID(), "--html", "report.html"))
	}
}

// writePage writes the page of --html, with the summary as it stands. A run
// that failed has none.
func (a *app) writePage(ctx context.Context, code int) error {
	if a.page == nil || code > exitPartial {
		return nil
	}
	line, err := json.Marshal(&a.summary)
	if err = cmp.Or(a.pageErr, err); err == nil {
		err = a.page.Line(line)
	}
	if err != nil {
		return &ui.Problem{What: "page " + a.html, Why: err, Code: exitSoftware}
	}
	a.arrivals(ctx, a.page)
	return a.savePage(a.page, a.html)
}

func (a *app) savePage(r *page.Report, file string) error {
	data, err := r.HTML(buildInfo().Version)
	if err == nil {
		err = durable.WriteFile(nil, file, data, 0o600)
	}
	if err != nil {
		return &ui.Problem{What: "page " + file, Why: err, Code: exitCantCreate, Hint: "what the run itself did stands; mailsync runs tells of it"}
	}
	a.out.Say("The page is in %s.", ui.Escape(file))
	return nil
}

// arrivals counts what arrived in the stores of a report, hour by hour, as
// their records tell. A store without a record has no row in the timeline.
func (a *app) arrivals(ctx context.Context, r *page.Report) {
	from, to := r.Span()
	for _, st := range r.Stores() {
		s, err := a.cfg.Store(st.Store)
		if err != nil || config.IsRemote(s.Path) {
			continue
		}
		repo, err := a.openRepo(true)
		if err != nil {
			return
		}
		rec, err := repo.Store(key(s))
		if err != nil {
			continue
		}
		hours, err := perHour(ctx, rec, from, to)
		if err != nil {
			a.out.Warn("the timeline of %s is left out: %s", ui.Name(s.Name), ui.Oneline(err, 300))
			continue
		}
		for h, n := range hours {
			line, err := json.Marshal(page.Arrivals{Head: ui.Head{V: 1, Type: "arrivals"}, Store: st.Store, Start: time.Unix(h*3600, 0).UTC(), Messages: n})
			if err == nil {
				err = r.Line(line)
			}
			if err != nil {
				a.out.Warn("the timeline of %s is not whole: %s", ui.Name(s.Name), ui.Oneline(err, 300))
			}
		}
	}
}

// perHour counts the messages of a record by the hour of their date.
func perHour(ctx context.Context, rec *manifest.Store, from, to time.Time) (map[int64]int64, error) {
	hours := map[int64]int64{}
	lo, hi := from.UnixNano(), to.UnixNano()
	for h, err := range rec.Heads(ctx) {
		if err != nil {
			return nil, err
		}
		if !h.Gone.IsZero() {
			continue
		}
		m, err := rec.OpenMailbox(h.Name)
		if err != nil {
			return nil, err
		}
		err = m.EachEntry(func(e *manifest.Entry) bool {
			if e.MTime >= lo && e.MTime <= hi {
				hours[e.MTime/int64(time.Hour)]++
			}
			return true
		})
		_ = m.Close()
		if err != nil {
			return nil, err
		}
	}
	return hours, ctx.Err()
}
