package place

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/scan/beneath"
)

// lockTest is a directory and a Locker with a clock of its own.
type lockTest struct {
	t     *testing.T
	path  string
	dir   *beneath.Dir
	l     *Locker
	now   time.Time
	alive map[int]bool
	tries int
	on    func() // before each pause
}

func newLockTest(t *testing.T) *lockTest {
	t.Helper()
	x := &lockTest{t: t, path: t.TempDir(), now: time.Now(), alive: map[int]bool{}}
	d, err := beneath.OpenRoot(x.path, beneath.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	x.dir = d
	n := 0
	x.l = NewLocker(NewOps(nil), "here", func() string { n++; return fmt.Sprintf("mailsync.test.%d", n) })
	x.l.Now = func() time.Time { return x.now }
	x.l.Boot = x.now.Add(-time.Hour)
	x.l.Alive = func(pid int) bool { return x.alive[pid] }
	x.l.Pause = func(_ context.Context, d time.Duration) error {
		x.tries++
		x.now = x.now.Add(d)
		if x.on != nil {
			x.on()
		}
		return nil
	}
	return x
}

func (x *lockTest) file() string { return filepath.Join(x.path, "dovecot-uidlist.lock") }

func (x *lockTest) held(content string, age time.Duration) {
	x.t.Helper()
	if err := os.WriteFile(x.file(), []byte(content), 0o600); err != nil {
		x.t.Fatal(err)
	}
	at := x.now.Add(-age)
	if err := os.Chtimes(x.file(), at, at); err != nil {
		x.t.Fatal(err)
	}
}

func (x *lockTest) acquire() (*Lock, error) {
	return x.l.Acquire(context.Background(), x.dir, "dovecot-uidlist.lock")
}

func TestLockContentAndRelease(t *testing.T) {
	x := newLockTest(t)
	k, err := x.acquire()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(x.file())
	if err != nil || string(b) != fmt.Sprintf("%d:here", os.Getpid()) {
		t.Errorf("content %q, %v", b, err)
	}
	if err := k.Release(); err != nil {
		t.Error(err)
	}
	if list, _ := os.ReadDir(x.path); len(list) != 0 {
		t.Errorf("left: %v", list)
	}
}

func TestLockOfOthers(t *testing.T) {
	for _, c := range []struct {
		name    string
		content string
		age     time.Duration
		alive   bool
		want    bool // it is taken over
	}{
		{"a live process of this host", "77:here", 0, true, false},
		{"a live process of this host that does not touch its lock", "77:here", 10 * time.Minute, true, false},
		{"a dead process of this host", "77:here", time.Second, false, true},
		{"a process of this host before the boot, its number given again", "77:here", 2 * time.Hour, true, true},
		{"another host, fresh", "77:there", 10 * time.Second, false, false},
		{"another host, stale", "77:there", 121 * time.Second, false, true},
		{"no content, fresh", "", time.Second, false, false},
		{"no content, stale", "", 121 * time.Second, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newLockTest(t)
			x.l.Wait = time.Second // less than it takes a fresh lock to grow stale
			x.alive[77] = c.alive
			x.held(c.content, c.age)
			k, err := x.acquire()
			if c.want {
				if err != nil {
					t.Fatal(err)
				}
				if err := k.Release(); err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrHeld) {
				t.Fatalf("%v, want ErrHeld", err)
			}
			if b, err := os.ReadFile(x.file()); err != nil || string(b) != c.content {
				t.Errorf("the lock of another was touched: %q %v", b, err)
			}
		})
	}
}

// A holder that lets go is waited for.
func TestLockWaits(t *testing.T) {
	x := newLockTest(t)
	x.alive[77] = true
	x.held("77:here", 0)
	x.on = func() {
		if x.tries == 3 {
			_ = os.Remove(x.file())
		}
	}
	k, err := x.acquire()
	if err != nil {
		t.Fatal(err)
	}
	if x.tries != 3 {
		t.Errorf("%d tries", x.tries)
	}
	if err := k.Release(); err != nil {
		t.Error(err)
	}
}

