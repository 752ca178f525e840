//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A lock that a dead process of this host has left is recognised: restore
// does not wait for it, and the server goes on with the folder.
func TestStaleLock(t *testing.T) {
	d, before := ready(t, 40)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	lose(t, d.victims(t))
	lock := filepath.Join(d.maildir(anna), uidlistLock)
	if err := os.WriteFile(lock, fmt.Appendf(nil, "%d:%s", dead.Process.Pid, host), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(lock, mailUser, mailUser); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	run(t, b, []int{0}, "restore", "primary", "--from", "backup", "--yes")
	if took := time.Since(began); took > 25*time.Second { // it waits 30 s for a living one
		t.Errorf("restore waited %v for a dead process", took)
	}
	if _, err := os.Stat(lock); !os.IsNotExist(err) {
		t.Errorf("the lock of the dead process is still there: %v", err)
	}
	same(t, before, d.look(anna), false)
	noComplaints(t, d)
}
