//go:build e2e

package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// state of a file or directory, everything that stat(2) tells, and its bytes.
type state struct {
	mode         uint32
	uid, gid     uint32
	nlink        uint64
	ino          uint64
	size         int64
	atime, mtime syscall.Timespec
	ctime        syscall.Timespec
	sum          [32]byte
}

// census takes the state of everything below root, without leaving a trace.
func census(t *testing.T, root string) map[string]state {
	t.Helper()
	out := map[string]state{}
	if err := take(root, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func take(path string, out map[string]state) error {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return err
	}
	s := state{
		mode: st.Mode, uid: st.Uid, gid: st.Gid, nlink: st.Nlink, ino: st.Ino, size: st.Size,
		atime: st.Atim, mtime: st.Mtim, ctime: st.Ctim,
	}
	var names []string
	var err error
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		s.sum, err = digest(path)
	case syscall.S_IFDIR:
		names, err = list(path)
	}
	if err != nil {
		return err
	}
	out[path] = s
	for _, n := range names {
		if err := take(filepath.Join(path, n), out); err != nil {
			return err
		}
	}
	return nil
}

// list reads a directory without touching its access time.
func list(path string) ([]string, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOATIME|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	return f.Readdirnames(-1)
}

// digest reads a file without touching its access time.
func digest(path string) (sum [32]byte, err error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NOATIME|syscall.O_CLOEXEC, 0)
	if err != nil {
		return sum, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	return [32]byte(h.Sum(nil)), nil
}

// ageAccess makes every access time old, so that the next read would move it
// even where the file system is mounted relatime.
func ageAccess(t *testing.T, root string) {
	t.Helper()
	old := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	var paths []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSymlink == 0 {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths { // after the walk, which reads directories
		if err := os.Chtimes(p, old, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
}

// unchanged compares two censuses.
func unchanged(t *testing.T, what string, before, after map[string]state) {
	t.Helper()
	bad := 0
	say := func(format string, a ...any) {
		if bad++; bad <= 10 {
			t.Errorf(what+": "+format, a...)
		}
	}
	for path, b := range before {
		a, ok := after[path]
		switch {
		case !ok:
			say("%s is gone", path)
		case a != b:
			say("%s was touched: %s", path, differing(b, a))
		}
	}
	for path := range after {
		if _, ok := before[path]; !ok {
			say("%s is new", path)
		}
	}
	if bad > 10 {
		t.Errorf("%s: … and %d more", what, bad-10)
	}
}

func differing(a, b state) string {
	var out []string
	add := func(name string, x, y any) {
		if x != y {
			out = append(out, fmt.Sprintf("%s %v -> %v", name, x, y))
		}
	}
	add("mode", a.mode, b.mode)
	add("uid", a.uid, b.uid)
	add("gid", a.gid, b.gid)
	add("nlink", a.nlink, b.nlink)
	add("inode", a.ino, b.ino)
	add("size", a.size, b.size)
	add("atime", a.atime, b.atime)
	add("mtime", a.mtime, b.mtime)
	add("ctime", a.ctime, b.ctime)
	if a.sum != b.sum {
		out = append(out, "its bytes")
	}
	return strings.Join(out, ", ")
}

// replicate copies a store as a backup does: bytes, names, dates, owners. No
// hard links.
func replicate(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		fi, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			if err := os.MkdirAll(dst, fi.Mode().Perm()); err != nil {
				return err
			}
		case d.Type().IsRegular():
			p, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := os.WriteFile(dst, p, fi.Mode().Perm()); err != nil {
				return err
			}
			if err := os.Chtimes(dst, fi.ModTime(), fi.ModTime()); err != nil {
				return err
			}
		default:
			return nil
		}
		st := fi.Sys().(*syscall.Stat_t)
		return os.Lchown(dst, int(st.Uid), int(st.Gid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// messageFiles lists the files of new and cur of a mailbox and its folders,
// sorted.
func messageFiles(t *testing.T, maildir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(maildir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if sub := filepath.Base(filepath.Dir(path)); d.Type().IsRegular() && (sub == "cur" || sub == "new") {
			out = append(out, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}
