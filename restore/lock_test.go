package restore

import (
	"strings"
	"sync"
	"testing"

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
