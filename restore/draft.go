package restore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"

	"mailsync/restore/place"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// tableDraft is what a folder's keyword table becomes by a batch.
type tableDraft struct {
	*place.Draft
	taken string // the letters that files used when it was made
}

// subsDraft is what a mailbox' subscriptions become by a batch.
type subsDraft struct {
	*place.Draft
	dir       *beneath.Dir
	added     []string // folders that were not subscribed
	published bool
}

// draft writes the keyword tables and subscriptions that a batch changes, so
// that they become durable by its barrier and not each by syncs of its own.
// Where it cannot, nothing is lost: what has no draft is rewritten, durably,
// when it is needed.
func (r *Run) draft(b *batch) {
	if !b.barrier.Batches() {
		return
	}
	words := map[*folder][]string{}
	subs := map[*mbox][]string{}
	for _, t := range b.items {
		switch {
		case !t.pending():
		case t.a.Op == Subscribe:
			subs[t.box] = append(subs[t.box], t.a.Ref.Folder)
		case t.f != nil && (t.a.Op == Add || t.a.Op == Flags || t.a.Op == Keywords):
			for _, w := range t.a.Keywords {
				if !slices.Contains(words[t.f], w) {
					words[t.f] = append(words[t.f], w)
				}
			}
		}
	}
	for f, names := range words {
		r.draftTable(b, f, names)
	}
	for m, folders := range subs {
		r.draftSubs(b, m, folders)
	}
}

// covers tells whether the batch's barrier makes what lies in a directory durable.
func (b *batch) covers(d *beneath.Dir) bool {
	if b == nil || b.barrier == nil || !b.barrier.Batches() {
		return false
	}
	st, err := d.Self()
	return err == nil && st.Dev == b.disk.Dev
}

func (r *Run) draftTable(b *batch, f *folder, names []string) {
	if f.control == nil || !b.covers(f.control) || f.refresh(r.fine || f.hidden, f.hidden) != nil {
		return
	}
	taken := f.names.taken()
	d, err := r.lockerOf(f).Draft(f.control, keywordsName, f.own, f.hidden && r.within(f), func(old []byte) ([]byte, error) {
		table, err := maildir.ParseKeywords(bytes.NewReader(old))
		if err != nil {
			return nil, err
		}
		_, missing := table.Letters(names)
		if len(missing) == 0 {
			return nil, nil
		}
		table, full := table.Add(taken, missing...)
		if len(full) > 0 {
			return nil, nil // who gets the last letters is decided message by message
		}
		return table.Format(), nil
	})
	if err == nil && d != nil {
		f.table = &tableDraft{Draft: d, taken: taken}
		r.cache.hold(f)
		b.tables = append(b.tables, f)
	}
}

// within tells whether a folder's control directory is the folder itself.
func (r *Run) within(f *folder) bool {
	return f.box.place.Control == "" || f.box.place.Control == f.box.place.Root
}

// publishTable gives the folder's new keyword table its name, if it was
// drafted and nothing has changed since.
func (r *Run) publishTable(ctx context.Context, f *folder) (bool, error) {
	if f.table == nil || f.names.taken() != f.table.taken {
		return false, nil
	}
	return r.lockerOf(f).Publish(ctx, f.table.Draft)
}

func (r *Run) draftSubs(b *batch, m *mbox, folders []string) {
	dir, err := r.open.controlRoot(m)
	if err != nil {
		return
	}
	s := &subsDraft{dir: dir}
	if b.covers(dir) {
		s.Draft, err = r.lockerFor(m.own).Draft(dir, subsName, m.own, false, func(old []byte) ([]byte, error) {
			list, err := subscribed(old, m)
			if err != nil {
				return nil, err
			}
			for _, name := range folders {
				var changed bool
				if list, changed = insert(list, name); changed {
					s.added = append(s.added, name)
				}
			}
			if len(s.added) == 0 {
				return nil, nil
			}
			return maildir.FormatSubscriptions(list, m.place.Folders())
		})
	}
	if err != nil || s.Draft == nil {
		_ = dir.Close()
		return
	}
	m.subs = s
	b.subs = append(b.subs, m)
}

// publishSubs gives the mailbox' new subscriptions their name, once a batch.
// ok tells whether the folder's subscription is settled by it.
func (r *Run) publishSubs(ctx context.Context, t *item) (ok bool, err error) {
	s := t.box.subs
	if s == nil {
		return false, nil
	}
	if !s.published {
		if s.published, err = r.lockerFor(t.box.own).Publish(ctx, s.Draft); err != nil || !s.published {
			return false, err
		}
	}
	if slices.Contains(s.added, t.a.Ref.Folder) {
		t.shown = true
	} else {
		t.end(Already, "")
	}
	return true, nil
}

// undraft removes what a batch has drafted and not published.
func (r *Run) undraft(b *batch) {
	for _, f := range b.tables {
		r.locker.Discard(f.table.Draft)
		f.table = nil
		r.cache.release(f)
	}
	for _, m := range b.subs {
		r.locker.Discard(m.subs.Draft)
		_ = m.subs.dir.Close()
		m.subs = nil
	}
	b.tables, b.subs = nil, nil
}

// subscribed reads subscriptions; no file means none.
func subscribed(text []byte, m *mbox) ([]string, error) {
	subs, err := maildir.ParseSubscriptions(bytes.NewReader(text), m.place.Folders())
	if err != nil && text != nil {
		return nil, err
	}
	return subs.Folders, nil
}

// tableOf reads a folder's keyword table; no file means an empty one.
func tableOf(f *folder) (*maildir.Keywords, error) {
	p, _, err := place.ReadSmall(f.control, keywordsName, place.MaxSmall)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	table, err := maildir.ParseKeywords(bytes.NewReader(p))
	return &table, err
}
