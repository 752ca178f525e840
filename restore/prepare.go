package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// prepare does what may be done before the intent is journalled: nothing of it
// is visible to a server. It leaves the item pending, or ends it.
func (s *stager) prepare(t *item) error {
	if !confined(&t.a) {
		t.end(Failed, "a name in the plan leads out of its directory")
		return nil
	}
	switch t.a.Op {
	case Add:
		return s.prepareAdd(t)
	case Replace:
		return s.prepareReplace(t)
	case Flags, Keywords, Date, UID, Quarantine:
		if _, err := s.enterFolder(t); err != nil {
			return t.unopened(err)
		}
		switch t.a.Op {
		case Quarantine:
			return s.prepareQuarantine(t)
		case UID:
			return s.prepareUIDs(t)
		}
		return nil
	case Mkdir:
		return s.prepareMkdir(t)
	case Subscribe, Remove:
		m, err := s.r.cache.box(t.a.Ref.Mailbox)
		if err != nil {
			return t.unopened(err)
		}
		t.box = m
		if err := s.enter(m.root, m.disk); err != nil {
			return err
		}
		return s.r.noteOpen(folderKey{m.name, ""})
	}
	t.end(Failed, "unknown operation %q", t.a.Op)
	return nil
}

// unopened ends an item whose folder is not what it was, and passes on what
// concerns more than the item.
func (t *item) unopened(err error) error {
	switch {
	case errors.Is(err, errState):
		return err
	case errors.Is(err, fs.ErrNotExist) && (t.a.Op == Quarantine || t.a.Op == Remove || t.a.Op == UID && t.a.From == fromQuarantine && len(t.a.FromName) == 0):
		t.end(Skipped, "the mailbox or folder is not there any more: nothing to take back")
		t.a.Why = WhyGone
	case errors.Is(err, fs.ErrNotExist):
		t.end(Refused, "the mailbox or folder is not there any more")
	case errors.Is(err, beneath.ErrEscape):
		t.end(Refused, "the folder leads elsewhere: %v", err)
	default:
		return err
	}
	return nil
}

func (s *stager) prepareAdd(t *item) error {
	a := &t.a
	if a.Post.Digest.IsZero() || !a.Post.Digest.Alg.Valid() || a.Post.Size < 0 {
		t.end(Failed, "the plan does not know the message's digest")
		return nil
	}
	if len(a.Post.Name) > 0 && !safeName(string(a.Post.Name)) {
		t.end(Failed, "the name cannot be used in a mail directory")
		return nil
	}
	f, err := s.enterFolder(t)
	if err != nil {
		return t.unopened(err)
	}
	return s.write(t, f)
}

// write puts the message into tmp, checked against the plan.
func (s *stager) write(t *item, f *folder) error {
	a := &t.a
	r := s.r
	if t.readErr != nil {
		return t.unread(s.ctx, t.readErr)
	}
	name := r.temp()
	temp, err := r.ops.NewTemp(f.tmp.Fd(), name, f.own.Mode)
	if err != nil {
		return err
	}
	var lines lineCounter
	put := temp.Write
	if len(a.Post.Name) == 0 {
		put = func(p []byte) error {
			lines.count(p)
			return temp.Write(p)
		}
	}
	if t.ahead {
		err = put(t.data)
	} else {
		var src error
		src, err = s.stream(t, put)
		if src != nil {
			temp.Abort()
			return t.unread(s.ctx, src)
		}
	}
	if err != nil {
		temp.Abort()
		return err
	}
	var mtime int64
	if !a.Date.IsZero() {
		mtime = a.Date.UnixNano()
	}
	if err := temp.Finish(f.own, mtime, !s.b.barrier.Batches()); err != nil {
		return err
	}
	t.temp, t.inode = name, temp.Stat.Ino
	if len(a.Post.Name) == 0 {
		unique := a.Ref.Unique
		if unique == "" {
			unique = r.namer.Next()
		}
		a.Post.Name = []byte(maildir.Sized(unique, a.Post.Size, a.Post.Size+lines.bare))
		a.Ref.Unique = unique
		if !safeName(string(a.Post.Name)) {
			_ = r.ops.Unlink(f.tmp.Fd(), name)
			t.temp = ""
			t.end(Failed, "the name cannot be used in a mail directory")
			return nil
		}
	}
	if a.Post.Sub == 0 {
		a.Post.Sub = manifest.Cur
	}
	a.Post.Inode = t.inode
	return nil
}

