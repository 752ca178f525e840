package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
)

func (a *app) manifestCommand() *cobra.Command {
	var globs config.Globs
	ls := &cobra.Command{
		Use: "ls [STORE]", Short: "the stores that have a record, or the mailboxes of one", Args: takes(0, 1),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) {
			if len(args) == 0 {
				return a.manifestStores(ctx)
			}
			return a.manifestList(ctx, args[0], globs)
		}),
	}
	show := &cobra.Command{
		Use: "show STORE", Short: "what is recorded of a store, and of its mailboxes with --mailbox", Args: takes(1, 1),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) { return a.manifestShow(ctx, args[0], globs) }),
	}
	check := &cobra.Command{
		Use: "check STORE", Short: "read every byte of a record: is it whole?", Args: takes(1, 1),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) { return a.manifestCheck(ctx, args[0]) }),
	}
	var sums bool
	export := &cobra.Command{
		Use: "export STORE", Short: "the record as JSON lines, or as a list for b3sum and sha256sum", Args: takes(1, 1),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) {
			return a.manifestExport(ctx, args[0], globs, sums)
		}),
	}
	export.Flags().BoolVar(&sums, "sums", false, "write DIGEST  PATH lines, paths relative to the store's root")
	export.Flags().BoolVar(&sums, "sha256sums", false, "the same as --sums")
	_ = export.Flags().MarkHidden("sha256sums")
	for _, c := range []*cobra.Command{ls, show, export} {
		c.Flags().Var(&globs, "mailbox", "only mailboxes that match (repeatable)")
	}
	return family("manifest", "look into the record; list, show, check, export, sign it", ls, show, check, export, a.manifestSign(), a.manifestStopped(), a.manifestStarted())
}

// recordLine is a store's record in JSON.
type recordLine struct {
	ui.Head
	Store      string    `json:"store"`
	Path       string    `json:"path"`
	Generation uint32    `json:"generation"`
	Digest     string    `json:"digest"`
	Scanned    time.Time `json:"scanned,omitzero"` // when the last complete scan began
	Finished   time.Time `json:"finished,omitzero"`
	Open       time.Time `json:"open,omitzero"` // when a scan began that is not finished
	Mailboxes  int64     `json:"mailboxes"`
	Messages   int64     `json:"messages"`
	Bytes      int64     `json:"bytes"`
	Content    string    `json:"content"`
	State      string    `json:"state"`
}

func recordOf(r *manifest.StoreRecord) recordLine {
	l := recordLine{
		Head: ui.Head{V: 1, Type: "record"}, Store: r.Name, Path: r.Path, Generation: r.Generation, Digest: r.Alg.String(),
		Scanned: r.Complete.Began.UTC(), Finished: r.Complete.Ended.UTC(), Open: r.Open.Began.UTC(),
		Mailboxes: r.Mailboxes, Messages: r.Messages, Bytes: r.Bytes, Content: r.Content.String(), State: r.State.String(),
	}
	if l.Store == "" {
		l.Store = r.Path
	}
	return l
}

func (a *app) manifestStores(ctx context.Context) (outcome, error) {
	repo, err := a.openRepo(true)
	if err != nil {
		return outcome{}, err
	}
	t := ui.Table{{"store", ">mailboxes", ">with damage", ">messages", ">bytes", "scanned"}}
	hit := false
	var broken error
	for r, err := range repo.Stores() {
		if err != nil {
			a.out.Warn("%s", ui.Oneline(err, 500))
			broken = errors.Join(broken, err)
			continue
		}
		if err := cancelled(ctx); err != nil {
			return outcome{}, err
		}
		l := recordOf(&r)
		a.out.Record(l)
		a.summary.Counts["stores"]++
		d, err := a.doubts(&config.Store{Name: l.Store, Path: r.Path})
		if err != nil {
			return outcome{}, err
		}
		hit = hit || len(d.old) > 0
		t = append(t, []string{ui.Escape(l.Store), ui.Count(l.Mailboxes), ui.Count(int64(len(d.old))), ui.Count(l.Messages), ui.Bytes(l.Bytes), age(scanned(r))})
	}
	if len(t) == 1 {
		a.out.Say("Nothing is recorded yet. Next: mailsync scan STORE")
	} else {
		a.out.Table(t)
	}
	if hit {
		a.out.Say("Damage or loss was found in mailboxes, and no scan since has seen them mended. Next: %s", a.out.Style.Cyan(a.cmdline("verify")))
	}
	return outcome{}, broken
}

// age is when in few letters, for a table.
func age(t time.Time) string {
	if t.IsZero() {
		return "not finished"
	}
	return ui.Duration(time.Since(t).Round(time.Second)) + " ago"
}

// when writes how old a record is.
func (a *app) when(t time.Time) string {
	if t.IsZero() {
		return "not finished"
	}
	return ui.Age(t, time.Now())
}

// mailboxLine is one mailbox of a record in JSON.
type mailboxLine struct {
	ui.Head
	Store    string          `json:"store"`
	Mailbox  string          `json:"mailbox"`
	Path     string          `json:"path"`
	Folders  int64           `json:"folders"`
	Messages int64           `json:"messages"`
	Bytes    int64           `json:"bytes"`
	Damaged  int64           `json:"damaged"`
	Suspect  int64           `json:"suspect"`
	Unread   int64           `json:"unread"`
	Absences int64           `json:"absences"`
	Scanned  time.Time       `json:"scanned"`
	Gone     time.Time       `json:"gone,omitzero"`
	Content  manifest.Digest `json:"content"`
	State    manifest.Digest `json:"state"`
}

