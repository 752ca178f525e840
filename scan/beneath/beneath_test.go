package beneath_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mailsync/scan/beneath"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func root(t *testing.T, path string, o beneath.Options) *beneath.Dir {
	t.Helper()
	d, err := beneath.OpenRoot(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// kernels are the two ways of opening: with openat2, and without.
func kernels() map[string]beneath.Options {
	return map[string]beneath.Options{
		"openat2": {},
		"old": {Calls: beneath.Calls{
			Openat2: func(int, string, *unix.OpenHow) (int, error) { return -1, unix.ENOSYS },
		}},
	}
}

func TestOpenFileRefusesWhatIsNoMail(t *testing.T) {
	base := t.TempDir()
	in := filepath.Join(base, "box", "cur")
	write(t, filepath.Join(in, "plain"), "hello")
	write(t, filepath.Join(base, "secret"), "not for you")
	for name, target := range map[string]string{"abs": filepath.Join(base, "secret"), "rel": "../../secret", "near": "plain"} {
		if err := os.Symlink(target, filepath.Join(in, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(in, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(in, "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(in) // socket paths are short
	if err := unix.Bind(s, &unix.SockaddrUnix{Name: "sock"}); err != nil {
		t.Fatal(err)
	}
	t.Chdir(cwd)
	refused := []string{"abs", "rel", "near", "fifo", "dir", "sock"}
	if os.Getuid() == 0 && unix.Mknod(filepath.Join(in, "zero"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) == nil {
		refused = append(refused, "zero")
	}
	for kernel, o := range kernels() {
		t.Run(kernel, func(t *testing.T) {
			d, err := root(t, base, o).OpenDir("box/cur")
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			for _, name := range refused {
				f, err := d.OpenFile(name)
				if err == nil {
					_ = f.Close()
					t.Errorf("%s was opened", name)
				} else if !errors.Is(err, beneath.ErrNotRegular) && !errors.Is(err, beneath.ErrEscape) {
					t.Errorf("%s: %v, want ErrNotRegular or ErrEscape", name, err)
				} else if strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: %q is more than one line", name, err.Error())
				}
			}
			if _, err := d.OpenFile("none"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a name that is not there: %v", err)
			}
			f, err := d.OpenFile("plain")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, err := io.ReadAll(f)
			if err != nil || string(got) != "hello" {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

func TestOpenDirStaysBeneath(t *testing.T) {
	base := t.TempDir()
	write(t, filepath.Join(base, "store", "a", "b", "x"), "")
	write(t, filepath.Join(base, "other", "x"), "")
	for link, target := range map[string]string{"store/out": "../other", "store/a/in": "b", "store/abs": filepath.Join(base, "other")} {
		if err := os.Symlink(target, filepath.Join(base, link)); err != nil {
			t.Fatal(err)
		}
	}
	for kernel, o := range kernels() {
		t.Run(kernel, func(t *testing.T) {
			r := root(t, filepath.Join(base, "store"), o)
			for _, bad := range []string{"..", "a/../..", "/", filepath.Join(base, "other"), "out", "abs", "a/in"} {
				for _, open := range []func(string) (*beneath.Dir, error){r.OpenDir, r.OpenMounted} {
					if d, err := open(bad); err == nil {
						_ = d.Close()
						t.Errorf("%q was opened", bad)
					}
				}
			}
			for _, good := range []string{"", ".", "a", "a/b"} {
				d, err := r.OpenDir(good)
				if err != nil {
					t.Errorf("%q: %v", good, err)
					continue
				}
				_ = d.Close()
			}
			d, err := r.OpenLinked("out")
			if err != nil {
				t.Fatalf("a link that the operator allows: %v", err)
			}
			defer d.Close()
			if _, err := d.Stat("x"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenDirRefusesOtherMounts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	base := t.TempDir()
	at := filepath.Join(base, "box")
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, 0) })
	for kernel, o := range kernels() {
		t.Run(kernel, func(t *testing.T) {
			r := root(t, base, o)
			if d, err := r.OpenDir("box"); !errors.Is(err, beneath.ErrEscape) {
				_ = d.Close()
				t.Errorf("another mount: %v, want ErrEscape", err)
			}
			d, err := r.OpenMounted("box")
			if err != nil {
				t.Fatal(err)
			}
			_ = d.Close()
		})
	}
}

func TestListIsWholeOrAnError(t *testing.T) {
	base := t.TempDir()
	const n = 5000
	for i := range n {
		write(t, filepath.Join(base, fmt.Sprintf("%s.%d", strings.Repeat("n", i%200+1), i)), "")
	}
	calls := beneath.System()
	real := calls.Getdents
	left := -1
	calls.Getdents = func(fd int, p []byte) (int, error) {
		if left == 0 {
			return 0, unix.EIO
		}
		left--
		return real(fd, p)
	}
	d := root(t, base, beneath.Options{Calls: calls})
	count := func() (int, error) {
		seen := map[string]bool{}
		for e, err := range d.List() {
			if err != nil {
				return len(seen), err
			}
			if e.Inode == 0 || e.Type != unix.DT_REG {
				t.Fatalf("%q: inode %d, type %d", e.Name, e.Inode, e.Type)
			}
			seen[string(e.Name)] = true
		}
		return len(seen), nil
	}
	for range 2 { // a second listing begins at the beginning again
		if got, err := count(); got != n || err != nil {
			t.Fatalf("listed %d of %d names, %v", got, n, err)
		}
	}
	for fail := range 4 {
		left = fail
		if got, err := count(); !errors.Is(err, unix.EIO) {
			t.Errorf("call %d fails: %d names and error %v", fail, got, err)
		}
	}
}

func TestDeepTree(t *testing.T) {
	base := t.TempDir()
	name := strings.Repeat("d", 250)
	r := root(t, base, beneath.Options{})
	at, path := r, ""
	for range 30 { // 7,500 bytes: longer than a path may be
		if err := unix.Mkdirat(at.Fd(), name, 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := at.OpenDir(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = next.Close() })
		at, path = next, path+name+"/"
	}
	d, err := r.OpenDir(strings.TrimSuffix(path, "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	a, err := at.Self()
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Self()
	if err != nil || a.Inode != b.Inode {
		t.Errorf("inode %d, want %d, %v", b.Inode, a.Inode, err)
	}
}

func TestAccessTimesStay(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "f")
	write(t, file, "text")
	old := unix.NsecToTimespec(1_000_000_000_000_000_000)
	for _, p := range []string{file, base} {
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{old, unix.NsecToTimespec(1_700_000_000_000_000_000)}, 0); err != nil {
			t.Fatal(err)
		}
	}
	d := root(t, base, beneath.Options{OnAtime: func(p string) { t.Errorf("access times of %q are not spared", p) }})
	for _, err := range d.List() {
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := d.OpenFile("f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(f); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	for _, p := range []string{file, base} {
		var st unix.Stat_t
		if err := unix.Stat(p, &st); err != nil {
			t.Fatal(err)
		}
		if st.Atim != old {
			t.Errorf("%s: access time is %v", p, st.Atim)
		}
	}
}

func TestNoAtimeRefused(t *testing.T) {
	base := t.TempDir()
	write(t, filepath.Join(base, "f"), "text")
	var noAtime bool
	calls := beneath.System()
	open, statfs := calls.Openat2, calls.Fstatfs
	calls.Openat2 = func(fd int, path string, how *unix.OpenHow) (int, error) {
		if how.Flags&unix.O_NOATIME != 0 {
			return -1, unix.EPERM
		}
		return open(fd, path, how)
	}
	calls.Fstatfs = func(fd int, st *unix.Statfs_t) error {
		err := statfs(fd, st)
		st.Flags &^= unix.ST_NOATIME
		if noAtime {
			st.Flags |= unix.ST_NOATIME
		}
		return err
	}
	for _, noAtime = range []bool{false, true} {
		warned := 0
		d := root(t, base, beneath.Options{Calls: calls, OnAtime: func(string) { warned++ }})
		for range 3 {
			f, err := d.OpenFile("f")
			if err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
		}
		want := 1
		if noAtime {
			want = 0
		}
		if warned != want {
			t.Errorf("mounted noatime %v: told %d times, want %d", noAtime, warned, want)
		}
	}
}

func TestReadErrorsAreErrors(t *testing.T) {
	base := t.TempDir()
	write(t, filepath.Join(base, "f"), "text of some length")
	calls := beneath.System()
	real := calls.Pread
	mode := ""
	calls.Pread = func(fd int, p []byte, off int64) (int, error) {
		switch mode {
		case "eio":
			return 0, unix.EIO
		case "short":
			p = p[:min(len(p), 3)]
		case "eintr":
			mode = ""
			return 0, unix.EINTR
		}
		return real(fd, p, off)
	}
	f, err := root(t, base, beneath.Options{Calls: calls}).OpenFile("f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 100)
	for _, m := range []string{"", "short", "eintr"} {
		mode = m
		if n, err := f.ReadAt(p, 0); string(p[:n]) != "text of some length" || err != io.EOF {
			t.Errorf("%q: %q, %v", m, p[:n], err)
		}
	}
	mode = "eio"
	if n, err := f.ReadAt(p, 0); n != 0 || !errors.Is(err, unix.EIO) {
		t.Errorf("EIO: %d bytes, %v", n, err)
	}
}

func FuzzList(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x18\x00\x08a\x00\x00\x00\x00"))
	f.Add([]byte{})
	f.Add(make([]byte, 24))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		calls := beneath.System()
		given := false
		calls.Getdents = func(_ int, p []byte) (int, error) {
			if given {
				return 0, nil
			}
			given = true
			return copy(p, data), nil
		}
		d := root(t, dir, beneath.Options{Calls: calls})
		for e, err := range d.List() {
			if err == nil && (len(e.Name) == 0 || strings.IndexByte(string(e.Name), 0) >= 0) {
				t.Errorf("name %q", e.Name)
			}
		}
	})
}
