//go:build e2e

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A crash, then the unit that runs before the server: what users had deleted is
// known from the saved log, although the server's indexes were torn and it has
// begun new ones. Without the copies the same messages would come back.
func TestSavedLogOutlivesTheServers(t *testing.T) {
	d, _ := ready(t, 48)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	clean(t, b, "scan", "backup")
	settle()
	crash := time.Now().UTC().Format(time.RFC3339)
	const deleted = 4
	d.expunge(anna, "INBOX", deleted)
	d.stop()
	gone := d.victims(t)
	lose(t, gone)

	r := run(t, b, []int{0, 1}, "verify", "primary", "--quick", "--save-evidence", "--max-duration", "5m")
	if s := r.Find("saved"); len(s) != 1 {
		t.Fatalf("%d lines of what was saved", len(s))
	}
	if err := filepath.WalkDir(d.store(), func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), "dovecot.index") {
			return os.Remove(path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	d.start()
	d.look(anna) // the server notices, and forgets
	d.stop()

	planned := func() int {
		n := 0
		for _, l := range run(t, b, []int{1}, "restore", "primary", "--from", "backup", "--crash-at", crash, "--dry-run").Find("action") {
			if l.Op == "add" && l.State == "planned" {
				n++
			}
		}
		return n
	}
	if n := planned(); n != len(gone) {
		t.Errorf("%d messages are planned, %d were lost", n, len(gone))
	}
	if err := os.Rename(d.file("msstate", "evidence"), d.file("msstate", "away")); err != nil {
		t.Fatal(err)
	}
	if n := planned(); n != len(gone)+deleted {
		t.Errorf("without the copies %d messages are planned; %d were lost and %d deleted: the test proves nothing", n, len(gone), deleted)
	}
}
