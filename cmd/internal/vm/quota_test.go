//go:build vm

package vm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The faults suite's test of quotas, where the kernel has all of them.
func TestQuotas(t *testing.T) {
	m := newMachine(t)
	suite, err := filepath.Abs("../faults")
	must(t, err)
	t.Setenv("CGO_ENABLED", "0")
	do(t, "go", "test", "-c", "-tags", "faults", "-o", m.path("faults.test"), suite)
	do(t, "cp", "../../../bin/mailsync", m.path("mailsync")) // this tree may lie where the machine mounts something of its own

	out := m.boot(15*time.Minute, "modprobe -a xfs btrfs quota_v2\n", `#!/bin/bash
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmpfs /tmp
export PATH=`+os.Getenv("PATH")+` HOME=/tmp
CI=true MAILSYNC_REQUIRE=1 MAILSYNC_BIN=`+m.path("mailsync")+` `+m.path("faults.test")+` -test.v -test.run '^TestQuota$' >/dev/ttyS1 2>&1
echo o >/proc/sysrq-trigger; sleep 60
`)
	if !strings.Contains(out, "--- PASS: TestQuota ") || strings.Contains(out, "SKIP") || strings.Contains(out, "--- FAIL") {
		t.Error("the test has not passed there")
	}
}
