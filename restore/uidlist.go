package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"

	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/restore/place"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// maxUIDList bounds a UID list that is read whole.
const maxUIDList = 256 << 20

// linkUIDs writes a folder's UID list, or raises its next UID, under the
// server's lock. The old file stays in quarantine.
func (r *Run) linkUIDs(ctx context.Context, f *folder, t *item) error {
	a := &t.a
	if f.control == nil {
		d, err := r.makeControl(f)
		if err != nil {
			return fmt.Errorf("the folder's control directory: %w", err)
		}
		f.control = d
	}
	if a.From == fromQuarantine {
		return r.uidsBack(f, t)
	}
	old, st, err := place.ReadSmall(f.control, uidlistName, maxUIDList)
	there := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !there && t.list != "" {
		return r.linkList(f, t)
	}
	list := readUIDs(old)
	var text []byte
	if len(a.UIDs.Lines) > 0 || a.UIDs.GUID != "" && !there {
		text, err = r.wholeList(f, t, list, there, &st)
	} else {
		text, err = r.raised(t, list, there)
	}
	if err != nil || !t.pending() {
		return err
	}
	if there {
		as, err := r.aside.keep(f.box, a, f.control, "", uidlistName, st.Inode, manifest.Digest{}, "UID list before it was changed", true)
		if err != nil {
			return fmt.Errorf("quarantine: %w", err)
		}
		t.aside = as
	}
	if err := r.putUIDs(f, t, text); err != nil {
		return err
	}
	f.server = true
	return nil
}

// prepareUIDs writes the list of a folder that has none under a temporary name,
// so that it becomes durable with the batch and not by itself, and makes the
// server's lock ready.
func (s *stager) prepareUIDs(t *item) error {
	f, u := t.f, t.a.UIDs
	if f.control == nil || u == nil || t.a.From == fromQuarantine {
		return nil
	}
	if err := s.lockLater(f); err != nil {
		return err
	}
	if f.server || len(u.Lines) == 0 && u.GUID == "" || !s.b.covers(f.control) {
		return nil // what is there, or not in the barrier's reach, is changed under the lock
	}
	var text bytes.Buffer
	h := maildir.UIDHeader{Version: 3, UIDValidity: u.Validity, NextUID: u.Next, GUID: u.GUID}
	if err := maildir.WriteUIDList(&text, h, sequence(mergeUIDs(nil, u.Lines))); err != nil {
		return err
	}
	name := s.r.temp()
	inode, err := s.r.ops.WriteFile(f.control, name, text.Bytes(), f.own, false)
	if err != nil {
		return err
	}
	t.list, t.a.Post.Inode, t.a.Post.Size = name, inode, int64(text.Len())
	return nil
}

// linkList gives a list that was prepared its name, unless the server was faster.
func (r *Run) linkList(f *folder, t *item) error {
	err := r.ops.Link(f.control.Fd(), t.list, f.control.Fd(), uidlistName)
	if errors.Is(err, fs.ErrExist) {
		t.end(Refused, "the server has made a new UID list meanwhile")
		return nil
	}
	if err != nil {
		return err
	}
	t.shown, f.server = true, true
	return nil
}

// unlist removes the temporary name of a prepared list.
func (r *Run) unlist(t *item) {
	if t.list != "" && t.f != nil {
		_ = r.ops.Unlink(t.f.control.Fd(), t.list)
	}
	t.list = ""
}

// putUIDs writes a list durably and gives it its name.
func (r *Run) putUIDs(f *folder, t *item, text []byte) error {
	temp := r.temp()
	inode, err := r.ops.WriteFile(f.control, temp, text, f.own, true)
	if err != nil {
		return err
	}
	if err := r.ops.Replace(f.control.Fd(), temp, f.control.Fd(), uidlistName); err != nil {
		_ = r.ops.Unlink(f.control.Fd(), temp)
		return err
	}
	t.shown = true
	t.a.Post.Inode, t.a.Post.Size = inode, int64(len(text))
	return r.ops.Fsync(f.control.Fd(), f.control.Path())
}

// uidFacts is what a UID list holds, as far as it can be read.
type uidFacts struct {
	header  maildir.UIDHeader
	records []maildir.UIDRecord
	next    uint32
	err     error // it is broken: a server gives new UIDs to all that follows
}

func readUIDs(p []byte) *uidFacts {
	u := &uidFacts{}
	l, err := maildir.ReadUIDList(bytes.NewReader(p))
	if err != nil {
		u.err = err
		return u
	}
	u.header = l.Header()
	for rec, err := range l.Records() {
		if err != nil {
			u.err = err
			break
		}
		u.records = append(u.records, rec)
	}
	u.next = l.Next()
	return u
}

