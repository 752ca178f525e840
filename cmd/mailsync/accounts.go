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
	slices.SortStableFunc(rows, func(x, y replay.Account) int {
		if d := unsettled(&y) + y.WouldDeliver - unsettled(&x) - x.WouldDeliver; d != 0 {
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
	t := ui.Table{{"mailbox"}}
	for i := range rows {
		t = append(t, []string{ui.Name(rows[i].Mailbox)})
	}
	for _, c := range columns {
		if c.spare && !slices.ContainsFunc(rows, func(x replay.Account) bool { return c.of(&x) != 0 }) {
			continue
		}
		t[0] = append(t[0], c.head)
		for i := range rows {
			t[i+1] = append(t[i+1], ui.Count(c.of(&rows[i])))
		}
	}
	if rest+r.more > 0 {
		t = append(t, append([]string{"… " + ui.Count(rest+r.more) + " more"}, make([]string, len(t[0])-1)...))
	}
	return t
}

// unsettled is what nothing accounts for yet.
func unsettled(a *replay.Account) int64 { return a.Ambiguous + a.Failed + a.Unexplained }

// columns of the table of accounts. Those that are spare are left out where they
// hold nothing, so that the table fits a terminal of 80 columns.
var columns = []struct {
	head  string
	spare bool
	of    func(*replay.Account) int64
}{
	{">archived", false, func(a *replay.Account) int64 { return a.Archived }},
	{">present", false, func(a *replay.Account) int64 { return a.Present }},
	{">delivered", true, func(a *replay.Account) int64 { return a.Delivered }},
	{">to deliver", true, func(a *replay.Account) int64 { return a.WouldDeliver }},
	{">deleted", true, func(a *replay.Account) int64 { return a.Deleted }},
	{">filtered", true, func(a *replay.Account) int64 { return a.Filtered }},
	{">double", true, func(a *replay.Account) int64 { return a.Duplicate }},
	{">open", false, unsettled},
}
