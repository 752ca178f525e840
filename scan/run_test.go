package scan

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

	"mailsync/manifest"
)

// state is a state directory and the store that it records.
type state struct {
	*tree
	dir   string
	clock *later
	opt   Options
	cfg   Config
}

func newState(t testing.TB) *state {
	t.Helper()
	c := &later{time.Hour}
	b := newTree(t)
	return &state{tree: b, dir: stateDir(t), clock: c, opt: Options{Now: c.now, BootID: "boot-1", BootAt: time.Unix(1, 0)}, cfg: Config{Name: "primary", Path: b.path}}
}

// stateDir is a directory in memory where there is one: these tests prove
// nothing about the disk, and sync a lot.
func stateDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "scan")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (st *state) repo() *manifest.Repo {
	st.t.Helper()
	r, err := manifest.OpenRepo(st.dir, manifest.RepoOptions{})
	st.check(err)
	return r
}

// scan runs one scan; findings come as "kind mailbox folder file".
func (st *state) scan(o RunOptions) (Result, []string, error) {
	st.t.Helper()
	return st.scanCtx(st.t.Context(), o)
}

func (st *state) scanCtx(ctx context.Context, o RunOptions) (Result, []string, error) {
	st.t.Helper()
	s, err := New(st.cfg, st.opt)
	st.check(err)
	defer s.Close()
	var found []string
	o.Finding = func(f manifest.Finding) {
		found = append(found, fmt.Sprintf("%s %s %s %s", f.Kind, f.Mailbox, f.Folder, f.File))
	}
	res, err := Run(ctx, s, st.repo(), o)
	slices.Sort(found)
	st.clock.d += time.Hour
	return res, found, err
}

func (st *state) must(o RunOptions) (Result, []string) {
	st.t.Helper()
	res, found, err := st.scan(o)
	st.check(err)
	return res, found
}

// recorded returns the entries and absences that the record holds.
func (st *state) recorded(mailbox string) (entries, absences []string) {
	st.t.Helper()
	store, err := st.repo().Store(manifest.StoreKey("", st.path))
	st.check(err)
	m, err := store.OpenMailbox(mailbox)
	st.check(err)
	defer m.Close()
	for e, err := range m.Entries() {
		st.check(err)
		entries = append(entries, fmt.Sprintf("%s/%s %d", e.Folder, e.Unique, e.Status))
	}
	for a, err := range m.Absences() {
		st.check(err)
		absences = append(absences, fmt.Sprintf("%s/%s %s", a.Entry.Folder, a.Entry.Unique, a.Evidence))
	}
	return entries, absences
}

// estate makes n mailboxes of m messages.
func (st *state) estate(n, m int) {
	st.t.Helper()
	for i := range n {
		box := fmt.Sprintf("user%03d", i)
		st.maildir(box+"/Maildir", box+"/Maildir/.Sent")
		st.many(box+"/Maildir/cur", m-1)
		st.put(box+"/Maildir/.Sent/cur", "sent.h", mail(box, 500), ":2,S")
	}
	st.old()
}

func TestRun(t *testing.T) {
	st := newState(t)
	st.estate(12, 5)
	res, found := st.must(RunOptions{})
	if !res.Complete() || len(found) != 0 || res.Mailboxes != 12 || res.Messages != 60 || res.Folders != 24 || res.ReadBytes != res.Bytes || res.Reused != 0 {
		t.Fatalf("first: %+v %v", res, found)
	}
	entries, _ := st.recorded("user003")
	if diff := cmp.Diff([]string{"INBOX/0000.h 1", "INBOX/0001.h 1", "INBOX/0002.h 1", "INBOX/0003.h 1", "Sent/sent.h 1"}, entries); diff != "" {
		t.Error(diff)
	}
	res, _ = st.must(RunOptions{})
	if res.Skipped != 12 || res.ReadBytes != 0 || res.Reused != 60 || res.Messages != 60 || res.Folders != 24 {
		t.Errorf("unchanged: %+v", res)
	}
	st.put("user003/Maildir/new", "9.h", mail("new", 700), "")
	res, _ = st.must(RunOptions{})
	if res.Skipped != 11 || res.Messages != 61 || res.Reused != 60 || res.ReadBytes == 0 {
		t.Errorf("one delivery: %+v", res)
	}
	res, _ = st.must(RunOptions{Rehash: true})
	if res.Skipped != 0 || res.ReadBytes != res.Bytes || res.Reused != 0 {
		t.Errorf("rehash: %+v", res)
	}
	if res, _ = st.must(RunOptions{Mailbox: func(n string) bool { return n == "user001" }}); res.Mailboxes != 1 {
		t.Errorf("one mailbox: %+v", res)
	}
	st.maildir("late/Maildir")
	if res, _ = st.must(RunOptions{}); res.Mailboxes != 13 || res.Skipped != 12 {
		t.Errorf("a new mailbox: %+v", res)
	}
}

