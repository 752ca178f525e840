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
		if rel := strings.TrimPrefix(path, dir); err == nil && !strings.HasPrefix(rel, "/var/lib/dpkg") && !strings.HasPrefix(rel, "/var/lib/rpm") {
			all[rel] = true
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// Every file of two builds is the same; each package is what its own tools call
// sound, for both machines, and the one of this machine can be installed, used
// and removed.
func TestPackage(t *testing.T) {
	needs(t, "dpkg-deb", "dpkg", "rpmbuild", "rpm", "git")
	t.Chdir("../../..")
	out := [2]string{filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")}
	for _, o := range out {
		if err := run(false, false, "", "", o, []string{"amd64", "arm64"}); err != nil {
			t.Fatal(err)
		}
	}
	names, err := os.ReadDir(out[0])
	if err != nil || len(names) != 9 {
		t.Fatalf("%v, %v", names, err)
	}
	found := map[string]string{}
	for _, n := range names {
		one, err1 := os.ReadFile(filepath.Join(out[0], n.Name()))
		two, err2 := os.ReadFile(filepath.Join(out[1], n.Name()))
		if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
			t.Errorf("%s is not the same when it is built again (%v, %v)", n.Name(), err1, err2)
		}
		for _, end := range []string{"_amd64.deb", "_arm64.deb", ".x86_64.rpm", ".aarch64.rpm"} {
			if strings.HasSuffix(n.Name(), end) {
				found[end] = filepath.Join(out[0], n.Name())
			}
		}
		if strings.HasSuffix(n.Name(), ".cdx.json") {
			var b bill
			if err := json.Unmarshal(one, &b); err != nil || len(b.Components) < 10 {
				t.Errorf("%s: %d components, %v", n.Name(), len(b.Components), err)
			}
		}
	}
	if len(found) != 4 {
		t.Fatalf("packages: %v", found)
	}
	t.Run("lintian", func(t *testing.T) {
		needs(t, "lintian")
		if said := do(t, "lintian", "--allow-root", "--fail-on", "error,warning", found["_amd64.deb"]); strings.Contains(said, "E:") || strings.Contains(said, "W:") {
			t.Error(said)
		}
	})
	t.Run("machines", func(t *testing.T) {
		for end, want := range map[string]string{"_amd64.deb": "amd64\n", "_arm64.deb": "arm64\n"} {
			if got := do(t, "dpkg-deb", "--field", found[end], "Architecture"); got != want {
				t.Errorf("%s is for %s", found[end], got)
			}
		}
		for end, want := range map[string]string{".x86_64.rpm": "x86_64 linux", ".aarch64.rpm": "aarch64 linux"} {
			if got := do(t, "rpm", "-qp", "--qf", "%{ARCH} %{OS}", found[end]); got != want {
				t.Errorf("%s is for %s", found[end], got)
			}
		}
	})
	t.Run("rpm", func(t *testing.T) { soundRPM(t, found[".x86_64.rpm"]) })
	t.Run("signature", func(t *testing.T) { signature(t, out[0]) })
	root, path := "", ""
	for _, p := range []string{".deb", ".rpm"} {
		t.Run("install"+p, func(t *testing.T) {
			if p == ".deb" {
				root, path = debRoot(t), found["_amd64.deb"]
			} else {
				root, path = t.TempDir(), found[".x86_64.rpm"]
			}
			installed(t, root, path)
		})
	}
}

// debRoot is a root in which dpkg finds nothing but its own database.
func debRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg", f), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// system are directories that belong to the system and to no package of ours.
var system = []string{"tmp", "etc/systemd/system", "var/lib/systemd", "usr/bin", "usr/lib/systemd/system", "usr/share/doc", "usr/share/licenses", "usr/share/man/man8"}

// A clean root, the package, a drill with it, units enabled, and away with it:
// nothing is left.
func installed(t *testing.T, root, pkg string) {
	for _, dir := range system {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// There is no shell in the root: scripts are run from outside, told of it by
	// DPKG_ROOT, or not at all.
	manage := func(deb, rpm []string) {
		if strings.HasSuffix(pkg, ".deb") {
			do(t, "dpkg", append([]string{"--root=" + root, "--force-not-root", "--force-script-chrootless"}, deb...)...)
			return
		}
		do(t, "rpm", append([]string{"--root=" + root, "--dbpath=/var/lib/rpm", "--force-debian", "--nodeps", "--noscripts"}, rpm...)...)
	}
	if strings.HasSuffix(pkg, ".rpm") {
		do(t, "rpm", "--root="+root, "--dbpath=/var/lib/rpm", "--initdb")
	}
	before := listing(t, root)
	manage([]string{"--install", pkg}, []string{"--install", pkg})
	units := "/usr/lib/systemd/system/"
	if strings.HasSuffix(pkg, ".deb") {
		units = "/lib/systemd/system/"
	}
	for _, want := range []string{"/usr/bin/mailsync", "/usr/share/man/man8/mailsync-manifest-stopped.8.gz", units + "mailsync-scan.timer", "/usr/share/bash-completion/completions/mailsync", docDir + "/examples/mailsync.rules.yml"} {
		if _, err := os.Stat(filepath.Join(root, want)); err != nil {
			t.Error(err)
		}
	}
	cmd := exec.Command(filepath.Join(root, "usr/bin/mailsync"), "drill", "power-loss", "--auto")
	cmd.Env = []string{"TMPDIR=" + filepath.Join(root, "tmp"), "HOME=/nonexistent", "MAILSYNC_STATE=" + filepath.Join(root, "tmp/none")}
	if said, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(said, []byte("Nothing is lost")) {
		t.Fatalf("the drill: %v\n%s", err, said)
	}
	if strings.HasSuffix(pkg, ".deb") {
		// The rpm's scriptlet does this where systemd is.
		needs(t, "systemctl", "deb-systemd-helper")
		do(t, "systemctl", "--root="+root, "enable", "mailsync-scan.timer", "mailsync-stop.service", "mailsync-boot.service")
	}
	manage([]string{"--purge", packageName}, []string{"--erase", packageName})
	after := listing(t, root)
	for path := range after {
		if !before[path] {
			t.Errorf("left behind: %s", path)
		}
	}
}

// soundRPM checks what rpm itself says of the package.
func soundRPM(t *testing.T, pkg string) {
	if said := do(t, "rpm", "--checksig", pkg); !strings.Contains(said, "digests OK") {
		t.Error(said)
	}
	info := do(t, "rpm", "-qip", pkg)
	for _, want := range []string{"Name        : " + packageName + "\n", "License     : MIT\n", "Build Host  : none\n", "Signature   : (none)\n"} {
		if !strings.Contains(info, want) {
			t.Errorf("no %q in\n%s", want, info)
		}
	}
	// Mode, owner and name of every file.
	files := do(t, "rpm", "-qp", "--qf", "[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\n]", pkg)
	for _, want := range []string{"-rwxr-xr-x root:root /usr/bin/mailsync\n", "-rw-r--r-- root:root /usr/lib/systemd/system/mailsync-boot.service\n", "-rw-r--r-- root:root /usr/share/zsh/site-functions/_mailsync\n", "drwxr-xr-x root:root " + docDir + "\n", "/usr/share/licenses/" + packageName + "/LICENSE\n"} {
		if !strings.Contains(files, want) {
			t.Errorf("no %q in\n%s", want, files)
		}
	}
	for line := range strings.Lines(files) {
		if !strings.Contains(line, " root:root ") || strings.Contains(line, "vendor-completions/_mailsync") {
			t.Errorf("%q", line)
		}
	}
	if needs := do(t, "rpm", "-qp", "--requires", pkg); strings.Contains(needs, ".so") || strings.Contains(needs, "GLIBC") {
		t.Errorf("a static program needs\n%s", needs)
	}
	if c := do(t, "rpm", "-qp", "--conflicts", pkg); c != "mailsync\n" {
		t.Errorf("conflicts with %q", c)
	}
	for name, tag := range map[string]string{"post": "POSTIN", "preun": "PREUN", "postun": "POSTUN"} {
		script := do(t, "rpm", "-qp", "--qf", "%{"+tag+"}", pkg)
		cmd := exec.Command("sh", "-n")
		cmd.Stdin = strings.NewReader(script)
		if said, err := cmd.CombinedOutput(); err != nil || !strings.Contains(script, "systemctl") {
			t.Errorf("%%%s: %v %s\n%s", name, err, said, script)
		}
	}
}

// signature signs the sums with a key that is thrown away, and lets minisign and
// sha256sum look: the one signature is one of every file.
func signature(t *testing.T, dir string) {
	needs(t, "minisign", "sha256sum")
	tmp := t.TempDir()
	secret, public := filepath.Join(tmp, "secret"), filepath.Join(tmp, "public")
	do(t, "minisign", "-G", "-W", "-s", secret, "-p", public)
	if err := signed(dir, "v1", secret); err != nil {
		t.Fatal(err)
	}
	sums := filepath.Join(dir, sumsName)
	if said := do(t, "minisign", "-V", "-p", public, "-m", sums); !strings.Contains(said, "mailsync v1, the sums of all files of this release") {
		t.Error(said)
	}
	check := exec.Command("sha256sum", "--check", "--strict", "--quiet", sumsName)
	check.Dir = dir
	if said, err := check.CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("%v\n%s", err, said)
	}
	if err := signed(dir, "v1-dirty", secret); err == nil {
		t.Error("what no commit holds is signed")
	}
	if err := os.WriteFile(sums, []byte("something else\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command("minisign", "-V", "-p", public, "-m", sums).CombinedOutput(); err == nil {
		t.Errorf("other sums are signed, too: %s", said)
	}
}

func TestInstall(t *testing.T) {
	t.Chdir("../../..")
	root := t.TempDir()
	for _, dir := range standard {
		if err := os.MkdirAll(filepath.Join(root, "usr/local", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before := listing(t, root)
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
	after := listing(t, root)
	for path := range after {
		if !before[path] {
			t.Errorf("left behind: %s", path)
		}
	}
	if len(after) != len(before) {
		t.Errorf("of %d directories %d are left", len(before), len(after))
	}
}
