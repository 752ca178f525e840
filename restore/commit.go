package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/scan/beneath"
)

// errVoid: a sync or probe failed, and nothing of the batch may be trusted.
var errVoid = errors.New("the batch is void")

// finish makes a batch durable and visible, and sets the state of its items:
//
//	intents journalled and synced, beside syncfs     the files' contents are durable
//	a folder at a time, under the server's lock:     absence checked again, links
//	new folders get their names
//	syncfs                                           the names are durable
//	unlink of the temporary names                    the probe: it fails where the file system has lost what it acknowledged
//	done journalled
//
// A batch whose sync fails is taken back and written anew once, under new
// names and with a new barrier; what was synced in vain is never synced again.
func (r *Run) finish(ctx context.Context, b *batch, src Source) {
	defer r.let(b)
	if b.barrier == nil || !b.any() {
		return
	}
	err := r.failed()
	if err == nil || errors.Is(err, ErrNoSpace) || errors.Is(err, ErrUnreachable) {
		err = r.commit(ctx, b)
		if errors.Is(err, errVoid) {
			if again := r.rewrite(ctx, b, src); again == nil {
				err = r.commit(ctx, b)
			}
		}
		if errors.Is(err, errVoid) {
			r.takeBack(b)
			r.fail(fmt.Errorf("%w: %w", ErrDisk, err))
			for _, t := range b.items {
				if t.pending() {
					t.end(Failed, "%v", err)
				}
			}
			return
		}
	}
	if err != nil {
		r.takeBack(b)
		r.fail(err)
	}
}

// rewrite takes a void batch back and prepares its items anew.
func (r *Run) rewrite(ctx context.Context, b *batch, src Source) error {
	r.takeBack(b)
	r.undraft(b)
	r.unready(b) // what was synced in vain is not trusted
	b.barrier.Close()
	bar, err := r.open.disks.Open(b.root, b.disk)
	if err != nil {
		return err
	}
	b.barrier = bar
	// The batch is kept, so seal and enter must find nothing to do.
	s := &stager{r: r, ctx: ctx, src: src, b: &batch{folders: b.folders, disk: b.disk, barrier: bar, root: b.root}, full: map[string]bool{}}
	defer func() { b.locks = s.b.locks }() // lock files that are made ready again go with the batch
	for _, t := range b.items {
		if !t.pending() || t.shown {
			continue // it stands: what is left to do is to sync and probe again
		}
		if t.make != nil && t.make.placed {
			t.shown = true
			continue
		}
		t.ahead, t.data, t.readErr = false, nil, nil
		t.victim, t.sub, t.aside, t.inode = found{}, found{}, "", 0
		keep := t.f // so that its folder is not closed and listed again
		t.f = nil
		old := t.make
		t.make = nil
		if old != nil {
			old.drop(r)
		}
		if t.box != nil {
			r.cache.releaseBox(t.box)
			t.box = nil
		}
		err := s.prepare(t)
		if keep != nil {
			r.cache.release(keep)
		}
		if err != nil {
			s.judge(t, err)
			if t.pending() {
				return err
			}
		}
	}
	return nil
}

func (b *batch) any() bool {
	for _, t := range b.items {
		if t.pending() {
			return true
		}
	}
	return false
}

// let releases what a batch holds.
func (r *Run) let(b *batch) {
	r.undraft(b)
	r.unready(b)
	for _, t := range b.items {
		r.unlist(t)
		if t.temp != "" && t.f != nil {
			_ = r.ops.Unlink(t.f.tmp.Fd(), t.temp)
			t.temp = ""
		}
	}
	for _, t := range b.items {
		r.drop(t)
	}
	if b.barrier != nil {
		b.barrier.Close()
		r.wrote(b.root, b.disk)
		_ = b.root.Close()
	}
}

func (r *Run) commit(ctx context.Context, b *batch) error {
	r.batchN++
	b.n = r.batchN
	r.draft(b)
	if err := r.intents(b); err != nil {
		return err
	}
	journal := make(chan error, 1)
	go func() { journal <- r.j.Sync() }()
	void := b.barrier.Sync()
	if err := <-journal; err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	if void != nil {
		return fmt.Errorf("%w: %w", errVoid, void)
	}
	r.link(ctx, b)
	if err := r.durable(b); err != nil {
		return fmt.Errorf("%w: %w", errVoid, err)
	}
	if err := r.probe(b); err != nil {
		return fmt.Errorf("%w: %w", errVoid, err)
	}
	return r.acknowledge(b)
}

