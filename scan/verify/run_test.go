package verify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/scan/verify"
)

// boxes makes n mailboxes of k messages each.
func (e *estate) boxes(n, k int) {
	e.t.Helper()
	for i := range n {
		name := fmt.Sprintf("u%02d", i)
		e.box(name)
		for j := range k {
			e.put(name+"/cur", fmt.Sprintf("%d.M%dP1.h", j, i), text(fmt.Sprint(name, j), 400), ":2,S")
		}
	}
	e.age(48 * time.Hour)
}

// A store that looks empty or half gone: nothing is concluded, the record is kept.
func TestRefused(t *testing.T) {
	cases := []struct {
		name string
		harm func(e *estate)
	}{
		{"empty", func(e *estate) {
			entries, err := os.ReadDir(e.path)
			e.check(err)
			for _, f := range entries {
				e.check(os.RemoveAll(e.at(f.Name())))
			}
		}},
		{"half of the mailboxes", func(e *estate) {
			for i := range 5 {
				e.check(os.RemoveAll(e.at(fmt.Sprintf("u%02d", i))))
			}
		}},
		{"most of the messages", func(e *estate) {
			for i := range 10 {
				list, err := filepath.Glob(e.at(fmt.Sprintf("u%02d/cur/*", i)))
				e.check(err)
				for _, f := range list[:3] {
					e.check(os.Remove(f))
				}
			}
		}},
		{"another directory at its path", func(e *estate) {
			e.check(os.Rename(e.path, e.path+".away"))
			e.check(os.Mkdir(e.path, 0o700))
			e.boxes(10, 4)
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := newEstate(t)
			e.boxes(10, 4)
			e.scan()
			c.harm(e)
			for _, crash := range []time.Time{{}, e.now} {
				out := e.verify(verify.Options{CrashAt: crash}, true)
				r := out.result
				if !r.Refused || len(r.Partial) == 0 || len(out.findings)+len(out.vanished) > 0 || r.Messages != 0 {
					t.Errorf("%+v %v", r, out.lines())
				}
			}
			if n := e.record().Record().Messages; n != 40 {
				t.Errorf("the record holds %d messages now", n)
			}
		})
	}
}

// More than ordinary operation takes with it, and no word why: not complete.
func TestBreaker(t *testing.T) {
	for _, c := range []struct {
		gone    int
		partial bool
	}{{20, false}, {21, true}} {
		e := newEstate(t)
		e.boxes(10, 8)
		e.scan()
		for i := range c.gone {
			list, err := filepath.Glob(e.at(fmt.Sprintf("u%02d/cur/%d.*", i%10, i/10)))
			e.check(err)
			e.check(os.Remove(list[0]))
		}
		r := e.verify(verify.Options{}, true).result
		if r.Vanished != int64(c.gone) || (len(r.Partial) > 0) != c.partial || r.Refused {
			t.Errorf("%d gone: %+v", c.gone, r)
		}
	}
}

// One recorded mailbox whose root is gone is unknown; the others are checked.
func TestRecordedMailboxThatIsGone(t *testing.T) {
	e := newEstate(t)
	e.boxes(6, 2)
	e.scan()
	e.check(os.RemoveAll(e.at("u03")))
	out := e.verify(verify.Options{}, true)
	if r := out.result; r.Refused || len(r.Partial) != 1 || !strings.Contains(r.Partial[0], "u03") || r.Mailboxes != 5 || len(out.findings) != 1 || out.findings[0].Kind != manifest.Unreadable {
		t.Errorf("%+v", r)
	}
}

