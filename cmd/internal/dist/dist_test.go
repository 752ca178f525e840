//go:build dist

package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// needs skips where a tool is missing.
func needs(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
}

func do(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// listing is every file below a directory.
func listing(t *testing.T, dir string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if rel := strings.TrimPrefix(path, dir); err == nil && !strings.HasPrefix(rel, "/var/lib/dpkg") {
			all[rel] = true
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPackage(t *testing.T) {
	needs(t, "dpkg-deb", "dpkg", "git")
	t.Chdir("../../..")
	out := [2]string{filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")}
	for _, o := range out {
		if err := run(false, false, "", "", o, []string{"amd64"}); err != nil {
			t.Fatal(err)
		}
	}
	names, err := os.ReadDir(out[0])
	if err != nil || len(names) != 4 {
		t.Fatalf("%v, %v", names, err)
	}
	var deb string
	for _, n := range names {
		one, err1 := os.ReadFile(filepath.Join(out[0], n.Name()))
		two, err2 := os.ReadFile(filepath.Join(out[1], n.Name()))
		if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
			t.Errorf("%s is not the same when it is built again (%v, %v)", n.Name(), err1, err2)
		}
		if strings.HasSuffix(n.Name(), ".deb") {
			deb = filepath.Join(out[0], n.Name())
		}
		if strings.HasSuffix(n.Name(), ".cdx.json") {
			var b bill
			if err := json.Unmarshal(one, &b); err != nil || len(b.Components) < 10 {
				t.Errorf("%s: %d components, %v", n.Name(), len(b.Components), err)
			}
		}
	}
	t.Run("lintian", func(t *testing.T) {
		needs(t, "lintian")
		if said := do(t, "lintian", "--allow-root", "--fail-on", "error,warning", deb); strings.Contains(said, "E:") || strings.Contains(said, "W:") {
			t.Error(said)
		}
	})
	t.Run("install", func(t *testing.T) { installed(t, deb) })
}

// A clean root, the package, a drill with it, and away with it: nothing is left.
func installed(t *testing.T, deb string) {
	root := t.TempDir()
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg", f), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before := listing(t, root)
	dpkg := func(args ...string) {
		do(t, "dpkg", append([]string{"--root=" + root, "--force-not-root"}, args...)...)
	}
	dpkg("--install", deb)
	for _, want := range []string{"/usr/bin/mailsync", "/usr/share/man/man8/mailsync-restore.8.gz", "/lib/systemd/system/mailsync-scan.timer", "/usr/share/bash-completion/completions/mailsync", "/usr/share/doc/mailsync-maildir/copyright"} {
		if _, err := os.Stat(filepath.Join(root, want)); err != nil {
			t.Error(err)
		}
	}
	cmd := exec.Command(filepath.Join(root, "usr/bin/mailsync"), "drill", "power-loss", "--auto")
	cmd.Env = []string{"TMPDIR=" + filepath.Join(root, "tmp"), "HOME=/nonexistent", "MAILSYNC_STATE=" + filepath.Join(root, "tmp/none")}
	if said, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(said, []byte("Nothing is lost")) {
		t.Fatalf("the drill: %v\n%s", err, said)
	}
	dpkg("--purge", packageName)
	for path := range listing(t, root) {
		if !before[path] {
			t.Errorf("left behind: %s", path)
		}
	}
}

func TestInstall(t *testing.T) {
	t.Chdir("../../..")
	root := t.TempDir()
	if err := run(true, false, "/usr/local", root, "", nil); err != nil {
		t.Fatal(err)
	}
	if said := do(t, filepath.Join(root, "usr/local/bin/mailsync"), "version"); !strings.HasPrefix(said, "mailsync ") {
		t.Error(said)
	}
	unit, err := os.ReadFile(filepath.Join(root, "usr/local/lib/systemd/system/mailsync-scan.service"))
	if err != nil || !bytes.Contains(unit, []byte("ExecStart=/usr/local/bin/mailsync scan")) {
		t.Errorf("%v\n%s", err, unit)
	}
	if err := run(false, true, "/usr/local", root, "", nil); err != nil {
		t.Fatal(err)
	}
	for path := range listing(t, root) {
		if st, err := os.Stat(root + path); err == nil && !st.IsDir() {
			t.Errorf("left behind: %s", path)
		}
	}
}