// intents journals what is about to become visible.
func (r *Run) intents(b *batch) error {
	for _, t := range b.items {
		if t.pending() && t.a.Whole && !r.whole[t.a.Ref.Mailbox] {
			r.whole[t.a.Ref.Mailbox] = true
			w := entry{kind: recWhole, mailbox: t.a.Ref.Mailbox}
			if err := r.j.Append(w.encode()); err != nil {
				return fmt.Errorf("%w: %w", errState, err)
			}
		}
	}
	for i := 0; i < len(b.items); {
		if !b.items[i].pending() {
			i++
			continue
		}
		t := entry{kind: recIntent, batch: b.n, first: i}
		for size := 0; i < len(b.items) && b.items[i].pending() && size < intentLimit; i++ {
			a := &b.items[i].a
			size += 400 + len(a.Detail) + len(a.Ref.Mailbox)
			if a.UIDs != nil {
				slim := *a
				slim.UIDs = &UIDs{Validity: a.UIDs.Validity, Next: a.UIDs.Next, GUID: a.UIDs.GUID}
				a = &slim
			}
			t.actions = append(t.actions, *a)
			t.asides = append(t.asides, b.items[i].aside)
		}
		if err := r.j.Append(t.encode()); err != nil {
			return fmt.Errorf("%w: %w", errState, err)
		}
	}
	return nil
}

// link makes the batch visible, folder by folder; new folders appear last,
// when all of their mailbox that the batch holds is in them.
func (r *Run) link(ctx context.Context, b *batch) {
	from := 0
	for from < len(b.items) {
		to := from + 1
		for to < len(b.items) && b.items[to].a.Ref.Mailbox == b.items[from].a.Ref.Mailbox {
			to++
		}
		box := b.items[from:to]
		for g := range groups(box) {
			r.linkGroup(ctx, b, g)
		}
		r.show(box)
		for _, t := range box {
			if t.pending() && t.f != nil && t.f.gone() != "" {
				t.shown = false
				t.end(Failed, "its folder could not be made: %s", t.f.gone())
			}
		}
		from = to
	}
}

