package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
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
		Use: "ls [STORE]", Short: "the stores that have a record, or the mailboxes of one", Args: cobra.MaximumNArgs(1),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) {
			if len(args) == 0 {
				return a.manifestStores(ctx)
			}
			return a.manifestList(ctx, args[0], globs)
		}),
	}
	show := &cobra.Command{
		Use: "show STORE", Short: "what is recorded of a store, and of its mailboxes with --mailbox", Args: cobra.ExactArgs(1),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) { return a.manifestShow(ctx, args[0], globs) }),
	}
	check := &cobra.Command{
		Use: "check STORE", Short: "read every byte of a record: is it whole?", Args: cobra.ExactArgs(1),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) { return a.manifestCheck(ctx, args[0]) }),
	}
	var sums bool
	export := &cobra.Command{
		Use: "export STORE", Short: "the record as JSON lines, or as a list for b3sum -c or sha256sum -c", Args: cobra.ExactArgs(1),
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
	return family("manifest", "look into the record: ls, show, check, export, sign; stopped, started", ls, show, check, export, a.manifestSign(), a.manifestStopped(), a.manifestStarted())
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
	t := ui.Table{{"store", ">mailboxes", ">messages", ">bytes", "scanned"}}
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
		t = append(t, []string{ui.Escape(l.Store), ui.Count(l.Mailboxes), ui.Count(l.Messages), ui.Bytes(l.Bytes), a.when(scanned(r))})
	}
	if len(t) == 1 {
		a.out.Say("Nothing is recorded yet. Next: mailsync scan STORE")
	} else {
		a.out.Table(t)
	}
	return outcome{}, broken
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
	s, err := a.store(arg)
	if err != nil {
		return outcome{}, err
	}
	rec, err := a.record(s)
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
	for h, err := range rec.Heads(ctx) {
		if err != nil {
			return outcome{}, a.manifestProblem(s.Name, err)
		}
		if !globs.Match(h.Name) {
			continue
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

func (a *app) manifestProblem(store string, err error) error {
	if ended(err) {
		return err
	}
	return &ui.Problem{
		What: "record of " + store, Why: err,
		Hint: a.cmdline("manifest", "check", store) + " names every broken part; a new scan writes it anew",
	}
}

// folderLine is one folder of a record in JSON.
type folderLine struct {
	Folder        string   `json:"folder"`
	UIDValidity   uint32   `json:"uidvalidity"`
	UIDNext       uint32   `json:"uidnext"`
	HighestModSeq uint64   `json:"highest_modseq"`
	Keywords      []string `json:"keywords"`
	UIDsKept      bool     `json:"uids_kept,omitempty"`
	KeywordsKept  bool     `json:"keywords_kept,omitempty"`
}

// detailLine is one mailbox of a record with its folders.
type detailLine struct {
	mailboxLine
	Owner         uint32       `json:"owner"`
	Group         uint32       `json:"group"`
	Mode          string       `json:"mode"`
	Subscriptions []string     `json:"subscriptions"`
	List          []folderLine `json:"list"`
}

func (a *app) manifestShow(ctx context.Context, arg string, globs config.Globs) (outcome, error) {
	s, err := a.store(arg)
	if err != nil {
		return outcome{}, err
	}
	rec, err := a.record(s)
	if err != nil {
		return outcome{}, err
	}
	r := rec.Record()
	l := recordOf(&r)
	a.out.Record(l)
	for _, row := range [][2]string{
		{"store", ui.Escape(l.Store)},
		{"path", ui.Escape(l.Path)},
		{"generation", fmt.Sprint(l.Generation)},
		{"digest", l.Digest},
		{"scanned", a.when(scanned(r))},
		{"mailboxes", ui.Count(l.Mailboxes)},
		{"messages", ui.Count(l.Messages) + ", " + ui.Bytes(l.Bytes)},
		{"content root", l.Content},
		{"state root", l.State},
	} {
		a.out.Print(fmt.Sprintf("%-14s %s", row[0], row[1]))
	}
	if !r.Open.Began.IsZero() {
		a.out.Say("A scan that began %s is not finished; the next one goes on with it.", a.when(r.Open.Began))
	}
	if len(globs) == 0 {
		return outcome{}, nil
	}
	found := false
	for h, err := range rec.Heads(ctx) {
		if err != nil {
			return outcome{}, a.manifestProblem(s.Name, err)
		}
		if !globs.Match(h.Name) {
			continue
		}
		found = true
		if err := a.showMailbox(rec, s.Name, &h); err != nil {
			return outcome{}, a.manifestProblem(s.Name, err)
		}
	}
	if !found {
		return outcome{}, &ui.Problem{
			What: "no recorded mailbox matches " + globs.String(), Code: exitNoInput,
			Hint: a.cmdline("manifest", "ls", s.Name) + " lists them",
		}
	}
	return outcome{}, cancelled(ctx)
}

func (a *app) showMailbox(rec *manifest.Store, store string, h *manifest.Head) error {
	o, err := rec.OpenMailbox(h.Name)
	if err != nil {
		return err
	}
	defer o.Close()
	m := o.Mailbox()
	d := detailLine{
		mailboxLine: mailboxOf(store, h), Owner: m.Owner, Group: m.Group, Mode: fmt.Sprintf("%04o", m.Mode),
		Subscriptions: append([]string{}, m.Subscriptions...), List: []folderLine{},
	}
	t := ui.Table{{"folder", ">uidvalidity", ">uidnext", "keywords"}}
	for i := range m.Folders {
		f := &m.Folders[i]
		d.List = append(d.List, folderLine{
			Folder: f.Name, UIDValidity: f.UIDValidity, UIDNext: f.UIDNext, HighestModSeq: f.HighestModSeq,
			Keywords: append([]string{}, f.Keywords...), UIDsKept: f.UIDListStamp.Kept(), KeywordsKept: f.KeywordsStamp.Kept(),
		})
		t = append(t, []string{
			ui.Escape(f.Name), fmt.Sprint(f.UIDValidity), fmt.Sprint(f.UIDNext),
			ui.Escape(strings.Join(slices.DeleteFunc(slices.Clone(f.Keywords), func(k string) bool { return k == "" }), " ")),
		})
	}
	a.out.Record(d)
	a.out.Print("")
	a.out.Print(a.out.Style.Bold(ui.Name(h.Name)) + fmt.Sprintf("  %s, %s, %d damaged, %d gone; owner %d:%d, mode %s",
		ui.Plural(h.Messages, "message"), ui.Bytes(h.Bytes), h.Damaged, h.Absences, m.Owner, m.Group, d.Mode))
	a.out.Table(t)
	return nil
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

// entryLine is one recorded message, or one that is gone, in JSON.
type entryLine struct {
	ui.Head
	Store   string `json:"store"`
	Mailbox string `json:"mailbox"`
	Folder  string `json:"folder"`
	ui.Path
	Size     int64           `json:"size"`
	Date     time.Time       `json:"date"`
	Flags    string          `json:"flags"`
	Keywords []string        `json:"keywords"`
	UID      uint32          `json:"uid"`
	Digest   manifest.Digest `json:"digest"`
	Plain    string          `json:"plain,omitempty"`
	HeaderID string          `json:"header_id,omitempty"`
	Status   string          `json:"status"`
	Damage   string          `json:"damage,omitempty"`
	Checked  time.Time       `json:"checked,omitzero"`
	// Of an absence.
	LastSeen    time.Time `json:"last_seen,omitzero"`
	FirstAbsent time.Time `json:"first_absent,omitzero"`
	Evidence    string    `json:"evidence,omitempty"`
}

func entryOf(kind, store, mailbox string, e *manifest.Entry) entryLine {
	l := entryLine{
		Head: ui.Head{V: 1, Type: kind}, Store: store, Mailbox: mailbox, Folder: e.Folder, Path: ui.PathOf(e.File()),
		Size: e.Size, Date: e.Date(), Flags: e.Flags, Keywords: e.Keywords, UID: e.UID, Digest: e.Digest,
		Plain: e.Plain.String(), Status: statusWord(e.Status),
	}
	if l.Keywords == nil {
		l.Keywords = []string{}
	}
	if e.HeaderID != (manifest.HeaderID{}) {
		l.HeaderID = hex.EncodeToString(e.HeaderID[:])
	}
	if e.Damage != manifest.NoKind {
		l.Damage = e.Damage.String()
	}
	if e.Checked != 0 {
		l.Checked = time.Unix(e.Checked, 0).UTC()
	}
	return l
}

func statusWord(s manifest.Status) string {
	switch s {
	case manifest.Sound:
		return "sound"
	case manifest.Suspect:
		return "suspect"
	case manifest.Damaged:
		return "damaged"
	}
	return "unread"
}

func (a *app) manifestExport(ctx context.Context, arg string, globs config.Globs, sums bool) (outcome, error) {
	if sums && a.flags.json {
		return outcome{}, usage("--sums and --json exclude each other")
	}
	s, err := a.store(arg)
	if err != nil {
		return outcome{}, err
	}
	rec, err := a.record(s)
	if err != nil {
		return outcome{}, err
	}
	if !sums {
		a.flags.json = true // an export is for programs
		a.talk()
	}
	w := bufio.NewWriterSize(rawWriter{a.out}, 64<<10)
	for h, err := range rec.Heads(ctx) {
		if err != nil {
			return outcome{}, a.manifestProblem(s.Name, err)
		}
		if !globs.Match(h.Name) {
			continue
		}
		if err := a.exportMailbox(ctx, w, rec, s.Name, &h, sums); err != nil {
			return outcome{}, a.manifestProblem(s.Name, err)
		}
	}
	return outcome{}, errors.Join(w.Flush(), cancelled(ctx))
}

func (a *app) exportMailbox(ctx context.Context, w io.Writer, rec *manifest.Store, store string, h *manifest.Head, sums bool) error {
	o, err := rec.OpenMailbox(h.Name)
	if err != nil {
		return err
	}
	defer o.Close()
	m := o.Mailbox()
	if !sums {
		a.out.Record(mailboxOf(store, h))
	}
	a.summary.Counts["mailboxes"]++
	for e, err := range o.Entries() {
		if err != nil {
			return err
		}
		if err := cancelled(ctx); err != nil {
			return err
		}
		a.summary.Counts["messages"]++
		if !sums {
			a.out.Record(entryOf("entry", store, h.Name, &e))
			continue
		}
		if e.Digest.IsZero() || e.Status == manifest.Unread {
			continue
		}
		dir := ""
		if f := m.Folder(e.Folder); f != nil {
			dir = f.Dir
		}
		if _, err := io.WriteString(w, sumLine(e.Digest, path.Join(m.Path, dir, e.Sub.String())+"/"+e.Name)); err != nil {
			return err
		}
	}
	if sums {
		return nil
	}
	for ab, err := range o.Absences() {
		if err != nil {
			return err
		}
		l := entryOf("absence", store, h.Name, &ab.Entry)
		l.LastSeen, l.FirstAbsent, l.Evidence = ab.LastSeen.UTC(), ab.FirstAbsent.UTC(), ab.Evidence.String()
		a.out.Record(l)
	}
	return nil
}

// sumLine writes a line that b3sum -c and sha256sum -c read: both mark a name
// that holds a backslash or a line end by a backslash in front.
func sumLine(d manifest.Digest, name string) string {
	escaped := strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(name)
	mark := ""
	if escaped != name {
		mark = `\`
	}
	return mark + hex.EncodeToString(d.Sum[:]) + "  " + escaped + "\n"
}

// rawWriter writes to standard output as it is.
type rawWriter struct{ out *ui.Out }

func (w rawWriter) Write(p []byte) (int, error) {
	w.out.Raw(p)
	return len(p), w.out.Err()
}
