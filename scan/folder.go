package scan

import (
	"context"
	"fmt"
	"iter"

	"mailsync/manifest"
	"mailsync/scan/maildir"
)

// batches yields the work of the mailbox in the order of its entries: each
// folder's listing merged with what is recorded of it.
func (v *View) batches(ctx context.Context) iter.Seq2[*batch, error] {
	return func(yield func(*batch, error) bool) {
		b := v.newBatch(ctx)
		folders := 0 // whose tasks are in b
		flush := func() bool {
			folders = 0
			if len(b.tasks) == 0 {
				return true
			}
			full := b
			b = v.newBatch(ctx)
			return yield(full, nil)
		}
		for _, fl := range v.folders {
			if err := fl.begin(ctx); err != nil {
				yield(nil, err)
				return
			}
			folders++
			for group, err := range fl.groups() {
				if err != nil {
					yield(nil, err)
					return
				}
				// The files of one unique name stay together: they are judged together.
				if len(b.tasks) > 0 && len(b.tasks)+len(group) > batchSize && !flush() {
					return
				}
				fl.pending += len(group)
				b.tasks = append(b.tasks, group...)
			}
			fl.produced = true
			fl.list = nil
			if fl.pending == 0 {
				fl.close()
			}
			if folders >= 8 && !flush() {
				return
			}
		}
		if len(b.tasks) == 0 {
			b.free()
			return
		}
		yield(b, nil)
	}
}

// begin opens and lists the folder, unless nothing in it has changed.
func (fl *folderLook) begin(ctx context.Context) error {
	if fl.missing || fl.blind != nil {
		return nil
	}
	if fl.unchanged {
		return nil // opened where a file of it must be read after all
	}
	if err := fl.openDirs(); err != nil {
		fl.blinded(err)
		return nil
	}
	v := fl.v
	for try := 0; ; try++ {
		l, err := fl.dirs.list(ctx, v.s.opt.Now, v.margin)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			fl.blinded(err)
			return nil
		}
		fl.list = l
		if l.calm || try == 2 {
			break
		}
	}
	fl.info.NewStamp, fl.info.CurStamp = fl.list.newStamp, fl.list.curStamp
	v.setFolder(fl)
	for _, b := range fl.list.bad {
		v.finding(manifest.Finding{
			Folder: fl.info.Name, File: b.sub.String() + "/" + b.name, Kind: manifest.BadName,
			Certainty: manifest.Proof, Detail: b.reason,
		})
	}
	return nil
}

func (fl *folderLook) openDirs() (err error) {
	root := fl.v.root
	if fl.dirs.new, err = openIfThere(root, fl.branch.child("new")); err != nil {
		return err
	}
	if fl.dirs.cur, err = openIfThere(root, fl.branch.child("cur")); err != nil {
		_ = fl.dirs.new.Close()
		return err
	}
	fl.isOpen = true
	fl.v.open++
	return nil
}

// blinded notes that the folder's names cannot be known.
func (fl *folderLook) blinded(err error) {
	fl.close()
	fl.blind = err
	fl.v.blinded(fl.info.Name, err.Error())
	fl.v.finding(manifest.Finding{Folder: fl.info.Name, Kind: manifest.Unreadable, Detail: err.Error()})
	fl.info.NewStamp, fl.info.CurStamp = manifest.DirStamp{}, manifest.DirStamp{}
	fl.v.setFolder(fl)
}

// setFolder brings the header of the mailbox up to date.
func (v *View) setFolder(fl *folderLook) {
	if f := v.mb.Folder(fl.info.Name); f != nil {
		*f = fl.info
	}
}

// groups yields the folder's tasks, one group for each unique name, in order.
func (fl *folderLook) groups() iter.Seq2[[]task, error] {
	return func(yield func([]task, error) bool) {
		var items []item
		if fl.list != nil {
			items = fl.list.items
		}
		var group []task
		var olds []*manifest.Entry
		for {
			old, err := fl.recorded()
			if err != nil {
				yield(nil, err)
				return
			}
			if old == nil && len(items) == 0 {
				return
			}
			unique := ""
			switch {
			case old == nil:
				unique = items[0].unique()
			case len(items) == 0:
				unique = old.Unique
			default:
				unique = min(items[0].unique(), old.Unique)
			}
			olds = olds[:0]
			for old != nil && old.Unique == unique {
				fl.v.cursor.take()
				olds = append(olds, old)
				if old, err = fl.recorded(); err != nil {
					yield(nil, err)
					return
				}
			}
			n := 0
			for n < len(items) && items[n].unique() == unique {
				n++
			}
			group = fl.pair(group[:0], items[:n], olds)
			items = items[n:]
			if !yield(group, nil) {
				return
			}
		}
	}
}

