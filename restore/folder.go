package restore

import (
	"errors"
	"hash/maphash"
	"io/fs"

	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/restore/place"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// Names of Dovecot's files.
const (
	uidlistName  = maildir.UIDListFile
	uidlistLock  = maildir.UIDListLock
	keywordsName = maildir.KeywordsFile
	subsName     = maildir.SubscriptionsFile
	quotaName    = maildir.QuotaFile
	aclName      = maildir.ACLFile
)

type folderKey struct{ mailbox, dir string }

// folder is a folder of the target that is open for writing.
type folder struct {
	key             folderKey
	box             *mbox
	self            *beneath.Dir
	tmp, cur, fresh *beneath.Dir // fresh is new/
	control         *beneath.Dir
	own             place.Owner
	server          bool // a UID list is there: the server's lock is taken
	names           names
	refs            int
	hidden          bool              // made by this run, and still under a temporary name
	lost            string            // why it never got its own
	letters         *maildir.Keywords // the keyword table, while a lock is held
	table           *tableDraft       // what it becomes by the batch that is being committed
}

// openFolder opens a folder; the error wraps fs.ErrNotExist where it, or one
// of its directories, is not there.
func (o *opener) openFolder(m *mbox, key folderKey) (*folder, error) {
	return o.openFolderAt(m, key, func() (*beneath.Dir, error) { return m.root.OpenDir(orDot(key.dir)) })
}

func (o *opener) openFolderAt(m *mbox, key folderKey, open func() (*beneath.Dir, error)) (*folder, error) {
	f := &folder{key: key, box: m}
	var err error
	if f.self, err = open(); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		to   **beneath.Dir
		name string
	}{{&f.tmp, "tmp"}, {&f.cur, "cur"}, {&f.fresh, "new"}} {
		if *s.to, err = f.self.OpenDir(s.name); err != nil {
			f.close()
			return nil, err
		}
	}
	if m.place.Control == "" || m.place.Control == m.place.Root {
		f.control, err = f.self.OpenDir(".")
	} else {
		f.control, err = o.control(m, key.dir)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	if f.control != nil {
		_, err := f.control.Stat(uidlistName)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.close()
			return nil, err
		}
		f.server = err == nil
	}
	st, err := f.cur.Self()
	if err != nil {
		f.close()
		return nil, err
	}
	f.own = ownerOf(&st)
	return f, nil
}

func (f *folder) close() {
	for _, d := range []*beneath.Dir{f.tmp, f.cur, f.fresh, f.control, f.self} {
		_ = d.Close()
	}
}

// sub returns the directory of a sub-directory.
func (f *folder) sub(s manifest.Sub) *beneath.Dir {
	if s == manifest.New {
		return f.fresh
	}
	return f.cur
}

// names is the set of base names in new and cur, as digests of 128 bits under
// a secret seed: a message that is there is never taken for absent, and a
// collision, which would make the opposite, does not happen.
type names struct {
	set        map[[2]uint64]struct{}
	cur, fresh stamp
	known      bool
	letters    uint32 // bit n: a file uses keyword letter 'a'+n
}

// taken returns the keyword letters that files of the folder use.
func (n *names) taken() string {
	var b []byte
	for i := range byte(maildir.MaxKeywords) {
		if n.letters&(1<<i) != 0 {
			b = append(b, 'a'+i)
		}
	}
	return string(b)
}

// stamp is the state of a directory.
type stamp struct {
	inode        uint64
	mtime, ctime int64
}

func stampOf(st *beneath.Stat) stamp { return stamp{st.Inode, st.MTime, st.CTime} }

var seedA, seedB = maphash.MakeSeed(), maphash.MakeSeed()

func nameKey(base string) [2]uint64 {
	return [2]uint64{maphash.String(seedA, base), maphash.String(seedB, base)}
}

func (n *names) has(base string) bool { _, ok := n.set[nameKey(base)]; return ok }
func (n *names) add(base string)      { n.set[nameKey(base)] = struct{}{} }
func (n *names) remove(base string)   { delete(n.set, nameKey(base)) }

// errBusyDir: the directory changed in every one of several listings.
var errBusyDir = errors.New("the folder changes faster than it can be listed")

// stamps looks at both directories.
func (f *folder) stamps() (cur, fresh stamp, err error) {
	c, err := f.cur.Self()
	if err != nil {
		return stamp{}, stamp{}, err
	}
	n, err := f.fresh.Self()
	return stampOf(&c), stampOf(&n), err
}

