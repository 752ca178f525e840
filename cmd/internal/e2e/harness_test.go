//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What these tests stand on: two looks at an untouched store are equal, and
// each kind of harm is seen. A harness that cannot see harm proves nothing.
func TestHarnessSeesHarm(t *testing.T) {
	d, before := ready(t, 30)
	if diff := differences(before, d.look(anna), false); len(diff) != 0 {
		t.Fatalf("nothing was done, and a client sees: %v", diff)
	}
	total := 0
	for _, v := range before {
		total += len(v.Messages)
	}
	if total < 30 || len(before) < 5 {
		t.Fatalf("a client sees %d messages in %d folders", total, len(before))
	}
	uidlist := filepath.Join(d.maildir(anna), "dovecot-uidlist")
	for _, c := range []struct {
		name, sees string
		harm       func(files []string) error
	}{
		{"lost", "seen 1 times before, 0 times now", func(f []string) error { return os.Remove(f[0]) }},
		{"flags", "not seen before", func(f []string) error { return os.Rename(f[1], f[1]+"T") }},
		{"uidlist", "UID", func([]string) error { return os.Remove(uidlist) }},
	} {
		d.stop()
		if err := c.harm(messageFiles(t, filepath.Join(d.maildir(anna), "cur"))); err != nil {
			t.Fatal(err)
		}
		d.start()
		diff := strings.Join(differences(before, d.look(anna), false), "\n")
		if !strings.Contains(diff, c.sees) {
			t.Errorf("%s: a client sees only: %s", c.name, diff)
		}
	}
	// a naive restore of a noticed loss changes UIDs, and a changed access time is seen
	ageAccess(t, d.backup())
	a := census(t, d.backup())
	if b := census(t, d.backup()); !equal(a, b) {
		t.Error("taking a census leaves a trace")
	}
	for path, s := range a {
		if s.mode&0o170000 == 0o100000 && s.size > 0 {
			if _, err := os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if equal(a, census(t, d.backup())) {
		t.Error("a plain read of one file is not seen: access times cannot be tested here")
	}
}

func equal(a, b map[string]state) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// The load does what it says.
func TestHarnessLoad(t *testing.T) {
	d, _ := ready(t, 60)
	l := d.startLoad(true)
	time.Sleep(2 * time.Second)
	l.end()
	for _, err := range l.errs {
		t.Error(err)
	}
	t.Logf("%d operations, %d deliveries, %d expunges in two seconds", l.ops.Load(), l.delivered.Load(), l.expunged.Load())
	if l.ops.Load() < 200 || l.delivered.Load() < 5 {
		t.Error("that was no load")
	}
}
