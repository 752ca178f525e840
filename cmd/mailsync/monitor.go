package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/monitor"
	"mailsync/cmd/mailsync/runlog"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
	"mailsync/manifest/durable"
	"mailsync/restore"
)

// monitorFlags are the flags of monitor.
type monitorFlags struct {
	scanAge, drillAge, lag, latency string
	textfile                        string
}

func (a *app) monitorCommand() *cobra.Command {
	var o monitorFlags
	c := &cobra.Command{
		Use: "monitor [STORE...]", Short: "a check for Nagios and Icinga, and metrics for Prometheus",
		Long: `Monitor judges what the records, logs and journals say of each STORE (all of the
configuration by default). It reads no mail. Its output and exit codes are those
of a monitoring plugin, and its own: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
Thresholds are WARN or WARN,CRIT, as in 26h,50h; 0 is none.`,
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) { return a.monitor(ctx, args, &o) }),
	}
	f := c.Flags()
	f.StringVar(&o.scanAge, "scan-age", "26h,50h", "`AGE` of the last complete scan")
	f.StringVar(&o.drillAge, "drill-age", "0", "`AGE` of the last drill, as in 90d")
	f.StringVar(&o.lag, "lag", "0", "how far a replica's newest mail may be behind; reads the whole records")
	f.StringVar(&o.latency, "latency", "0", "`TIME` within which 99 of 100 reads of a device were answered, as in 500ms,2s")
	f.StringVar(&o.textfile, "textfile", "", "write metrics to `FILE`, as in /var/lib/prometheus/node-exporter/mailsync.prom")
	return c
}

// limitsOf reads WARN or WARN,CRIT.
func limitsOf(flag, text string) (monitor.Limits, error) {
	var l monitor.Limits
	warn, crit, two := strings.Cut(text, ",")
	for _, x := range []struct {
		text string
		d    *time.Duration
	}{{warn, &l.Warn}, {crit, &l.Crit}} {
		var d config.Duration
		if x.text == "0" || x.text == "" {
			continue
		}
		if err := d.Set(x.text); err != nil {
			return l, usage("--%s: %v", flag, err)
		}
		*x.d = d.Duration
	}
	if two && l.Crit > 0 && l.Crit < l.Warn {
		return l, usage("--%s: it warns later than it is critical", flag)
	}
	return l, nil
}

func (a *app) monitor(ctx context.Context, args []string, o *monitorFlags) (outcome, error) {
	unknown := func(err error) (outcome, error) {
		if ended(err) || cancelled(ctx) != nil {
			return outcome{}, err
		}
		a.out.Print("MAILSYNC UNKNOWN - " + ui.Oneline(err, 500))
		a.out.Record(monitorLine{Head: ui.Head{V: 1, Type: "monitor"}, Status: monitor.Unknown.String(), Text: ui.Oneline(err, 500), Next: ui.Hint(err)})
		return outcome{own: true, status: int(monitor.Unknown)}, nil
	}
	var t monitor.Thresholds
	for _, x := range []struct {
		name, text string
		l          *monitor.Limits
	}{{"scan-age", o.scanAge, &t.ScanAge}, {"drill-age", o.drillAge, &t.DrillAge}, {"lag", o.lag, &t.Lag}, {"latency", o.latency, &t.Latency}} {
		l, err := limitsOf(x.name, x.text)
		if err != nil {
			return unknown(err)
		}
		*x.l = l
	}
	if len(args) == 0 {
		if args = a.cfg.StoreNames(); len(args) == 0 {
			return unknown(usage("which store? There is none in the configuration"))
		}
	}
	f, err := a.facts(ctx, args, t.Lag != monitor.Limits{})
	if err != nil {
		return unknown(err)
	}
	if o.textfile != "" {
		if err := durable.WriteFile(nil, o.textfile, f.Metrics(), 0o644); err != nil {
			return unknown(&ui.Problem{What: "--textfile " + o.textfile, Why: err})
		}
	}
	status, text := f.Plugin(t)
	if !a.out.JSON() {
		a.out.Raw([]byte(text))
	}
	_, remarks := f.Judge(t)
	for _, r := range remarks {
		a.out.Record(monitorLine{Head: ui.Head{V: 1, Type: "monitor"}, Status: r.Status.String(), Text: r.Text, Next: r.Next})
	}
	return outcome{own: true, status: int(status)}, nil
}