// errWrite marks an error of the target while a source is streamed.
type errWrite struct{ error }

// stream copies a large message; the errors of both sides are told apart.
func (s *stager) stream(t *item, put func([]byte) error) (source, target error) {
	rc, err := s.src.Open(s.ctx, &t.a)
	if err != nil {
		return err, nil
	}
	defer rc.Close()
	err = copyLarge(func(p []byte) error {
		if err := put(p); err != nil {
			return errWrite{err}
		}
		return nil
	}, rc, &t.a)
	var w errWrite
	if errors.As(err, &w) {
		return nil, w.error
	}
	return err, nil
}

// unread ends an item whose source did not give it. A source that does not
// answer says nothing of this item or of those after it.
func (t *item) unread(ctx context.Context, err error) error {
	if errors.Is(err, ErrUnreachable) {
		return err
	}
	if ctx.Err() == nil {
		t.end(Failed, "source: %v", err)
	}
	return nil
}

// lineCounter counts LFs that no CR precedes: what ",W=" has beyond ",S=".
type lineCounter struct {
	bare int64
	cr   bool
}

func (c *lineCounter) count(p []byte) {
	if len(p) == 0 {
		return
	}
	c.bare += int64(bytes.Count(p, []byte{'\n'}))
	if c.cr && p[0] == '\n' {
		c.bare--
	}
	c.cr = p[len(p)-1] == '\r'
	for i := bytes.IndexByte(p, '\r'); i >= 0 && i+1 < len(p); i = bytes.IndexByte(p, '\r') {
		if p = p[i+1:]; p[0] == '\n' {
			c.bare--
		}
	}
}

// prepareReplace writes the good copy and keeps the damaged one in quarantine.
func (s *stager) prepareReplace(t *item) error {
	a := &t.a
	f, err := s.enterFolder(t)
	if err != nil {
		return t.unopened(err)
	}
	if why := f.box.disk.Unordered; why != "" {
		t.end(Failed, "not replaced: %s, where a power cut can show another message's content in its place", why)
		return nil
	}
	ok, err := s.victim(t, f, func(d manifest.Digest) bool {
		if d == a.Post.Digest {
			t.end(Already, "")
			return false
		}
		if !a.Pre.Digest.IsZero() && d != a.Pre.Digest {
			t.end(Refused, "the damaged message is not the one that was planned: its content has changed")
			return false
		}
		return true
	})
	if err != nil || !ok {
		return err
	}
	if a.From == fromQuarantine && reflagged(t) {
		t.end(Refused, "its flags have changed since the run")
		return nil
	}
	if a.From == fromQuarantine {
		err = s.linkBack(t, f)
	} else {
		err = s.write(t, f)
	}
	if err != nil || !t.pending() {
		return err
	}
	return s.keep(t, f, "damaged; replaced by the copy of "+sourceName(a))
}

