package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"mailsync/manifest"
	"mailsync/restore/archive"
	"mailsync/restore/remote"
)

// archives is a host that hands out one directory as "/a".
type archives struct {
	host
	dir string
}

func (h *archives) OpenArchive(_ context.Context, path string) (archive.Files, error) {
	if path != "/a" {
		return nil, fmt.Errorf("%w: %s", remote.ErrRefused, path)
	}
	return archive.OpenDisk(h.dir)
}

// bulk writes a tree: small files, one that does not come with a walk, an empty
// one, a link.
func bulk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	chance := rand.NewChaCha8([32]byte{1})
	for name, size := range map[string]int{"a/1.eml": 700, "a/2.eml": 0, "b/large.mbox": 3<<20 + 17, "z.eml": 70_000} {
		p := make([]byte, size)
		_, _ = chance.Read(p)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), p, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "a/link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// walked is what a walk tells, with all that is in the files.
func walked(t *testing.T, files archive.Files) (out []string) {
	t.Helper()
	for f, err := range files.Walk(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		line := f.Name + " " + f.Trouble
		if f.File != nil {
			p, err := io.ReadAll(f.File)
			if err != nil {
				t.Fatal(err)
			}
			line += fmt.Sprintf(" %d %s %s %x", f.File.Size, f.File.MTime.UTC(), f.File.Mode, p)
			if err := f.File.Close(); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, line)
	}
	return out
}

// An archive there is walked over, entered anywhere and looked at beside a file
// as one here.
func TestArchivesAlike(t *testing.T) {
	dir := bulk(t)
	p := pair(t, remote.Options{}, remote.Options{Host: &archives{dir: dir}})
	far, err := p.OpenArchive(t.Context(), "/a")
	if err != nil {
		t.Fatal(err)
	}
	near, err := archive.OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	a, b := walked(t, near), walked(t, far)
	if len(a) != 5 || len(b) != len(a) {
		t.Fatalf("%d files here, %d there", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("here %.80s, there %.80s", a[i], b[i])
		}
	}
	want, err := os.ReadFile(filepath.Join(dir, "b/large.mbox"))
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []int64{0, 1, 65536, 1 << 20, int64(len(want)) - 1, int64(len(want)), int64(len(want)) + 5} {
		f, err := far.Open(t.Context(), "b/large.mbox", from)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if rest := want[min(from, int64(len(want))):]; err != nil || !bytes.Equal(got, rest) {
			t.Errorf("from %d: %d bytes, want %d, %v", from, len(got), len(rest), err)
		}
		at := make([]byte, 1000)
		n, err := f.ReadAt(at, 5000)
		if n != len(at) || err != nil || !bytes.Equal(at, want[5000:6000]) {
			t.Errorf("%d bytes at 5,000: %v", n, err)
		}
		if n, err := f.ReadAt(at, int64(len(want))-10); n != 10 || !errors.Is(err, io.EOF) {
			t.Errorf("%d bytes at the end: %v", n, err)
		}
		_ = f.Close()
	}
	f, err := far.Beside(t.Context(), "a/1.eml", "2.eml")
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	for _, other := range []string{"link", "absent", "../z.eml", ".."} {
		if _, err := far.Beside(t.Context(), "a/1.eml", other); err == nil {
			t.Errorf("%s is opened", other)
		}
	}
	if _, err := far.Open(t.Context(), "../"+filepath.Base(dir)+"/z.eml", 0); err == nil {
		t.Error("a file outside is opened")
	}
	if _, err := p.OpenArchive(t.Context(), "/secret"); !errors.Is(err, remote.ErrRefused) {
		t.Error(err)
	}
	plain := pair(t, remote.Options{}, remote.Options{Host: &host{}})
	if _, err := plain.OpenArchive(t.Context(), "/a"); !errors.Is(err, remote.ErrRefused) {
		t.Error(err)
	}
}

// What a host says of an archive that no mailsync says is no finding about the
// archive: the connection is lost.
func TestLiesAboutArchives(t *testing.T) {
	file := func(more map[int]any) []byte {
		m := map[int]any{1: []byte("a.eml"), 2: 4, 3: 1, 4: 0o644, 6: true}
		for k, v := range more {
			m[k] = v
		}
		return item(t, m)
	}
	digest := manifest.BLAKE3.Sum([]byte("body"))
	sum := map[int]any{1: 4, 2: append([]byte{byte(manifest.BLAKE3)}, digest.Sum[:]...)}
	data := frame(3, []byte("body"))
	for name, c := range map[string]struct {
		answer []byte
		ok     bool
	}{
		"truth":         {concat(file(nil), data, item(t, sum), endFrame), true},
		"other bytes":   {concat(file(nil), frame(3, []byte("Body")), item(t, sum), endFrame), false},
		"cut":           {concat(file(nil), data), false},
		"no end":        {concat(file(nil), data, item(t, sum)), false},
		"data only":     {concat(data, endFrame), false},
		"no name":       {concat(file(map[int]any{1: []byte{}}), data, item(t, sum), endFrame), false},
		"a way out":     {concat(file(map[int]any{1: []byte("../a")}), data, item(t, sum), endFrame), false},
		"a whole path":  {concat(file(map[int]any{1: []byte("/a")}), data, item(t, sum), endFrame), false},
		"negative size": {concat(file(map[int]any{2: -1}), data, item(t, sum), endFrame), false},
	} {
		x, err := liarAfter(t, concat(item(t, map[int]any{}), endFrame), c.answer).OpenArchive(t.Context(), "/x")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for f, e := range x.Walk(t.Context()) {
			if e != nil {
				err = e
				break
			}
			if _, e := io.ReadAll(f.File); e != nil {
				err = e
			}
			n++
		}
		if c.ok != (err == nil) || c.ok && n != 1 || err != nil && !errors.Is(err, remote.ErrLost) {
			t.Errorf("%s: %d files, %v", name, n, err)
		}
	}
}
