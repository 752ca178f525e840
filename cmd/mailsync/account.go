package main

import (
	"fmt"
	"strings"
	"time"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/restore/archive"
	"mailsync/restore/replay"
)

// event prints one step of an account.
func (a *app) event(ev *replay.Event) {
	switch {
	case ev.Finding != nil:
		a.finding(ev.Finding)
	case ev.Action != nil:
		a.out.Record(ui.ActionOf(ev.Action))
	case ev.Account != nil:
		a.out.Record(struct {
			ui.Head
			*replay.Account
		}{ui.Head{V: 1, Type: "account"}, ev.Account})
	case ev.Delivery != nil:
		a.delivery(ev.Delivery)
	}
}

// delivery prints what became of one message for one recipient. People see
// what was delivered and what is open; the rest with --verbose.
func (a *app) delivery(d *replay.Delivery) {
	line := struct {
		ui.Head
		*replay.Delivery
	}{ui.Head{V: 1, Type: "delivery"}, d}
	switch d.Outcome {
	case replay.Present, replay.Deleted, replay.Filtered, replay.Duplicate, replay.OutsideWindow:
		a.out.Stream(line) // many, and settled: their account tells of them
	default:
		a.out.Record(line)
	}
	if a.out.JSON() {
		return
	}
	switch d.Outcome {
	case replay.Present, replay.Deleted, replay.Filtered, replay.Duplicate, replay.OutsideWindow:
		if !a.out.Verbose() {
			return
		}
	case replay.Delivered:
		if a.out.Quiet() {
			return
		}
	}
	if !a.show(string(d.Outcome)) {
		return
	}
	word := pad(string(d.Outcome), 14)
	switch d.Outcome {
	case replay.Present, replay.Deleted, replay.Filtered, replay.Duplicate, replay.OutsideWindow:
	case replay.Delivered:
		word = a.out.Style.Green(word)
	case replay.Failed, replay.Unexplained:
		word = a.out.Style.Red(word)
	default:
		word = a.out.Style.Yellow(word)
	}
	to := ui.Name(d.Mailbox)
	if d.Mailbox == "" {
		to = ui.Name(d.Recipient)
	}
	id := "(no Message-ID)"
	if d.MessageID != nil {
		id = ui.Escape(*d.MessageID)
	}
	a.out.Text(16, fmt.Sprintf("%s  %s  %s  %s", word, to, id, a.out.Style.Dim(ui.Escape(d.Source))))
	if d.Detail != "" {
		a.out.Text(16, strings.Repeat(" ", 16)+a.out.Style.Dim(ui.EscapeText(d.Detail)))
	}
}

func (a *app) addTotals(t *replay.Totals) {
	for k, v := range map[string]int64{
		"archived": t.Archived, "present": t.Present, "delivered": t.Delivered, "would_deliver": t.WouldDeliver,
		"deleted": t.Deleted, "filtered": t.Filtered, "duplicate": t.Duplicate, "ambiguous": t.Ambiguous,
		"failed": t.Failed, "unexplained": t.Unexplained, "no_mailbox": t.NoMailbox, "outside_window": t.OutsideWindow,
	} {
		a.summary.Counts[k] = v
	}
}

// tellSurvey says what the archive holds, before anything is delivered.
func (a *app) tellSurvey(run *replay.Run, from *config.Archive) {
	s := run.Survey()
	a.out.Record(struct {
		ui.Head
		*archive.Survey
	}{ui.Head{V: 1, Type: "survey"}, s})
	span := "without any time of arrival"
	if !s.First.IsZero() {
		span = ui.Time(s.First) + " to " + ui.Time(s.Last)
	}
	a.out.Say("%s: %s, %s, %s", a.out.Style.Bold(ui.Name(from.Name)), ui.Plural(s.Messages, "message"), ui.Bytes(s.Bytes), span)
	for _, x := range []struct {
		n    int64
		text string
	}{
		{s.NoRecipients, "without a recipient: they cannot be delivered"},
		{s.NoMessageID, "without a Message-ID: told apart by their content"},
		{s.NoTime, "whose arrival nothing tells"},
		{s.Truncated, "cut short"},
		{s.Refused, "refused (listed as findings)"},
	} {
		if x.n > 0 {
			a.out.Say("  %s %s", ui.Plural(x.n, "message"), x.text)
		}
	}
	for _, g := range s.Gaps {
		a.out.Say("  no mail at all from %s to %s: was the archive off?", ui.Time(g.From), ui.Time(g.To))
	}
}

// tellWindow says where the gap is, with the hours around it.
func (a *app) tellWindow(run *replay.Run) {
	w := run.Window()
	a.out.Record(struct {
		ui.Head
		Since  time.Time `json:"since,omitzero"`
		Until  time.Time `json:"until,omitzero"`
		All    bool      `json:"all"`
		Found  bool      `json:"found"`
		Reason string    `json:"reason"`
	}{ui.Head{V: 1, Type: "window"}, w.Since.UTC(), w.Until.UTC(), w.All, w.Found, w.Reason})
	a.timeline(run.Timeline().Hours, &w)
	switch {
	case w.All:
		a.out.Say("Window: the whole archive.")
	case w.Since.IsZero() && w.Until.IsZero():
		a.out.Say("Window: %s", ui.EscapeText(w.Reason))
	default:
		text := "Window: from " + ui.Time(w.Since)
		if !w.Until.IsZero() {
			text += " to " + ui.Time(w.Until)
		}
		if w.Found && w.Reason != "" {
			text += " (" + ui.EscapeText(w.Reason) + ")"
		}
		a.out.Say("%s", text)
	}
}

