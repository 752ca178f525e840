package place

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/scan/beneath"
)

// StaleAfter is the age at which Dovecot takes over a lock file that nobody
// touches (file-dotlock; its holders touch theirs every 10 s).
const StaleAfter = 120 * time.Second

// Errors of lock files.
var (
	// ErrHeld: another holds the lock and did not let go in time.
	ErrHeld = errors.New("the mail server holds the lock")
	// ErrStolen: the lock was taken away while it was held.
	ErrStolen = errors.New("the lock was taken away")
)

// Locker makes lock files as Dovecot does: created exclusively, content
// "pid:host". Beyond that the content is durable before the lock exists.
type Locker struct {
	Ops  *Ops
	Host string
	PID  int
	Temp func() string // names that nobody else uses, in the lock's directory
	Wait time.Duration // for a lock that another holds; 0 = 30 s
	// Owner of lock files, so that the server can judge and remove them.
	UID, GID int

	Now   func() time.Time
	Pause func(ctx context.Context, d time.Duration) error // between two tries
	Alive func(pid int) bool
	Boot  time.Time // files from before are stale on this host
}

// NewLocker returns a Locker of this process with the real clock.
func NewLocker(o *Ops, host string, temp func() string) *Locker {
	l := &Locker{Ops: o, Host: host, PID: os.Getpid(), Temp: temp, Now: time.Now, UID: -1, GID: -1}
	l.Pause = func(ctx context.Context, d time.Duration) error {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
			return nil
		}
	}
	l.Alive = func(pid int) bool { return unix.Kill(pid, 0) != unix.ESRCH }
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) == nil {
		l.Boot = time.Now().Add(-time.Duration(si.Uptime+1) * time.Second)
	}
	return l
}

// Lock is a lock file that is held.
type Lock struct {
	l     *Locker
	dir   *beneath.Dir
	name  string
	id    lockID
	Since time.Time
}

// lockID tells one lock file from another that came after it: inode numbers
// are given again.
type lockID struct {
	inode uint64
	mtime int64
	size  int64
}

func lockIDOf(st *unix.Stat_t) lockID { return lockID{st.Ino, st.Mtim.Nano(), st.Size} }

// Ready is a lock file that is still to be taken: whole, under a name that is
// ours alone. It is made before it is wanted, so that its content is durable
// before the lock exists: a lock that a power cut leaves behind then says whose
// it was, and nobody, the server included, has to wait until it grows stale.
type Ready struct {
	dir  *beneath.Dir
	name string
	id   lockID
	made time.Time
}

// Prepare makes a lock file ready in the directory of the lock. With sync it is
// durable at once; else the caller's Barrier makes it so.
func (l *Locker) Prepare(dir *beneath.Dir, sync bool) (*Ready, error) {
	r := &Ready{dir: dir, name: l.Temp(), made: l.Now()}
	var err error
	r.id, err = l.write(dir, r.name, fmt.Appendf(nil, "%d:%s", l.PID, l.Host), sync)
	return r, err
}

// fresh is for how long a lock file that is ready may be taken: others judge a
// lock by its age.
const fresh = 10 * time.Second

// Fresh tells whether the lock file is young enough to be taken.
func (l *Locker) Fresh(r *Ready) bool { return l.Now().Sub(r.made) < fresh }

// Drop removes a lock file that is not wanted any more.
func (l *Locker) Drop(r *Ready) {
	for range 3 { // what an error leaves here nobody else removes
		if e := l.Ops.Unlink(r.dir.Fd(), r.name); e == nil || errors.Is(e, os.ErrNotExist) {
			return
		}
	}
}

// Acquire makes a lock file ready and takes the lock. ErrHeld.
func (l *Locker) Acquire(ctx context.Context, dir *beneath.Dir, name string) (*Lock, error) {
	r, err := l.Prepare(dir, true)
	if err != nil {
		return nil, err
	}
	defer l.Drop(r)
	return l.Take(ctx, r, name)
}

// Take takes a lock, waiting for a holder that is alive. What was made ready
// stays and may be taken again. ErrHeld.
func (l *Locker) Take(ctx context.Context, r *Ready, name string) (*Lock, error) {
	wait := l.Wait
	if wait == 0 {
		wait = 30 * time.Second
	}
	dir := r.dir
	pause := 5 * time.Millisecond
	for begin := l.Now(); ; {
		err := l.create(r, name)
		if err == nil {
			return &Lock{l: l, dir: dir, name: name, id: r.id, Since: l.Now()}, nil
		}
		if !errors.Is(err, unix.EEXIST) {
			return nil, err
		}
		old, stale, err := l.stale(dir, name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case stale:
			err := l.takeOver(r, name, old)
			if err == nil {
				return &Lock{l: l, dir: dir, name: name, id: r.id, Since: l.Now()}, nil
			}
			if !errors.Is(err, ErrHeld) && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
		}
		if l.Now().Sub(begin) > wait {
			return nil, fmt.Errorf("%w: %q in %q, waited %s", ErrHeld, name, dir.Path(), wait)
		}
		if err := l.Pause(ctx, pause); err != nil {
			return nil, err
		}
		pause = min(2*pause, 100*time.Millisecond)
	}
}

