package main

import (
	"slices"
	"strings"

	"mailsync/cmd/mailsync/ui"
	"mailsync/restore/replay"
)

// accounts keeps the accounts of mailboxes for the table at the end.
type accounts struct {
	rows []replay.Account
	more int64 // beyond maxRows
}

const maxRows = 20_000

func (r *accounts) add(ev *replay.Event) {
	switch {
	case ev.Account == nil:
	case len(r.rows) < maxRows:
		r.rows = append(r.rows, *ev.Account)
	default:
		r.more++
	}
}

// table is the account a mailbox; without all, the twenty that matter most.
func (r *accounts) table(all bool) ui.Table {
	rows := slices.Clone(r.rows)
	openOf := func(a *replay.Account) int64 { return a.WouldDeliver + a.Ambiguous + a.Failed + a.Unexplained }
	slices.SortStableFunc(rows, func(x, y replay.Account) int {
		if d := openOf(&y) - openOf(&x); d != 0 {
			return int(d)
		}
		if d := y.Delivered - x.Delivered; d != 0 {
			return int(d)
		}
		return strings.Compare(x.Mailbox, y.Mailbox)
	})
	const some = 20
	rest := int64(0)
	if !all && len(rows) > some {
		rest = int64(len(rows) - some)
		rows = rows[:some]
	}
	t := ui.Table{{"mailbox", ">archived", ">present", ">delivered", ">to deliver", ">deleted", ">filtered", ">duplicate", ">open", ""}}
	for i := range rows {
		x := &rows[i]
		closed := "closed"
		switch {
		case x.Ambiguous+x.Failed+x.Unexplained > 0:
			closed = "open"
		case x.WouldDeliver > 0:
			closed = "to deliver"
		}
		t = append(t, []string{
			ui.Name(x.Mailbox), ui.Count(x.Archived), ui.Count(x.Present), ui.Count(x.Delivered), ui.Count(x.WouldDeliver),
			ui.Count(x.Deleted), ui.Count(x.Filtered), ui.Count(x.Duplicate), ui.Count(x.Ambiguous + x.Failed + x.Unexplained), closed,
		})
	}
	if rest+r.more > 0 {
		t = append(t, []string{"… " + ui.Count(rest+r.more) + " more", "", "", "", "", "", "", "", "", ""})
	}
	return t
}
