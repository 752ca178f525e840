package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// rootFiles reads what belongs to the mailbox as a whole: subscriptions and
// the quota file.
func (v *View) rootFiles() error {
	var inbox *folderLook
	for _, fl := range v.folders {
		if fl.branch.dir == "" && !fl.missing && fl.blind == nil {
			inbox = fl
		}
	}
	if inbox == nil {
		return nil
	}
	files := inbox.branch.files
	control, cfiles := v.root, files
	if v.place.Control != "" {
		c, err := v.s.openAt(v.place.ControlRoot())
		switch {
		case errors.Is(err, fs.ErrNotExist):
			control = nil
		case err != nil:
			inbox.smallFailed(maildir.SubscriptionsFile, err)
			control = nil
		default:
			defer c.Close()
			control, cfiles = c, nil
		}
	}
	if control != nil {
		v.subscriptions(inbox, control, cfiles, maildir.SubscriptionsFile, maildir.ParseSubscriptions)
	}
	if !v.mb.Subscribed {
		v.subscriptions(inbox, v.root, files, maildir.CourierSubscribed, maildir.ParseCourierSubscribed)
	}
	if f, st, _ := inbox.small(v.root, files, maildir.QuotaFile); f != nil {
		defer f.Close()
		v.mb.QuotaFile = true
		v.mb.QuotaStamp = settled(st, v.began, v.margin)
		v.quota.read(f)
	}
	return nil
}

func (v *View) subscriptions(inbox *folderLook, d *beneath.Dir, files map[string]bool, name string,
	parse func(io.Reader, maildir.FolderNames) (maildir.Subscriptions, error),
) {
	f, st, _ := inbox.small(d, files, name)
	if f == nil {
		return
	}
	defer f.Close()
	subs, err := parse(io.LimitReader(f, maxSmallFile), v.place.Folders())
	if err != nil && !errors.Is(err, maildir.ErrSubs) {
		inbox.smallFailed(name, err)
		return
	}
	v.mb.Subscribed, v.mb.Subscriptions = true, subs.Folders
	v.mb.SubsStamp = settled(st, v.began, v.margin)
}

// quotaCheck compares maildirsize with what is there. Servers count
// differently (with or without Trash, with or without messages marked deleted),
// so every way that one of them counts is right.
type quotaCheck struct {
	known bool
	quota maildir.Quota
	bytes [4]int64
	count [4]int64
}

func (q *quotaCheck) read(f *beneath.File) {
	quota, err := maildir.ParseQuota(io.LimitReader(f, maxSmallFile))
	q.quota, q.known = quota, err == nil && quota.Lines > 0
}

func (q *quotaCheck) add(e *manifest.Entry, n *maildir.Name) {
	if !q.known {
		return
	}
	size := e.Size
	if n.HasS {
		size = n.S
	}
	trash := e.Folder == "Trash" || strings.HasPrefix(e.Folder, "Trash/")
	deleted := strings.IndexByte(e.Flags, 'T') >= 0
	for i := range q.bytes {
		if i&1 != 0 && trash || i&2 != 0 && deleted {
			continue
		}
		q.bytes[i] += size
		q.count[i]++
	}
}

func (q *quotaCheck) report(ctx context.Context, v *View) error {
	if !q.known {
		return nil
	}
	for i := range q.bytes {
		if q.bytes[i] == q.quota.Bytes && q.count[i] == q.quota.Count {
			return nil
		}
	}
	// A delivery in between moves a stamp, at the latest one tick later.
	if err := pause(ctx, fineMargin); err != nil {
		return err
	}
	if !v.still() {
		return nil
	}
	v.finding(manifest.Finding{
		Folder: "INBOX", File: maildir.QuotaFile, Kind: manifest.QuotaStale, Certainty: manifest.Proof,
		Detail: "its sums are not what the mailbox holds; servers rebuild it",
	})
	return nil
}

// still tells whether neither a folder nor the quota file has moved since it was
// looked at.
func (v *View) still() bool {
	same := func(name string, rec manifest.DirStamp) bool {
		st, err := v.root.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return rec.IsZero()
		}
		now := stampOf(&st)
		now.Safe = rec.Safe
		return err == nil && now == rec
	}
	for _, fl := range v.folders {
		if fl.missing || fl.blind != nil || fl.looks > 0 ||
			!same(fl.branch.child("new"), fl.info.NewStamp) || !same(fl.branch.child("cur"), fl.info.CurStamp) {
			return false
		}
	}
	return same(maildir.QuotaFile, v.mb.QuotaStamp)
}

// finish does what can be done only when every message has been seen.
func (v *View) finish(ctx context.Context) error {
	if v.cursor != nil {
		e, err := v.cursor.peek()
		if err != nil {
			return err
		}
		if e != nil {
			return fmt.Errorf("%w: the record holds entries of folders that it does not list", manifest.ErrOrder)
		}
	}
	for _, fl := range v.folders {
		if fl.alternate > 0 {
			v.alternate(fl)
		}
		v.lostTable(fl)
	}
	if err := v.tmp.report(ctx, v); err != nil {
		return err
	}
	if err := v.quota.report(ctx, v); err != nil {
		return err
	}
	if err := v.weigh(ctx); err != nil {
		return err
	}
	v.mb.Messages, v.mb.Bytes = v.counts.Messages, v.counts.Bytes
	v.mb.Ended = v.s.opt.Now().UTC()
	return nil
}

func (v *View) alternate(fl *folderLook) {
	detail := "the info part stands behind ';' or '!', as systems write it that cannot have ':' in names; servers take it for a part of the name"
	if fl.alternate > 1 {
		detail = fmt.Sprintf("%d names: %s", fl.alternate, detail)
	}
	v.finding(manifest.Finding{
		Folder: fl.info.Name, File: fl.altName, Kind: manifest.AlternateSeparator, Certainty: manifest.Proof, Detail: detail,
	})
}
