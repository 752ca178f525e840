package restore

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/restore/place/faulty"
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
			var now atomic.Int64
			j := &faulty.Injector{Hook: func(string, string) {
				if now.Add(1) == n {
					_ = os.Rename(path, path+".aside")
					_ = os.Symlink(outside, path)
				}
			}}
			w.calls = j.Store()
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
			if now.Load() < n {
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

// A plan is data, wherever it comes from: nothing outside of the mailbox is
// moved, linked, read into it or changed by one.
func TestPlansStayInside(t *testing.T) {
	outside := "../../../outside/secret"
	at := func(name string) Ground { return Ground{Sub: manifest.Cur, Name: []byte(name)} }
	ref := manifest.Ref{Store: "primary", Mailbox: "a", Folder: "INBOX"}
	for name, a := range map[string]Action{
		"flags":       {Op: Flags, Pre: at(outside), Post: at("1.a:2,S")},
		"keywords":    {Op: Keywords, Pre: at(outside), Post: at("1.a:2,S"), Keywords: []string{"k"}},
		"date":        {Op: Date, Pre: at(outside), Date: epoch},
		"quarantine":  {Op: Quarantine, Pre: at(outside)},
		"replace":     {Op: Replace, Pre: at(outside), Post: Ground{Sub: manifest.Cur, Name: []byte(msgName(1)), Size: int64(len(body(1))), Digest: manifest.BLAKE3.Sum([]byte(body(1)))}, From: "backup", FromSub: manifest.Cur, FromName: []byte(msgName(1) + ":2,S")},
		"add":         {Op: Add, Post: Ground{Sub: manifest.Cur, Name: []byte("../../../outside/new"), Size: int64(len(body(1))), Digest: manifest.BLAKE3.Sum([]byte(body(1)))}, From: "backup", FromSub: manifest.Cur, FromName: []byte(msgName(1) + ":2,S")},
		"brought":     {Op: Replace, Pre: at(msgName(2) + ":2,S"), Post: at(msgName(2) + ":2,S"), From: fromQuarantine, FromDir: "20240101-000000.000-abcdef12", FromName: []byte("../../../../outside/secret")},
		"brought run": {Op: Replace, Pre: at(msgName(2) + ":2,S"), Post: at(msgName(2) + ":2,S"), From: fromQuarantine, FromDir: "../../../outside", FromName: []byte("secret")},
		"uid list":    {Op: UID, Pre: Ground{}, From: fromQuarantine, FromDir: "20240101-000000.000-abcdef12", FromName: []byte("../../../../outside/secret"), UIDs: &UIDs{}},
		"folder":      {Op: Remove, Dir: "../../outside"},
		"made":        {Op: Mkdir, Dir: "../../outside/made"},
		"mailbox dir": {Op: Flags, Dir: "../../outside/box", Pre: at("1.a:2,"), Post: at("1.a:2,S")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, s := range []string{"primary", "backup"} {
				w.maildir(s, "a", "")
				w.put(s, "a", "", 2, ":2,S")
			}
			w.put("backup", "a", "", 1, ":2,S")
			for _, sub := range []string{"cur", "new", "tmp"} {
				w.must(os.MkdirAll(w.path("outside", "box", sub), 0o700))
			}
			w.write(w.path("outside", "box", "cur", "1.a:2,"), "secret", epoch)
			w.write(w.path("outside", "secret"), "secret", epoch)
			w.must(os.MkdirAll(w.path("primary", QuarantineDir, "quarantine", "20240101-000000.000-abcdef12"), 0o700))
			before := w.inodes("outside")
			a.Ref, a.State = ref, Planned
			file := w.path("plan")
			w.must(SavePlan(file, PlanHeader{Command: "restore", Store: "primary", Path: w.store("primary"), Made: epoch}, func(yield func(Action, error) bool) { yield(a, nil) }))
			p, err := LoadPlan(file)
			w.must(err)
			res := w.apply(p, "primary", "backup")
			w.must(res.err)
			if n := res.counts.Done; n > 0 {
				t.Errorf("done: %v", summary(res.actions))
			}
			if d := cmp.Diff(before, w.inodes("outside")); d != "" {
				t.Errorf("outside:\n%s", d)
			}
		})
	}
}

// inodes is everything below a directory, with what would betray a link, a move
// or a write.
func (w *world) inodes(dir string) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	w.must(filepath.WalkDir(w.path(dir), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		out[p] = fmt.Sprint(st.Ino, st.Nlink, st.Size, st.Mtim)
		return nil
	}))
	return out
}
