package restore

import (
	"bytes"
	"slices"

	"mailsync/manifest"
	"mailsync/restore/place"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// inPlace tells whether the target is as an action wants it, so that a plan
// that was applied before has nothing to refuse. It only looks.
func (r *Run) inPlace(a *Action) bool {
	m, err := r.cache.box(a.Ref.Mailbox)
	if err != nil {
		return false
	}
	defer r.cache.releaseBox(m)
	if a.Op == Subscribe {
		return r.subscribed(m, a.Ref.Folder)
	}
	f, err := r.cache.folder(folderKey{a.Ref.Mailbox, a.Dir})
	if err != nil {
		return false
	}
	defer r.cache.release(f)
	switch a.Op {
	case Mkdir:
		return true
	case Add:
		if len(a.Post.Name) == 0 {
			return false // the run chose the name: its ledger knows
		}
		n := maildir.ParseName(string(a.Post.Name))
		return r.holds(f, n.ServerBase, a.Post.Size, a.Post.Digest)
	case Replace:
		n := maildir.ParseName(string(a.Pre.Name))
		good := maildir.ParseName(string(a.FromName))
		return r.holds(f, n.ServerBase, a.Post.Size, a.Post.Digest) || r.holds(f, good.ServerBase, a.Post.Size, a.Post.Digest)
	case Flags, Keywords:
		return r.flagged(f, a)
	case Date:
		x, ok, err := f.find(r.ops, &Ground{Sub: a.Pre.Sub, Name: a.Pre.Name})
		return err == nil && ok && x.st.Mtim.Nano() == a.Date.UnixNano()
	case UID:
		return r.listed(f, a.UIDs)
	}
	return false
}

// holds tells whether a folder has a message of a base name and content.
func (r *Run) holds(f *folder, base string, size int64, digest manifest.Digest) bool {
	if base == "" {
		return false
	}
	all, err := f.locate(r.ops, base)
	if err != nil {
		return false
	}
	for _, x := range all {
		if x.st.Size != size {
			continue
		}
		if d, _, err := f.digest(&x, algOf(digest)); err == nil && d == digest {
			return true
		}
	}
	return false
}

// flagged tells whether a message has the flags and keywords of an action.
func (r *Run) flagged(f *folder, a *Action) bool {
	want := maildir.ParseName(string(a.Post.Name))
	all, err := f.locate(r.ops, want.ServerBase)
	if err != nil || len(all) != 1 {
		return false
	}
	is := maildir.ParseName(all[0].name)
	if is.Flags != want.Flags {
		return false
	}
	if len(a.Keywords) == 0 {
		return a.Op == Flags || is.Letters == want.Letters
	}
	if f.control == nil {
		return false
	}
	p, _, err := place.ReadSmall(f.control, keywordsName, place.MaxSmall)
	if err != nil {
		return false
	}
	table, err := maildir.ParseKeywords(bytes.NewReader(p))
	return err == nil && slices.Equal(table.Names(is.Letters), a.Keywords)
}

// listed tells whether a folder has a whole UID list that is what was wanted,
// or goes beyond it.
func (r *Run) listed(f *folder, want *UIDs) bool {
	if f.control == nil || want == nil {
		return false
	}
	p, _, err := place.ReadSmall(f.control, uidlistName, maxUIDList)
	if err != nil {
		return false
	}
	l := readUIDs(p)
	return l.err == nil && l.header.UIDValidity == want.Validity && l.next >= want.Next
}

func (r *Run) subscribed(m *mbox, folder string) bool {
	d, err := r.open.controlRoot(m)
	if err != nil {
		return false
	}
	defer func(d *beneath.Dir) { _ = d.Close() }(d)
	p, _, err := place.ReadSmall(d, subsName, place.MaxSmall)
	if err != nil {
		return false
	}
	subs, err := maildir.ParseSubscriptions(bytes.NewReader(p), m.place.Folders())
	return err == nil && slices.Contains(subs.Folders, folder)
}
