//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// uidlistLock is the lock file that a server holds while it changes names or
// UIDs of a folder.
const uidlistLock = "dovecot-uidlist.lock"

// holds are the times for which somebody has held locks.
type holds struct {
	times   int
	longest time.Duration
}

func (h holds) String() string {
	return fmt.Sprintf("%d times, at most %.0f ms", h.times, float64(h.longest.Microseconds())/1000)
}

// lockWatch sees who takes the lock files of a mailbox' folders, and for how long.
type lockWatch struct {
	events *os.File
	done   chan struct{}

	ours, server holds
}

// watchLocks begins to watch. What is held is measured when the kernel's events
// are read: a busy machine makes it look longer, or merges what was short.
func (d *dovecot) watchLocks(user string) *lockWatch {
	d.t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		d.t.Fatal(err)
	}
	w := &lockWatch{events: os.NewFile(uintptr(fd), "inotify"), done: make(chan struct{})}
	list, err := filepath.Glob(filepath.Join(d.maildir(user), ".[!.]*", "cur"))
	if err != nil {
		d.t.Fatal(err)
	}
	for _, cur := range append(list, filepath.Join(d.maildir(user), "cur")) {
		dir := filepath.Dir(cur)
		if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MODIFY|unix.IN_DELETE|unix.IN_MOVED_FROM); err != nil {
			d.t.Fatal(err)
		}
	}
	go w.read()
	return w
}

type hold struct {
	from  time.Time
	wrote bool
}

// read tells the two apart by how the lock file comes: the server makes it and
// then writes into it, mailsync gives a whole file that name.
func (w *lockWatch) read() {
	defer close(w.done)
	held := map[int32]hold{}
	buf := make([]byte, 1<<16)
	for {
		n, err := w.events.Read(buf)
		if err != nil {
			return
		}
		now := time.Now()
		for p := buf[:n]; len(p) >= unix.SizeofInotifyEvent; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&p[0]))
			name := string(bytes.TrimRight(p[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+e.Len], "\x00"))
			p = p[unix.SizeofInotifyEvent+e.Len:]
			if name != uidlistLock {
				continue
			}
			h, ok := held[e.Wd]
			switch {
			case e.Mask&unix.IN_CREATE != 0:
				held[e.Wd] = hold{from: now}
			case e.Mask&unix.IN_MODIFY != 0 && ok:
				h.wrote = true
				held[e.Wd] = h
			case e.Mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0 && ok:
				w.note(h.wrote, now.Sub(h.from))
				delete(held, e.Wd)
			}
		}
	}
}

func (w *lockWatch) note(server bool, took time.Duration) {
	h := &w.ours
	if server {
		h = &w.server
	}
	h.times++
	h.longest = max(h.longest, took)
}

// end stops and returns for how long mailsync and the server have held locks.
func (w *lockWatch) end() (ours, server holds) {
	_ = w.events.Close()
	<-w.done
	return w.ours, w.server
}
