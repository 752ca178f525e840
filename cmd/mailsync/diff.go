package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/compare"
	"mailsync/manifest"
)

func (a *app) diffCommand() *cobra.Command {
	var globs config.Globs
	var recorded []string
	c := &cobra.Command{
		Use: "diff STORE STORE [STORE...]", Short: "what differs between replicas, which copy is good, and why",
		Args: takes(2, -1),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) {
			return a.diff(ctx, args, globs, recorded)
		}),
	}
	c.Flags().Var(&globs, "mailbox", "only mailboxes that match (repeatable)")
	a.pageFlag(c.Flags())
	c.Flags().StringArrayVar(&recorded, "recorded", nil, "take this `STORE` from its record: it is offline (repeatable)")
	return c
}

func (a *app) diff(ctx context.Context, args []string, globs config.Globs, recorded []string) (outcome, error) {
	stores, err := a.stores(args)
	if err != nil {
		return outcome{}, err
	}
	offline, err := a.resolveRecorded(recorded, stores...)
	if err != nil {
		return outcome{}, err
	}
	sides, err := a.openSides(ctx, stores, offline, a.readingBudgets(), trustStamps, len(stores)-2, nil)
	if err != nil {
		return outcome{}, err
	}
	defer closeSides(sides)
	if err := sumUp(ctx, sides); err != nil {
		return outcome{}, err
	}
	in := make([]compare.Side, len(sides))
	names := make([]string, len(sides))
	for i, s := range sides {
		in[i], names[i] = s.compared(), s.store.Name
	}
	only := &matched{globs: globs}
	c, err := compare.New(in, compare.Options{Mailbox: only.filter(), Workers: comparers(sides), Spill: spill})
	if err != nil {
		return outcome{}, err
	}
	stop := a.out.Progress(ctx, a.poke, func() ui.Snapshot {
		p := c.Progress()
		return ui.Snapshot{Stage: "comparing", Done: p.Mailboxes.Load(), Unit: "mailbox", Found: p.Differences.Load(), FoundAs: "difference"}
	})
	defer stop()
	var rows []compare.Row
	differing := int64(0)
	lacking := make([]int64, len(sides))
	uids := uidLines{whole: a.out.Verbose()}
	common := false
	for m, err := range c.Mailboxes(ctx) {
		if err != nil {
			return outcome{}, a.storeProblem(ui.List(args, "and"), err)
		}
		for d, err := range m.Differences() {
			if err != nil {
				return outcome{}, err
			}
			if a.out.Record(ui.DifferenceOf(&d, names)); !uids.take(&d) {
				a.difference(&d, names)
			}
		}
		uids.tell(a, names)
		have := 0
		for i := range m.Row.Sides {
			s := &m.Row.Sides[i]
			if s.Absent || s.Unknown != "" {
				lacking[i]++
			}
			if !s.Absent {
				have++
			}
		}
		common = common || have > 1
		if m.Row.Differences > 0 {
			differing++
		}
		if m.Row.Differences > 0 && len(rows) < maxRows {
			rows = append(rows, m.Row)
		}
	}
	stop()
	r := c.Result()
	n := a.summary.Counts
	n["mailboxes"], n["messages"], n["differences"] = r.Mailboxes, r.Messages, r.Differences
	for _, k := range compare.Kinds {
		n[string(k)] = r.Kinds[k]
	}
	n["unknown"], n["skipped"] = r.Unknown, r.Skipped
	a.tellMore()
	if err := only.nothing(a, stores[0].Name); err != nil {
		return outcome{}, err
	}
	a.tellDiff(stores, rows, differing, lacking, &r)
	if !common && r.Mailboxes > 0 && r.Kinds[compare.MailboxMissing] >= r.Mailboxes {
		a.out.Say("No mailbox is in two of the stores. Where one names them by address and another by path, nothing matches: give each a name and a layout in the configuration.")
	}
	return outcome{findings: r.Differences > 0, partial: r.Doubts > 0 || len(r.Partial) > 0}, nil
}

