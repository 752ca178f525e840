package restore

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"mailsync/restore/place"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// newDir is a mailbox or folder that is made under a temporary name and gets
// its own when the batch that fills it has been journalled.
type newDir struct {
	parent *beneath.Dir
	name   string
	temp   string
	dir    *beneath.Dir
	placed bool
}

func (n *newDir) drop(r *Run) {
	if !n.placed {
		r.tearDown(n.parent, n.temp, r.id)
	}
	_ = n.dir.Close()
	_ = n.parent.Close()
}

// dirTemp returns the temporary name of a new folder: servers take no name with
// two leading dots for one.
func (r *Run) dirTemp() string { return ".." + r.temp() }

func (s *stager) prepareMkdir(t *item) error {
	if t.a.Dir == "" {
		return s.prepareRoot(t)
	}
	if !safeRelative(t.a.Dir) {
		t.end(Failed, "the folder's directory cannot be made")
		return nil
	}
	m, err := s.r.cache.box(t.a.Ref.Mailbox)
	if err != nil {
		return t.unopened(err)
	}
	t.box = m
	if err := s.enter(m.root, m.disk); err != nil {
		return err
	}
	parent, name := path.Split(t.a.Dir)
	up, err := s.containers(m.root, strings.TrimSuffix(parent, "/"), m.own)
	if err != nil {
		return t.unopened(err)
	}
	own := m.own
	var files []place.File
	if m.place.Layout == maildir.PlusPlus {
		files = append(files, place.File{Name: maildir.FolderFile})
	}
	if t.a.ACL {
		acl, err := s.acl(t)
		if err != nil {
			_ = up.Close()
			t.end(Failed, "the folder has an access control list at the source, which cannot be read; it is not made without: %v", err)
			return nil
		}
		files = append(files, place.File{Name: aclName, Data: acl})
	}
	return s.build(t, m, up, name, own, files, t.a.ACL)
}

// acl reads the source's access control list of a folder.
func (s *stager) acl(t *item) ([]byte, error) {
	small, ok := s.src.(SmallFiles)
	if !ok {
		return nil, fmt.Errorf("%w: %q hands out messages only", ErrNoSource, t.a.From)
	}
	return small.SmallFile(s.ctx, &t.a, aclName)
}

// containers opens directories that lie between a root and a new folder,
// making those that are missing.
func (s *stager) containers(root *beneath.Dir, rel string, own place.Owner) (*beneath.Dir, error) {
	d, err := root.OpenDir(".")
	if err != nil || rel == "" {
		return d, err
	}
	for name := range strings.SplitSeq(rel, "/") {
		sub, err := s.descend(d, name, own)
		_ = d.Close()
		if err != nil {
			return nil, err
		}
		d = sub
	}
	return d, nil
}

// descend opens a directory, on whatever file system it lies, or makes it.
func (s *stager) descend(d *beneath.Dir, name string, own place.Owner) (*beneath.Dir, error) {
	sub, err := d.OpenMounted(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return sub, err
	}
	sub, made, err := s.r.ops.MakeDir(d, name, own)
	if err == nil && made && !s.b.covers(d) {
		if err = s.r.ops.Fsync(d.Fd(), d.Path()); err != nil {
			_ = sub.Close()
		}
	}
	return sub, err
}

// place says where a new mailbox is to lie: where the operator's layout puts
// it, else where it lies in the source.
func (r *Run) place(a *Action) (maildir.Place, error) {
	site := r.o.Site
	p, err := site.Place(a.Ref.Mailbox)
	if site.Layout || a.Path == "" {
		return p, err
	}
	if a.Path != "." && !safeRelative(a.Path) {
		return p, fmt.Errorf("mailbox %q lies outside its store at the source, and the target has no layout that says where to make it", a.Ref.Mailbox)
	}
	if err != nil {
		p = maildir.Place{Mailbox: a.Ref.Mailbox, Store: site.Path, Known: true, Layout: site.Folders.Layout, UTF8: site.Folders.UTF8}
	}
	p.Root = filepath.Join(site.Path, a.Path)
	return p, nil
}

// prepareRoot makes the root of a mailbox, which is its INBOX.
func (s *stager) prepareRoot(t *item) error {
	a := &t.a
	if m, err := s.r.cache.box(a.Ref.Mailbox); err == nil {
		t.box = m
		return s.complete(t, m)
	} else if !errors.Is(err, fs.ErrNotExist) && s.r.o.Site.Layout {
		return t.unopened(err)
	}
	p, err := s.r.place(a)
	if err != nil {
		t.end(Failed, "%v", err)
		return nil
	}
	if m, err := s.r.open.openAt(a.Ref.Mailbox, p); err == nil {
		s.r.cache.put(m)
		t.box = m
		return s.complete(t, m)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return t.unopened(err)
	}
	rel, ok := s.r.open.below(p.Root)
	if !ok {
		t.end(Failed, "mailbox %q would lie outside the store: make its directory %q first", a.Ref.Mailbox, p.Root)
		return nil
	}
	up, err := s.parents(path.Dir(rel), path.Base(rel), a)
	if err != nil {
		return t.unopened(err)
	}
	st, err := up.Self()
	if err != nil {
		_ = up.Close()
		return err
	}
	own := ownerOf(&st)
	if a.Mode != 0 {
		own.Mode = a.Mode & 0o666
	}
	if a.Owner != 0 || a.Group != 0 {
		own.UID, own.GID = int(a.Owner), int(a.Group)
	}
	disk, err := s.r.open.disks.Of(up)
	if err != nil {
		_ = up.Close()
		return err
	}
	m := &mbox{name: a.Ref.Mailbox, place: p, disk: disk, own: own}
	if err := s.enter(up, disk); err != nil {
		_ = up.Close()
		return err
	}
	return s.build(t, m, up, path.Base(rel), own, nil, false)
}

