//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// withQuota makes the server count what mailboxes hold, and bound it.
func (d *dovecot) withQuota(limit int64) {
	d.t.Helper()
	d.configure("mail_plugins = quota\nplugin {\n  quota = maildir:User quota\n  quota_rule = *:bytes=" + strconv.FormatInt(limit, 10) + "\n}\n")
}

// used is what the server says that a mailbox holds, in bytes, rounded up to
// 1,024 as it tells it, and in messages.
func (d *dovecot) used(user string) (kib, messages int64) {
	d.t.Helper()
	for line := range strings.Lines(d.doveadm("-f", "tab", "quota", "get", "-u", user)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) < 3 {
			continue
		}
		n, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			continue
		}
		switch f[1] {
		case "STORAGE":
			kib = n
		case "MESSAGE":
			messages = n
		}
	}
	return kib, messages
}

// What a plan says of a mailbox' quota is what the server says after it; and
// what the server counts after a restore is what there is.
func TestQuota(t *testing.T) {
	d, _ := ready(t, 60)
	b := product(t, d)
	d.withQuota(10 << 20)
	d.doveadm("quota", "recalc", "-u", anna)
	d.look(anna)
	kib, messages := d.used(anna)
	if kib == 0 || messages == 0 {
		t.Fatalf("the server counts %d KiB, %d messages", kib, messages)
	}
	clean(t, b, "scan", "primary")
	settle()
	var lost int64
	gone := d.victims(t)
	for _, f := range gone {
		fi, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		lost += fi.Size()
	}
	lose(t, gone)
	d.look(anna)                             // the server notices,
	d.doveadm("quota", "recalc", "-u", anna) // and counts
	less, _ := d.used(anna)
	if less >= kib {
		t.Fatalf("%d bytes were lost, and the server counts %d KiB of %d", lost, less, kib)
	}
	d.withQuota((less << 10) + lost/2) // there is room for half of it
	d.doveadm("quota", "recalc", "-u", anna)
	settle()

	r := run(t, b, []int{0, 1}, "restore", "primary", "--from", "backup", "--dry-run")
	f := forecastOf(t, r, anna)
	if f.QuotaLimit != (less<<10)+lost/2 || f.QuotaAfter <= f.QuotaLimit {
		t.Errorf("limit %d, after the restore %d: it would not fit, and is not told", f.QuotaLimit, f.QuotaAfter)
	}
	run(t, b, []int{0, 1}, "restore", "primary", "--from", "backup", "--yes")
	d.look(anna)
	now, n := d.used(anna)
	d.doveadm("quota", "recalc", "-u", anna)
	counted, m := d.used(anna)
	if now != counted || n != m || m != messages {
		t.Errorf("the server counts %d KiB in %d messages, and %d in %d when it counts anew; there were %d", now, n, counted, m, messages)
	}
	if after := (f.QuotaAfter + 1023) >> 10; after != counted {
		t.Errorf("%d KiB were foretold, there are %d", after, counted)
	}
	if _, err := os.Stat(filepath.Join(d.maildir(anna), "maildirsize")); err != nil {
		t.Error(err)
	}
	noComplaints(t, d)
}