// A verification that ends early goes on where it stopped, and tells each
// finding once.
func TestMaxDurationAndResume(t *testing.T) {
	e := newEstate(t)
	e.boxes(12, 3)
	e.scan()
	var want []string
	for i := range 12 {
		list, err := filepath.Glob(e.at(fmt.Sprintf("u%02d/cur/1.*", i)))
		e.check(err)
		body, err := os.ReadFile(list[0])
		e.check(err)
		e.check(os.WriteFile(list[0], []byte(strings.Replace(string(body), "line", "lime", 1)), 0o600))
		want = append(want, fmt.Sprintf("content_changed proof u%02d INBOX cur/%s", i, filepath.Base(list[0])))
	}
	o := verify.Options{PlaceDir: filepath.Join(e.state, "places"), MaxDuration: 70 * time.Second, Workers: 2}
	start, ticks := e.now, new(atomic.Int64)
	o.Now = func() time.Time { return start.Add(time.Duration(ticks.Add(1)) * 10 * time.Second) }
	var got []string
	runs, resumed := 0, 0
	for {
		out := e.verify(o, true)
		got = append(got, out.lines()...)
		if out.result.Resumed {
			resumed++
		}
		if runs++; !out.result.Ended {
			if r := out.result; r.Damaged != 12 || r.Mailboxes != 12 || r.Messages != 36 {
				t.Errorf("last run: %+v", out.result)
			}
			break
		}
		if runs > 80 {
			t.Fatal("no end")
		}
	}
	if runs < 3 || resumed != runs-1 {
		t.Errorf("%d runs, %d of them resumed", runs, resumed)
	}
	slices.Sort(got)
	got = slices.Compact(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if left, _ := os.ReadDir(o.PlaceDir); len(left) > 0 {
		t.Errorf("a place is left: %v", left)
	}
	// Another scope, or a whole run, goes on with nobody else's place.
	o.Scope = "one"
	e.verify(o, true)
	o.Scope = "two"
	if out := e.verify(o, true); out.result.Resumed {
		t.Error("gone on with the place of another scope")
	}
}

// A place that is torn or of another version is no reason to fail.
func TestBrokenPlace(t *testing.T) {
	e := newEstate(t)
	e.boxes(4, 2)
	e.scan()
	dir := filepath.Join(e.state, "places")
	e.check(os.MkdirAll(dir, 0o700))
	path := filepath.Join(dir, "verify-"+manifest.StoreKey("", e.path)+".json")
	for _, text := range []string{"", "{", `{"version":99}`, `{"version":1,"stage":7}`, "\x00\x00"} {
		e.check(os.WriteFile(path, []byte(text), 0o600))
		out := e.verify(verify.Options{PlaceDir: dir, MaxDuration: time.Hour}, true)
		if out.result.Resumed || out.result.Messages != 8 {
			t.Errorf("%q: %+v", text, out.result)
		}
	}
}

// Nothing is written but where the caller said, and only with a time limit.
func TestVerifyWritesNothing(t *testing.T) {
	e := newEstate(t)
	e.boxes(3, 2)
	e.scan()
	before := snapshot(t, e.path, e.state)
	e.verify(verify.Options{PlaceDir: filepath.Join(e.state, "places")}, true)
	e.verify(verify.Options{CrashAt: e.now, Quick: true}, true)
	e.verify(verify.Options{}, false)
	if d := cmp.Diff(before, snapshot(t, e.path, e.state)); d != "" {
		t.Errorf("something was written:\n%s", d)
	}
}

func snapshot(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			st, err := d.Info()
			if err != nil {
				return err
			}
			out[p] = fmt.Sprint(st.Size(), st.ModTime(), st.Mode())
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// Cancelled is never a success, in whatever stage.
func TestCancelled(t *testing.T) {
	e := newEstate(t)
	e.boxes(12, 3)
	for i := range 12 {
		e.write(fmt.Sprintf("u%02d/cur/9.empty,S=5:2,", i), "")
	}
	e.scan()
	cause := errors.New("the operator pressed ^C")
	for _, after := range []int{0, 1, 5, 13, 14} {
		ctx, cancel := context.WithCancelCause(t.Context())
		record := e.record()
		v := verify.New(e.scanner(record), verify.Options{Record: record, Now: e.clock, Workers: 3})
		n := 0
		var last error
		if after == 0 {
			cancel(cause)
		}
		for _, err := range v.Events(ctx) {
			if last = err; err != nil {
				break
			}
			if n++; n == after {
				cancel(cause)
			}
		}
		cancel(nil)
		if !errors.Is(last, cause) || v.Result().Complete {
			t.Errorf("cancelled after %d events: ended with %v, complete %v", after, last, v.Result().Complete)
		}
	}
	v := verify.New(e.scanner(nil), verify.Options{Now: e.clock})
	for range v.Events(t.Context()) {
		break
	}
	if v.Result().Complete {
		t.Error("complete, though nobody looked")
	}
}

// Mailboxes that cannot be looked at are told, once, with one worker too.
func TestUnreadableMailboxes(t *testing.T) {
	e := newEstate(t)
	e.boxes(30, 1)
	e.scan()
	for i := range 10 {
		name := fmt.Sprintf("u%02d", i*3)
		e.check(os.RemoveAll(e.at(name)))
		e.check(os.Symlink("/", e.at(name)))
	}
	out := e.verify(verify.Options{Workers: 1}, true)
	want := []string{}
	for i := range 10 {
		want = append(want, fmt.Sprintf("unreadable unknown u%02d", i*3))
	}
	if d := cmp.Diff(want, out.lines()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if r := out.result; !r.Complete || r.Unreadable != 10 || r.Mailboxes != 20 || r.Partials != 10 || r.Damaged+r.Suspect+r.Vanished > 0 {
		t.Errorf("%+v", r)
	}
}

// A mailbox whose cur or new is a symbolic link is not read, and not overlooked,
// with a record and without, however its mailbox was found.
func TestMailboxBehindALink(t *testing.T) {
	for _, sub := range []string{"cur", "new"} {
		for _, recorded := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/recorded=%v", sub, recorded), func(t *testing.T) {
				e := newEstate(t)
				e.boxes(3, 1)
				if recorded {
					e.scan()
				}
				e.check(os.Rename(e.at("u01/"+sub), e.at("u01/"+sub+".own")))
				e.check(os.Symlink(sub+".own", e.at("u01/"+sub)))
				out := e.verify(verify.Options{Workers: 1}, recorded)
				if !slices.Contains(out.lines(), "unreadable unknown u01 INBOX") {
					t.Errorf("%q", out.lines())
				}
				if r := out.result; r.Partials != 1 || r.Mailboxes != 3 || r.Unreadable != 1 || r.Damaged+r.Suspect+r.Vanished > 0 {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}

// EIO is unknown: not damaged, not missing, not clean.
func TestFilesThatCannotBeRead(t *testing.T) {
	e := newEstate(t)
	e.boxes(4, 5)
	e.scan()
	var bad unix.Stat_t
	list, err := filepath.Glob(e.at("u02/cur/3.*"))
	e.check(err)
	e.check(unix.Stat(list[0], &bad))
	e.calls.Pread = func(fd int, p []byte, off int64) (int, error) {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Ino == bad.Ino {
			return 0, unix.EIO
		}
		return unix.Pread(fd, p, off)
	}
	e.calls.PreadNowait = func(int, []byte, int64) (int, error) { return 0, unix.EOPNOTSUPP }
	for _, baseline := range []bool{true, false} {
		out := e.verify(verify.Options{}, baseline)
		want := []string{"unreadable unknown u02 INBOX cur/" + filepath.Base(list[0])}
		if d := cmp.Diff(want, out.lines()); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if r := out.result; r.Unreadable != 1 || r.Damaged+r.Suspect+r.Vanished != 0 || r.Messages != 20 || len(r.Partial) == 0 {
			t.Errorf("%+v", r)
		}
	}
}

func TestDuplicateRun(t *testing.T) {
	e := newEstate(t)
	e.boxes(1, 1)
	v := verify.New(e.scanner(nil), verify.Options{Now: e.clock})
	for range v.Events(t.Context()) {
	}
	for _, err := range v.Events(t.Context()) {
		if !errors.Is(err, verify.ErrUsed) {
			t.Errorf("run twice: %v", err)
		}
	}
}

// A mailbox whose record cannot be read is checked against itself, and the
// outcome is partial.
func TestBrokenRecord(t *testing.T) {
	e := newEstate(t)
	e.boxes(1, 3)
	body := text("victim", 900)
	path := e.put("u00/cur", "9.M9P1.h", body, ":2,S")
	e.age(48 * time.Hour)
	e.scan()
	e.write(path, body[:300])
	manifests, err := filepath.Glob(filepath.Join(e.state, "stores", "*", "g1", "*", "*.*"))
	e.check(err)
	if len(manifests) != 1 {
		t.Fatalf("manifests: %q", manifests)
	}
	data, err := os.ReadFile(manifests[0])
	e.check(err)
	for _, at := range []int{1, len(data) / 2, len(data) - 3} {
		torn := slices.Clone(data)
		torn[at] ^= 0x20
		e.check(os.WriteFile(manifests[0], torn, 0o600))
		out := e.verify(verify.Options{}, true)
		want := []string{"truncated proof u00 INBOX " + strings.TrimPrefix(path, "u00/")}
		if d := cmp.Diff(want, out.lines()); d != "" {
			t.Errorf("byte %d: (-want +got):\n%s", at, d)
		}
		if r := out.result; r.Damaged != 1 || len(r.Partial) != 1 || r.Messages != 4 || !r.Complete {
			t.Errorf("byte %d: %+v", at, r)
		}
	}
}