func TestRehashFraction(t *testing.T) {
	st := newState(t)
	st.estate(20, 3)
	res, _ := st.must(RunOptions{})
	total := res.Bytes
	checked := map[string]int{}
	for range 12 {
		res, _ := st.must(RunOptions{RehashFraction: 0.1})
		if res.ReadBytes < total/10 || res.ReadBytes > total/10+total/15 {
			t.Fatalf("read %d of %d bytes", res.ReadBytes, total)
		}
		checked[fmt.Sprint(res.ReadBytes)]++
	}
	// Twelve tenths of the store: every mailbox was read again.
	store, err := st.repo().Store(manifest.StoreKey("", st.path))
	st.check(err)
	first := store.Record().Complete.Began.Add(-12*time.Hour - time.Minute).Unix()
	for h, err := range store.Heads(t.Context()) {
		st.check(err)
		if h.Checked < first {
			t.Errorf("%s was never read again", h.Name)
		}
	}
}

func TestLossIsNotLaundered(t *testing.T) {
	st := newState(t)
	st.estate(10, 40)
	st.must(RunOptions{})
	// A few messages of one mailbox: ordinary.
	st.remove("user001/Maildir/cur/" + named("0003.h", mail("3", 300), ":2,S"))
	res, found := st.must(RunOptions{})
	if !res.Complete() || res.Vanished != 1 || len(found) != 0 {
		t.Errorf("one gone: %+v %v", res, found)
	}
	if _, gone := st.recorded("user001"); len(gone) != 1 || !strings.HasSuffix(gone[0], "ordinary_absence") {
		t.Errorf("absences %v", gone)
	}
	// More than the usual share, over many mailboxes: the breaker.
	for i := range 10 {
		for k := 10; k < 13; k++ {
			st.remove(fmt.Sprintf("user%03d/Maildir/cur/%s", i, named(fmt.Sprintf("%04d.h", k), mail(fmt.Sprint(k), 300), ":2,S")))
		}
	}
	for range 2 { // however often it is scanned
		res, found = st.must(RunOptions{})
		if !errors.Is(res.Refused, ErrHalfGone) || res.Complete() || len(found) != 0 {
			t.Fatalf("breaker: %+v %v", res, found)
		}
		for i := range 10 {
			if entries, _ := st.recorded(fmt.Sprintf("user%03d", i)); len(entries) < 39 {
				t.Fatalf("user%03d: record of %d messages", i, len(entries))
			}
		}
	}
	// It comes back: all is well.
	for i := range 10 {
		st.many(fmt.Sprintf("user%03d/Maildir/cur", i), 39)
	}
	res, found = st.must(RunOptions{})
	if !res.Complete() || len(found) != 0 || res.Vanished != 0 {
		t.Errorf("back: %+v %v", res, found)
	}
}

// TestBreakerHoldsWithoutAScan: what a comparison or a restore sees gone, with
// no scan between, is weighed against the whole store, too.
func TestBreakerHoldsWithoutAScan(t *testing.T) {
	for _, c := range []struct {
		each int
		want manifest.Evidence
	}{{1, manifest.OrdinaryAbsence}, {3, manifest.MassDisappearing}} {
		st := newState(t)
		st.estate(10, 40)
		st.must(RunOptions{})
		for i := range 10 {
			for k := range c.each {
				st.remove(fmt.Sprintf("user%03d/Maildir/cur/%s", i, named(fmt.Sprintf("%04d.h", k), mail(fmt.Sprint(k), 300), ":2,S")))
			}
		}
		store, err := st.repo().Store(manifest.StoreKey("", st.path))
		st.check(err)
		opt := st.opt
		opt.Record = store
		s := configured(t, st.cfg, opt)
		v, err := s.Open(t.Context(), "user003")
		st.check(err)
		for _, err := range v.Entries(t.Context()) {
			st.check(err)
		}
		n := 0
		for a, err := range v.Absences(t.Context()) {
			st.check(err)
			if n++; a.Evidence != c.want {
				t.Errorf("%d gone from each mailbox: %s, want %s", c.each, a.Evidence, c.want)
			}
		}
		if n != c.each {
			t.Errorf("%d absences, want %d", n, c.each)
		}
		st.check(v.Close())
	}
}