// parents makes what is missing between the store's root and a mailbox. A
// directory around "Maildir" is the owner's home; those further up are
// everybody's and get the owner of what they lie in.
func (s *stager) parents(rel, base string, a *Action) (*beneath.Dir, error) {
	d, err := s.r.open.store.OpenDir(".")
	if err != nil || rel == "." {
		return d, err
	}
	parts := strings.Split(rel, "/")
	for i, name := range parts {
		st, err := d.Self()
		if err != nil {
			_ = d.Close()
			return nil, err
		}
		own := ownerOf(&st)
		if i == len(parts)-1 && base == "Maildir" && (a.Owner != 0 || a.Group != 0) {
			own = place.Owner{UID: int(a.Owner), GID: int(a.Group), Mode: own.Mode & 0o600}
		}
		sub, err := s.descend(d, name, own)
		_ = d.Close()
		if err != nil {
			return nil, err
		}
		d = sub
	}
	return d, nil
}

// complete makes what is missing of tmp, new and cur of a mailbox that exists.
func (s *stager) complete(t *item, m *mbox) error {
	if err := s.enter(m.root, m.disk); err != nil {
		return err
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		st, err := m.root.Stat(sub)
		if errors.Is(err, fs.ErrNotExist) {
			if err := s.r.ops.MakeSubs(m.root, m.own, !s.b.barrier.Batches()); err != nil {
				return err
			}
			t.make, t.sub = nil, found{}
			t.shown = true
			return nil // pending: durable with the batch
		}
		if err != nil {
			return err
		}
		if !st.Directory() {
			t.end(Refused, "%s is not a directory", sub)
			return nil
		}
	}
	t.end(Already, "")
	return nil
}

// build makes a Maildir under a temporary name and opens it as a folder. It
// takes over parent.
func (s *stager) build(t *item, m *mbox, parent *beneath.Dir, name string, own place.Owner, files []place.File, early bool) error {
	r := s.r
	if !safeDirName(name) {
		_ = parent.Close()
		t.end(Failed, "the folder's directory cannot be made")
		return nil
	}
	if d, err := parent.OpenDir(name); err == nil {
		// It is there: only what it lacks is made. An ACL that it should have
		// is the server's by now.
		err = r.ops.MakeSubs(d, own, true)
		_ = d.Close()
		_ = parent.Close()
		if err != nil {
			return err
		}
		t.end(Already, "")
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		_ = parent.Close()
		return t.unopened(err)
	}
	r.sweepAlso(parent)
	key := folderKey{t.a.Ref.Mailbox, t.a.Dir}
	if err := r.noteOpen(key); err != nil {
		_ = parent.Close()
		return err
	}
	temp := r.dirTemp()
	durable := early || !s.b.barrier.Batches()
	d, err := r.ops.BuildMaildir(parent, temp, own, files, durable)
	if err != nil {
		_ = parent.Close()
		return err
	}
	n := &newDir{parent: parent, name: name, temp: temp, dir: d}
	if st, err := d.Self(); err == nil {
		t.a.Post.Inode = st.Inode // announced with it, an undo recognises it unacknowledged
	}
	if t.a.Dir == "" {
		if m.root, err = d.OpenDir("."); err != nil {
			n.drop(r)
			return err
		}
		r.cache.put(m)
		t.box = m
	}
	f, err := r.open.newFolder(m, key, d)
	if err != nil {
		n.drop(r)
		return err
	}
	r.cache.putFolder(f)
	t.f, t.make = f, n
	s.b.folders[key] = true
	return nil
}

func safeDirName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 255 && !strings.ContainsAny(name, "/\x00\r\n")
}

// newFolder opens a folder that was just made and is empty.
func (o *opener) newFolder(m *mbox, key folderKey, d *beneath.Dir) (*folder, error) {
	f, err := o.openFolderAt(m, key, func() (*beneath.Dir, error) { return d.OpenDir(".") })
	if err != nil {
		return nil, err
	}
	f.hidden = true
	return f, nil
}

// show gives the new folders of a mailbox their names, the innermost first.
func (r *Run) show(items []*item) {
	for i := len(items) - 1; i >= 0; i-- {
		t := items[i]
		n := t.make
		if n == nil || n.placed {
			continue
		}
		if !t.pending() {
			t.lose()
			continue
		}
		err := r.ops.Move(n.parent.Fd(), n.temp, n.parent.Fd(), n.name)
		switch {
		case err == nil:
			n.placed, t.shown = true, true
			t.f.hidden = false
		case errors.Is(err, fs.ErrExist):
			t.end(Refused, "somebody else has made the folder meanwhile")
			t.lose()
		default:
			t.end(Failed, "%v", err)
			t.lose()
		}
	}
}

// lose marks a folder that never got its name: what lies in it is nowhere.
func (t *item) lose() {
	t.f.lost = cmp.Or(t.a.Detail, "it failed")
	if t.a.Dir == "" && t.box != nil {
		t.box.lost = t.f.lost
	}
}
