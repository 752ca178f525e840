package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"path"
	"strings"
	"time"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
)

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
	s, rec, err := a.findRecord(arg)
	if err != nil {
		return outcome{}, err
	}
	if !sums {
		a.flags.json = true // an export is for programs
		a.talk()
	}
	w := bufio.NewWriterSize(rawWriter{a.out}, 64<<10)
	for h, err := range heads(ctx, rec, globs) {
		if err != nil {
			return outcome{}, a.manifestProblem(s.Name, err)
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