// monitorLine is one remark of monitor, in JSON.
type monitorLine struct {
	ui.Head
	Status string `json:"status"`
	Text   string `json:"text"`
	Next   string `json:"next"`
}

// facts gathers what is known of the stores.
func (a *app) facts(ctx context.Context, args []string, lag bool) (*monitor.Facts, error) {
	stores, err := a.stores(args)
	if err != nil {
		return nil, err
	}
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	f := &monitor.Facts{Now: a.began, Version: buildInfo().Version, Command: a.cmdline}
	newest := make([]time.Time, len(stores))
	for i, s := range stores {
		st, at := a.storeFacts(ctx, s, lag)
		if err := cancelled(ctx); err != nil {
			return nil, err
		}
		f.Stores, newest[i] = append(f.Stores, st), at
	}
	if lag && len(stores) > 1 {
		top := slices.MaxFunc(newest, time.Time.Compare)
		for i := range f.Stores {
			s := &f.Stores[i]
			if s.Err != nil || s.Scanned.IsZero() {
				continue
			}
			// What came after this store was looked at is not held against it.
			behind := max(0, min(top.UnixNano(), s.Scanned.UnixNano())-newest[i].UnixNano())
			d := time.Duration(behind)
			s.Lag = &d
		}
	}
	runs, err := restore.Runs(a.std.files, state)
	if err != nil {
		return nil, err
	}
	for i := range runs {
		if runs[i].Resumable {
			f.Resumable++
		}
	}
	return f, a.logFacts(ctx, state, f)
}

func (a *app) storeFacts(ctx context.Context, s *config.Store, lag bool) (monitor.Store, time.Time) {
	st := monitor.Store{Name: s.Name}
	var newest time.Time
	fail := func(err error) (monitor.Store, time.Time) {
		st.Err = err
		return st, newest
	}
	rec, err := a.record(s)
	if errors.Is(err, manifest.ErrNoRecord) || errors.Is(err, fs.ErrNotExist) {
		return st, newest
	}
	if err != nil {
		return fail(err)
	}
	r := rec.Record()
	st.Scanned, st.Mailboxes, st.Messages, st.Bytes = r.Complete.Began, r.Mailboxes, r.Messages, r.Bytes
	doubt, err := a.doubts(s)
	if err != nil {
		return fail(err)
	}
	st.Doubted, st.Since = int64(len(doubt.old)), doubt.since
	if len(doubt.restored) > 0 {
		st.Restored, st.RestoredAt = int64(len(doubt.restored)), doubt.restoredAt
	}
	for h, err := range rec.Heads(ctx) {
		if err != nil {
			return fail(err)
		}
		if !h.Gone.IsZero() {
			continue
		}
		st.Damaged += h.Damaged
		if doubt.restored[h.Name] && h.Began.Before(doubt.restoredAt) {
			st.Replaced += h.Damaged
		}
		st.Suspect += h.Suspect
		st.Unread += h.Unread
		if !lag {
			continue
		}
		m, err := rec.OpenMailbox(h.Name)
		if err != nil {
			return fail(err)
		}
		err = m.EachEntry(func(e *manifest.Entry) bool {
			if at := e.Date(); at.After(newest) {
				newest = at
			}
			return true
		})
		_ = m.Close()
		if err != nil {
			return fail(err)
		}
	}
	return st, newest
}

// recentLogs is how many logs are looked through for devices and drills.
const recentLogs = 200

// logFacts takes from the newest logs how devices answered, and when somebody
// last rehearsed. A log that cannot be read says nothing.
func (a *app) logFacts(ctx context.Context, state string, f *monitor.Facts) error {
	ids, err := runlog.List(state)
	if err != nil {
		return err
	}
	slices.Reverse(ids)
	seen := map[string]bool{}
	for i, id := range ids {
		if i == recentLogs || !f.Drill.IsZero() && len(seen) > 0 {
			break
		}
		if err := cancelled(ctx); err != nil {
			return err
		}
		r, err := a.readReport(id)
		if err != nil {
			continue
		}
		command, began := r.Command()
		if exit, ended := r.Ended(); command == "drill" && ended && exit == exitClean && f.Drill.IsZero() {
			f.Drill = began
		}
		for _, d := range r.Devices() {
			if !seen[d.Device] {
				seen[d.Device] = true
				f.Devices = append(f.Devices, monitor.Device{Name: d.Device, Median: d.Median / 1000, P99: d.P99 / 1000, Slow: d.Slow})
			}
		}
	}
	return nil
}
