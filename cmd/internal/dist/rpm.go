package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// spec is the head of a package's description. What rpmbuild would do of itself
// (strip, compress, look for dependencies, note the builder) is switched off:
// the files are finished, the program is static, and two builds are the same.
const spec = `%%global debug_package %%{nil}
%%global __os_install_post %%{nil}
%%global _build_id_links none
Name: ` + packageName + `
Version: %s
Release: 1
Summary: Prove what a Maildir store holds, put back what is missing
License: MIT
Conflicts: mailsync
AutoReqProv: no

%%description
mailsync records what a Maildir store holds, says exactly what differs between
its replicas, restores what was lost, and fills the gap from the gateway's
archive, without ever losing, doubling or altering a message.

%%install
cp -a %%{_topdir}/tree/. "$RPM_BUILD_ROOT"

%s
%%files
%s
%%changelog
* %s mailsync developers <mailsync@maildir.invalid> - %s-1
- As built from the source; CHANGELOG.md there says what changed.
`

// rpmMachines are the names of machines in rpm.
var rpmMachines = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// rpmDirs are directories that shells own, where they are installed: the package
// owns them, too, so that they go with it where they are not.
var rpmDirs = []string{
	"/usr/share/bash-completion", "/usr/share/bash-completion/completions", "/usr/share/zsh", "/usr/share/zsh/site-functions",
	"/usr/share/fish", "/usr/share/fish/vendor_completions.d",
}

// rpm builds the package of one machine with rpmbuild, below a directory of its
// own.
func (b *build) rpm(native, bin, arch, top, out string) error {
	machine := rpmMachines[arch]
	if machine == "" {
		return fmt.Errorf("rpm has no name for %s", arch)
	}
	files, err := packed(native, bin)
	if err != nil {
		return err
	}
	license, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	licenses := "/usr/share/licenses/" + packageName
	files = append(files, file{licenses + "/LICENSE", 0o644, license})
	var list strings.Builder
	for _, dir := range append([]string{licenses, docDir, docDir + "/examples"}, rpmDirs...) {
		fmt.Fprintf(&list, "%%dir %%attr(0755,root,root) %s\n", dir)
	}
	for i := range files {
		f := &files[i]
		f.path = strings.Replace(f.path, "/zsh/vendor-completions/", "/zsh/site-functions/", 1)
		kind := ""
		switch {
		case strings.HasPrefix(f.path, licenses):
			kind = "%license "
		case strings.HasPrefix(f.path, docDir), strings.HasPrefix(f.path, "/usr/share/man/"):
			kind = "%doc "
		}
		fmt.Fprintf(&list, "%s%%attr(%04o,root,root) %s\n", kind, f.mode, f.path)
	}
	if err := write(files, filepath.Join(top, "tree"), b.at); err != nil {
		return err
	}
	if err := stampDirs(filepath.Join(top, "tree"), b.at); err != nil {
		return err
	}
	text := fmt.Sprintf(spec, b.debian(), rpmScripts(unitsOf(files)), list.String(), b.at.Format("Mon Jan 02 2006"), b.debian())
	file := filepath.Join(top, packageName+".spec")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	args := []string{"-bb", "--quiet", "--nodeps", "--target", machine + "-linux"}
	for _, d := range []string{
		"_topdir " + top, "_rpmdir " + out, "_build_name_fmt %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm",
		"_buildhost none", "use_source_date_epoch_as_buildtime 1", "clamp_mtime_to_source_date_epoch 1",
		"_binary_payload w6.xzdio", // every rpm that is in use reads it
	} {
		args = append(args, "--define", d)
	}
	cmd := exec.Command("rpmbuild", append(args, file)...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", b.at.Unix()), "HOME="+top, "TZ=UTC", "LC_ALL=C")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("rpmbuild: %w\n%s", err, said)
	}
	return nil
}