// timelineRows is how many hours are shown around a gap without --verbose.
const timelineRows = 24

// timeline prints the archive hour by hour; with a window, the hours around it.
func (a *app) timeline(hours []replay.Hour, w *replay.Window) {
	for i := range hours {
		a.out.Record(struct {
			ui.Head
			*replay.Hour
		}{ui.Head{V: 1, Type: "hour"}, &hours[i]})
	}
	// Where nothing is absent, a day full of hours says no more than that.
	if a.out.JSON() || a.out.Quiet() || w != nil && (!w.Found || w.Empty && !a.out.Verbose()) {
		return
	}
	if !a.out.Verbose() {
		hours = around(hours, w)
	}
	t := ui.Table{{"hour", ">archived", ">present", ">absent", ""}}
	for i := range hours {
		h := &hours[i]
		t = append(t, []string{
			ui.Time(h.Start)[:16], ui.Count(h.Archived), ui.Count(h.Present), ui.Count(h.Absent), barOf(h),
		})
	}
	a.out.Table(t)
}

// barOf draws how much of an hour's mail is absent.
func barOf(h *replay.Hour) string {
	const width = 20
	if h.Archived == 0 {
		return ""
	}
	n := int((h.Absent*width + h.Archived - 1) / h.Archived)
	return strings.Repeat(".", width-min(n, width)) + strings.Repeat("#", min(n, width))
}

// around leaves the hours at the edges of the window, or the last ones.
func around(hours []replay.Hour, w *replay.Window) []replay.Hour {
	if len(hours) <= timelineRows {
		return hours
	}
	at := len(hours) - timelineRows/2
	if w != nil {
		for i := range hours {
			if !hours[i].Start.Before(w.Since.Truncate(time.Hour)) {
				at = i
				break
			}
		}
	}
	lo := min(max(0, at-timelineRows/2), len(hours)-timelineRows)
	return hours[lo : lo+timelineRows]
}

// tellAccount ends a replay or audit: the account a mailbox, the sum, what it means.
func (a *app) tellAccount(rep *accounts, t *replay.Totals, o *replayFlags, target *side, from *config.Archive) {
	if len(rep.rows) > 0 {
		a.out.Say("")
		a.out.Table(rep.table(a.out.Verbose()))
	}
	a.out.Say("")
	a.out.Say("%s", a.out.Style.Bold(accountSentence(t)))
	if t.OutsideWindow > 0 {
		a.out.Say("%s outside the window, where nothing is asked.", ui.Plural(t.OutsideWindow, "message"))
	}
	open := t.Ambiguous + t.Failed + t.Unexplained
	switch {
	case open == 0 && t.WouldDeliver > 0:
		a.out.Say("The account does not close yet: %s to deliver.", ui.Plural(t.WouldDeliver, "message"))
	case open == 0 && t.NoMailbox == 0:
		a.out.Say("%s", a.out.Style.Green("The account closes: every archived message is accounted for."))
	case open == 0:
		a.out.Say("The account closes, but for %s for recipients whom no map knows.", ui.Plural(t.NoMailbox, "message"))
	default:
		a.out.Say("The account does not close: %s open, %s to deliver.", ui.Plural(open, "message"), ui.Count(t.WouldDeliver))
	}
	if t.Delivered > 0 && a.summary.Run != "" {
		a.out.Say("To take it back:")
		a.next("undo", a.summary.Run)
	}
	if t.WouldDeliver > 0 && !o.writes() {
		a.out.Say("To deliver what is missing (it shows the account and asks first):")
		a.next(o.deliver(from.Name, target.store.Name)...)
	}
	if t.Ambiguous > 0 {
		a.out.Say("Of ambiguous messages another version is present; --ambiguous folder=Recovered puts them where their owner can decide.")
	}
}

// deliver is the command that delivers what these flags have shown.
func (o *replayFlags) deliver(from, to string) []string {
	args := []string{"replay", "--from", from, "--to", to}
	add := func(flag string, values ...string) {
		for _, v := range values {
			if v != "" {
				args = append(args, flag, v)
			}
		}
	}
	add("--since", o.since)
	add("--until", o.until)
	add("--mailbox", o.mailbox...)
	add("--recorded", o.recorded...)
	add("--crash-at", o.crashAt.String())
	add("--delivery-log", o.deliveryLogs...)
	for _, f := range []struct {
		flag string
		on   bool
	}{{"--multiset", o.multiset}, {"--undelete", o.undelete}, {"--fix-uidnext", o.fixUIDNext}} {
		if f.on {
			args = append(args, f.flag)
		}
	}
	return args
}

func accountSentence(t *replay.Totals) string {
	parts := []string{}
	for _, x := range []struct {
		n    int64
		word string
	}{
		{t.Present, "present"},
		{t.Delivered, "delivered"},
		{t.WouldDeliver, "to deliver"},
		{t.Deleted, "deleted"},
		{t.Filtered, "filtered"},
		{t.Duplicate, "duplicate"},
		{t.Ambiguous, "ambiguous"},
		{t.Failed, "failed"},
		{t.Unexplained, "unexplained"},
	} {
		if x.n > 0 {
			parts = append(parts, ui.Count(x.n)+" "+x.word)
		}
	}
	if len(parts) == 0 {
		parts = []string{"0"}
	}
	return fmt.Sprintf("%s archived = %s", ui.Count(t.Archived), strings.Join(parts, " + "))
}