// difference prints one line of a comparison for a person, and what each side
// has.
func (a *app) difference(d *compare.Difference, names []string) {
	if a.out.JSON() || !a.show(string(d.Kind)) {
		return
	}
	word := pad(string(d.Kind), 15)
	switch d.Kind {
	case compare.Missing, compare.DamagedCopy, compare.FolderMissing, compare.MailboxMissing:
		word = a.out.Style.Red(word)
	default:
		word = a.out.Style.Yellow(word)
	}
	line := word + "  " + where(d.Mailbox, d.Folder, d.File)
	if d.Messages > 0 {
		line += "  (" + ui.Plural(d.Messages, "message") + ")"
	}
	a.out.Text(17, line)
	verdict := "undecided"
	if len(d.Good) > 0 {
		good := make([]string, len(d.Good))
		for i, g := range d.Good {
			good[i] = ui.Name(names[g])
		}
		verdict = ui.List(good, "and") + " is good"
		if len(good) > 1 {
			verdict = ui.List(good, "and") + " are good"
		}
	}
	if d.Reason != "" {
		verdict += ": " + ui.EscapeText(d.Reason)
	}
	if s := marksText(d, names); s != "" {
		verdict = s + "; " + verdict
	}
	a.out.Text(17, strings.Repeat(" ", 17)+a.out.Style.Dim(verdict))
	if a.out.Verbose() {
		for i, c := range d.Copies {
			a.out.Print(strings.Repeat(" ", 17) + a.out.Style.Dim(pad(ui.Name(names[i])+":", 12)+" "+copyText(&c)))
		}
	}
}

// marksText tells what each store has, where messages differ in what lies
// beside their content.
func marksText(d *compare.Difference, names []string) string {
	var mark func(e *manifest.Entry) string
	switch d.Kind {
	case compare.Flags:
		mark = func(e *manifest.Entry) string { return ui.Escape(e.Flags) }
	case compare.Keywords:
		mark = func(e *manifest.Entry) string { return ui.Escape(strings.Join(e.Keywords, " ")) }
	case compare.Date:
		mark = func(e *manifest.Entry) string { return ui.Time(e.Date()) }
	default:
		return ""
	}
	var parts []string
	for i := range d.Copies {
		if e := d.Copies[i].Entry; e != nil {
			parts = append(parts, cmp.Or(mark(e), "none")+" in "+ui.Name(names[i]))
		}
	}
	return strings.Join(parts, ", ")
}

// copyText writes one side of a difference for a person.
func copyText(c *compare.Copy) string {
	switch {
	case c.Unknown != "":
		return "not known: " + ui.EscapeText(c.Unknown)
	case c.Folder != nil:
		return fmt.Sprintf("there, UIDVALIDITY %d, next UID %d", c.Folder.Validity(), c.Folder.UIDNext)
	case c.Mailbox != nil:
		return "there, " + ui.Plural(int64(len(c.Mailbox.Folders)), "folder")
	case c.Entry == nil:
		return "none"
	}
	e := c.Entry
	text := fmt.Sprintf("%s, %s, %s", ui.Name(e.File()), ui.Bytes(e.Size), ui.Time(e.Date()))
	if e.UID != 0 {
		text += fmt.Sprintf(", UID %d", e.UID)
	}
	if len(e.Keywords) > 0 {
		text += ", " + ui.Escape(strings.Join(e.Keywords, " "))
	}
	return text
}

// tellDiff ends a comparison: a table of the sides, the sum, what comes next.
func (a *app) tellDiff(stores []*config.Store, rows []compare.Row, differing int64, lacking []int64, r *compare.Result) {
	a.out.Say("")
	if len(rows) > 1 {
		a.out.Table(diffTable(stores, rows, a.out.Verbose()))
		a.out.Say("")
	}
	t := ui.Table{{"store", ">messages", ">missing", ">damaged", "state"}}
	for i, s := range stores {
		state := "looked at now"
		if i < len(r.Sides) && !r.Sides[i].Recorded.IsZero() {
			state = "as recorded " + ui.Age(r.Sides[i].Recorded, time.Now())
		}
		if i < len(r.Totals) {
			x := r.Totals[i]
			t = append(t, []string{ui.Escape(s.Name), ui.Count(x.Messages), ui.Count(x.Missing), ui.Count(x.Damaged), state})
		}
	}
	a.out.Table(t)
	a.out.Say("")
	for _, note := range witnessNotes(stores, r) {
		a.out.Say("%s", note)
	}
	for _, d := range r.Partial {
		store := ""
		if d.Side >= 0 && d.Side < len(stores) {
			store = stores[d.Side].Name
		}
		a.out.Record(ui.UnknownOf(store, d.Mailbox, d.Reason, d.Count))
		a.out.Text(2, a.out.Style.Yellow("not known: ")+doubtText(&d, stores))
	}
	if r.Differences == 0 {
		if len(r.Partial) > 0 {
			a.out.Say("No difference in what could be looked at.")
			return
		}
		who := "Both stores"
		if len(stores) > 2 {
			who = fmt.Sprintf("All %d stores", len(stores))
		}
		a.out.Say("%s", a.out.Style.Green(fmt.Sprintf("%s hold the same %s in %s.", who, ui.Plural(r.Messages, "message"), ui.Plural(r.Mailboxes, "mailbox"))))
		return
	}
	var parts []string
	for _, k := range compare.Kinds {
		if n := r.Kinds[k]; n > 0 {
			parts = append(parts, ui.Count(n)+" "+string(k))
		}
	}
	a.out.Say("%s in %s of %s: %s.", a.out.Style.Bold(ui.Plural(r.Differences, "difference")), ui.Count(differing), ui.Plural(r.Mailboxes, "mailbox"), strings.Join(parts, ", "))
	a.nextAfterDiff(stores, lacking, r)
}

