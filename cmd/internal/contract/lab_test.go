package contract

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
	"mailsync/manifest"
)

var binary string

var atime = regexp.MustCompile(` atime \{[^}]*\}`)

func TestMain(m *testing.M) {
	// Nothing here is about disks, and every command syncs what it writes.
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() && os.Getenv("TMPDIR") == "" {
		_ = os.Setenv("TMPDIR", "/dev/shm")
	}
	dir, err := os.MkdirTemp("", "contract")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "mailsync")
	build := exec.Command("go", "build", "-o", binary, "mailsync/cmd/mailsync")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	code := 1
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the program does not build: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// lab is a directory with stores, a state directory and the program.
type lab struct {
	t   *testing.T
	dir string
	e   *sample.Estate
	bin drive.Bin
}

// bare is a lab without a store.
func bare(t *testing.T) *lab {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	return &lab{t: t, dir: dir, bin: drive.Bin{
		Path: binary, State: filepath.Join(dir, "state"), Dir: dir, Limit: time.Minute,
		Env: []string{"TZ=UTC", "HOME=" + dir, "XDG_STATE_HOME=" + filepath.Join(dir, "xdg")},
	}}
}

// sample2 is the smallest estate that is one.
var sample2 = sample.Options{Seed: 3, Mailboxes: 2, PerMailbox: 6, Size: 900}

// small is an estate of 2 mailboxes and 40 messages each.
var small = sample.Options{Seed: 11, Mailboxes: 2, PerMailbox: 40, Size: 1600}

// with is a lab with an estate at ./a.
func with(t *testing.T, opt sample.Options) *lab {
	t.Helper()
	l := bare(t)
	l.e = sample.New(opt)
	l.write(l.e, "a")
	return l
}

// twins is a lab with the same estate at ./a and ./b.
func twins(t *testing.T, opt sample.Options) *lab {
	t.Helper()
	l := with(t, opt)
	l.write(l.e, "b")
	return l
}

func (l *lab) write(e *sample.Estate, name string) {
	l.t.Helper()
	l.must(e.Write(l.path(name)))
}

func (l *lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.dir}, parts...)...)
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) put(name, text string) string {
	l.t.Helper()
	l.must(os.MkdirAll(filepath.Dir(l.path(name)), 0o755))
	l.must(os.WriteFile(l.path(name), []byte(text), 0o644))
	return l.path(name)
}

// config writes a configuration that all further commands use.
func (l *lab) config(text string) {
	l.t.Helper()
	l.bin.Config = l.put("mailsync.toml", strings.ReplaceAll(text, "$DIR", l.dir))
}

// run runs a command with --json, wants that exit code, and holds every line
// to the contract.
func (l *lab) run(want int, args ...string) *drive.Result {
	l.t.Helper()
	return l.runWith(l.bin, want, args...)
}

func (l *lab) runWith(bin drive.Bin, want int, args ...string) *drive.Result {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	r, err := bin.JSON(ctx, args...)
	l.must(err)
	what := "mailsync " + strings.Join(args, " ")
	for _, f := range r.Faults {
		l.t.Errorf("%s: %s\n%s", what, f, r.Stderr)
	}
	if r.Code != want {
		l.t.Errorf("%s: want exit %d: %s", what, want, r)
	}
	for _, bad := range breaches(r) {
		l.t.Errorf("%s: %s", what, bad)
	}
	return r
}

// files is everything below a directory: kind, mode, size, links, inode, times
// with nanoseconds, and the bytes, looked at without touching access times.
func (l *lab) files(name string) map[string]string {
	l.t.Helper()
	out := map[string]string{}
	var walk func(path string)
	walk = func(path string) {
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			if !os.IsNotExist(err) {
				l.t.Error(err)
			}
			return
		}
		s := fmt.Sprintf("mode %o size %d links %d inode %d owner %d:%d mtime %v ctime %v atime %v",
			st.Mode, st.Size, st.Nlink, st.Ino, st.Uid, st.Gid, st.Mtim, st.Ctim, st.Atim)
		switch st.Mode & syscall.S_IFMT {
		case syscall.S_IFREG:
			s += " " + manifest.BLAKE3.Sum(l.read(path)).String()
		case syscall.S_IFDIR:
			d, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOATIME, 0)
			l.must(err)
			names, err := d.Readdirnames(-1)
			l.must(err)
			_ = d.Close()
			for _, n := range names {
				walk(filepath.Join(path, n))
			}
		}
		out[strings.TrimPrefix(path, l.dir)] = s
	}
	walk(l.path(name))
	return out
}