// create gives the lock file its name in one step, content and all: a process
// that dies on the way leaves no lock that nobody can judge. It fails with
// EEXIST where the lock is held.
func (l *Locker) create(r *Ready, name string) error {
	err := l.Ops.Link(r.dir.Fd(), r.name, r.dir.Fd(), name)
	var st unix.Stat_t
	if err != nil && !errors.Is(err, unix.EEXIST) && l.Ops.StatAt(r.dir.Fd(), name, &st) == nil && lockIDOf(&st) == r.id {
		_ = l.Ops.Unlink(r.dir.Fd(), name) // the call took effect although it was denied
	}
	return err
}

// write makes a file with the content of a lock, under a name that is ours alone.
func (l *Locker) write(dir *beneath.Dir, name string, content []byte, sync bool) (lockID, error) {
	var st unix.Stat_t
	fd, err := l.Ops.Create(dir.Fd(), name, 0o600)
	if err != nil {
		_ = l.Ops.Unlink(dir.Fd(), name)
		return lockID{}, err
	}
	err = l.Ops.Write(fd, name, content)
	if err == nil {
		err = l.Ops.Stat(fd, name, &st)
	}
	if err == nil && l.UID >= 0 && (int(st.Uid) != l.UID || int(st.Gid) != l.GID) {
		err = l.Ops.Chown(fd, name, l.UID, l.GID)
	}
	if err == nil && sync {
		err = l.Ops.Fsync(fd, name)
	}
	if e := l.Ops.Close(fd); err == nil {
		err = e
	}
	if err != nil {
		_ = l.Ops.Unlink(dir.Fd(), name)
		return lockID{}, err
	}
	return lockIDOf(&st), nil
}

// stale judges the lock file that is there.
func (l *Locker) stale(dir *beneath.Dir, name string) (id lockID, stale bool, err error) {
	f, err := dir.OpenFile(name)
	if err != nil {
		if errors.Is(err, beneath.ErrNotRegular) || errors.Is(err, beneath.ErrEscape) {
			err = fmt.Errorf("lock file %q in %q: %w", name, dir.Path(), err)
		}
		return lockID{}, false, err
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, 512))
	if err != nil {
		return lockID{}, false, err
	}
	st, err := f.Stat()
	if err != nil {
		return lockID{}, false, err
	}
	id = lockID{st.Inode, st.MTime, st.Size}
	touched := time.Unix(0, st.MTime)
	pid, host, _ := strings.Cut(string(p), ":")
	n, err := strconv.Atoi(pid)
	here := err == nil && n > 0 && strings.TrimSpace(host) == l.Host
	switch {
	case here && touched.Before(l.Boot):
		return id, true, nil // its holder died with the machine
	case here && l.Alive(n):
		return id, false, nil // never a live one, however old
	case here:
		return id, true, nil // Dovecot too overrides a dead process of the same host at once
	}
	return id, l.Now().Sub(touched) > StaleAfter, nil
}

// takeOver replaces a stale lock file by ours in one step, so that of two that
// try only one succeeds: what was swapped out must be the file that was judged.
func (l *Locker) takeOver(r *Ready, name string, old lockID) error {
	dir, temp := r.dir, l.Temp()
	if err := l.Ops.Link(dir.Fd(), r.name, dir.Fd(), temp); err != nil {
		_ = l.Ops.Unlink(dir.Fd(), temp)
		return err
	}
	if err := l.Ops.Exchange(dir.Fd(), temp, dir.Fd(), name); err != nil {
		_ = l.Ops.Unlink(dir.Fd(), temp)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
			return fmt.Errorf("%w: a stale lock file %q lies in %q, and this file system cannot swap names: remove it by hand", ErrHeld, name, dir.Path())
		}
		return err
	}
	var st unix.Stat_t
	if err := l.Ops.StatAt(dir.Fd(), temp, &st); err == nil && lockIDOf(&st) == old {
		_ = l.Ops.Unlink(dir.Fd(), temp)
		return nil
	}
	// Somebody else had taken it over just before: give it back.
	if err := l.Ops.Exchange(dir.Fd(), temp, dir.Fd(), name); err != nil {
		return err
	}
	_ = l.Ops.Unlink(dir.Fd(), temp)
	return ErrHeld
}

// Held tells for how long the lock has been held.
func (k *Lock) Held() time.Duration { return k.l.Now().Sub(k.Since) }

// Release removes the lock file. ErrStolen where it is not ours any more. An
// error of the file system is tried again: a lock that is left behind keeps the
// server waiting until it finds that this process is dead.
func (k *Lock) Release() error {
	var err error
	for range 3 {
		var st unix.Stat_t
		err = k.l.Ops.StatAt(k.dir.Fd(), k.name, &st)
		if errors.Is(err, os.ErrNotExist) || err == nil && lockIDOf(&st) != k.id {
			return fmt.Errorf("%w: %q in %q", ErrStolen, k.name, k.dir.Path())
		}
		if err != nil {
			continue
		}
		if err = k.l.Ops.Unlink(k.dir.Fd(), k.name); err == nil {
			return nil
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil // the call took effect although it was denied
		}
	}
	return err
}
