package scan

import (
	"context"
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// maxListed bounds how many names are listed again in one folder for files
// that were renamed while it was looked at; maxProofs, how often it is waited
// for to come to rest for one of them, and how often in vain for all.
const (
	maxListed = 20_000_000
	maxProofs = 4
)

// stillTries is how often a folder is listed in the hope that nothing moves
// meanwhile, before it is said that nothing can be proven.
const stillTries = 12

// lookAgain looks for a message under any name of its unique part, because its
// last known name is not there. It returns the task of the file that it found
// and read, or nil: then the message is recorded as absent where that is
// proven, and kept with a finding where it is not.
func (fl *folderLook) lookAgain(ctx context.Context, t *task) (*task, error) {
	// A listing that was made for another file may show this one's new name; it
	// may as well be older than the end of this one.
	if fl.again != nil {
		n, shown, err := fl.tryNames(ctx, t)
		if n != nil || err != nil {
			return n, err
		}
		if !shown && fl.atRest() {
			// Nothing has moved since it was proven that the name is not there.
			if t.old != nil {
				fl.absent(t.old)
			}
			return nil, nil
		}
	}
	// What is renamed all the time is opened as soon as it is seen.
	patience, misses := 1, 0
	for try := 0; try < hunts && misses <= patience && fl.relisted < maxListed && !fl.missing; try++ {
		n, shown, err := fl.hunt(ctx, t)
		switch {
		case err != nil:
			return fl.stopped(ctx, t, err)
		case n != nil:
			return n, nil
		case shown:
			patience, misses = 4, 0
		default:
			misses++
		}
	}
	if t.old == nil {
		return nil, nil // it came and went while we looked
	}
	for try := 0; try < maxProofs && fl.restless < maxProofs && fl.relisted < maxListed; try++ {
		// Not shown is not gone: a listing proves that only when nothing moves.
		if fl.again == nil || !fl.again.still {
			if err := fl.rest(ctx); err != nil {
				return fl.stopped(ctx, t, err)
			}
			if !fl.again.still {
				fl.restless++
			}
		}
		n, shown, err := fl.tryNames(ctx, t)
		if n != nil || err != nil {
			return n, err
		}
		if !shown && fl.again.still {
			fl.absent(t.old)
			return nil, nil
		}
		fl.again = nil
	}
	return fl.unproven(t, errRestless), nil
}

// hunts is how often a file that is renamed all the time is hunted for.
const hunts = 50

// hunt lists the folder and opens the message as soon as a name of its unique
// part is seen. shown tells that there was one.
func (fl *folderLook) hunt(ctx context.Context, t *task) (found *task, shown bool, err error) {
	unique := t.unique()
	// Most names begin with their unique part; all begin with what precedes
	// its first comma, where sizes may be left out.
	head, _, _ := strings.Cut(unique, ",")
	fl.looks++
	for _, sub := range [2]manifest.Sub{manifest.New, manifest.Cur} {
		d := fl.dirs.of(sub)
		if d == nil {
			continue
		}
		for e, err := range d.List() {
			if err != nil {
				return nil, shown, err
			}
			fl.relisted++
			if len(e.Name) < len(head) || string(e.Name[:len(head)]) != head {
				continue
			}
			it := newItem(string(e.Name), e.Inode, sub, e.Type != unix.DT_REG && e.Type != unix.DT_UNKNOWN)
			if it.odd || it.unique() != unique {
				continue
			}
			n, there, err := fl.tryName(ctx, t, &it)
			if n != nil || err != nil {
				return n, shown || there, err
			}
			shown = shown || there
		}
	}
	return nil, shown, nil
}

func (fl *folderLook) stopped(ctx context.Context, t *task, err error) (*task, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return fl.unproven(t, err), nil
}

// tryNames reads the message under the names that the last listing shows.
// shown tells that there were some.
func (fl *folderLook) tryNames(ctx context.Context, t *task) (found *task, shown bool, err error) {
	for _, it := range fl.again.group(t.unique()) {
		if it.odd {
			continue
		}
		n, there, err := fl.tryName(ctx, t, &it)
		if n != nil || err != nil {
			return n, there, err
		}
		shown = shown || there
	}
	return nil, shown, nil
}

// tryName reads a recorded message under a name that a listing shows. shown
// tells that the name was the message's, whether or not it is still there.
func (fl *folderLook) tryName(ctx context.Context, t *task, it *item) (found *task, shown bool, err error) {
	n := fl.task(it)
	n.old = t.old
	if err := fl.v.readNow(ctx, &n); err != nil {
		return nil, false, err
	}
	switch n.out {
	case refused:
		return nil, false, nil
	case vanished:
		return nil, true, nil
	}
	return &n, true, nil
}

var errRestless = errors.New("it is not where it was, and the folder moves too fast to prove that it is gone")

// unproven keeps a recorded message that was neither found nor proven gone.
func (fl *folderLook) unproven(t *task, err error) *task {
	if t.old == nil {
		return nil
	}
	fl.v.unproven++
	n := &task{fl: fl, old: t.old, entry: *t.old, name: maildir.ParseName(t.old.Name), out: failed, err: err}
	return n
}

// relist lists the folder anew.
func (fl *folderLook) relist(ctx context.Context) error {
	if fl.missing {
		// The folder is proven gone: so are its messages.
		fl.again = &listing{calm: true, still: true}
		return nil
	}
	fl.looks++
	began := fl.v.s.opt.Now()
	l, err := fl.dirs.list(ctx, fl.v.s.opt.Now, fineMargin)
	if err != nil {
		return err
	}
	fl.lasting = lasting(fl.dirs.new, l.newStamp, began, fl.v.margin) && lasting(fl.dirs.cur, l.curStamp, began, fl.v.margin)
	fl.relisted += int64(len(l.items)) + 100
	if l.still {
		// One listing may lack a name even so, on a file system that lists
		// badly: a second one has to say the same.
		if l.still, err = fl.dirs.confirm(ctx, l); err != nil {
			return err
		}
	}
	fl.again = l
	return nil
}

// lasting tells whether a stamp that was read at a time is moved by whatever
// changes the directory later.
func lasting(d *beneath.Dir, s manifest.DirStamp, began time.Time, margin time.Duration) bool {
	return d == nil || margin <= fineMargin || settled(s, began, margin).Safe
}

// atRest tells whether the last listing was proven whole and nothing has moved
// since. So what N messages cost that are gone does not grow with the folder.
func (fl *folderLook) atRest() bool {
	if fl.missing {
		return true
	}
	l := fl.again
	if l == nil || !l.still || !fl.lasting {
		return false
	}
	same := func(d *beneath.Dir, was manifest.DirStamp) bool {
		now, err := stamp(d)
		now.Safe = was.Safe
		return err == nil && now == was
	}
	return same(fl.dirs.new, l.newStamp) && same(fl.dirs.cur, l.curStamp)
}

// rest lists the folder until nothing moves meanwhile, for a while.
func (fl *folderLook) rest(ctx context.Context) error {
	for try := range stillTries {
		// A stamp must be older than the clock's grain to prove anything.
		if err := pause(ctx, min(time.Duration(try+1)*fineMargin, 200*time.Millisecond)); err != nil {
			return err
		}
		if err := fl.relist(ctx); err != nil {
			return err
		}
		if fl.again.still {
			return nil
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// readNow reads one file out of turn.
func (v *View) readNow(ctx context.Context, t *task) error {
	b := v.newBatch(ctx)
	b.tasks = append(b.tasks, *t)
	if err := v.pool.submit(b); err != nil {
		return err
	}
	<-b.done
	*t = b.tasks[0]
	b.free()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
