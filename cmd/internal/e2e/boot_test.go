//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"mailsync/cmd/internal/drive"
)

// inBoot runs a program as if the machine had been started just now: the
// kernel's id of the boot is another one, and the clock since the boot is new.
func inBoot(t *testing.T, d *dovecot, b drive.Bin, n int) drive.Bin {
	t.Helper()
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	var up float64
	if _, err := fmt.Sscan(string(text), &up); err != nil {
		t.Fatal(err)
	}
	id := d.file(fmt.Sprintf("boot-%d", n))
	if err := os.WriteFile(id, fmt.Appendf(nil, "%08d-1111-4111-8111-111111111111\n", n), 0o644); err != nil {
		t.Fatal(err)
	}
	b.Wrap = []string{
		"unshare", "--mount", "--time", "--fork", "--boottime", fmt.Sprint(-int(up)), "sh", "-c",
		`mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"`, id,
	}
	return b
}

// A server that is stopped in good order, with `manifest stopped` after it, and
// a machine that is started again: the next scan reads nothing anew. Where
// nobody recorded the stop, it reads everything.
func TestCleanStop(t *testing.T) {
	if out, err := exec.Command("unshare", "--mount", "--time", "--fork", "true").CombinedOutput(); err != nil {
		missing(t, "this kernel gives no clock of its own: "+strings.TrimSpace(string(out)))
	}
	d, before := ready(t, 40)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	d.stop()
	run(t, b, []int{0}, "manifest", "stopped", "primary")
	settle()

	second := inBoot(t, d, b, 2)
	if r, err := second.Text(t.Context(), "manifest", "started", "primary"); err != nil || r.Code != 0 || !strings.Contains(r.Stdout, "no crash lies between") {
		t.Errorf("started after a clean stop: %v: %s%s", err, r.Stdout, r)
	}
	d.start()
	same(t, before, d.look(anna), false)
	if r := clean(t, second, "scan", "primary"); r.Count("read_bytes") != 0 || r.Count("messages") == 0 {
		t.Errorf("the scan after a clean stop read anew: %s", r)
	}

	settle()
	third := inBoot(t, d, b, 3) // and nobody said that it was stopped
	r, err := third.Text(t.Context(), "manifest", "started", "primary")
	if err != nil || r.Code != 0 || !strings.Contains(r.Stdout, "a crash may lie between") {
		t.Errorf("started after what may be a crash: %v: %s%s", err, r.Stdout, r)
	}
	if r := clean(t, third, "scan", "primary"); r.Count("read_bytes") == 0 {
		t.Errorf("the scan after what may be a crash trusted the record: %s", r)
	}
	noComplaints(t, d)
}
