package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mailsync/cmd/mailsync/ui"
	"mailsync/restore"
)

// showPlan shows a plan before it is applied: what it moves, mailbox by mailbox, and
// what clients will see.
func (a *app) showPlan(ctx context.Context, plan *restore.Plan) error {
	f := plan.Forecast()
	if a.out.JSON() {
		a.out.Record(struct {
			ui.Head
			*restore.Forecast
		}{ui.Head{V: 1, Type: "forecast"}, f})
	}
	const rows = 20
	t := ui.Table{{"mailbox", ">messages", ">bytes", ">other", ">undecided", "UIDs", ">clients fetch"}}
	more := 0
	var notes []string
	for b, err := range plan.Boxes(ctx) {
		if err != nil {
			return err
		}
		a.out.Record(struct {
			ui.Head
			restore.MailboxForecast
		}{ui.Head{V: 1, Type: "mailbox_forecast"}, b})
		notes = append(notes, boxNotes(&b, 8-len(notes))...)
		if len(t) > rows && !a.out.Verbose() {
			more++
			continue
		}
		fetch := "nothing"
		if b.FetchMessages > 0 {
			fetch = ui.Count(b.FetchMessages) + ", " + ui.Bytes(b.FetchBytes)
		}
		t = append(t, []string{
			ui.Name(b.Mailbox), ui.Count(b.Messages), ui.Bytes(b.Bytes), ui.Count(b.Other),
			ui.Count(b.Undecided + b.Moved), uidText(b.UIDs), fetch,
		})
	}
	if len(t) > 1 {
		a.out.Table(t.WithoutZeros())
	}
	if more > 0 {
		a.out.Say("… and %s more; -v lists all", ui.Plural(int64(more), "mailbox"))
	}
	for _, n := range notes {
		a.out.Say("%s", n)
	}
	a.out.Say("")
	if a.command == "undo" {
		a.out.Say("%s", a.out.Style.Bold(fmt.Sprintf("Plan: take back %s in %s.", ui.Plural(f.Actions, "action"), ui.Plural(f.Mailboxes, "mailbox"))))
	} else {
		a.out.Say("%s", a.out.Style.Bold(planSentence(f)))
	}
	a.tellSpace(f)
	if f.Deleted > 0 {
		a.out.Say("Left deleted: %s, for the record or the server's log shows that the owner deleted them. --undelete brings them back.", ui.Plural(f.Deleted, "message"))
	}
	if f.Undecided > 0 {
		a.out.Say("Undecided: %s, for nothing shows whether they were lost or deleted. --undecided restore or folder=NAME decides.", ui.Plural(f.Undecided, "message"))
	}
	if f.Unknown > 0 {
		a.out.Print(a.out.Style.Yellow(ui.Count(f.Unknown)+" could not be looked at") + " and are left alone:")
		for _, d := range f.Doubts {
			a.out.Record(ui.UnknownOf("", "", d, 0))
			a.out.Print("  " + ui.EscapeText(d))
		}
	}
	return nil
}

// tellSpace says what the plan takes of the target's file systems, and warns
// where it will not fit.
func (a *app) tellSpace(f *restore.Forecast) {
	for i := range f.Space {
		s := &f.Space[i]
		switch {
		case !s.Fits() && s.Need <= s.Free:
			a.out.Warn("it will not fit: %s has inodes for %s, and %s are made", ui.Escape(s.Path), ui.Plural(s.Inodes, "file"), ui.Count(s.Files))
		case !s.Fits():
			a.out.Warn("it will not fit: %s has %s free, and %s are needed", ui.Escape(s.Path), ui.Bytes(s.Free), ui.Bytes(s.Need))
		default:
			a.out.Say("Space: %s of the %s that are free on %s.", ui.Bytes(s.Need), ui.Bytes(s.Free), ui.Escape(s.Path))
		}
	}
}

func planSentence(f *restore.Forecast) string {
	if !f.Work() {
		if f.Open > 0 {
			return fmt.Sprintf("There is nothing to do by itself; %s to be decided.", ui.Plural(f.Open, "item"))
		}
		if f.Unknown > 0 {
			return "There is nothing to do in what could be looked at."
		}
		if f.Deleted > 0 {
			return "There is nothing to do: what the sources hold is in place, or was deleted."
		}
		return "There is nothing to do: what the sources hold is in place."
	}
	var parts []string
	if n := f.Messages - f.Replaced; n > 0 {
		parts = append(parts, ui.Plural(n, "message")+" to add")
	}
	if f.Replaced > 0 {
		parts = append(parts, ui.Plural(f.Replaced, "damaged message")+" to replace")
	}
	if n := f.Actions - f.Messages; n > 0 {
		parts = append(parts, ui.Plural(n, "change")+" beside mail")
	}
	s := fmt.Sprintf("Plan: %s in %s: %s, nothing to delete (%s)", ui.Plural(f.Actions, "action"), ui.Plural(f.Mailboxes, "mailbox"),
		strings.Join(parts, ", "), ui.Bytes(f.Bytes))
	if f.ETA >= time.Second {
		s += ", about " + ui.Duration(f.ETA)
	}
	if f.Moves > 0 {
		s += fmt.Sprintf("; UIDVALIDITY moves in %s", ui.Plural(f.Moves, "mailbox"))
	}
	return s + "."
}

func uidText(c restore.UIDCase) string {
	switch c {
	case restore.UIDKept:
		return "kept"
	case restore.UIDNew:
		return "new"
	case restore.UIDRestored:
		return "rebuilt"
	case restore.UIDResync:
		return "resync"
	}
	return ""
}

// boxNotes are the things about a mailbox that need a person, at most room.
func boxNotes(b *restore.MailboxForecast, room int) []string {
	var notes []string
	add := func(format string, args ...any) {
		if room > len(notes) {
			notes = append(notes, ui.Name(b.Mailbox)+": "+fmt.Sprintf(format, args...))
		}
	}
	if b.OverQuota() {
		add("goes over its quota (%s of %s)", ui.Bytes(b.QuotaAfter), ui.Bytes(b.QuotaLimit))
	}
	if b.QuotaCommand != "" && b.OverQuota() {
		add("let the server count anew: %s", ui.EscapeText(b.QuotaCommand))
	}
	if b.Note != "" {
		add("%s", ui.EscapeText(b.Note))
	}
	for _, n := range b.NextUID {
		if n.Command != "" {
			add("before the server opens it (next UID of %s is %d, safe is %d): %s", ui.Name(n.Folder), n.Now, n.Safe, ui.EscapeText(n.Command))
		}
	}
	return notes
}

// listPlan prints the actions of a plan without carrying them out.
func (a *app) listPlan(ctx context.Context, plan *restore.Plan) error {
	few := plan.Forecast().Actions <= fewActions
	for act, err := range plan.Actions(ctx) {
		if err != nil {
			return err
		}
		if act.State == "" {
			act.State = restore.Planned
		}
		switch act.State {
		case restore.Planned:
			a.summary.Counts["planned"]++
		case restore.Skipped:
			a.summary.Counts["skipped"]++
		case restore.Already:
			a.summary.Counts["already"]++
		}
		a.action(&act, few)
	}
	a.tellMore()
	if !few && !a.out.Verbose() {
		a.out.Say("-v lists every action.")
	}
	return cancelled(ctx)
}

// fewActions is how many actions are listed one by one without --verbose.
const fewActions = 50
