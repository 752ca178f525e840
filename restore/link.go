package restore

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/restore/place"
	"mailsync/scan/maildir"
)

// lockSlice is for how long a server's lock is held at a time. Its sessions
// wait meanwhile.
const lockSlice = 250 * time.Millisecond

// gone tells why a folder that was to be made is not there, "" where it is.
func (f *folder) gone() string {
	if f.hidden && f.lost != "" {
		return f.lost
	}
	return f.box.lost
}

// linkGroup makes the items of one folder visible. With a UID list in the
// folder the server's own lock is held while absence is checked again and names
// are made, in slices.
func (r *Run) linkGroup(ctx context.Context, b *batch, g []*item) {
	f := g[0].f
	if f == nil {
		for _, t := range g {
			if t.pending() {
				r.linkBox(ctx, t)
			}
		}
		return
	}
	for i := 0; i < len(g); {
		n, err := r.slice(ctx, f, b.locks[f], g[i:])
		if err == nil && n == 0 {
			n = 1
		}
		if err != nil {
			for _, t := range g[i:] {
				if !t.pending() || t.a.Op == Mkdir {
					continue
				}
				switch {
				case ctx.Err() != nil && !errors.Is(err, place.ErrHeld):
					r.fail(context.Cause(ctx))
				case errors.Is(err, place.ErrHeld):
					t.end(Failed, "%v; try again", err)
				default:
					t.end(Failed, "%v", err)
				}
			}
			return
		}
		i += n
	}
}

// slice handles as many items as fit into one hold of the lock, and returns
// their number.
func (r *Run) slice(ctx context.Context, f *folder, ready *place.Ready, g []*item) (n int, err error) {
	var lock *place.Lock
	if (f.server || needsLock(g)) && !f.hidden && f.control != nil {
		if l := r.lockerOf(f); ready != nil && l.Fresh(ready) {
			lock, err = l.Take(ctx, ready, uidlistLock)
		} else {
			lock, err = l.Acquire(ctx, f.control, uidlistLock)
		}
		if err != nil {
			r.noteHeld(f, err)
			return 0, err
		}
		defer func() {
			// Somebody who took the lock away may have changed names beside us.
			if e := lock.Release(); e != nil {
				f.names.known = false
			}
		}()
	}
	if err := f.refresh(r.fine || f.hidden, lock != nil || f.hidden); err != nil {
		return 0, err
	}
	f.letters = nil
	for n < len(g) {
		if lock != nil && n > 0 && lock.Held() > lockSlice {
			break
		}
		t := g[n]
		n++
		if t.pending() && !t.shown {
			if err := r.linkItem(ctx, f, t); err != nil {
				r.noteHeld(f, err)
				t.end(Failed, "%v", err)
			}
		}
	}
	f.remember()
	return n, nil
}

// needsLock tells whether an item writes the UID list, so that the lock is
// taken where there is none yet.
func needsLock(g []*item) bool {
	for _, t := range g {
		if t.a.Op == UID && t.pending() {
			return true
		}
	}
	return false
}

// linkItem makes one item visible. An error ends the item as failed.
func (r *Run) linkItem(ctx context.Context, f *folder, t *item) error {
	switch t.a.Op {
	case Add:
		return r.linkAdd(ctx, f, t)
	case Replace:
		return r.linkReplace(f, t)
	case Flags, Keywords:
		return r.linkFlags(ctx, f, t)
	case Date:
		return r.linkDate(f, t)
	case UID:
		return r.linkUIDs(ctx, f, t)
	case Quarantine:
		return r.linkQuarantine(f, t)
	}
	return nil // Mkdir: see show
}

func (r *Run) linkAdd(ctx context.Context, f *folder, t *item) error {
	a := &t.a
	n := maildir.ParseName(string(a.Post.Name))
	if f.names.has(n.ServerBase) {
		return r.occupied(f, t, n.ServerBase)
	}
	letters, err := r.keywordLetters(ctx, f, t)
	if err != nil {
		return err
	}
	sub, name := a.Post.Sub, string(a.Post.Name)
	if a.Flags != "" || letters != "" || sub == manifest.Cur {
		sub, name = manifest.Cur, n.With(a.Flags, letters)
	}
	if !safeName(name) {
		t.end(Failed, "the name with its flags cannot be used in a mail directory")
		return nil
	}
	dir := f.sub(sub).Fd()
	if err := r.ops.Link(f.tmp.Fd(), t.temp, dir, name); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return r.occupied(f, t, n.ServerBase)
		}
		return err
	}
	var st unix.Stat_t
	if err := r.ops.StatAt(dir, name, &st); err != nil {
		_ = r.ops.Unlink(dir, name)
		return err
	}
	if st.Ino != t.inode || st.Size != a.Post.Size {
		// The owner of tmp has put another file under the temporary name. What
		// appeared is theirs, and leads nowhere that they could not lead themselves.
		t.end(Refused, "the temporary file was replaced while it was being delivered")
		return nil
	}
	t.shown = true
	a.Post.Sub, a.Post.Name = sub, []byte(name)
	a.Post.MTime = st.Mtim.Nano()
	f.names.add(n.ServerBase)
	return nil
}

