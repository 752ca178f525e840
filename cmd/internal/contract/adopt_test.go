package contract

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"mailsync/cmd/internal/drive"
)

// device is the number of the file system that a directory lies on.
func (l *lab) device(dir string) uint64 {
	l.t.Helper()
	var st syscall.Stat_t
	l.must(syscall.Stat(dir, &st))
	return st.Dev
}

func TestAnotherFileSystemUnderThePathIsRefusedUntilAdopted(t *testing.T) {
	l := with(t, small)
	other := ""
	for _, dir := range []string{"/var/tmp", "/tmp", "/dev/shm"} {
		if d, err := os.MkdirTemp(dir, "contract"); err == nil {
			t.Cleanup(func() { _ = os.RemoveAll(d) })
			if l.device(d) != l.device(l.dir) {
				other = d
			}
		}
	}
	if other == "" {
		t.Skip("there is only one file system here")
	}
	l.run(0, "scan", "./a")
	// A promoted backup: the same mailboxes, less mail, another file system.
	l.must(os.Rename(l.path("a"), l.path("away")))
	l.must(l.e.Write(filepath.Join(other, "a")))
	n := 0
	for m := range l.e.Messages() {
		if n++; n%4 == 0 {
			l.must(os.Remove(m.Path(filepath.Join(other, "a"))))
		}
	}
	l.must(os.Symlink(filepath.Join(other, "a"), l.path("a")))
	l.where(l.run(3, "scan", "./a"), "finding", 0, nil)
	l.kept("./a", int64(l.e.Count()))
	r := l.run(0, "scan", "./a", "--adopt")
	damaged := func(f *drive.Line) bool { return f.Kind != "quota_stale" } // the sample's sums count what is not there
	l.where(r, "finding", 0, damaged)                                      // no absence is derived from the change
	l.counts(r, map[string]int64{"vanished": 0, "messages": int64(l.e.Count() - n/4)})
	l.where(l.run(0, "verify", "./a"), "finding", 0, damaged)
}