// recorded returns the next recorded entry of this folder, nil at its end.
func (fl *folderLook) recorded() (*manifest.Entry, error) {
	c := fl.v.cursor
	if c == nil {
		return nil, nil
	}
	e, err := c.peek()
	switch {
	case err != nil:
		return nil, fmt.Errorf("record of mailbox %q: %w", fl.v.mb.Name, err)
	case e == nil || e.Folder > fl.info.Name:
		return nil, nil
	case e.Folder < fl.info.Name:
		// An entry of a folder that the record's header does not name.
		return nil, fmt.Errorf("record of mailbox %q: %w: entry of a folder that it does not list", fl.v.mb.Name, manifest.ErrOrder)
	}
	return e, nil
}

// pair makes the tasks of one unique name: what is listed with what is
// recorded of it, by name, then by inode, then in order. What is recorded and
// not listed is to be looked for.
func (fl *folderLook) pair(group []task, items []item, olds []*manifest.Entry) []task {
	if fl.list == nil { // nothing was listed: unchanged, missing or blind
		for _, old := range olds {
			group = append(group, fl.unlisted(old))
		}
		return group
	}
	used := make([]bool, len(olds))
	take := func(match func(*manifest.Entry) bool) *manifest.Entry {
		for i, old := range olds {
			if !used[i] && match(old) {
				used[i] = true
				return old
			}
		}
		return nil
	}
	from := len(group)
	for i := range items {
		group = append(group, fl.task(&items[i]))
	}
	mine := group[from:]
	for i := range mine {
		if !items[i].odd {
			mine[i].old = take(func(o *manifest.Entry) bool { return o.Sub == items[i].sub && o.Name == items[i].name })
		}
	}
	for i := range mine {
		if mine[i].old == nil && !items[i].odd {
			mine[i].old = take(func(o *manifest.Entry) bool { return o.Inode == items[i].inode })
		}
	}
	for i := range mine {
		if mine[i].old == nil && !items[i].odd {
			mine[i].old = take(func(*manifest.Entry) bool { return true })
		}
	}
	for i, old := range olds {
		if !used[i] {
			group = append(group, task{fl: fl, old: old, gone: true})
		}
	}
	return group
}

// unlisted makes the task of a recorded entry whose folder was not listed.
func (fl *folderLook) unlisted(old *manifest.Entry) task {
	t := task{fl: fl, old: old, entry: *old, name: maildir.ParseName(old.Name)}
	switch {
	case fl.missing:
		t.gone = true
	case fl.blind != nil:
		t.out = left
	case fl.v.sound(old):
		t.out, t.same = taken, true
	case !fl.isOpen:
		if err := fl.openDirs(); err != nil {
			t.out, t.err = failed, err
		}
	}
	return t
}

// sound tells whether a recorded entry needs no second read although only its
// directory's stamp was looked at.
func (v *View) sound(old *manifest.Entry) bool {
	return old.Status == manifest.Sound && old.Inode != 0 && old.Digest.Alg == v.alg &&
		old.CTime < v.rec.Began.Add(-v.margin).UnixNano()
}

// task makes the task of one listed file.
func (fl *folderLook) task(it *item) task {
	t := task{fl: fl, name: maildir.ParseName(it.name)}
	t.entry = manifest.Entry{
		Folder: fl.info.Name, Unique: it.unique(), Sub: it.sub, Name: it.name, Flags: t.name.Flags,
	}
	if fl.uids != nil {
		t.entry.UID = fl.uids.UID(t.name.ServerBase)
	}
	if t.name.Letters != "" {
		fl.lettered++
		t.entry.Keywords = fl.keywords(t.name.Letters)
	} else if fl.courier != nil {
		t.entry.Keywords = fl.courier.names[t.name.ServerBase]
	}
	if t.name.Alternate() {
		if fl.alternate++; fl.alternate == 1 {
			fl.altName = it.sub.String() + "/" + it.name
		}
	}
	if it.odd {
		t.out, t.err = refused, errOdd
	}
	return t
}

var errOdd = fmt.Errorf("it is no regular file")

// keywords translates letters by the folder's table; combinations repeat.
func (fl *folderLook) keywords(letters string) []string {
	if k, ok := fl.words[letters]; ok {
		return k
	}
	if fl.words == nil {
		fl.words = make(map[string][]string)
	}
	k := maildir.Keywords(fl.info.Keywords).Names(letters)
	if len(fl.words) < 1024 {
		fl.words[letters] = k
	}
	return k
}