// witnessNotes tells which stores are no second witness for what another says.
func witnessNotes(stores []*config.Store, r *compare.Result) (notes []string) {
	domains := map[string][]string{}
	for i := range r.Sides {
		if d := r.Sides[i].FailureDomain; d != "" {
			domains[d] = append(domains[d], ui.Name(stores[i].Name))
		}
	}
	for _, d := range slices.Sorted(maps.Keys(domains)) {
		if names := domains[d]; len(names) > 1 {
			notes = append(notes, fmt.Sprintf("%s share the failure domain %s: they are one witness.", ui.List(names, "and"), ui.Name(d)))
		}
	}
	for i := range r.Totals {
		if n := r.Totals[i].Linked; n > 0 {
			notes = append(notes, fmt.Sprintf("%s of %s are hard links of another store's files: no second copy.", ui.Plural(n, "message"), ui.Name(stores[i].Name)))
		}
	}
	return notes
}

// diffTable is a row a mailbox that differs: what each store lacks, and how
// much of each kind differs; without all, the twenty with most.
func diffTable(stores []*config.Store, rows []compare.Row, all bool) ui.Table {
	slices.SortStableFunc(rows, func(x, y compare.Row) int {
		return cmp.Or(cmp.Compare(y.Differences, x.Differences), strings.Compare(x.Mailbox, y.Mailbox))
	})
	const some = 20
	more := 0
	if !all && len(rows) > some {
		more, rows = len(rows)-some, rows[:some]
	}
	header := []string{"mailbox", ">messages"}
	for _, s := range stores {
		header = append(header, ">"+ui.Escape(s.Name))
	}
	t := ui.Table{append(header, ">other")}
	for i := range rows {
		r := &rows[i]
		other := r.Differences - r.Kinds[compare.Missing] - r.Kinds[compare.DamagedCopy]
		row := []string{ui.Name(r.Mailbox), ui.Count(r.Messages)}
		for _, s := range r.Sides {
			switch {
			case s.Unknown != "":
				row = append(row, "not known")
			case s.Absent:
				row = append(row, "lacks all")
			default:
				row = append(row, lacksText(&s))
			}
		}
		t = append(t, append(row, ui.Count(other)))
	}
	if more > 0 {
		last := make([]string, len(t[0]))
		last[0] = "… and " + ui.Count(int64(more)) + " more"
		t = append(t, last)
	}
	return t
}

// lacksText says in few letters what a store lacks of a mailbox: the table has
// to fit a terminal.
func lacksText(s *compare.RowSide) string {
	var parts []string
	if s.Missing > 0 {
		parts = append(parts, "lacks "+ui.Count(s.Missing))
	}
	if s.Damaged > 0 {
		parts = append(parts, ui.Count(s.Damaged)+" damaged")
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}

func doubtText(d *compare.Doubt, stores []*config.Store) string {
	var parts []string
	if d.Side >= 0 && d.Side < len(stores) {
		parts = append(parts, ui.Name(stores[d.Side].Name))
	}
	if d.Mailbox != "" {
		parts = append(parts, ui.Name(d.Mailbox))
	}
	text := strings.Join(append(parts, ui.EscapeText(d.Reason)), ": ")
	if d.Count > 0 {
		text += " (" + ui.Plural(d.Count, "message") + ")"
	}
	return text
}