func (l *lab) read(path string) []byte {
	l.t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOATIME, 0)
	l.must(err)
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	l.must(err)
	p := make([]byte, fi.Size())
	if len(p) > 0 {
		_, err = f.ReadAt(p, 0)
		l.must(err)
	}
	return p
}

// before looks at the named directories; untouched then wants that nothing below
// them has changed since.
func (l *lab) before(names ...string) (untouched func(what string)) {
	l.t.Helper()
	was := map[string]map[string]string{}
	for _, n := range names {
		was[n] = l.files(n)
	}
	// The record may be read as any file; a store is not even touched.
	read := func(m map[string]string) map[string]string {
		for k, v := range m {
			if strings.HasPrefix(k, "/state") {
				m[k] = atime.ReplaceAllString(v, "")
			}
		}
		return m
	}
	return func(what string) {
		l.t.Helper()
		for _, n := range names {
			if d := changes(read(was[n]), read(l.files(n))); len(d) > 0 {
				l.t.Errorf("%s touched %s:\n%s", what, n, strings.Join(d[:min(5, len(d))], "\n"))
			}
		}
	}
}

func changes(a, b map[string]string) (diff []string) {
	for k, v := range a {
		if b[k] != v {
			diff = append(diff, fmt.Sprintf("%s\n  was %q\n  is  %q", k, v, b[k]))
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			diff = append(diff, k+" is new")
		}
	}
	slices.Sort(diff)
	return diff
}

// mail is every message file of a store: path relative to it → date and bytes.
func (l *lab) mail(store string) map[string]string {
	l.t.Helper()
	out := map[string]string{}
	root := l.path(store)
	l.must(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".mailsync" {
			return filepath.SkipDir
		}
		sub := filepath.Base(filepath.Dir(path))
		if d.IsDir() || sub != "cur" && sub != "new" {
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		out[strings.TrimPrefix(path, root+"/")] = fmt.Sprintf("%d %s", fi.ModTime().Unix(), manifest.BLAKE3.Sum(l.read(path)))
		return nil
	}))
	return out
}

// lose removes messages as a crash does: the server's list still has them.
func (l *lab) lose(store string, n int, fit func(*sample.Message) bool) []*sample.Message {
	l.t.Helper()
	var gone []*sample.Message
	for m := range l.e.Messages() {
		if len(gone) < n && (fit == nil || fit(m)) {
			l.must(os.Remove(m.Path(l.path(store))))
			gone = append(gone, m)
		}
	}
	if len(gone) != n {
		l.t.Fatalf("only %d messages to lose", len(gone))
	}
	return gone
}

func ordinary(m *sample.Message) bool { return m.Encoding == sample.Plain && m.Sub == manifest.Cur }

// where wants exactly n lines of a type that fit.
func (l *lab) where(r *drive.Result, typ string, n int, fit func(*drive.Line) bool) []drive.Line {
	l.t.Helper()
	var out []drive.Line
	for _, x := range r.Find(typ) {
		if fit == nil || fit(&x) {
			out = append(out, x)
		}
	}
	if len(out) != n {
		l.t.Errorf("%d %s lines, want %d: %s\n%s", len(out), typ, n, raws(out), r)
	}
	return out
}

// counts wants these numbers in the summary.
func (l *lab) counts(r *drive.Result, want map[string]int64) {
	l.t.Helper()
	for k, n := range want {
		if got := r.Count(k); got != n {
			l.t.Errorf("counts.%s is %d, want %d: %s", k, got, n, r)
		}
	}
}

func raws(lines []drive.Line) string {
	var b strings.Builder
	for _, l := range lines[:min(len(lines), 6)] {
		b.WriteString("\n  " + l.Raw)
	}
	return b.String()
}