// refresh makes names what the folder holds now: an unmoved stamp proves it,
// else both directories are listed until one listing saw no change. fine tells
// whether stamps are fine enough to prove that nothing changed since our own
// last change; locked, whether the server is kept from renaming.
func (f *folder) refresh(fine, locked bool) error {
	cur, fresh, err := f.stamps()
	if err != nil {
		return err
	}
	if f.names.known && fine && cur == f.names.cur && fresh == f.names.fresh {
		return nil
	}
	for range 20 {
		if err := f.list(); err != nil {
			return err
		}
		c, n, err := f.stamps()
		if err != nil {
			return err
		}
		// Under the lock nobody renames: deliveries only add names that are new.
		if c == cur && n == fresh || locked {
			f.names.cur, f.names.fresh, f.names.known = c, n, true
			return nil
		}
		cur, fresh = c, n
	}
	return errBusyDir
}

func (f *folder) list() error {
	f.names.known = false
	if f.names.set == nil {
		f.names.set = make(map[[2]uint64]struct{})
	}
	clear(f.names.set)
	f.names.letters = 0
	for _, d := range []*beneath.Dir{f.fresh, f.cur} {
		for e, err := range d.List() {
			if err != nil {
				return err
			}
			if e.Name[0] == '.' {
				continue
			}
			base, info := cutInfo(e.Name)
			f.names.set[[2]uint64{maphash.Bytes(seedA, base), maphash.Bytes(seedB, base)}] = struct{}{}
			for _, c := range info {
				if c >= 'a' && c <= 'z' {
					f.names.letters |= 1 << (c - 'a')
				}
			}
		}
	}
	return nil
}

// cutInfo splits a file name at its first ':'.
func cutInfo(name []byte) (base, info []byte) {
	for i, c := range name {
		if c == ':' {
			return name[:i], name[i+1:]
		}
	}
	return name, nil
}

// remember takes the stamps after our own changes.
func (f *folder) remember() {
	if !f.names.known {
		return
	}
	cur, fresh, err := f.stamps()
	if err != nil {
		f.names.known = false
		return
	}
	f.names.cur, f.names.fresh = cur, fresh
}

// found is a file of a folder.
type found struct {
	sub  manifest.Sub
	name string
	st   unix.Stat_t
}

func (f *folder) statName(ops *place.Ops, sub manifest.Sub, name string) (found, error) {
	x := found{sub: sub, name: name}
	err := ops.StatAt(f.sub(sub).Fd(), name, &x.st)
	return x, err
}

// locate finds the files of a base name, whatever their flags. It lists.
func (f *folder) locate(ops *place.Ops, base string) ([]found, error) {
	var out []found
	for _, sub := range []manifest.Sub{manifest.New, manifest.Cur} {
		var hits []string
		for e, err := range f.sub(sub).List() {
			if err != nil {
				return nil, err
			}
			if len(e.Name) >= len(base) && string(e.Name[:len(base)]) == base &&
				(len(e.Name) == len(base) || e.Name[len(base)] == ':') {
				hits = append(hits, string(e.Name))
			}
		}
		for _, name := range hits {
			x, err := f.statName(ops, sub, name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			out = append(out, x)
		}
	}
	return out, nil
}

// find returns the file that a ground describes: under its exact name, or,
// renamed since, the one file of its base name with its inode.
func (f *folder) find(ops *place.Ops, g *Ground) (found, bool, error) {
	x, err := f.statName(ops, g.Sub, string(g.Name))
	if err == nil {
		return x, true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return found{}, false, err
	}
	n := maildir.ParseName(string(g.Name))
	all, err := f.locate(ops, n.ServerBase)
	if err != nil {
		return found{}, false, err
	}
	for _, x := range all {
		if g.Inode == 0 && len(all) == 1 || g.Inode != 0 && x.st.Ino == g.Inode {
			return x, true, nil
		}
	}
	return found{}, false, nil
}

// digest reads a file of the folder and returns its digest and mtime. Only
// regular files are read.
func (f *folder) digest(x *found, alg manifest.Alg) (manifest.Digest, beneath.Stat, error) {
	file, err := f.sub(x.sub).OpenFile(x.name)
	if err != nil {
		return manifest.Digest{}, beneath.Stat{}, err
	}
	defer file.Close()
	d, err := digestOf(file, alg)
	if err != nil {
		return manifest.Digest{}, beneath.Stat{}, err
	}
	st, err := file.Stat()
	if err == nil && !st.Same(file.Opened()) {
		err = errChanging
	}
	return d, st, err
}

// errChanging: a message changed while it was read.
var errChanging = errors.New("changed while it was read")
