package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"mailsync/compare"
	"mailsync/restore/place"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// opener opens mailboxes and folders of a site. All that follows the opening
// of the store's root goes through descriptors.
type opener struct {
	site  *Site
	ops   *place.Ops
	disks *place.Disks
	store *beneath.Dir
}

func newOpener(site *Site) (*opener, error) {
	if site == nil || site.Path == "" || site.Place == nil {
		return nil, fmt.Errorf("%w: the target has no place", ErrOptions)
	}
	ops := place.NewOps(site.Calls)
	store, err := beneath.OpenRoot(site.Path, beneath.Options{Calls: ops.Calls().Read})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTarget, err)
	}
	return &opener{site: site, ops: ops, disks: place.NewDisks(ops), store: store}, nil
}

func (o *opener) Close() { _ = o.store.Close() }

// below returns path relative to the store's root, ok false where it lies elsewhere.
func (o *opener) below(path string) (string, bool) {
	rel, err := filepath.Rel(o.site.Path, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", false
	}
	return rel, true
}

// openDir opens a directory that the operator's configuration names.
func (o *opener) openDir(path string) (*beneath.Dir, error) {
	rel, ok := o.below(path)
	switch {
	case !ok:
		return o.store.Root(path)
	case o.site.Symlinks:
		return o.store.OpenLinked(rel)
	}
	return o.store.OpenMounted(rel)
}

// mbox is a mailbox that is open.
type mbox struct {
	name  string
	place maildir.Place
	root  *beneath.Dir
	disk  *place.Disk
	own   place.Owner // of new files and folders: as the root directory's
	quota quota
	lost  string     // why it was to be made and is not there
	subs  *subsDraft // what its subscriptions become by the batch that is being committed
}

// open opens the root of a mailbox; the error wraps fs.ErrNotExist where there is none.
func (o *opener) open(mailbox string) (*mbox, error) {
	p, err := o.site.Place(mailbox)
	if errors.Is(err, compare.ErrNoMailbox) {
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, err
	}
	return o.openAt(mailbox, p)
}

func (o *opener) openAt(mailbox string, p maildir.Place) (*mbox, error) {
	root, err := o.openDir(p.Root)
	if err != nil {
		return nil, err
	}
	m := &mbox{name: mailbox, place: p, root: root}
	st, err := root.Self()
	if err == nil {
		m.disk, err = o.disks.Of(root)
	}
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	m.own = ownerOf(&st)
	return m, nil
}

func (m *mbox) close() { _ = m.root.Close() }

// ownerOf derives the owner and mode of messages from the directory that
// holds them, as Dovecot does: the directory's bits without the search bits.
func ownerOf(st *beneath.Stat) place.Owner {
	return place.Owner{UID: int(st.Owner), GID: int(st.Group), Mode: st.Mode & 0o666}
}

// control opens the directory of a folder's UID list and keyword table. nil
// without error means that it does not exist.
func (o *opener) control(m *mbox, dir string) (*beneath.Dir, error) {
	return o.apart(m, m.place.Control, m.place.ControlDir(dir), dir)
}

// indexes opens the directory of a folder's indexes, likewise.
func (o *opener) indexes(m *mbox, dir string) (*beneath.Dir, error) {
	return o.apart(m, m.place.Index, m.place.IndexDir(dir), dir)
}

func (o *opener) apart(m *mbox, tree, path, dir string) (*beneath.Dir, error) {
	if tree == "" || tree == m.place.Root {
		return m.root.OpenDir(orDot(dir))
	}
	rel, err := filepath.Rel(tree, path)
	if err != nil {
		return nil, err
	}
	top, err := o.openDir(tree)
	if err == nil {
		defer top.Close()
		var d *beneath.Dir
		if d, err = top.OpenMounted(rel); err == nil {
			return d, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return nil, err
}

// controlRoot opens the directory of the subscriptions.
func (o *opener) controlRoot(m *mbox) (*beneath.Dir, error) {
	if m.place.Control == "" || m.place.Control == m.place.Root {
		return m.root.OpenDir(".")
	}
	return o.openDir(m.place.Control)
}

func orDot(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}
