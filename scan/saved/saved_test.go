package saved

import (
	"archive/tar"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mailsync/manifest/durable"
	"mailsync/manifest/durable/durabletest"
	"mailsync/scan"
)

// estate is a store with a mailbox of two folders and one whose name is no
// UTF-8, whose indexes lie elsewhere, and a place for copies.
type estate struct {
	t         *testing.T
	path, dir string
	now       time.Time
}

func newEstate(t *testing.T) *estate {
	t.Helper()
	e := &estate{t: t, path: t.TempDir(), dir: filepath.Join(t.TempDir(), "copies"), now: time.Now()}
	for _, d := range []string{"mail/a/cur", "mail/a/new", "mail/a/tmp", "mail/a/.Sent/cur", "mail/a/.Sent/new", "mail/b\xff/cur", "mail/b\xff/new", "index/a/.INBOX", "index/a/.Sent", "index/b\xff/.INBOX"} {
		if err := os.MkdirAll(filepath.Join(e.path, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	e.write("mail/a/dovecot-uidlist", "uids of a")
	e.write("mail/a/dovecot-keywords", "keywords of a")
	e.write("mail/a/.Sent/dovecot-uidlist", "uids of sent")
	e.write("mail/a/cur/1.M1P1.h:2,S", "no business of ours")
	e.write("index/a/.INBOX/dovecot.index.log", "log of a")
	e.write("index/a/.INBOX/dovecot.index.log.2", "older log of a")
	e.write("index/a/.INBOX/dovecot.index.cache", "no evidence")
	e.write("index/b\xff/.INBOX/dovecot.index.log", "log of b")
	return e
}

func (e *estate) write(name, text string) {
	e.t.Helper()
	if err := os.WriteFile(filepath.Join(e.path, name), []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

func (e *estate) options() Options {
	return Options{Dir: e.dir, Now: func() time.Time { return e.now }, Bytes: 1 << 20}
}

func (e *estate) save(o Options, since time.Time) (Result, error) {
	e.t.Helper()
	s, err := scan.New(scan.Config{Path: filepath.Join(e.path, "mail"), Index: filepath.Join(e.path, "index/%u"), Layout: "%u"}, scan.Options{})
	if err != nil {
		e.t.Fatal(err)
	}
	defer s.Close()
	return Save(e.t.Context(), o, s.ServerFiles(e.t.Context(), since))
}

func (e *estate) must(o Options, since time.Time) Result {
	e.t.Helper()
	r, err := e.save(o, since)
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

// copies is everything that is in the sets, newest last.
func (e *estate) copies() []string {
	e.t.Helper()
	files, err := filepath.Glob(filepath.Join(e.dir, "*", "*"))
	if err != nil {
		e.t.Fatal(err)
	}
	var out []string
	for _, name := range files {
		st, err := os.Stat(name)
		if err != nil || st.Mode().Perm() != 0o600 {
			e.t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
		f, err := os.Open(name)
		if err != nil {
			e.t.Fatal(err)
		}
		for r := tar.NewReader(f); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				e.t.Fatal(err)
			}
			text, err := io.ReadAll(r)
			if err != nil {
				e.t.Fatal(err)
			}
			out = append(out, h.Name+": "+string(text))
		}
		f.Close()
	}
	slices.Sort(out)
	return out
}

// logs is what the copies say of a folder.
func (e *estate) logs(mailbox, dir string, since time.Time) (out []string) {
	e.t.Helper()
	err := NewLogs(e.dir).Each(mailbox, dir, since, func(r io.Reader) error {
		text, err := io.ReadAll(r)
		out = append(out, string(text))
		return err
	})
	if err != nil {
		e.t.Error(err)
	}
	return out
}

func TestSaveAndRead(t *testing.T) {
	e := newEstate(t)
	r := e.must(e.options(), time.Time{})
	want := []string{
		"a/.Sent/dovecot-uidlist: uids of sent", "a/dovecot-keywords: keywords of a", "a/dovecot-uidlist: uids of a",
		"a/dovecot.index.log.2: older log of a", "a/dovecot.index.log: log of a", "b\xff/dovecot.index.log: log of b",
	}
	if d := cmp.Diff(want, e.copies()); d != "" {
		t.Error(d)
	}
	if r.Files != 6 || r.Bytes != 64 || r.LeftOut+r.Unreadable+r.Unsure+r.Pruned != 0 || r.TimeUp {
		t.Errorf("%+v", r)
	}
	if st, err := os.Stat(e.dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", st, err)
	}
	if got := e.logs("a", "", time.Time{}); !slices.Equal(got, []string{"older log of a", "log of a"}) {
		t.Errorf("%q", got)
	}
	if got := e.logs("b\xff", "", time.Time{}); !slices.Equal(got, []string{"log of b"}) {
		t.Errorf("%q", got)
	}
	if got := append(e.logs("a", ".Sent", time.Time{}), e.logs("c", "", time.Time{})...); got != nil {
		t.Errorf("%q", got)
	}
	// A log that nobody has written to since a record was made says nothing new.
	if got := e.logs("a", "", time.Now().Add(time.Hour)); got != nil {
		t.Errorf("%q", got)
	}
}

// A second set holds only what has changed since the first, and both are read;
// what did not change at all makes none.
func TestSaveAgain(t *testing.T) {
	e := newEstate(t)
	e.must(e.options(), time.Time{})
	later := time.Now().Add(time.Minute)
	e.now = later
	since, err := Since(nil, e.dir, time.Time{}, e.now)
	if err != nil || since.IsZero() || since.After(e.now) {
		t.Fatalf("since %s, %v", since, err)
	}
	// A time after every change: nothing has to be copied.
	if r := e.must(e.options(), e.now); r.Files != 0 || r.Path != "" {
		t.Errorf("%+v", r)
	}
	e.write("index/a/.INBOX/dovecot.index.log", "newer log of a")
	if r := e.must(e.options(), e.changed("index/a/.INBOX/dovecot.index.log")); r.Files != 1 {
		t.Errorf("%+v: %q", r, e.copies())
	}
	if got := e.logs("a", "", time.Time{}); !slices.Equal(got, []string{"older log of a", "log of a", "newer log of a"}) {
		t.Errorf("%q", got)
	}
	// Copies that a wrong clock made in the future hide no change.
	if since, err := Since(nil, e.dir, time.Time{}, time.Now().Add(-time.Hour)); err != nil || !since.IsZero() {
		t.Errorf("since %s, %v", since, err)
	}
}

// changed is when a file changed, as the kernel has it; the others are older, or
// made to wait for: stamps of ext4 and tmpfs differ between two writes.
func (e *estate) changed(name string) time.Time {
	e.t.Helper()
	s, err := scan.New(scan.Config{Path: filepath.Join(e.path, "mail"), Index: filepath.Join(e.path, "index/%u"), Layout: "%u"}, scan.Options{})
	if err != nil {
		e.t.Fatal(err)
	}
	defer s.Close()
	var newest time.Time
	for f, err := range s.ServerFiles(e.t.Context(), time.Time{}) {
		if err != nil || f.Err != nil {
			e.t.Fatal(err, f.Err)
		}
		if at := time.Unix(0, f.File.Opened().CTime); at.After(newest) {
			newest = at
		}
	}
	return newest
}

// Bytes and time are bounded; what is there is kept, and the rest counted.
func TestBounds(t *testing.T) {
	e := newEstate(t)
	o := e.options()
	o.Bytes = 40
	r := e.must(o, time.Time{})
	if r.LeftOut == 0 || r.Bytes > 40 || r.Files+r.LeftOut != 6 || int(r.Files) != len(e.copies()) {
		t.Errorf("%+v", r)
	}
	e = newEstate(t)
	o = e.options()
	o.Until = e.now.Add(-time.Second)
	if r := e.must(o, time.Time{}); !r.TimeUp || r.Files != 0 {
		t.Errorf("%+v", r)
	}
	// What is no file is not opened; the rest is copied.
	e = newEstate(t)
	log := filepath.Join(e.path, "index/a/.INBOX/dovecot.index.log")
	if err := errors.Join(os.Remove(log), os.Symlink("/etc/passwd", log)); err != nil {
		t.Fatal(err)
	}
	if r := e.must(e.options(), time.Time{}); r.Unreadable != 1 || r.FirstError == nil || r.Files != 5 || strings.Contains(strings.Join(e.copies(), ""), "root:") {
		t.Errorf("%+v", r)
	}
}

// Sets that are old go, but for the newest; what a killed run left goes, too, and
// nothing that is not ours.
func TestPrune(t *testing.T) {
	e := newEstate(t)
	day := 24 * time.Hour
	for _, age := range []time.Duration{90 * day, 80 * day, 60 * day, 29 * day} {
		dir := filepath.Join(e.dir, e.now.Add(-age).UTC().Format(stampForm))
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "00.tar"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	torn := filepath.Join(e.dir, e.now.Add(-time.Hour).UTC().Format(stampForm)+tempEnd)
	own := filepath.Join(e.dir, "notes")
	for _, dir := range []string{torn, own} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r := e.must(e.options(), time.Time{})
	left, err := stamps(nil, e.dir)
	if err != nil || r.Pruned != 2 || len(left) != 3 || e.now.Sub(left[0].at) > 61*day {
		t.Errorf("%+v, %v, %v", r, left, err)
	}
	if _, err := os.Stat(torn); !errors.Is(err, os.ErrNotExist) {
		t.Error("what a killed run left is there", err)
	}
	if _, err := os.Stat(own); err != nil {
		t.Error(err)
	}
}

// Whatever call fails, and whenever the power goes: there is no set that is not
// whole, and the next run makes one.
func TestEveryCallFails(t *testing.T) {
	e := newEstate(t)
	e.must(e.options(), time.Time{})
	whole := sets(t, durable.System(), e.dir)
	if len(whole) == 0 {
		t.Fatal("nothing was saved")
	}
	for _, cut := range []bool{false, true} {
		for n := 1; ; n++ {
			disk := durabletest.New(0)
			if cut {
				disk.Fail = durabletest.CutAt(n)
			} else {
				disk.Fail = durabletest.FailAt(n, unix.ENOSPC)
			}
			o := e.options()
			o.FS = disk
			_, err := e.save(o, time.Time{})
			calls := disk.Calls()
			for _, after := range []*durabletest.Disk{disk.Kill(), disk.PowerCut(nil)} {
				got := sets(t, after, e.dir)
				if len(got) > 0 && !maps.Equal(got, whole) {
					t.Errorf("call %d fails with %v: %d files, not %d", n, err, len(got), len(whole))
				}
				if err == nil && len(got) == 0 {
					t.Errorf("call %d: acknowledged, and gone", n)
				}
				o.FS, o.Now = after, func() time.Time { return e.now.Add(time.Hour) }
				if r, err := e.save(o, time.Time{}); err != nil || r.Files != 6 {
					t.Errorf("call %d, and the next run: %+v, %v", n, r, err)
				}
			}
			if n > calls {
				break
			}
		}
	}
}

// sets is what is in the sets of a directory, by the name of the archive.
func sets(t *testing.T, fsys durable.FS, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	all, err := stamps(fsys, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		names, err := fsys.Names(filepath.Join(dir, s.name))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			data, err := durable.ReadFile(fsys, filepath.Join(dir, s.name, name), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			out[name] = string(data)
		}
	}
	return out
}
