package durable_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailsync/manifest/durable"
	"mailsync/manifest/durable/durabletest"
	"mailsync/restore/place/faulty"
)

// answer is what one step of play was told.
type answer struct {
	Step, Text string
	Kind       error
}

// play makes every kind of call once, below root.
func play(fsys durable.FS, root string) (out []answer) {
	say := func(step, text string, err error) {
		a := answer{Step: step, Text: text}
		for _, k := range []error{os.ErrExist, os.ErrNotExist, durable.ErrLocked, io.EOF} {
			if errors.Is(err, k) {
				a.Kind = k
			}
		}
		if err != nil && a.Kind == nil {
			a.Text = "error"
		}
		out = append(out, a)
	}
	p := func(s string) string { return filepath.Join(root, s) }
	say("mkdir", "", fsys.Mkdir(p("a"), 0o700))
	say("mkdir again", "", fsys.Mkdir(p("a"), 0o700))
	say("mkdir without parent", "", fsys.Mkdir(p("x/y"), 0o700))
	_, err := fsys.Open(p("a/f"), os.O_RDONLY, 0)
	say("open missing", "", err)
	f, err := fsys.Open(p("a/f"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	say("create", "", err)
	_, err = fsys.Open(p("a/f"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	say("create again", "", err)
	_, err = f.Write([]byte("hello world"))
	say("write", "", err)
	say("truncate", "", f.Truncate(5))
	_, err = f.Seek(1, io.SeekStart)
	say("seek", "", err)
	data, err := io.ReadAll(f)
	say("read", string(data), err)
	n, err := f.Read(make([]byte, 1))
	say("read at end", string(rune('0'+n)), err)
	say("lock", "", f.Lock())
	g, err := fsys.Open(p("a/f"), os.O_RDWR, 0)
	say("open", "", err)
	say("lock again", "", g.Lock())
	say("sync", "", f.Sync())
	say("close", "", f.Close())
	say("lock after close", "", g.Lock())
	say("close", "", g.Close())
	say("link", "", fsys.Link(p("a/f"), p("a/g")))
	say("link again", "", fsys.Link(p("a/f"), p("a/g")))
	say("rename", "", fsys.Rename(p("a/g"), p("a/h")))
	say("rename missing", "", fsys.Rename(p("a/g"), p("a/h")))
	names, err := fsys.Names(p("a"))
	say("names", filepath.Join(names...), err)
	say("remove", "", fsys.Remove(p("a/f")))
	say("remove again", "", fsys.Remove(p("a/f")))
	_, err = fsys.Names(p("b"))
	say("names of missing", "", err)
	_, err = fsys.Stat(p("a/f"))
	say("stat of missing", "", err)
	info, err := fsys.Stat(p("a/h"))
	say("stat", string(rune('0'+info.Size)), err)
	d, err := fsys.Open(p("a"), os.O_RDONLY, 0)
	say("open directory", "", err)
	say("sync directory", "", d.Sync())
	say("syncfs", "", d.SyncFS())
	say("close directory", "", d.Close())
	return out
}

func compareAnswers(t *testing.T, want, got []answer, what string) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b error) bool { return errors.Is(a, b) })); d != "" {
		t.Error(what, d)
	}
}

// The model and the real file system must answer alike, else what is proven on
// one says nothing of the other.
func TestModelAgreesWithTheRealFileSystem(t *testing.T) {
	compareAnswers(t, play(durable.System(), t.TempDir()), play(durabletest.New(durabletest.Ext4), "/"), "real (-), model (+):")
}

// A call that a signal interrupts is made again, and one that transfers less
// than it was asked for is continued.
func TestInterruptionsChangeNothing(t *testing.T) {
	var plain faulty.Injector
	want := play(plain.State(), t.TempDir())
	kinds := map[string]bool{}
	for _, at := range plain.Points() {
		if at.Way != faulty.EINTR && at.Way != faulty.Short {
			continue
		}
		j := &faulty.Injector{At: at}
		compareAnswers(t, want, play(j.State(), t.TempDir()), at.String())
		if _, hit := j.Hit(); !hit {
			t.Errorf("%s: not met", at)
		}
		kinds[at.Op] = true
	}
	if len(kinds) < 9 {
		t.Errorf("only %v were interrupted: the test is broken", kinds)
	}
}

func TestWriteFileAndMkdirAllOnTheRealFileSystem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := durable.MkdirAll(nil, dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "f")
	for _, v := range []string{"one", "two"} {
		if err := durable.WriteFile(nil, path, []byte(v), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := durable.ReadFile(nil, path, 100)
		if err != nil || string(got) != v {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if _, err := durable.ReadFile(nil, path, 2); err == nil {
		t.Error("a file over the limit was read")
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("leftovers: %v, %v", names, err)
	}
	if err := durable.MkdirAll(nil, path, 0o700); err == nil {
		t.Error("a file was taken for a directory")
	}
}