// occupied ends an add whose base name is there: the same message, or another.
func (r *Run) occupied(f *folder, t *item, base string) error {
	a := &t.a
	all, err := f.locate(r.ops, base)
	if err != nil {
		return err
	}
	for _, x := range all {
		if x.st.Size != a.Post.Size {
			continue
		}
		d, _, err := f.digest(&x, algOf(a.Post.Digest))
		if err != nil {
			continue
		}
		if d == a.Post.Digest {
			a.Post.Sub, a.Post.Name, a.Post.Inode = x.sub, []byte(x.name), x.st.Ino
			t.end(Already, "")
			return nil
		}
	}
	t.end(Refused, "another file has this name now")
	return nil
}

// linkReplace swaps the good copy and the damaged file. The damaged file is
// in quarantine, durably; the swap leaves no moment without the message, and
// what was swapped out is checked to be what was judged.
func (r *Run) linkReplace(f *folder, t *item) error {
	a := &t.a
	x, ok, err := f.find(r.ops, &Ground{Sub: t.victim.sub, Name: []byte(t.victim.name), Inode: t.victim.st.Ino})
	if err != nil {
		return err
	}
	if !ok || x.st.Ino != t.victim.st.Ino || x.st.Size != t.victim.st.Size {
		t.end(Refused, "the damaged message is not there any more")
		return nil
	}
	dir := f.sub(x.sub).Fd()
	err = r.ops.Exchange(f.tmp.Fd(), t.temp, dir, x.name)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return r.renameOver(f, t, &x)
	}
	if err != nil {
		return err
	}
	var out, in unix.Stat_t
	if err := r.ops.StatAt(f.tmp.Fd(), t.temp, &out); err != nil {
		_ = r.ops.Exchange(f.tmp.Fd(), t.temp, dir, x.name)
		return err
	}
	if out.Ino != t.victim.st.Ino {
		if err := r.ops.Exchange(f.tmp.Fd(), t.temp, dir, x.name); err != nil {
			return err
		}
		t.end(Refused, "the message was replaced while it was being repaired")
		return nil
	}
	if err := r.ops.StatAt(dir, x.name, &in); err != nil || in.Ino != t.inode {
		_ = r.ops.Exchange(f.tmp.Fd(), t.temp, dir, x.name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		t.end(Refused, "the temporary file was replaced while it was being delivered")
		return nil
	}
	t.shown = true
	want := a.Post.Name
	a.Post.Sub, a.Post.Name, a.Post.MTime = x.sub, []byte(x.name), in.Mtim.Nano()
	return r.rename(f, t, &x, want)
}

// renameOver is linkReplace where names cannot be swapped: rename(2) over the
// damaged file, with a second temporary name for the probe.
func (r *Run) renameOver(f *folder, t *item, x *found) error {
	probe := r.temp()
	if err := r.ops.LinkTemp(f.tmp.Fd(), t.temp, f.tmp.Fd(), probe); err != nil {
		return err
	}
	dir := f.sub(x.sub).Fd()
	if err := r.ops.Replace(f.tmp.Fd(), t.temp, dir, x.name); err != nil {
		_ = r.ops.Unlink(f.tmp.Fd(), probe)
		return err
	}
	t.temp = probe
	t.shown = true
	want := t.a.Post.Name
	t.a.Post.Sub, t.a.Post.Name = x.sub, []byte(x.name)
	var st unix.Stat_t
	if err := r.ops.StatAt(dir, x.name, &st); err == nil {
		t.a.Post.MTime = st.Mtim.Nano()
	}
	return r.rename(f, t, x, want)
}

// rename gives a replaced message the sizes that are true of the good copy,
// where the damaged file's name had others: a server had "fixed" them. Its base
// name changes by that, and with it its UID.
func (r *Run) rename(f *folder, t *item, x *found, back []byte) error {
	is := maildir.ParseName(x.name)
	var to maildir.Name
	if t.a.From == fromQuarantine {
		to = maildir.ParseName(string(back)) // undo: the name that it had
	} else {
		to = maildir.ParseName(string(t.a.FromName))
		if !is.HasS || !to.HasS || is.S == to.S || is.Unique != to.Unique {
			return nil
		}
		to.Sep, to.Ext, to.Other = ':', is.Ext, is.Other
	}
	name := to.With(is.Flags, is.Letters)
	if to.ServerBase == is.ServerBase || !safeName(name) || f.names.has(to.ServerBase) {
		return nil
	}
	dir := f.sub(x.sub).Fd()
	if err := r.ops.Move(dir, x.name, dir, name); err != nil {
		return nil //nolint:nilerr // the message is whole; only its name stays as it was
	}
	t.a.Post.Name = []byte(name)
	f.names.add(to.ServerBase)
	f.names.remove(is.ServerBase)
	return nil
}

