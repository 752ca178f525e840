package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
)

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
	s, rec, err := a.findRecord(arg)
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
	for h, err := range heads(ctx, rec, globs) {
		if err != nil {
			return outcome{}, a.manifestProblem(s.Name, err)
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
