// Command dist builds what is handed out: static binaries for two machines,
// packages for Debian and for rpm, a bill of materials for each, and checksums,
// into dist/. With a key the checksums are signed in minisign's format. It also
// installs the same files below a prefix, and takes them away again.
//
// Two builds of one commit with one Go are the same, byte for byte: times are
// the commit's, lists are sorted, nothing of the building machine gets in. Only
// the signature may differ.
//
// The packages are called mailsync-maildir: Debian has a package mailsync,
// an old tool that synchronises IMAP mailboxes and has the same command. The
// two cannot be installed together, and the package says so.
package main

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	install := flag.Bool("install", false, "install instead")
	uninstall := flag.Bool("uninstall", false, "take away what -install put")
	prefix := flag.String("prefix", "/usr/local", "where programs live")
	destdir := flag.String("destdir", "", "put in front of every path")
	out := flag.String("o", "dist", "directory to build into")
	archs := flag.String("arch", "amd64,arm64", "machines to build for")
	key := flag.String("key", "", "sign with this secret key of minisign's; $"+passwordVariable+" is its password")
	flag.Parse()
	err := run(*install, *uninstall, *prefix, *destdir, *out, strings.Split(*archs, ","))
	if err == nil && !*install && !*uninstall {
		var b *build
		if b, err = source(); err == nil {
			err = signed(*out, b.version, *key)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func run(install, uninstall bool, prefix, destdir, out string, archs []string) error {
	tmp, err := os.MkdirTemp("", "mailsync-dist-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	b, err := source()
	if err != nil {
		return err
	}
	native := filepath.Join(tmp, "mailsync")
	if err := b.compile(native, ""); err != nil {
		return err
	}
	files, err := tree(native, prefix)
	if err != nil {
		return err
	}
	switch {
	case uninstall:
		return remove(files, destdir, prefix)
	case install:
		return write(files, destdir, time.Now())
	}
	return b.all(native, tmp, out, archs)
}

// build is one state of the source.
type build struct {
	version string // as git tells it
	at      time.Time
}

// source asks git which commit this is.
func source() (*build, error) {
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", args...).Output()
		return strings.TrimSpace(string(out)), err
	}
	version, err := git("describe", "--tags", "--always", "--dirty")
	if err != nil {
		return nil, fmt.Errorf("git describe: %w", err)
	}
	stamp, err := git("log", "-1", "--format=%ct")
	if err != nil {
		return nil, fmt.Errorf("git log: %w", err)
	}
	sec, err := strconv.ParseInt(stamp, 10, 64)
	return &build{version, time.Unix(sec, 0).UTC()}, err
}

// debian is the version in Debian's form: a tag, or a commit before the first.
func (b *build) debian() string {
	if v, ok := strings.CutPrefix(b.version, "v"); ok {
		return strings.ReplaceAll(v, "-", "+")
	}
	return "0~git" + b.at.Format("20060102.150405") + "." + strings.ReplaceAll(b.version, "-", "+")
}

// compile builds the program for a machine; "" is this one.
func (b *build) compile(to, arch string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -buildid= -X main.version="+b.version, "-o", to, "./cmd/mailsync")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if arch != "" {
		cmd.Env = append(cmd.Env, "GOARCH="+arch)
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, text)
	}
	return nil
}

// all builds everything into out.
func (b *build) all(native, tmp, out string, archs []string) error {
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, arch := range archs {
		bin := filepath.Join(out, "mailsync-linux-"+arch)
		if err := b.compile(bin, arch); err != nil {
			return err
		}
		bom, err := billOf(bin, b)
		if err != nil {
			return err
		}
		if err := os.WriteFile(bin+".cdx.json", bom, 0o644); err != nil {
			return err
		}
		if err := b.deb(native, bin, arch, filepath.Join(tmp, "deb", arch), out); err != nil {
			return err
		}
		if err := b.rpm(native, bin, arch, filepath.Join(tmp, "rpm", arch), out); err != nil {
			return err
		}
	}
	return sums(out)
}

// sumsName is the list of sums, without itself.
const sumsName = "SHA256SUMS"

// sums writes what sha256sum -c checks.
func sums(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, e := range list {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(data), e.Name())
	}
	return os.WriteFile(filepath.Join(dir, sumsName), b.Bytes(), 0o644)
}

// file is one file to install.
type file struct {
	path string
	mode os.FileMode
	data []byte
}

// tree is what an installation consists of.
func tree(bin, prefix string) ([]file, error) {
	share, units := filepath.Join(prefix, "share"), filepath.Join(prefix, "lib/systemd/system")
	data, err := os.ReadFile(bin)
	if err != nil {
		return nil, err
	}
	files := []file{{filepath.Join(prefix, "bin/mailsync"), 0o755, data}}
	for _, c := range []struct{ shell, path string }{
		{"bash", "bash-completion/completions/mailsync"}, {"zsh", "zsh/vendor-completions/_mailsync"}, {"fish", "fish/vendor_completions.d/mailsync.fish"},
	} {
		text, err := exec.Command(bin, "completion", c.shell).Output()
		if err != nil {
			return nil, fmt.Errorf("completion %s: %w", c.shell, err)
		}
		files = append(files, file{filepath.Join(share, c.path), 0o644, text})
	}
	pages, err := manPages(bin, filepath.Join(share, "man/man8"))
	if err != nil {
		return nil, err
	}
	files = append(files, pages...)
	list, err := filepath.Glob("docs/systemd/mailsync-*")
	if err != nil {
		return nil, err
	}
	for _, unit := range list {
		data, err := os.ReadFile(unit)
		if err != nil {
			return nil, err
		}
		data = bytes.ReplaceAll(data, []byte("/usr/bin/mailsync"), []byte(filepath.Join(prefix, "bin/mailsync")))
		files = append(files, file{filepath.Join(units, filepath.Base(unit)), 0o644, data})
	}
	slices.SortFunc(files, func(x, y file) int { return strings.Compare(x.path, y.path) })
	return files, nil
}

// manPages asks the program for the pages of all of its commands.
func manPages(bin, to string) ([]file, error) {
	dir, err := os.MkdirTemp("", "mailsync-man-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if said, err := exec.Command(bin, "man", "--all", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("man: %w\n%s", err, said)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range list {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, file{filepath.Join(to, e.Name()), 0o644, data})
	}
	return files, nil
}

func write(files []file, root string, at time.Time) error {
	for _, f := range files {
		path := filepath.Join(root, f.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.data, f.mode); err != nil {
			return err
		}
		if err := os.Chmod(path, f.mode); err != nil {
			return err
		}
		if err := os.Chtimes(path, at, at); err != nil {
			return err
		}
	}
	return nil
}

// standard are the directories below a prefix that are there before anything is
// installed (hier(7)).
var standard = []string{"", "bin", "lib", "share", "share/man"}

// remove takes the files away, and the directories that are empty then, but for
// the standard ones.
func remove(files []file, root, prefix string) error {
	stays := map[string]bool{}
	for _, dir := range standard {
		stays[filepath.Join(root, prefix, dir)] = true
	}
	for _, f := range files {
		path := filepath.Join(root, f.path)
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
		for dir := filepath.Dir(path); !stays[dir] && os.Remove(dir) == nil; {
			dir = filepath.Dir(dir)
		}
	}
	return nil
}