// Between judging a lock stale and taking it over a live one takes its place:
// it is given back.
func TestLockTakeOverRace(t *testing.T) {
	x := newLockTest(t)
	x.l.Wait = time.Second
	x.held("77:there", 200*time.Second)
	real := x.l.Ops.c.Exchange
	first := true
	c := *x.l.Ops.c
	c.Exchange = func(a int, an string, b int, bn string) error {
		if first {
			first = false
			_ = os.Remove(x.file())
			x.held("88:there", 0)
		}
		return real(a, an, b, bn)
	}
	x.l.Ops = NewOps(&c)
	if _, err := x.acquire(); !errors.Is(err, ErrHeld) {
		t.Fatalf("%v, want ErrHeld", err)
	}
	if b, err := os.ReadFile(x.file()); err != nil || string(b) != "88:there" {
		t.Errorf("the live lock: %q %v", b, err)
	}
	if list, _ := os.ReadDir(x.path); len(list) != 1 {
		t.Errorf("left: %v", list)
	}
}

// A power cut takes what no sync has made durable. The content of a lock is
// durable before the lock exists, so that what a cut leaves says whose it was:
// neither the server nor the next run waits until it grows stale.
func TestLockIsWholeBeforeItExists(t *testing.T) {
	x := newLockTest(t)
	synced := map[uint64]bool{}
	c := *x.l.Ops.c
	real := c
	c.Fsync = func(fd int) error {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err == nil {
			synced[st.Ino] = st.Size > 0
		}
		return real.Fsync(fd)
	}
	c.Linkat = func(a int, an string, b int, bn string) error {
		var st unix.Stat_t
		if err := unix.Fstatat(a, an, &st, 0); err != nil || !synced[st.Ino] {
			t.Errorf("%s is linked to %s before its content is durable (%v)", an, bn, err)
		}
		return real.Linkat(a, an, b, bn)
	}
	x.l.Ops = NewOps(&c)
	k, err := x.acquire()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Release(); err != nil {
		t.Error(err)
	}
	x.held("77:there", 200*time.Second) // stale: taken over
	if k, err = x.acquire(); err != nil {
		t.Fatal(err)
	}
	if err := k.Release(); err != nil {
		t.Error(err)
	}
	if list, _ := os.ReadDir(x.path); len(list) != 0 {
		t.Errorf("left: %v", list)
	}
}

// One lock file that was made ready is taken several times, and grows too old
// to be taken: others judge it by its age.
func TestLockReadyIsTakenAgain(t *testing.T) {
	x := newLockTest(t)
	r, err := x.l.Prepare(x.dir, false)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		k, err := x.l.Take(context.Background(), r, "dovecot-uidlist.lock")
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Release(); err != nil {
			t.Error(err)
		}
	}
	if !x.l.Fresh(r) {
		t.Error("not fresh at once")
	}
	x.now = x.now.Add(time.Minute)
	if x.l.Fresh(r) {
		t.Error("fresh after a minute")
	}
	x.l.Drop(r)
	if list, _ := os.ReadDir(x.path); len(list) != 0 {
		t.Errorf("left: %v", list)
	}
}

// A lock that was taken away is not removed: it is another's by now.
func TestLockStolen(t *testing.T) {
	x := newLockTest(t)
	k, err := x.acquire()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(x.file()); err != nil {
		t.Fatal(err)
	}
	x.held("99:there", 0)
	if err := k.Release(); !errors.Is(err, ErrStolen) {
		t.Errorf("%v, want ErrStolen", err)
	}
	if b, _ := os.ReadFile(x.file()); string(b) != "99:there" {
		t.Errorf("the other's lock: %q", b)
	}
}

