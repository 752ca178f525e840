//go:build hostile

package hostile

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mailsync/cmd/internal/sample"
)

// The capabilities that docs/security.md names.
var (
	reading = []uintptr{unix.CAP_DAC_READ_SEARCH, unix.CAP_FOWNER}
	writing = append([]uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_CHOWN}, reading...)
)

const nobody = 65534

// as runs the program as a user who owns nothing, with some capabilities.
func (g *ground) as(caps []uintptr, args ...string) (code int, output string) {
	g.t.Helper()
	c := exec.Command(product(g.t), append(args, "--state", g.path("state"))...)
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: caps}
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		g.t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(out)
}

// Root is not needed: a user who owns no mail reads with two capabilities and
// restores with two more; owners and modes are right afterwards. With less it
// refuses, and changes nothing.
func TestCapabilities(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: giving files away needs root")
	}
	g := newGround(t, sample.Options{Seed: 4, Mailboxes: 3, PerMailbox: 5})
	must(t, os.MkdirAll(g.path("state"), 0o700))
	must(t, os.Chown(g.path("state"), nobody, nobody))
	for i, box := range g.e.Boxes {
		for _, root := range []string{g.store(), g.replica()} {
			must(t, filepath.WalkDir(filepath.Join(root, box.Path), func(path string, d os.DirEntry, err error) error {
				if err != nil {
					return err
				}
				mode := os.FileMode(0o600)
				if d.IsDir() {
					mode = 0o700
				}
				return errors.Join(os.Chown(path, 2001+i, 3001+i), os.Chmod(path, mode))
			}))
		}
	}
	before := g.look("store")
	if code, out := g.as(nil, "scan", g.store()); code != 3 && code != 77 {
		t.Errorf("scan without any capability: exit %d\n%s", code, out)
	}
	for _, store := range []string{g.store(), g.replica()} {
		if code, out := g.as(reading, "scan", store); code != 0 || bytes.Contains([]byte(out), []byte("access times")) {
			t.Fatalf("scan: exit %d\n%s", code, out)
		}
	}
	if code, out := g.as(reading, "verify", g.store()); code != 0 {
		t.Errorf("verify: exit %d\n%s", code, out)
	}
	lost := g.e.Boxes[1].Folders[0].Messages[0].Path(g.store())
	must(t, os.Remove(lost))
	delete(before, lost)
	restore := []string{"restore", g.store(), "--from", g.replica(), "--undelete", "--yes"}
	if code, out := g.as(reading, restore...); code == 0 || code == 70 {
		t.Errorf("restore with the capabilities of reading: exit %d\n%s", code, out)
	}
	for _, d := range same(before, g.look("store")) {
		t.Error(d)
	}
	if code, out := g.as(writing, restore...); code != 0 {
		t.Errorf("restore: exit %d\n%s", code, out)
	}
	var st syscall.Stat_t
	must(t, syscall.Stat(lost, &st))
	if st.Uid != 2002 || st.Gid != 3002 || st.Mode&0o777 != 0o600 {
		t.Errorf("put back for %d:%d with mode %o", st.Uid, st.Gid, st.Mode&0o777)
	}
	for _, bad := range g.e.Check(g.store()) {
		t.Error(bad)
	}
}
