package drive

import (
	"os"
	"os/exec"
	"testing"
)

// Needs skips a test where the machine lacks something, loudly, and fails it
// where the machine promises to have everything (CI=true, MAILSYNC_REQUIRE=1).
// lacks is what the caller found missing already; "" is nothing.
func Needs(t testing.TB, lacks string, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil && lacks == "" {
			lacks = p + " is not installed"
		}
	}
	if lacks == "" {
		return
	}
	if os.Getenv("CI") == "true" && os.Getenv("MAILSYNC_REQUIRE") == "1" {
		t.Fatal("cannot run here, and must: " + lacks)
	}
	t.Skip("SKIPPED, nothing was proved: " + lacks)
}