func TestOneMailboxLosesMost(t *testing.T) {
	st := newState(t)
	st.cfg.Breaker = 0.5
	st.estate(10, 40)
	st.must(RunOptions{})
	st.check(os.RemoveAll(st.at("user004/Maildir/cur")))
	st.check(os.Mkdir(st.at("user004/Maildir/cur"), 0o700))
	res, _ := st.must(RunOptions{})
	if res.Complete() || res.Partials != 1 || res.Partial[0].Mailbox != "user004" || res.Refused != nil {
		t.Errorf("%+v", res)
	}
	entries, gone := st.recorded("user004")
	if len(entries) != 1 || len(gone) != 39 || !strings.HasSuffix(gone[0], "mass_disappearing") {
		t.Errorf("%d entries, %d absences", len(entries), len(gone))
	}
}

func TestEmptyAndHalfMountedStores(t *testing.T) {
	st := newState(t)
	st.estate(6, 3)
	st.must(RunOptions{})
	aside := t.TempDir()
	hide := func(n int) {
		for i := range n {
			box := fmt.Sprintf("user%03d", i)
			st.check(os.Rename(st.at(box), filepath.Join(aside, box)))
		}
	}
	show := func() {
		boxes, err := os.ReadDir(aside)
		st.check(err)
		for _, b := range boxes {
			st.check(os.Rename(filepath.Join(aside, b.Name()), st.at(b.Name())))
		}
	}
	for _, n := range []int{6, 3} {
		hide(n)
		res, found := st.must(RunOptions{})
		if !errors.Is(res.Refused, ErrHalfGone) || len(found) != 0 {
			t.Errorf("%d of 6 mailboxes gone: %+v %v", n, res, found)
		}
		show()
	}
	hide(1)
	res, _ := st.must(RunOptions{})
	if res.Refused != nil || res.Complete() || res.Mailboxes != 5 || res.Partials != 1 {
		t.Errorf("one mailbox gone: %+v", res)
	}
	if entries, gone := st.recorded("user000"); len(entries) != 3 || len(gone) != 0 {
		t.Errorf("its record: %v %v", entries, gone)
	}
	show()
	if res, _ = st.must(RunOptions{}); !res.Complete() || res.Messages != 18 {
		t.Errorf("back: %+v", res)
	}
}

func TestOtherFilesystem(t *testing.T) {
	st := newState(t)
	st.estate(3, 3)
	st.must(RunOptions{})
	// Another directory appears under the path, as an older copy would.
	st.check(os.Rename(st.path, st.path+".old"))
	st.check(os.Mkdir(st.path, 0o700))
	t.Cleanup(func() { _ = os.RemoveAll(st.path + ".old") })
	st.estate(3, 2)
	flip(t, st.at("user001/Maildir/cur/"+named("0000.h", mail("0", 300), ":2,S")))
	if _, _, err := st.scan(RunOptions{}); !errors.Is(err, ErrOtherFilesystem) {
		t.Fatalf("%v, want ErrOtherFilesystem", err)
	}
	res, found := st.must(RunOptions{Adopt: true})
	if !res.Complete() || res.Vanished != 0 || res.Generation != 2 {
		t.Errorf("adopted: %+v", res)
	}
	// What the old record knows of the same message still holds.
	if diff := cmp.Diff([]string{"content_changed user001 INBOX cur/" + named("0000.h", mail("0", 300), ":2,S")}, found); diff != "" {
		t.Error(diff)
	}
	if _, gone := st.recorded("user001"); len(gone) != 0 {
		t.Errorf("absences %v", gone)
	}
	store, err := st.repo().Store(manifest.StoreKey("", st.path))
	st.check(err)
	old, err := store.At(1)
	st.check(err)
	if h, err := old.Head("user001"); err != nil || h.Messages != 3 {
		t.Errorf("the old generation: %+v, %v", h, err)
	}
}

// There is nothing to adopt from where nothing is recorded: it is a first scan.
func TestAdoptWithoutRecord(t *testing.T) {
	st := newState(t)
	st.estate(2, 3)
	if res, _ := st.must(RunOptions{Adopt: true}); !res.Complete() || res.Messages != 6 || res.Generation != 1 {
		t.Errorf("adopted: %+v", res)
	}
}