// victim finds the file that an action is about and checks that it is still
// the one that was planned.
func (s *stager) victim(t *item, f *folder, judge func(manifest.Digest) bool) (bool, error) {
	a := &t.a
	x, ok, err := f.find(s.r.ops, &a.Pre)
	if err != nil {
		return false, err
	}
	if !ok {
		t.end(Refused, "the message is not there any more")
		return false, nil
	}
	if a.Op == Replace && x.st.Ino != a.Pre.Inode {
		// repaired before: by an earlier run of the same plan, or by hand
		if d, _, err := f.digest(&x, algOf(a.Post.Digest)); err == nil && d == a.Post.Digest {
			t.end(Already, "")
			return false, nil
		}
	}
	if a.Pre.Inode != 0 && x.st.Ino != a.Pre.Inode || a.Pre.Size != 0 && x.st.Size != a.Pre.Size {
		t.end(Refused, "the message is not the file that was planned any more")
		return false, nil
	}
	want := a.Post.Digest
	if want.IsZero() {
		want = a.Pre.Digest
	}
	d, st, err := f.digest(&x, algOf(want))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errChanging):
		t.end(Refused, "the message changes")
		return false, nil
	case errors.Is(err, beneath.ErrNotRegular), errors.Is(err, beneath.ErrEscape):
		t.end(Refused, "%v", err)
		return false, nil
	case err != nil:
		return false, err
	case st.Inode != x.st.Ino:
		t.end(Refused, "the message changes")
		return false, nil
	}
	t.victim = x
	if !judge(d) {
		return false, nil
	}
	a.Pre.Inode, a.Pre.Size, a.Pre.MTime = st.Inode, st.Size, st.MTime
	if a.Pre.Digest.IsZero() {
		a.Pre.Digest = d
	}
	return true, nil
}

// keep links the victim into quarantine.
func (s *stager) keep(t *item, f *folder, why string) error {
	x := &t.victim
	path := t.a.Dir
	if path != "" {
		path += "/"
	}
	path += x.sub.String() + "/"
	as, err := s.r.aside.keep(f.box, &t.a, f.sub(x.sub), path, x.name, x.st.Ino, t.a.Pre.Digest, why, !s.b.barrier.Batches())
	if err != nil {
		if t.temp != "" {
			_ = s.r.ops.Unlink(f.tmp.Fd(), t.temp)
			t.temp = ""
		}
		return fmt.Errorf("quarantine: %w", err)
	}
	t.aside = as
	return nil
}

// linkBack gives what undo brings back from quarantine a temporary name.
func (s *stager) linkBack(t *item, f *folder) error {
	a := &t.a
	q, err := s.r.open.at(f.box, a.FromDir, false)
	if err != nil && !notThere(err) {
		return fmt.Errorf("the quarantine of run %s: %w", a.FromDir, err)
	}
	if err != nil {
		t.end(Refused, "the quarantine of run %s cannot be opened: %v", a.FromDir, err)
		return nil
	}
	defer q.Close()
	name := s.r.temp()
	if err := s.r.ops.LinkTemp(q.Fd(), string(a.FromName), f.tmp.Fd(), name); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			t.end(Refused, "the original is not in quarantine any more")
			return nil
		}
		return err
	}
	x := found{name: name}
	if err := s.r.ops.StatAt(f.tmp.Fd(), name, &x.st); err != nil {
		_ = s.r.ops.Unlink(f.tmp.Fd(), name)
		return err
	}
	t.temp, t.inode = name, x.st.Ino
	a.Post.Inode, a.Post.Size = x.st.Ino, x.st.Size
	return nil
}

// prepareQuarantine keeps in quarantine what undo takes back.
func (s *stager) prepareQuarantine(t *item) error {
	a := &t.a
	mtime := a.Pre.MTime
	ok, err := s.victim(t, t.f, func(d manifest.Digest) bool {
		if !a.Pre.Digest.IsZero() && d != a.Pre.Digest {
			t.end(Refused, "its content has changed since the run")
			return false
		}
		return true
	})
	if err != nil || !ok {
		if err == nil && t.a.State == Refused && t.victim.name == "" && t.a.Detail == "the message is not there any more" {
			t.end(Skipped, "the message is not there any more: nothing to take back")
			t.a.Why = WhyGone
		}
		return err
	}
	if reflagged(t) {
		t.end(Refused, "its flags have changed since the run")
		return nil
	}
	if mtime != 0 && t.victim.st.Mtim.Nano() != mtime {
		t.end(Refused, "its date has changed since the run")
		return nil
	}
	return s.keep(t, t.f, "taken back by undo")
}

// reflagged tells whether a message has other flags than an action expects.
func reflagged(t *item) bool {
	was, is := maildir.ParseName(string(t.a.Pre.Name)), maildir.ParseName(t.victim.name)
	return was.Flags != is.Flags || was.Letters != is.Letters && len(t.a.Keywords) == 0
}
