package place

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"mailsync/scan/beneath"
)

// ReadSmall reads a small file of the server's, at most limit bytes. Owner,
// size and times are in the result, as they were after reading.
func ReadSmall(dir *beneath.Dir, name string, limit int64) ([]byte, beneath.Stat, error) {
	f, err := dir.OpenFile(name)
	if err != nil {
		return nil, beneath.Stat{}, err
	}
	defer f.Close()
	var b bytes.Buffer
	b.Grow(int(min(max(f.Opened().Size, 0), limit)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, beneath.Stat{}, err
	}
	p := b.Bytes()
	if int64(len(p)) > limit {
		return nil, beneath.Stat{}, fmt.Errorf("%q in %q: larger than %d bytes", name, dir.Path(), limit)
	}
	st, err := f.Stat()
	return p, st, err
}

// MaxSmall bounds what Rewrite reads and writes.
const MaxSmall = 16 << 20

// Rewrite changes a small file of the server's (subscriptions,
// dovecot-keywords) as the server does: the lock file NAME.lock is created
// exclusively and receives the new content, is synced, and renamed over the
// file. change gets the content, nil where there is no file, and returns the
// new one, or nil for no change. It returns what was there and whether it
// changed.
func (l *Locker) Rewrite(ctx context.Context, dir *beneath.Dir, name string, own Owner, change func(old []byte) ([]byte, error)) (old []byte, changed bool, err error) {
	lock, err := l.Acquire(ctx, dir, name+".lock")
	if err != nil {
		return nil, false, err
	}
	old, _, err = ReadSmall(dir, name, MaxSmall)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, false, errors.Join(err, lock.Release())
	}
	neu, err := change(old)
	if err != nil || neu == nil || old != nil && bytes.Equal(old, neu) {
		return old, false, errors.Join(err, lock.Release())
	}
	temp := l.Temp()
	if _, err := l.Ops.WriteFile(dir, temp, neu, own, true); err != nil {
		return old, false, errors.Join(err, lock.Release())
	}
	if err := l.Ops.Replace(dir.Fd(), temp, dir.Fd(), name); err != nil {
		_ = l.Ops.Unlink(dir.Fd(), temp)
		return old, false, errors.Join(err, lock.Release())
	}
	err = l.Ops.Fsync(dir.Fd(), dir.Path())
	// the release is the probe: it fails where the directory's change is lost
	return old, true, errors.Join(err, lock.Release())
}

// Owner is whose a new file or directory is.
type Owner struct {
	UID, GID int    // -1 = leave
	Mode     uint32 // permission bits of files; directories get the search bits too
}

// dirMode is the mode of a directory whose files have Mode.
func (w Owner) dirMode() uint32 { return w.Mode | (w.Mode&0o444)>>2 }

// give sets owner and mode of an open file that this process has created.
func (o *Ops) give(fd int, name string, own Owner, mode uint32, st *unix.Stat_t) error {
	if err := o.Stat(fd, name, st); err != nil {
		return err
	}
	if own.UID >= 0 && (int(st.Uid) != own.UID || int(st.Gid) != own.GID) {
		if err := o.Chown(fd, name, own.UID, own.GID); err != nil {
			return err
		}
	}
	if st.Mode&0o7777 != mode {
		return o.Chmod(fd, name, mode)
	}
	return nil
}

// WriteFile creates a new small file, durably but for its name, and returns
// its inode. Without sync the caller's Barrier makes it durable. The name must
// be nobody else's; on failure nothing is left.
func (o *Ops) WriteFile(dir *beneath.Dir, name string, data []byte, own Owner, sync bool) (uint64, error) {
	fd, err := o.Create(dir.Fd(), name, own.Mode)
	if err != nil {
		if !errors.Is(err, unix.EEXIST) {
			_ = o.Unlink(dir.Fd(), name)
		}
		return 0, err
	}
	var st unix.Stat_t
	err = o.Write(fd, name, data)
	if err == nil {
		err = o.give(fd, name, own, own.Mode, &st)
	}
	if err == nil && sync {
		err = o.Fsync(fd, name)
	}
	if e := o.Close(fd); err == nil {
		err = e
	}
	if err != nil {
		_ = o.Unlink(dir.Fd(), name)
		return 0, err
	}
	return st.Ino, nil
}