// durable makes the names durable.
func (r *Run) durable(b *batch) error {
	if b.barrier.Batches() {
		return b.barrier.Sync()
	}
	seen := map[int]bool{}
	sync := func(d *beneath.Dir) error {
		if d == nil || seen[d.Fd()] {
			return nil
		}
		seen[d.Fd()] = true
		return r.ops.Fsync(d.Fd(), d.Path())
	}
	for _, t := range b.items {
		if !t.pending() || !t.shown {
			continue
		}
		var dirs []*beneath.Dir
		if t.f != nil {
			dirs = append(dirs, t.f.cur, t.f.fresh, t.f.control, t.f.self)
		}
		if t.make != nil {
			dirs = append(dirs, t.make.parent)
		}
		if t.box != nil {
			dirs = append(dirs, t.box.root)
		}
		for _, d := range dirs {
			if err := sync(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// probe unlinks the temporary names. fsync(2) of a directory was seen to
// answer 0 for a rename that is lost; unlink fails then. A batch without
// temporary names makes one.
func (r *Run) probe(b *batch) error {
	probed := false
	for _, t := range b.items {
		if t.temp == "" || !t.pending() {
			continue
		}
		if err := r.ops.Unlink(t.f.tmp.Fd(), t.temp); err != nil {
			return err
		}
		t.temp = ""
		probed = true
	}
	if probed || !b.any() {
		return nil
	}
	name := r.temp()
	fd, err := r.ops.Create(b.root.Fd(), name, 0o600)
	if err != nil {
		return err
	}
	_ = r.ops.Close(fd)
	return r.ops.Unlink(b.root.Fd(), name)
}

// acknowledge journals what is durable now. Only after it an item is Done.
func (r *Run) acknowledge(b *batch) error {
	d := entry{kind: recDone, batch: b.n}
	boxes := map[*mbox]bool{}
	for i, t := range b.items {
		if !t.pending() {
			continue
		}
		if !t.shown {
			continue
		}
		t.a.State = Done
		d.done = append(d.done, outcome{
			Index: i, State: Done, Sub: t.a.Post.Sub, Name: t.a.Post.Name, Inode: t.a.Post.Inode, Size: t.a.Post.Size, Aside: t.aside,
		})
		r.usage(t, boxes)
	}
	for m := range boxes {
		// derived data, which servers rebuild: a failure is no failure of the run
		_ = m.settle(r.ops, r.recalc, r.asideOf(m))
	}
	if len(d.done) == 0 {
		return nil
	}
	if err := r.j.Append(d.encode()); err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	return nil
}

// usage counts what an item changed of its mailbox' quota.
func (r *Run) usage(t *item, boxes map[*mbox]bool) {
	if t.f == nil {
		return
	}
	m := t.f.box
	q := &m.quota
	n := quotaSize(string(t.a.Post.Name), t.a.Post.Size)
	switch t.a.Op {
	case Add:
		if !counted(t.a.Ref.Folder, t.a.Flags) {
			return
		}
		q.bytes += n
		q.count++
	case Quarantine:
		if !counted(t.a.Ref.Folder, t.a.Flags) {
			return
		}
		q.bytes -= quotaSize(string(t.a.Pre.Name), t.a.Pre.Size)
		q.count--
	default:
		return
	}
	boxes[m] = true
}

// asideOf moves a small file of a mailbox into quarantine.
func (r *Run) asideOf(m *mbox) func(dir *beneath.Dir, name string) error {
	return func(dir *beneath.Dir, name string) error {
		st, err := dir.Stat(name)
		if err != nil {
			return err
		}
		a := Action{Ref: manifest.Ref{Store: r.o.Site.Store, Mailbox: m.name}}
		if _, err := r.aside.keep(m, &a, dir, "", name, st.Inode, manifest.Digest{}, "servers rebuild it", true); err != nil {
			return err
		}
		return r.ops.Unlink(dir.Fd(), name)
	}
}

// takeBack removes what a void batch has made visible, as far as the file
// system still lets it: only names that lead to files of this batch. A message
// that has replaced a damaged one stands where the two cannot be swapped back,
// as the damaged one may have only its name in quarantine left: its content was
// durable before it was shown.
func (r *Run) takeBack(b *batch) {
	for _, t := range b.items {
		if !t.pending() {
			continue
		}
		if t.a.Op == Replace && t.shown && t.temp == "" {
			continue
		}
		if t.shown && t.f != nil && !r.unshow(t) {
			continue
		}
		t.shown = false
		r.unlist(t)
		if t.temp != "" {
			if r.ops.Unlink(t.f.tmp.Fd(), t.temp) == nil {
				t.temp = ""
			}
		}
	}
}

// unshow takes one item back. It returns false where the item stands.
func (r *Run) unshow(t *item) bool {
	f := t.f
	post := found{sub: t.a.Post.Sub, name: string(t.a.Post.Name)}
	var st unix.Stat_t
	dir := f.sub(post.sub).Fd()
	switch t.a.Op {
	case Add:
		if r.ops.StatAt(dir, post.name, &st) == nil && st.Ino == t.inode {
			_ = r.ops.Unlink(dir, post.name)
			f.names.known = false
		}
	case Replace:
		if r.ops.StatAt(dir, post.name, &st) == nil && st.Ino == t.inode {
			if err := r.ops.Exchange(f.tmp.Fd(), t.temp, dir, post.name); err != nil {
				if errors.Is(err, fs.ErrNotExist) {
					t.temp = "" // an unlink that failed, and took effect
				}
				return false
			}
		}
	case Flags, Keywords:
		if r.ops.StatAt(dir, post.name, &st) == nil && st.Ino == t.sub.st.Ino {
			_ = r.ops.Move(dir, post.name, f.sub(t.sub.sub).Fd(), t.sub.name)
		}
	case Quarantine:
		// the only link that is left is the one in quarantine
		_ = r.restoreLink(t)
	}
	return true
}

// restoreLink gives a file that was moved aside its name back.
func (r *Run) restoreLink(t *item) error {
	s, err := r.aside.shelf(t.f.box)
	if err != nil {
		return err
	}
	return r.ops.Link(s.dir.Fd(), t.aside, t.f.sub(t.victim.sub).Fd(), t.victim.name)
}