func TestCrashDropsShortCuts(t *testing.T) {
	st := newState(t)
	st.estate(4, 5)
	st.must(RunOptions{})
	lost := "user002/Maildir/cur/" + named("0001.h", mail("1", 300), ":2,S")
	st.remove(lost)
	st.opt.BootID, st.opt.BootAt = "boot-2", st.clock.now().Add(-time.Minute)
	res, found := st.must(RunOptions{})
	if !res.Crashed || res.Skipped != 0 || res.ReadBytes != res.Bytes {
		t.Errorf("%+v", res)
	}
	want := []string{"missing user002 INBOX " + strings.TrimPrefix(lost, "user002/Maildir/")}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
	for range 2 { // the loss is told until it is mended
		res, found = st.must(RunOptions{})
		if diff := cmp.Diff(want, found); diff != "" || res.Crashed || res.Skipped != 3 {
			t.Errorf("%+v %s", res, diff)
		}
	}
	st.write(lost, mail("1", 300))
	if res, found = st.must(RunOptions{}); len(found) != 0 || !res.Complete() {
		t.Errorf("mended: %v", found)
	}
	if res, _ = st.must(RunOptions{}); res.Skipped != 4 {
		t.Errorf("afterwards: %+v", res)
	}
}

func TestAcceptIsJournalled(t *testing.T) {
	st := newState(t)
	st.estate(2, 3)
	st.must(RunOptions{})
	name := "cur/" + named("0000.h", mail("0", 300), ":2,S")
	flip(t, st.at("user001/Maildir/"+name))
	if _, found := st.must(RunOptions{Rehash: true}); len(found) != 1 {
		t.Fatalf("%v", found)
	}
	if _, _, err := st.scan(RunOptions{Accept: true}); !errors.Is(err, ErrConfig) {
		t.Errorf("without a reason: %v", err)
	}
	res, found := st.must(RunOptions{Accept: true, Reason: "virus cut out"})
	if res.Accepted != 1 || len(found) != 0 || !res.Complete() {
		t.Errorf("%+v %v", res, found)
	}
	store, err := st.repo().Store(manifest.StoreKey("", st.path))
	st.check(err)
	n := 0
	for a, err := range store.Acceptances() {
		st.check(err)
		n++
		if a.Mailbox != "user001" || a.File != name || a.Reason != "virus cut out" || a.Old.IsZero() || a.New == a.Old {
			t.Errorf("%+v", a)
		}
	}
	if n != 1 {
		t.Errorf("%d acceptances", n)
	}
	if _, found = st.must(RunOptions{Rehash: true}); len(found) != 0 {
		t.Errorf("afterwards: %v", found)
	}
}

func TestMaxDurationGoesOn(t *testing.T) {
	st := newState(t)
	st.estate(30, 4)
	seen := int64(0)
	for n := 0; ; n++ {
		if n > 40 {
			t.Fatal("it never ends")
		}
		// The clock leaps at each look: one or a few mailboxes a run.
		now := st.clock.now()
		var calls atomic.Int64
		st.opt.Now = func() time.Time { return now.Add(time.Duration(calls.Add(1)) * time.Second) }
		res, _, err := st.scan(RunOptions{MaxDuration: 60 * time.Second, Workers: 1})
		st.check(err)
		if res.ReadBytes == 0 && res.TimeUp {
			t.Fatal("a run got nowhere")
		}
		seen += res.ReadBytes
		if res.Complete() {
			if n == 0 {
				t.Fatal("the first run was long enough: nothing is proven")
			}
			if seen != res.Bytes {
				t.Errorf("read %d bytes in all, the store has %d", seen, res.Bytes)
			}
			return
		}
		if !res.TimeUp {
			t.Fatalf("%+v", res)
		}
	}
}

func TestCancelledIsNotDone(t *testing.T) {
	st := newState(t)
	st.estate(30, 4)
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	p := new(Progress)
	var calls atomic.Int64
	real := st.opt.Now
	st.opt.Now = func() time.Time {
		if calls.Add(1) == 100 {
			cancel(cause)
		}
		return real()
	}
	_, _, err := st.scanCtx(ctx, RunOptions{Progress: p, Workers: 1})
	if !errors.Is(err, cause) {
		t.Fatalf("%v, want the cause", err)
	}
	st.opt.Now = real
	res, _ := st.must(RunOptions{})
	if !res.Resumed || !res.Complete() || res.Messages != 120 || res.ReadBytes >= res.Bytes || res.Skipped == 0 {
		t.Errorf("resumed: %+v", res)
	}
}
