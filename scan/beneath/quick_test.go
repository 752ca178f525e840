package beneath

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Calls that cannot wait give the same answers as the ordinary ones.
func TestQuickAndOrdinaryCallsAgree(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("n", 255)
	write("plain", "Subject: x\n\nbody\n")
	write("empty", "")
	write(long, "long")
	if err := os.Symlink("plain", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	quick, err := OpenRoot(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer quick.Close()
	if !quick.quick {
		t.Skip("the file system of the test's directory is not known to be local")
	}
	plain, err := OpenRoot(dir, Options{Calls: System()})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if plain.quick {
		t.Fatal("calls that are replaced are gone round")
	}
	type answer struct {
		err   string
		st    Stat
		bytes string
	}
	ask := func(d *Dir, name string) (a answer) {
		f, err := d.OpenFile(name)
		if err != nil {
			a.err = err.Error()
			return a
		}
		defer f.Close()
		buf := make([]byte, 100)
		n, _ := f.ReadAt(buf, 0)
		if m, ok, _ := f.Cached(make([]byte, 100), 0); ok && m != n {
			t.Errorf("%s: %d bytes, %d of them cached just now", name, n, m)
		}
		a.bytes, a.st = string(buf[:n]), *f.Opened()
		if now, err := f.Stat(); err != nil || now != a.st {
			t.Errorf("%s: state %+v, then %+v (%v)", name, a.st, now, err)
		}
		return a
	}
	for _, name := range []string{"plain", "empty", long, "link", "fifo", "dir", "missing", "dir/missing", "../" + filepath.Base(dir) + "/plain", long + "n"} {
		if q, p := ask(quick, name), ask(plain, name); q != p {
			t.Errorf("%.20s: quick %+v, ordinary %+v", name, q, p)
		}
	}
}

// A file whose last name goes while it is open is read to its end, and its
// descriptor is given back.
func TestDeletedWhileOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gone")
	want := bytes.Repeat([]byte("x"), 10000)
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := OpenRoot(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	f, err := d.OpenFile("gone")
	if err != nil {
		t.Fatal(err)
	}
	fd := f.Fd()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if st, err := f.Stat(); err != nil || st.Links != 0 {
		t.Errorf("state %+v, %v", st, err)
	}
	got := make([]byte, len(want))
	if n, err := f.ReadAt(got, 0); n != len(want) || err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err == nil && st.Nlink == 0 {
		t.Error("the descriptor is still open")
	}
}
