package restore

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/restore/place"
)

// The server's lock exists only with content that a power cut cannot take, so
// that the same command again, right after the cut, finds a lock of a dead
// process and neither waits nor ends with "try again". So do a UID list that
// is restored, for half a list renumbers messages, keyword tables and
// subscriptions.
func TestServersLockIsDurableBeforeItIsTaken(t *testing.T) {
	w := newWorld(t)
	everything(w)
	var mu sync.Mutex
	pending, durable := map[uint64]bool{}, map[uint64]bool{}
	locks, tables := 0, 0
	real := place.System()
	calls := real
	calls.Write = func(fd int, p []byte) (int, error) {
		var st unix.Stat_t
		_ = unix.Fstat(fd, &st)
		mu.Lock()
		defer mu.Unlock()
		pending[st.Ino] = true
		delete(durable, st.Ino)
		return real.Write(fd, p)
	}
	calls.Fsync = func(fd int) error {
		var st unix.Stat_t
		_ = unix.Fstat(fd, &st)
		mu.Lock()
		defer mu.Unlock()
		durable[st.Ino] = pending[st.Ino]
		return nil
	}
	calls.Syncfs = func(int) error {
		mu.Lock()
		defer mu.Unlock()
		for ino := range pending {
			durable[ino] = true
		}
		return nil
	}
	calls.Replace = func(a int, an string, b int, bn string) error {
		var st unix.Stat_t
		err := unix.Fstatat(a, an, &st, unix.AT_SYMLINK_NOFOLLOW)
		mu.Lock()
		if tables++; err != nil || !durable[st.Ino] {
			t.Errorf("%s gets its name before its content is durable (%v)", bn, err)
		}
		mu.Unlock()
		return real.Replace(a, an, b, bn)
	}
	calls.Linkat = func(a int, an string, b int, bn string) error {
		if strings.HasSuffix(bn, ".lock") || bn == uidlistName {
			var st unix.Stat_t
			err := unix.Fstatat(a, an, &st, unix.AT_SYMLINK_NOFOLLOW)
			mu.Lock()
			if locks++; err != nil || !durable[st.Ino] {
				t.Errorf("%s exists before its content is durable (%v)", bn, err)
			}
			mu.Unlock()
		}
		return real.Linkat(a, an, b, bn)
	}
	w.calls = &calls
	w.tune = func(o *PlanOptions) { o.Undecided, o.MergeFlags, o.FixUIDNext = RestoreUndecided, UnionFlags, true }
	w.restore("primary", "backup")
	if locks == 0 {
		t.Fatal("no lock was taken: the test is broken")
	}
	if tables == 0 {
		t.Fatal("no table was written: the test is broken")
	}
	w.noLeftovers("primary")
}

// An owner who puts a live lock into each of many folders makes a run wait once,
// and not once a folder; his neighbours get their mail.
func TestLocksOfOneMailboxAreWaitedForOnce(t *testing.T) {
	w := newWorld(t)
	w.wait = 100 * time.Millisecond
	const folders = 8
	dirs := []string{"", ".x"}
	for i := range folders {
		dirs = append(dirs, fmt.Sprintf(".f%d", i))
	}
	for _, box := range []string{"a", "b"} {
		for _, dir := range dirs {
			w.maildir("primary", box, dir)
			w.put("primary", box, dir, 1, ":2,S")
			w.write(w.path("primary", box, dir, uidlistName), "3 V7 N2 G0895920c9cae026bc154000083ecc375\n1 :"+msgName(1)+"\n", epoch)
		}
	}
	w.copy("primary", "backup")
	w.scan("primary", "backup")
	for _, box := range []string{"a", "b"} {
		for _, dir := range dirs {
			w.must(os.Remove(w.path("primary", box, dir, "cur", msgName(1)+":2,S")))
			if box == "a" {
				w.must(os.WriteFile(w.path("primary", box, dir, uidlistLock), fmt.Appendf(nil, "%d:testhost", os.Getpid()), 0o600))
			}
		}
	}
	var mu sync.Mutex
	tried := map[int]int{} // by the descriptor's inode
	calls := place.System()
	link := calls.Linkat
	calls.Linkat = func(a int, an string, b int, bn string) error {
		err := link(a, an, b, bn)
		var st unix.Stat_t
		if bn == uidlistLock && errors.Is(err, unix.EEXIST) && unix.Fstat(b, &st) == nil {
			mu.Lock()
			tried[int(st.Ino)]++
			mu.Unlock()
		}
		return err
	}
	w.calls = &calls
	p := w.plan("primary", "backup")
	res := w.apply(p, "primary", "backup")
	w.must(res.err)
	if res.counts.Done != int64(len(dirs)) || res.counts.Failed != int64(len(dirs)) {
		t.Errorf("%+v", res.counts)
	}
	long := 0
	for _, n := range tried {
		if n > 2 {
			long++
		}
	}
	if len(tried) != len(dirs) || long > 1 {
		t.Errorf("looked at %d locks, waited for %d of them", len(tried), long)
	}
}
