package restore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The owner of the tree swaps a directory for a symbolic link to elsewhere,
// before each system call of a run in turn: nothing outside the store is
// created, changed or removed.
func TestSwappedDirectories(t *testing.T) {
	step := int64(1)
	if !exhaustive() {
		step = 19
	}
	cases := 0
	for _, victim := range []string{"a/cur", "a/tmp", "a", "b"} {
		for n := int64(1); ; n += step {
			w := newWorld(t)
			everything(w)
			outside := filepath.Join(w.dir, "outside")
			for _, sub := range []string{"cur", "new", "tmp", ".Sent"} {
				w.must(os.MkdirAll(filepath.Join(outside, sub), 0o700))
			}
			secret := filepath.Join(outside, "cur", msgName(3)+":2,S")
			w.write(secret, "secret", epoch)
			p := w.plan("primary", "backup")
			path := w.path("primary", victim)
			swapped := false
			f := &fault{}
			f.hook = func(now int64, _ string) {
				if now == n {
					swapped = true
					_ = os.Rename(path, path+".aside")
					_ = os.Symlink(outside, path)
				}
			}
			w.calls = f.table()
			if r, err := w.begin("primary", "restore"); err == nil {
				_ = w.finish(r, p, "backup")
			}
			_ = p.Close()
			var seen []string
			w.must(filepath.WalkDir(outside, func(p string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					seen = append(seen, p)
				}
				return err
			}))
			if b, err := os.ReadFile(secret); err != nil || string(b) != "secret" || len(seen) != 1 {
				t.Fatalf("%s swapped before call %d reached the outside: %v, %q, %v", victim, n, seen, b, err)
			}
			if list, _ := os.ReadDir(filepath.Join(outside)); len(list) != 4 {
				t.Fatalf("%s swapped before call %d: the outside holds %v", victim, n, list)
			}
			if !swapped {
				break
			}
			cases++
		}
	}
	if cases < 12 {
		t.Fatalf("only %d swaps: the test is broken", cases)
	}
}

// Things that are no files in the place of the server's files, in one mailbox,
// keep nobody else's mail from coming back, and are left alone.
func TestPlantedServerFiles(t *testing.T) {
	for _, name := range []string{"dovecot-uidlist", "dovecot.index.log", "dovecot.index", "maildirsize", "subscriptions", "dovecot-keywords"} {
		for _, kind := range []string{"link", "fifo", "dir"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				w := newWorld(t)
				for _, box := range []string{"a", "b"} {
					w.maildir("backup", box, "")
					w.maildir("primary", box, "")
					w.put("backup", box, "", 1, ":2,S")
				}
				outside := filepath.Join(w.dir, "outside")
				w.write(outside, "secret", epoch)
				path := w.path("primary", "a", name)
				switch kind {
				case "link":
					w.must(os.Symlink(outside, path))
				case "fifo":
					w.must(unix.Mkfifo(path, 0o600))
				case "dir":
					w.must(os.Mkdir(path, 0o700))
				}
				p := w.plan("primary", "backup")
				w.must(w.apply(p, "primary", "backup").err)
				if _, err := os.Stat(w.path("primary", "b", "cur", msgName(1)+":2,S")); err != nil {
					t.Errorf("the other mailbox: %v", err)
				}
				if b, _ := os.ReadFile(outside); string(b) != "secret" {
					t.Errorf("the outside: %q", b)
				}
				if _, err := os.Lstat(path); err != nil {
					t.Errorf("what was planted is gone: %v", err)
				}
			})
		}
	}
}

// Names from sources and plans are data: they never lead out of a directory.
func TestUnsafeNames(t *testing.T) {
	for _, s := range []string{"", ".", "..", ".hidden", "a/b", "../x", "x\ny", "x\x00", strings.Repeat("x", 256)} {
		if safeName(s) {
			t.Errorf("file name %q", s)
		}
	}
	for _, s := range []string{"", "..", "../x", "/x", "a/../b", "a//b", "a/", "./a", "a\x00"} {
		if safeRelative(s) {
			t.Errorf("path %q", s)
		}
	}
	for _, s := range []string{"a", "a/b", ".A", "a/..b"} {
		if !safeRelative(s) {
			t.Errorf("path %q refused", s)
		}
	}
}
