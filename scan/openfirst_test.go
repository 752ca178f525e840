package scan

import (
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/scan/beneath"
)

// TestOpenFirst: what is opened before anybody decided about it is seen as it
// is otherwise, whether it is read, left, or cannot be opened.
func TestOpenFirst(t *testing.T) {
	for name, broken := range map[string]string{"all can be opened": "", "one cannot": "2."} {
		t.Run(name, func(t *testing.T) {
			b := newTree(t)
			b.maildir("u")
			for _, unique := range []string{"1", "2", "3", "4"} {
				b.put("u/cur", unique+".h", mail(unique, 300), ":2,S")
			}
			b.old()
			var stats atomic.Int64
			calls := beneath.System()
			openat2, statx := calls.Openat2, calls.Statx
			calls.Openat2 = func(fd int, path string, how *unix.OpenHow) (int, error) {
				if broken != "" && strings.HasPrefix(path, broken) {
					return -1, unix.EACCES
				}
				return openat2(fd, path, how)
			}
			calls.Statx = func(fd int, path string, flags, mask int, st *unix.Statx_t) error {
				if strings.Contains(path, ".h") {
					stats.Add(1)
				}
				return statx(fd, path, flags, mask, st)
			}
			s := scanner(t, b.path, Options{Calls: calls})
			old := mustLook(t, s, "u", nil, LookOptions{})
			for choice, decide := range map[string]func(seen, old *manifest.Entry, same bool) Choice{
				"read": DecideRead, "left": decideLeave, "by stamp": DecideByStamp,
			} {
				want := mustLook(t, s, "u", old, LookOptions{Decide: decide})
				stats.Store(0)
				got := mustLook(t, s, "u", old, LookOptions{Decide: decide, OpenFirst: true})
				for i := range want.entries {
					want.entries[i].Checked, got.entries[i].Checked = 0, 0
				}
				if !reflect.DeepEqual(got.entries, want.entries) || !reflect.DeepEqual(got.findings, want.findings) {
					t.Errorf("%s: %+v %v, want %+v %v", choice, got.entries, got.kinds(), want.entries, want.kinds())
				}
				if n := stats.Load(); broken == "" && n != 0 || broken != "" && n != 1 {
					t.Errorf("%s: %d calls of statx", choice, n)
				}
			}
		})
	}
}
