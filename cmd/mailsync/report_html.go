package main

import (
	"bytes"
	_ "embed"
	"html/template"
	"strings"
	"time"

	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest/durable"
	"mailsync/restore/archive"
	"mailsync/restore/replay"
)

//go:embed report.html
var reportHTML string

// page is what the report shows.
type page struct {
	From, To, Span, Window, Sentence string
	Version, Written                 string
	Survey                           *archive.Survey
	Totals                           replay.Totals
	Closes                           bool
	Open, NoMailbox                  string
	Rows                             []replay.Account
	MoreRows, MoreOpen               int64
	List                             []replay.Delivery
}

// write writes the account as one page that needs nothing beside it: no
// script, no other file, no network.
func (r *report) write(file string, run *replay.Run) error {
	t := run.Totals()
	p := page{
		From: ui.Name(r.from), To: ui.Name(r.to), Survey: run.Survey(), Totals: t, Rows: r.rows, MoreRows: r.more,
		List: r.open, MoreOpen: r.moreOpen, Sentence: accountSentence(&t), Closes: t.Closed() && t.NoMailbox == 0,
		Open: ui.Plural(t.WouldDeliver+t.Ambiguous+t.Failed+t.Unexplained, "message"), Version: buildInfo().Version,
		Written: time.Now().UTC().Format(time.RFC3339), Window: windowText(run.Window()),
	}
	if t.NoMailbox > 0 {
		p.NoMailbox = ui.Plural(t.NoMailbox, "message")
	}
	if s := run.Survey(); !s.First.IsZero() {
		p.Span = "which arrived from " + ui.Time(s.First) + " to " + ui.Time(s.Last)
	}
	tpl, err := template.New("report").Funcs(template.FuncMap{
		"name":    ui.Escape,
		"text":    ui.EscapeText,
		"outcome": func(d replay.Delivery) string { return strings.ReplaceAll(string(d.Outcome), "_", " ") },
		"who": func(d replay.Delivery) string {
			if d.Mailbox != "" {
				return d.Mailbox
			}
			return d.Recipient
		},
	}).Parse(reportHTML)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := tpl.Execute(&b, p); err != nil {
		return err
	}
	return durable.WriteFile(nil, file, b.Bytes(), 0o600)
}

// windowText says in which stretch of time absent mail is delivered.
func windowText(w replay.Window) string {
	switch {
	case w.All:
		return "The whole archive was asked for."
	case w.Since.IsZero() && w.Until.IsZero():
		return w.Reason
	case w.Until.IsZero():
		return "What is absent and arrived since " + ui.Time(w.Since) + " is missing."
	}
	return "What is absent and arrived from " + ui.Time(w.Since) + " to " + ui.Time(w.Until) + " is missing."
}
