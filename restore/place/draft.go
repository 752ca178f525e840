package place

import (
	"bytes"
	"context"
	"errors"
	"os"

	"mailsync/scan/beneath"
)

// Draft is the new content of a small file of the server's, written under a
// name of ours, and with it the lock file under which it gets its own. Neither
// is durable by itself: the caller's Barrier makes any number of drafts durable
// in one call, where Rewrite syncs three times a file.
type Draft struct {
	dir  *beneath.Dir
	name string
	temp string // "" once it was published
	old  []byte // what it was made from, nil where there was no file
	lock *Ready // nil where nobody else knows the directory
}

// Draft writes what a small file is to become; change is that of Rewrite. With
// hidden the directory is still unknown to everybody, and needs no lock. It
// returns nil where nothing is to change. On failure nothing is left.
func (l *Locker) Draft(dir *beneath.Dir, name string, own Owner, hidden bool, change func(old []byte) ([]byte, error)) (*Draft, error) {
	old, _, err := ReadSmall(dir, name, MaxSmall)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	neu, err := change(old)
	if err != nil || neu == nil || old != nil && bytes.Equal(old, neu) {
		return nil, err
	}
	d := &Draft{dir: dir, name: name, old: old}
	if !hidden {
		if d.lock, err = l.Prepare(dir, false); err != nil {
			return nil, err
		}
	}
	temp := l.Temp()
	if _, err := l.Ops.WriteFile(dir, temp, neu, own, false); err != nil {
		l.Discard(d)
		return nil, err
	}
	d.temp = temp
	return d, nil
}

// Publish gives a draft that has become durable its name, under the lock; the
// name is durable with the next Barrier. ok is false, and nothing was done,
// where the file is not what the draft was made from any more or the lock file
// has grown too old: what is to be changed then is left to Rewrite. ErrHeld.
func (l *Locker) Publish(ctx context.Context, d *Draft) (ok bool, err error) {
	if d.temp == "" {
		return false, nil
	}
	if d.lock != nil {
		if !l.Fresh(d.lock) {
			return false, nil
		}
		lock, err := l.Take(ctx, d.lock, d.name+".lock")
		if err != nil {
			return false, err
		}
		defer func() {
			if e := lock.Release(); e != nil {
				ok, err = false, errors.Join(err, e)
			}
		}()
	}
	now, _, err := ReadSmall(d.dir, d.name, MaxSmall)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	if (now == nil) != (d.old == nil) || !bytes.Equal(now, d.old) {
		return false, nil
	}
	if err := l.Ops.Replace(d.dir.Fd(), d.temp, d.dir.Fd(), d.name); err != nil {
		return false, err
	}
	d.temp = ""
	return true, nil
}

// Discard removes what is left of a draft under names of ours.
func (l *Locker) Discard(d *Draft) {
	if d.lock != nil {
		l.Drop(d.lock)
	}
	if d.temp != "" {
		l.Drop(&Ready{dir: d.dir, name: d.temp})
		d.temp = ""
	}
}
