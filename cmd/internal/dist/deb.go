package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// packageName is why dist's own comment says what it says.
const packageName = "mailsync-maildir"

const control = `Package: mailsync-maildir
Version: %s
Architecture: %s
Maintainer: mailsync developers <mailsync@maildir.invalid>
Installed-Size: %d
Conflicts: mailsync
Suggests: openssh-client, prometheus-node-exporter
Section: mail
Priority: optional
Description: prove what a Maildir store holds, put back what is missing
 mailsync records what a Maildir store holds, says exactly what differs
 between its replicas, restores what was lost, and fills the gap from the
 gateway's archive, without ever losing, doubling or altering a message.
 .
 It is no relative of Debian's package mailsync, which synchronises IMAP
 mailboxes and has a command of the same name.
`

// A Go program without cgo is static on purpose: it has to run on the day on
// which the libraries do not.
// The check before the server starts belongs to the server's unit.
const overrides = packageName + `: statically-linked-binary [usr/bin/mailsync]
` + packageName + `: systemd-service-file-refers-to-unusual-wantedby-target dovecot.service [lib/systemd/system/mailsync-boot.service]
`

const copyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: mailsync

Files: *
Copyright: the mailsync authors
License: Expat
%s`

// docDir is where the packages have their documents.
const docDir = "/usr/share/doc/" + packageName

// packed is what both kinds of packages hold: the installed files, with the
// program of the machine, pages compressed, and an example.
func packed(native, bin string) ([]file, error) {
	files, err := tree(native, "/usr")
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(bin)
	if err != nil {
		return nil, err
	}
	rules, err := os.ReadFile("docs/examples/mailsync.rules.yml")
	if err != nil {
		return nil, err
	}
	for i := range files {
		f := &files[i]
		switch {
		case f.path == "/usr/bin/mailsync":
			f.data = program
		case strings.HasPrefix(f.path, "/usr/share/man/"):
			f.path, f.data = f.path+".gz", zipped(f.data)
		}
	}
	return append(files, file{docDir + "/examples/mailsync.rules.yml", 0o644, rules}), nil
}

// deb builds the package of one machine.
func (b *build) deb(native, bin, arch, root, out string) error {
	files, err := packed(native, bin)
	if err != nil {
		return err
	}
	for i := range files {
		// Debian 12 has its units there, and refuses them below /usr.
		if rest, ok := strings.CutPrefix(files[i].path, "/usr/lib/systemd/"); ok {
			files[i].path = "/lib/systemd/" + rest
		}
	}
	license, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	var text strings.Builder
	for line := range strings.Lines(string(license)) {
		line = strings.TrimRight(line, "\n")
		if line == "" {
			line = "."
		}
		text.WriteString(" " + line + "\n")
	}
	changes := fmt.Sprintf("%s (%s) unstable; urgency=medium\n\n  * As built from the source; CHANGELOG.md there says what changed.\n\n -- mailsync developers <mailsync@maildir.invalid>  %s\n", packageName, b.debian(), b.at.Format(time.RFC1123Z))
	files = append(files,
		file{docDir + "/copyright", 0o644, fmt.Appendf(nil, copyright, text.String())},
		file{docDir + "/changelog.gz", 0o644, zipped([]byte(changes))},
		file{"/usr/share/lintian/overrides/" + packageName, 0o644, []byte(overrides)},
	)
	size := 0
	for _, f := range files {
		size += (len(f.data) + 1023) / 1024
	}
	files = append(files, debScripts(unitsOf(files))...)
	files = append(files, file{"/DEBIAN/control", 0o644, fmt.Appendf(nil, control, b.debian(), arch, size)})
	if err := write(files, root, b.at); err != nil {
		return err
	}
	if err := stampDirs(root, b.at); err != nil {
		return err
	}
	cmd := exec.Command("dpkg-deb", "--root-owner-group", "--build", root, filepath.Join(out, fmt.Sprintf("%s_%s_%s.deb", packageName, b.debian(), arch)))
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", b.at.Unix()))
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg-deb: %w\n%s", err, said)
	}
	return nil
}

// stampDirs gives directories modes and times that do not depend on the builder.
func stampDirs(root string, at time.Time) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if err := os.Chmod(path, 0o755); err != nil {
			return err
		}
		return os.Chtimes(path, at, at)
	})
}

// zipped is gzip without a name or a time.
func zipped(data []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = w.Write(data) // into memory
	_ = w.Close()
	return b.Bytes()
}
