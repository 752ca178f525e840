package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"mailsync/manifest"
	"mailsync/restore/place"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// sweep removes the temporary names of runs that died on this store: those
// that begin with our prefix and the run's id, in folders that its journal
// names. What such a run had linked stays; its quota files are set aside, since
// nobody knows what was counted.
func (r *Run) sweep(ctx context.Context) error {
	for _, x := range r.dead {
		if x.Path != r.o.Site.Path || x.ID == r.id {
			continue
		}
		seen := map[folderKey]bool{}
		roots := map[string]*Action{} // of mailboxes that were being made
		lock := ""
		var batches map[uint64][]string
		for t, err := range readJournal(r.o.FS, journalPath(r.o.State, x.ID), nil) {
			if err != nil {
				break // what can be read was; tmp is cleaned by servers too
			}
			switch t.kind {
			case recBegin:
				if t.begin.PID > 0 {
					lock = fmt.Sprintf("%d:%s", t.begin.PID, t.begin.Host)
				}
			case recOpen:
				for _, key := range t.folders {
					seen[key] = true
				}
			case recIntent:
				if batches == nil {
					batches = map[uint64][]string{}
				}
				for i := range t.actions {
					a := &t.actions[i]
					batches[t.batch] = append(batches[t.batch], a.Ref.Mailbox)
					if a.Op == Mkdir && a.Dir == "" {
						roots[a.Ref.Mailbox] = a
					}
				}
			case recDone:
				delete(batches, t.batch)
			}
		}
		for key := range seen {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			r.sweepRoot(key.mailbox, roots[key.mailbox], x.ID)
			r.sweepFolder(key, x.ID, lock)
		}
		boxes := map[string]bool{}
		for _, list := range batches {
			for _, m := range list {
				boxes[m] = true
			}
		}
		for name := range boxes {
			r.recount(name)
		}
	}
	return nil
}

func (r *Run) sweepFolder(key folderKey, run, lock string) {
	m, err := r.cache.box(key.mailbox)
	if err != nil {
		return
	}
	defer r.cache.releaseBox(m)
	r.wrote(m.root, m.disk)
	r.sweepNewDirs(m, key.dir, run)
	d, err := m.root.OpenDir(orDot(key.dir))
	if err != nil {
		return
	}
	defer d.Close()
	r.sweepDir(d, run) // lock files' temporary names
	if tmp, err := d.OpenDir("tmp"); err == nil {
		r.sweepDir(tmp, run)
		_ = tmp.Close()
	}
	if c, err := r.open.control(m, key.dir); err == nil && c != nil {
		r.sweepDir(c, run)
		r.sweepLock(c, lock)
		_ = c.Close()
	}
}

// sweepLock removes a lock file that the dead run held: its content says whose
// it is.
func (r *Run) sweepLock(d *beneath.Dir, lock string) {
	for _, name := range []string{uidlistLock, keywordsName + ".lock", subsName + ".lock"} {
		p, _, err := place.ReadSmall(d, name, 512)
		if err == nil && lock != "" && string(p) == lock {
			_ = r.ops.Unlink(d.Fd(), name)
		}
	}
}

// sweepRoot removes a mailbox that a run was still making. a is the action that
// was to make it, nil where the journal does not tell.
func (r *Run) sweepRoot(mailbox string, a *Action, run string) {
	if a == nil {
		a = &Action{Ref: manifest.Ref{Mailbox: mailbox}}
	}
	p, err := r.place(a)
	if err != nil || p.Root == r.o.Site.Path {
		return
	}
	up, err := r.open.openDir(filepath.Dir(p.Root))
	if err != nil {
		return
	}
	defer up.Close()
	if disk, err := r.open.disks.Of(up); err == nil {
		r.wrote(up, disk)
	}
	for _, name := range ours(up, ".."+tempPrefix+run+".") {
		r.tearDown(up, name, run)
	}
}

// sweepAlso removes the temporary names of dead runs from directories in which
// this run is about to work. Their journals need not know of them: what says so
// is not synced, and a power cut may have kept the name and lost the record.
func (r *Run) sweepAlso(dirs ...*beneath.Dir) {
	if len(r.dead) == 0 {
		return
	}
	for _, d := range dirs {
		if d == nil {
			continue
		}
		st, err := d.Self()
		at := [2]uint64{st.Dev, st.Inode}
		if err != nil || r.swept[at] {
			continue
		}
		if r.swept == nil {
			r.swept = map[[2]uint64]bool{}
		}
		r.swept[at] = true
		for _, name := range ours(d, "") {
			bare := strings.TrimPrefix(name, "..")
			for _, x := range r.dead {
				switch {
				case !strings.HasPrefix(bare, tempPrefix+x.ID+"."):
				case bare == name:
					_ = r.ops.Unlink(d.Fd(), name)
				default:
					r.tearDown(d, name, x.ID)
				}
			}
		}
	}
}

// sweepDir unlinks our temporary names of a run in one directory.
func (r *Run) sweepDir(d *beneath.Dir, run string) {
	for _, name := range ours(d, tempPrefix+run+".") {
		_ = r.ops.Unlink(d.Fd(), name)
	}
}

// sweepNewDirs removes folders that a run was still making.
func (r *Run) sweepNewDirs(m *mbox, dir, run string) {
	up, _ := splitDir(dir)
	parent, err := m.root.OpenDir(orDot(up))
	if err != nil {
		return
	}
	defer parent.Close()
	for _, name := range ours(parent, ".."+tempPrefix+run+".") {
		r.tearDown(parent, name, run)
	}
}

// tearDown removes a folder that never got its name: its messages are links
// of ours that no server has seen.
func (r *Run) tearDown(parent *beneath.Dir, name, run string) {
	d, err := parent.OpenDir(name)
	if err != nil {
		return
	}
	defer d.Close()
	for _, inner := range ours(d, "") {
		// folders in it, under their own names or still under ours
		if st, err := d.Stat(inner); err == nil && st.Directory() && inner != "tmp" && inner != "new" && inner != "cur" {
			r.tearDown(d, inner, run)
		}
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		s, err := d.OpenDir(sub)
		if err != nil {
			continue
		}
		for _, file := range ours(s, "") {
			_ = r.ops.Unlink(s.Fd(), file)
		}
		_ = s.Close()
		_ = r.ops.Rmdir(d.Fd(), sub)
	}
	for _, file := range ours(d, tempPrefix+run+".") {
		_ = r.ops.Unlink(d.Fd(), file)
	}
	for _, file := range []string{
		maildir.FolderFile, aclName, uidlistName, keywordsName, subsName,
		uidlistLock, keywordsName + ".lock", subsName + ".lock",
	} {
		_ = r.ops.Unlink(d.Fd(), file)
	}
	_ = r.ops.Rmdir(parent.Fd(), name)
}

// ours lists the names that begin with a prefix.
func ours(d *beneath.Dir, prefix string) []string {
	var out []string
	for e, err := range d.List() {
		if err != nil {
			return out
		}
		if strings.HasPrefix(string(e.Name), prefix) {
			out = append(out, string(e.Name))
		}
	}
	return out
}

// recount sets a mailbox' quota file aside, which makes servers count anew.
func (r *Run) recount(mailbox string) {
	m, err := r.cache.box(mailbox)
	if err != nil {
		return
	}
	defer r.cache.releaseBox(m)
	if _, err := m.root.Stat(quotaName); errors.Is(err, fs.ErrNotExist) {
		return
	}
	_ = r.asideOf(m)(m.root, quotaName)
}
