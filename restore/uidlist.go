package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"mailsync/manifest"
	"mailsync/restore/place"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// maxUIDList bounds a UID list that is read whole: a million messages and more.
// Its text and that of the new one are all that is held of it.
const maxUIDList = 96 << 20

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
// so that the journal knows its file before the server can see it, and that it
// becomes durable with the batch where the barrier reaches it. The server's lock
// is made ready, too.
func (s *stager) prepareUIDs(t *item) error {
	f, u := t.f, t.a.UIDs
	if f.control == nil || u == nil || t.a.From == fromQuarantine {
		return nil
	}
	if err := s.lockLater(f); err != nil {
		return err
	}
	if f.server || len(u.Lines) == 0 && u.GUID == "" {
		return nil // what is there is changed under the lock
	}
	var text bytes.Buffer
	h := maildir.UIDHeader{Version: 3, UIDValidity: u.Validity, NextUID: u.Next, GUID: u.GUID}
	if err := maildir.WriteUIDList(&text, h, mergeUIDs(nothing, u.Lines)); err != nil {
		return err
	}
	name := s.r.temp()
	t.alone = !s.b.covers(f.control)
	inode, err := s.r.ops.WriteFile(f.control, name, text.Bytes(), f.own, t.alone)
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
	if t.alone {
		return r.ops.Fsync(f.control.Fd(), f.control.Path())
	}
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
	text   []byte
	header maildir.UIDHeader
	count  int // of whole records
	next   uint32
	err    error // it is broken: a server gives new UIDs to all that follows
}

func readUIDs(p []byte) *uidFacts {
	u := &uidFacts{text: p}
	l, err := maildir.ReadUIDList(bytes.NewReader(p))
	if err != nil {
		u.err = err
		return u
	}
	u.header = l.Header()
	for _, err := range l.Records() {
		if err != nil {
			u.err = err
			break
		}
	}
	u.count, u.next = l.Count(), l.Next()
	return u
}

// records yields the whole records again: its owner can make a list of very
// many, so they are not held.
func (u *uidFacts) records() iter.Seq2[maildir.UIDRecord, error] {
	return func(yield func(maildir.UIDRecord, error) bool) {
		l, err := maildir.ReadUIDList(bytes.NewReader(u.text))
		if err != nil {
			yield(maildir.UIDRecord{}, err)
			return
		}
		n := 0
		for rec, err := range l.Records() {
			if n++; n > u.count || !yield(rec, err) {
				return
			}
		}
	}
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
	have, size := iter.Seq2[maildir.UIDRecord, error](nothing), 0
	if there && list.header.UIDValidity == u.Validity {
		// what is whole of a torn list is newer than the record
		h.NextUID = max(h.NextUID, list.next)
		h.Extra = list.header.Extra
		if list.header.GUID != "" {
			h.GUID = list.header.GUID
		}
		have, size = list.records(), len(list.text)
	}
	var out bytes.Buffer
	out.Grow(size + 64*len(u.Lines))
	if err := maildir.WriteUIDList(&out, h, mergeUIDs(have, u.Lines)); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// mergeUIDs joins what is left of a list, which is gone through twice, with
// recorded lines, ascending. The list wins: neither a UID nor a name comes twice.
func mergeUIDs(have iter.Seq2[maildir.UIDRecord, error], lines []UIDLine) iter.Seq2[maildir.UIDRecord, error] {
	return func(yield func(maildir.UIDRecord, error) bool) {
		taken := make(map[string]bool, len(lines)) // names, of the recorded ones
		for _, l := range lines {
			taken[string(l.Base)] = len(l.Base) == 0
		}
		for rec, err := range have {
			if err != nil {
				yield(rec, err)
				return
			}
			if _, ours := taken[rec.Base]; ours {
				taken[rec.Base] = true
			}
		}
		last := uint32(0)
		rest := lines
		recorded := func(below uint64) bool {
			for ; len(rest) > 0 && uint64(rest[0].UID) < below; rest = rest[1:] {
				l := rest[0]
				if l.UID <= last || taken[string(l.Base)] {
					continue
				}
				last, taken[string(l.Base)] = l.UID, true
				if !yield(maildir.UIDRecord{UID: l.UID, Base: string(l.Base)}, nil) {
					return false
				}
			}
			return true
		}
		for rec, err := range have {
			if !recorded(uint64(rec.UID)) || !yield(rec, err) {
				return
			}
			last = rec.UID
		}
		recorded(1 << 32)
	}
}

// nothing is a list that is not there.
func nothing(func(maildir.UIDRecord, error) bool) {}

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
	out.Grow(len(list.text) + 64)
	if err := maildir.WriteUIDList(&out, h, list.records()); err != nil {
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
	if err := r.ops.LinkTemp(q.Fd(), string(a.FromName), f.control.Fd(), temp); err != nil {
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
