package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"mailsync/scan/beneath"
	"mailsync/scan/maildir"

	"golang.org/x/sys/unix"
)

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
		case "tmp", "new", "cur", maildir.FolderFile, aclName, subsName, keywordsName:
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