// linkFlags renames a message.
func (r *Run) linkFlags(ctx context.Context, f *folder, t *item) error {
	a := &t.a
	name := string(a.Post.Name)
	if len(a.Keywords) > 0 {
		letters, err := r.keywordLetters(ctx, f, t)
		if err != nil {
			return err
		}
		n := maildir.ParseName(string(a.Pre.Name))
		name = n.With(a.Flags, letters)
	}
	if !safeName(name) {
		t.end(Failed, "the name cannot be used in a mail directory")
		return nil
	}
	x, err := f.statName(r.ops, a.Pre.Sub, string(a.Pre.Name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for _, sub := range []manifest.Sub{manifest.Cur, a.Post.Sub} {
			if _, err := f.statName(r.ops, sub, name); err == nil {
				a.Post.Sub, a.Post.Name = sub, []byte(name)
				t.end(Already, "")
				return nil
			}
		}
		t.end(Refused, "the message has other flags now, or is gone")
		return nil
	case err != nil:
		return err
	case a.Pre.Inode != 0 && x.st.Ino != a.Pre.Inode:
		t.end(Refused, "the message is not the file that was planned any more")
		return nil
	}
	if a.Post.Sub == 0 {
		a.Post.Sub = manifest.Cur
	}
	if a.Post.Sub == a.Pre.Sub && name == string(a.Pre.Name) {
		t.end(Already, "")
		return nil
	}
	if err := r.ops.Move(f.sub(a.Pre.Sub).Fd(), string(a.Pre.Name), f.sub(a.Post.Sub).Fd(), name); err != nil {
		if errors.Is(err, fs.ErrExist) {
			t.end(Refused, "another file has that name now")
			return nil
		}
		return err
	}
	t.sub, t.shown = x, true
	a.Post.Name, a.Post.Inode, a.Post.Size = []byte(name), x.st.Ino, x.st.Size
	a.Pre.Inode = x.st.Ino
	return nil
}

// linkDate sets a message's INTERNALDATE. A file with several names is left:
// its other names are other messages.
func (r *Run) linkDate(f *folder, t *item) error {
	a := &t.a
	x, ok, err := f.find(r.ops, &a.Pre)
	if err != nil {
		return err
	}
	if !ok {
		t.end(Refused, "the message is not there any more")
		return nil
	}
	file, err := f.sub(x.sub).OpenFile(x.name)
	if err != nil {
		return err
	}
	defer file.Close()
	st := file.Opened()
	switch {
	case st.Inode != x.st.Ino || a.Pre.Inode != 0 && st.Inode != a.Pre.Inode:
		t.end(Refused, "the message is not the file that was planned any more")
		return nil
	case st.MTime == a.Date.UnixNano():
		t.end(Already, "")
		return nil
	case a.Pre.MTime != 0 && st.MTime != a.Pre.MTime:
		t.end(Refused, "its date has changed since the plan")
		return nil
	case st.Links > 1:
		t.end(Refused, "the file has %d names: its date is that of other messages too", st.Links)
		return nil
	}
	a.Pre.MTime, a.Pre.Inode = st.MTime, st.Inode
	if err := r.ops.SetTimes(file.Fd(), x.name, a.Date.UnixNano()); err != nil {
		return err
	}
	t.shown = true
	a.Post = Ground{Sub: x.sub, Name: []byte(x.name), Size: st.Size, Inode: st.Inode, MTime: a.Date.UnixNano(), Digest: a.Pre.Digest}
	if d, err := r.open.disks.Of(f.cur); err == nil && !d.Batches {
		return r.ops.Fsync(file.Fd(), x.name)
	}
	return nil
}

// linkQuarantine removes our own link of a message that is in quarantine.
func (r *Run) linkQuarantine(f *folder, t *item) error {
	x, ok, err := f.find(r.ops, &Ground{Sub: t.victim.sub, Name: []byte(t.victim.name), Inode: t.victim.st.Ino})
	if err != nil {
		return err
	}
	if !ok || x.st.Ino != t.victim.st.Ino || x.name != t.victim.name {
		t.end(Refused, "the message has changed since it was looked at")
		return nil
	}
	if err := r.ops.Unlink(f.sub(x.sub).Fd(), x.name); err != nil {
		return err
	}
	t.shown = true
	n := maildir.ParseName(x.name)
	f.names.remove(n.ServerBase)
	return nil
}