// wholeList makes the text of a list that was lost or torn. A list that the
// server has made anew meanwhile is left: its UIDs are known to clients.
func (r *Run) wholeList(f *folder, t *item, list *uidFacts, there bool, st *beneath.Stat) ([]byte, error) {
	a := &t.a
	u := a.UIDs
	if there && list.err == nil {
		if list.header.UIDValidity == u.Validity && a.Pre.Inode == 0 {
			t.end(Already, "the folder has a UID list")
		} else {
			t.end(Refused, "the server has made a new UID list meanwhile")
		}
		return nil, nil
	}
	if there && (a.Pre.Inode != st.Inode || a.Pre.Size != st.Size) {
		t.end(Refused, "the UID list has changed since the plan")
		return nil, nil
	}
	h := maildir.UIDHeader{Version: 3, UIDValidity: u.Validity, NextUID: u.Next, GUID: u.GUID}
	var recs []maildir.UIDRecord
	if there && list.header.UIDValidity == u.Validity {
		// what is whole of a torn list is newer than the record
		h.NextUID = max(h.NextUID, list.next)
		h.Extra = list.header.Extra
		if list.header.GUID != "" {
			h.GUID = list.header.GUID
		}
		recs = list.records
	}
	recs = mergeUIDs(recs, u.Lines)
	var out bytes.Buffer
	if err := maildir.WriteUIDList(&out, h, sequence(recs)); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// mergeUIDs joins what is left of a list with recorded lines, ascending. The
// list wins: neither a UID nor a name comes twice.
func mergeUIDs(have []maildir.UIDRecord, lines []UIDLine) []maildir.UIDRecord {
	names := make(map[string]bool, len(have))
	for i := range have {
		names[have[i].Base] = true
	}
	out := make([]maildir.UIDRecord, 0, len(have)+len(lines))
	i := 0
	for _, l := range lines {
		for i < len(have) && have[i].UID < l.UID {
			out = append(out, have[i])
			i++
		}
		if i < len(have) && have[i].UID == l.UID || names[string(l.Base)] {
			continue
		}
		if n := len(out); n > 0 && out[n-1].UID >= l.UID || len(l.Base) == 0 {
			continue
		}
		names[string(l.Base)] = true
		out = append(out, maildir.UIDRecord{UID: l.UID, Base: string(l.Base)})
	}
	return append(out, have[i:]...)
}

func sequence(recs []maildir.UIDRecord) iter.Seq2[maildir.UIDRecord, error] {
	return func(yield func(maildir.UIDRecord, error) bool) {
		for _, rec := range recs {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// raised makes the text of a list with a higher next UID.
func (r *Run) raised(t *item, list *uidFacts, there bool) ([]byte, error) {
	u := t.a.UIDs
	switch {
	case !there || list.err != nil:
		t.end(Refused, "there is no whole UID list whose next UID could be raised")
		return nil, nil
	case list.header.UIDValidity != u.Validity:
		t.end(Refused, "UIDVALIDITY has changed since the plan")
		return nil, nil
	case list.next >= u.Next:
		t.end(Already, "")
		return nil, nil
	}
	h := list.header
	h.NextUID = u.Next
	var out bytes.Buffer
	if err := maildir.WriteUIDList(&out, h, sequence(list.records)); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// uidsBack is undo: the list that was there comes back, or ours moves aside
// where there was none. It is refused once the server has written into it.
func (r *Run) uidsBack(f *folder, t *item) error {
	a := &t.a
	st, err := f.control.Stat(uidlistName)
	if errors.Is(err, fs.ErrNotExist) {
		t.end(Skipped, "the UID list is not there any more")
		t.a.Why = WhyGone
		return nil
	}
	if err != nil {
		return err
	}
	if st.Inode != a.Pre.Inode || st.Size != a.Pre.Size {
		t.end(Refused, "the server has written into the UID list since")
		return nil
	}
	if t.aside, err = r.aside.keep(f.box, a, f.control, "", uidlistName, st.Inode, manifest.Digest{}, "taken back by undo", true); err != nil {
		return err
	}
	if len(a.FromName) == 0 {
		if err := r.ops.Unlink(f.control.Fd(), uidlistName); err != nil {
			return err
		}
		t.shown = true
		return r.ops.Fsync(f.control.Fd(), f.control.Path())
	}
	q, err := r.open.at(f.box, a.FromDir, false)
	if err != nil {
		return err
	}
	defer q.Close()
	temp := r.temp()
	if err := r.ops.Link(q.Fd(), string(a.FromName), f.control.Fd(), temp); err != nil {
		return err
	}
	if err := r.ops.Replace(f.control.Fd(), temp, f.control.Fd(), uidlistName); err != nil {
		_ = r.ops.Unlink(f.control.Fd(), temp)
		return err
	}
	t.shown = true
	return r.ops.Fsync(f.control.Fd(), f.control.Path())
}

// makeControl makes a folder's directory in a control tree of its own.
func (r *Run) makeControl(f *folder) (*beneath.Dir, error) {
	p := f.box.place
	top, err := r.open.openDir(p.Control)
	if err != nil {
		return nil, err
	}
	rel, err := relativeTo(p.Control, p.ControlDir(f.key.dir))
	if err != nil {
		_ = top.Close()
		return nil, err
	}
	s := &stager{r: r}
	d, err := s.containers(top, rel, f.box.own)
	_ = top.Close()
	return d, err
}

// linkBox carries out what is about a mailbox and not one of its folders.
func (r *Run) linkBox(ctx context.Context, t *item) {
	var err error
	switch t.a.Op {
	case Subscribe:
		err = r.subscribe(ctx, t, true)
	case Remove:
		if string(t.a.Pre.Name) == subsName {
			err = r.subscribe(ctx, t, false)
		} else {
			err = r.removeDir(t)
		}
	}
	if err != nil {
		t.end(Failed, "%v", err)
	}
}

// subscribe adds a folder to the subscriptions, or takes it out again.
func (r *Run) subscribe(ctx context.Context, t *item, in bool) error {
	m := t.box
	if in {
		if ok, err := r.publishSubs(ctx, t); ok || err != nil {
			if err != nil {
				err = fmt.Errorf("subscriptions: %w", err)
			}
			return err
		}
	}
	d, err := r.open.controlRoot(m)
	if err != nil {
		return err
	}
	defer d.Close()
	_, changed, err := r.lockerFor(m.own).Rewrite(ctx, d, subsName, m.own, func(old []byte) ([]byte, error) {
		folders, err := subscribed(old, m)
		if err != nil {
			return nil, err
		}
		changed := false
		if in {
			folders, changed = insert(folders, t.a.Ref.Folder)
		} else {
			folders, changed = without(folders, t.a.Ref.Folder)
		}
		if !changed {
			return nil, nil
		}
		return maildir.FormatSubscriptions(folders, m.place.Folders())
	})
	switch {
	case err != nil:
		return fmt.Errorf("subscriptions: %w", err)
	case !changed:
		t.end(Already, "")
	default:
		t.shown = true
	}
	return nil
}

// removeDir takes back a folder that a run has made: it moves into
// quarantine, if it is that directory and nothing is in it.
func (r *Run) removeDir(t *item) error {
	a := &t.a
	m := t.box
	f, err := r.open.openFolder(m, folderKey{m.name, a.Dir})
	if errors.Is(err, fs.ErrNotExist) {
		t.end(Skipped, "the folder is not there any more")
		t.a.Why = WhyGone
		return nil
	}
	if err != nil {
		return err
	}
	defer f.close()
	st, err := f.self.Self()
	if err != nil {
		return err
	}
	if st.Inode != a.Pre.Inode {
		t.end(Refused, "the folder is not the one that was made")
		return nil
	}
	if why, err := r.inUse(f); err != nil || why != "" {
		if err == nil {
			t.end(Refused, "the folder is in use: %s", why)
		}
		return err
	}
	parent, name, err := r.parentOf(m, a.Dir)
	if err != nil {
		return err
	}
	defer parent.Close()
	s, err := r.aside.shelf(m)
	if err != nil {
		return err
	}
	as := r.aside.name()
	if err := r.ops.Move(parent.Fd(), name, s.dir.Fd(), as); err != nil {
		return err
	}
	t.aside, t.shown = as, true
	line := sidecar{File: as, Run: r.id, Store: a.Ref.Store, Mailbox: m.name, Folder: a.Ref.Folder, Path: a.Dir, Inode: st.Inode, Why: "taken back by undo"}
	if err := r.aside.note(s, &line, true); err != nil {
		return err
	}
	if err := r.ops.Fsync(parent.Fd(), parent.Path()); err != nil {
		return err
	}
	return r.ops.Fsync(s.dir.Fd(), s.dir.Path())
}

// inUse tells what a folder holds beyond what a run makes. The lock file that
// this run has made ready beside the UID list is no use of it.
func (r *Run) inUse(f *folder) (string, error) {
	for _, d := range []*beneath.Dir{f.cur, f.fresh, f.tmp} {
		for e, err := range d.List() {
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("%q", e.Name), nil
		}
	}
	for e, err := range f.self.List() {
		if err != nil {
			return "", err
		}
		switch string(e.Name) {
		case "tmp", "new", "cur", "maildirfolder", aclName, subsName, keywordsName:
		default:
			if strings.HasPrefix(string(e.Name), tempPrefix+r.id+".") {
				continue
			}
			return fmt.Sprintf("%q", e.Name), nil
		}
	}
	return "", nil
}

// parentOf opens the directory that holds a folder, or a mailbox' root.
func (r *Run) parentOf(m *mbox, dir string) (*beneath.Dir, string, error) {
	if dir != "" {
		up, name := splitDir(dir)
		d, err := m.root.OpenDir(orDot(up))
		return d, name, err
	}
	rel, ok := r.open.below(m.place.Root)
	if !ok || rel == "." {
		return nil, "", fmt.Errorf("the root of mailbox %q cannot be taken back: %w", m.name, unix.EXDEV)
	}
	up, name := splitDir(rel)
	d, err := r.open.openDir(r.o.Site.Path + "/" + up)
	return d, name, err
}
