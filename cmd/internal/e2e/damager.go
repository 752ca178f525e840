//go:build e2e

package e2e

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// strike is when a damager destroys messages beyond those that it destroys by
// the clock.
type strike uint8

const (
	anywhere     strike = iota // never
	whereRenamed               // a message whose flags a server has just changed
	wherePutBack               // a message that a restore has just linked into place
	whileWriting               // any message, while a restore has copies in tmp
)

// damager destroys files of anna's INBOX of which the backup has a copy: one
// every 120 ms wherever it may be, and more at its chosen moments.
type damager struct {
	cur       string
	events    *os.File
	stop      chan struct{}
	wg        sync.WaitGroup
	destroyed atomic.Int64
}

func (d *dovecot) startDamager(s strike) *damager {
	d.t.Helper()
	m := &damager{cur: filepath.Join(d.maildir(anna), "cur"), stop: make(chan struct{})}
	m.wg.Go(m.byTheClock)
	if s == anywhere {
		return m
	}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		d.t.Fatal(err)
	}
	m.events = os.NewFile(uintptr(fd), "inotify")
	dir, mask := m.cur, uint32(unix.IN_CREATE)
	switch s {
	case whereRenamed:
		mask = unix.IN_MOVED_TO
	case whileWriting:
		dir = filepath.Join(d.maildir(anna), "tmp")
	}
	if _, err := unix.InotifyAddWatch(fd, dir, mask); err != nil {
		d.t.Fatal(err)
	}
	m.wg.Go(func() { m.byEvents(s) })
	return m
}

// end stops and returns how many files were destroyed.
func (m *damager) end() int64 {
	close(m.stop)
	if m.events != nil {
		_ = m.events.Close()
	}
	m.wg.Wait()
	return m.destroyed.Load()
}

func (m *damager) byTheClock() {
	r := rand.New(rand.NewPCG(3, 3))
	tick := time.NewTicker(120 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-tick.C:
			m.any(r)
		}
	}
}

// byEvents spares every second message, or else nothing would be put back for
// long, and rests between two strokes beside a server that renames all the time.
func (m *damager) byEvents(s strike) {
	r := rand.New(rand.NewPCG(3, uint64(s)))
	buf := make([]byte, 1<<16)
	var last time.Time
	for {
		n, err := m.events.Read(buf)
		if err != nil {
			return
		}
		for p := buf[:n]; len(p) >= unix.SizeofInotifyEvent; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&p[0]))
			name := string(bytes.TrimRight(p[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+e.Len], "\x00"))
			p = p[unix.SizeofInotifyEvent+e.Len:]
			switch {
			case r.IntN(2) == 0 || s == whereRenamed && time.Since(last) < 100*time.Millisecond:
			case s == whileWriting:
				if strings.HasPrefix(name, "mailsync.") { // no server's delivery
					m.any(r)
				}
			default:
				m.destroy(name)
				last = time.Now()
			}
		}
	}
}

func (m *damager) any(r *rand.Rand) {
	names, err := os.ReadDir(m.cur)
	if err == nil && len(names) > 0 {
		m.destroy(names[r.IntN(len(names))].Name())
	}
}

func (m *damager) destroy(name string) {
	path := filepath.Join(m.cur, name)
	p, err := os.ReadFile(path)
	if err != nil || strings.Contains(messageID(p), "<load-") {
		return // only what the backup has
	}
	if os.Remove(path) == nil {
		m.destroyed.Add(1)
	}
}