// A symbolic link or FIFO in the lock's place is neither followed nor removed.
func TestLockHostile(t *testing.T) {
	for _, kind := range []string{"link", "fifo"} {
		t.Run(kind, func(t *testing.T) {
			x := newLockTest(t)
			outside := filepath.Join(t.TempDir(), "outside")
			if err := os.WriteFile(outside, []byte("1:there"), 0o600); err != nil {
				t.Fatal(err)
			}
			var err error
			if kind == "link" {
				err = os.Symlink(outside, x.file())
			} else {
				err = unix.Mkfifo(x.file(), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := x.acquire(); err == nil {
				t.Error("acquired")
			}
			if b, _ := os.ReadFile(outside); string(b) != "1:there" {
				t.Errorf("the outside: %q", b)
			}
			if _, err := os.Lstat(x.file()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMountOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mountinfo")
	text := "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue,data=writeback\n" +
		"37 35 98:1 / /m3 rw - ext4 /dev/sdb1 rw\nbroken line\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for dev, want := range map[uint64]mount{
		unix.Mkdev(98, 0): {Type: "ext3", Source: "/dev/root", Options: "rw,errors=continue,data=writeback"},
		unix.Mkdev(98, 1): {Type: "ext4", Source: "/dev/sdb1", Options: "rw"},
		unix.Mkdev(1, 1):  {},
	} {
		if got := mountOf(file, dev); got != want {
			t.Errorf("%#x: %+v, want %+v", dev, got, want)
		}
	}
	if got := mountOf(file+".not", unix.Mkdev(98, 1)); got != (mount{}) {
		t.Errorf("without the file: %+v", got)
	}
}

func TestRisk(t *testing.T) {
	for _, c := range []struct {
		d         Disk
		typ, want string
	}{
		{Disk{Type: magicExt4, Batches: true}, "ext4", ""},
		{Disk{Type: magicXFS, Batches: true}, "xfs", ""},
		{Disk{Type: magicBtrfs, Batches: true}, "btrfs", ""},
		{Disk{Type: magicExt4, Batches: true, Unordered: "ext4 is mounted with data=writeback"}, "ext4", "data=writeback"},
		{Disk{Type: magicExt4, Batches: true}, "ext3", "is ext3:"},
		{Disk{Type: 0x794c7630}, "overlay", "is overlay:"},
		{Disk{Type: 0x794c7630}, "", "0x794c7630"},
		{Disk{Type: 0x794c7630}, "ext4", "0x794c7630"},
	} {
		if got := risk(&c.d, c.typ); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v as %q: %q", c.d, c.typ, got)
		}
	}
}

// Whatever an owner writes into a lock file, that of a live process of this host
// and this boot is never taken over, and no young one but a dead process'.
func FuzzLockContent(f *testing.F) {
	for _, s := range []string{"77:here", "77:there", "78:here\n", "", "-77:here", "77", ":here", "99999999999999999999:here", "77:here:x", "\x0077:here"} {
		for _, age := range []uint16{0, 119, 121, 4000} {
			f.Add(s, age)
		}
	}
	f.Fuzz(func(t *testing.T, content string, seconds uint16) {
		x := newLockTest(t)
		x.alive[77] = true
		age := time.Duration(seconds) * time.Second
		x.held(content, age)
		_, stale, err := x.l.stale(x.dir, "dovecot-uidlist.lock")
		if err != nil {
			t.Fatal(err)
		}
		if len(content) > 512 {
			return
		}
		now := age <= time.Hour // since the boot
		pid, host, _ := strings.Cut(content, ":")
		here := strings.TrimSpace(host) == "here" && strings.Trim(strings.TrimPrefix(pid, "+"), "0123456789") == ""
		switch {
		case pid == "77" && host == "here" && stale == now:
			t.Errorf("%q, %s old, held by a live process: stale %v", content, age, stale)
		case !here && stale != (age > StaleAfter):
			t.Errorf("%q, %s old, held by nobody that is known here: stale %v", content, age, stale)
		}
	})
}