func mailboxOf(store string, h *manifest.Head) mailboxLine {
	return mailboxLine{
		Head: ui.Head{V: 1, Type: "mailbox"}, Store: store, Mailbox: h.Name, Path: h.Path, Folders: h.Folders,
		Messages: h.Messages, Bytes: h.Bytes, Damaged: h.Damaged, Suspect: h.Suspect, Unread: h.Unread,
		Absences: h.Absences, Scanned: h.Began.UTC(), Gone: h.Gone.UTC(), Content: h.Content, State: h.State,
	}
}

// sortable is how many mailboxes are sorted for a person; more come as they
// lie in the record.
const sortable = 20_000

func (a *app) manifestList(ctx context.Context, arg string, globs config.Globs) (outcome, error) {
	s, rec, err := a.findRecord(arg)
	if err != nil {
		return outcome{}, err
	}
	header := []string{"mailbox", ">messages", ">bytes", ">damaged", ">gone", "scanned"}
	rows := ui.Table{}
	flush := func() {
		slices.SortFunc(rows, func(x, y []string) int { return strings.Compare(x[0], y[0]) })
		a.out.Table(append(ui.Table{header}, rows...))
		rows = rows[:0]
	}
	c := a.summary.Counts
	for h, err := range heads(ctx, rec, globs) {
		if err != nil {
			return outcome{}, a.manifestProblem(s.Name, err)
		}
		c["mailboxes"]++
		c["messages"] += h.Messages
		c["bytes"] += h.Bytes
		c["damaged"] += h.Damaged
		if a.out.JSON() {
			a.out.Record(mailboxOf(s.Name, &h))
			continue
		}
		name := ui.Escape(h.Name)
		if !h.Gone.IsZero() {
			name += " (gone)"
		}
		rows = append(rows, []string{
			name, ui.Count(h.Messages), ui.Bytes(h.Bytes), ui.Count(h.Damaged), ui.Count(h.Absences), ui.Time(h.Began),
		})
		if len(rows) == sortable {
			flush()
		}
	}
	flush()
	a.out.Say("%s: %s, %s, %s, scanned %s", ui.Name(s.Name), ui.Plural(c["mailboxes"], "mailbox"), ui.Plural(c["messages"], "message"),
		ui.Bytes(c["bytes"]), a.when(scanned(rec.Record())))
	return outcome{}, cancelled(ctx)
}

// findRecord finds a store and its record.
func (a *app) findRecord(arg string) (*config.Store, *manifest.Store, error) {
	s, err := a.store(arg)
	if err != nil {
		return nil, nil, err
	}
	rec, err := a.record(s)
	return s, rec, err
}

// heads yields the recorded mailboxes that were asked for.
func heads(ctx context.Context, rec *manifest.Store, globs config.Globs) iter.Seq2[manifest.Head, error] {
	return func(yield func(manifest.Head, error) bool) {
		for h, err := range rec.Heads(ctx) {
			if (err != nil || globs.Match(h.Name)) && !yield(h, err) {
				return
			}
		}
	}
}

func (a *app) manifestProblem(store string, err error) error {
	if ended(err) {
		return err
	}
	return &ui.Problem{
		What: "record of " + store, Why: err,
		Hint: a.cmdline("manifest", "check", store) + " names every broken part; a new scan writes it anew",
	}
}

// brokenLine is one broken file of a record in JSON.
type brokenLine struct {
	ui.Head
	Store   string `json:"store"`
	Mailbox string `json:"mailbox"`
	ui.Path
	Error string `json:"error"`
}

func (a *app) manifestCheck(ctx context.Context, arg string) (outcome, error) {
	s, err := a.store(arg)
	if err != nil {
		return outcome{}, err
	}
	repo, err := a.openRepo(true)
	if err != nil {
		return outcome{}, err
	}
	rec, err := repo.Store(key(s))
	if errors.Is(err, manifest.ErrNoRecord) {
		return outcome{}, &ui.Problem{What: "record of " + s.Name, Why: err, Code: exitNoInput, Hint: "make one with: " + a.cmdline("scan", s.Name)}
	}
	if err != nil {
		return outcome{}, &ui.Problem{What: "record of " + s.Name, Why: err, Code: exitData, Hint: "mailsync scan writes a new one; a state copy may hold it whole"}
	}
	var res manifest.CheckResult
	broken := func(b manifest.Broken) {
		text := ui.Oneline(b.Err, 500)
		a.out.Record(brokenLine{Head: ui.Head{V: 1, Type: "broken"}, Store: s.Name, Mailbox: b.Mailbox, Path: ui.PathOf(b.File), Error: text})
		a.out.Print(a.out.Style.Red("broken  ") + ui.Escape(b.File) + "  " + ui.Name(b.Mailbox) + "  " + text)
	}
	for b, err := range rec.Check(ctx, &res) {
		if err != nil {
			return outcome{}, err
		}
		broken(b)
	}
	a.summary.Counts["ok"], a.summary.Counts["broken"] = res.OK, res.Broken
	if err := cancelled(ctx); err != nil {
		return outcome{}, err
	}
	if res.Broken > 0 {
		return outcome{}, &ui.Problem{
			What: fmt.Sprintf("record of %s: %s of %s are broken", s.Name, ui.Count(res.Broken), ui.Plural(res.OK+res.Broken, "file")),
			Code: exitData, Hint: "bring it back from a state copy; without one, move the broken files and the index beside each out of the state directory, and the next scan records their mailboxes anew, without a baseline",
		}
	}
	a.out.Say("The record of %s is whole: %s read and proven.", ui.Name(s.Name), ui.Plural(res.OK, "file"))
	return outcome{}, a.checkSignature(ctx, s, rec, broken)
}
