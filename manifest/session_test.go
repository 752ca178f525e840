package manifest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailsync/manifest/durable"
	"mailsync/manifest/durable/durabletest"
)

var storeID = Identity{Path: "/srv/mail", FSID: 7, FSType: 0xEF53, Device: 1, RootInode: 2, Host: "h", BootID: "boot-1"}

// clock ticks a second with each look at it.
func clock() func() time.Time {
	var mu sync.Mutex
	t := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		t = t.Add(time.Second)
		return t
	}
}

func openRepo(t testing.TB, fsys durable.FS, readOnly bool) *Repo {
	t.Helper()
	r, err := OpenRepo("/state", RepoOptions{FS: fsys, ReadOnly: readOnly})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func begin(t testing.TB, r *Repo, o SessionOptions) *Session {
	t.Helper()
	if o.Now == nil {
		o.Now = clock()
	}
	s, err := r.Begin(storeID, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put commits a mailbox of n messages; version makes its content differ.
func put(s *Session, name string, n int, version uint64) error {
	mb, list := sample(name, n, version)
	d, err := s.Create(name)
	if err != nil {
		return err
	}
	defer d.Abort()
	for i := range list {
		if err := d.Add(&list[i]); err != nil {
			return err
		}
	}
	if n > 2 {
		for _, a := range sampleAbsences(list[:1]) {
			if err := d.Absent(&a); err != nil {
				return err
			}
		}
	}
	return d.Commit(mb, Extra{Watch: fmt.Appendf(nil, "watch %d", version), Disordered: int64(version)})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func heads(t testing.TB, s *Store) []Head {
	t.Helper()
	var list []Head
	for h, err := range s.Heads(context.Background()) {
		must(t, err)
		list = append(list, h)
	}
	return list
}

func openStore(t testing.TB, fsys durable.FS) *Store {
	t.Helper()
	s, err := openRepo(t, fsys, true).Store(StoreKey("", storeID.Path))
	must(t, err)
	return s
}

// readVersion returns which version of a mailbox is recorded.
func readVersion(s *Store, name string) (uint64, error) {
	o, err := s.OpenMailbox(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = o.Close() }()
	for _, err := range o.Absences() {
		if err != nil {
			return 0, err
		}
	}
	return uint64(o.Extra().Disordered), nil
}

func TestSessionAndStore(t *testing.T) {
	for _, kind := range []int64{durabletest.Ext4, durabletest.Tmpfs} {
		d := durabletest.New(kind)
		r := openRepo(t, d, false)
		if _, err := r.Store(StoreKey("", "/srv/mail")); !errors.Is(err, ErrNoRecord) {
			t.Fatal(err)
		}
		s := begin(t, r, SessionOptions{Group: 3})
		names := []string{"anna", "bert", "cora", "dora", "emil", "a/b/c", "x\xff\n"}
		for i, n := range names {
			must(t, put(s, n, i*40, 1))
		}
		must(t, s.Finish(true))
		if _, err := s.Create("late"); !errors.Is(err, ErrEnded) {
			t.Errorf("create after the end: %v", err)
		}

		st := openStore(t, d)
		list := heads(t, st)
		var got []string
		total := int64(0)
		for _, h := range list {
			got = append(got, h.Name)
			total += h.Messages
			if h.Content.IsZero() || h.State.IsZero() || h.Done || string(h.Watch) != "watch 1" || h.Disordered != 1 || h.Generation != 1 || h.Checked == 0 && h.Messages > 0 {
				t.Errorf("head %+v", h)
			}
			o, err := st.OpenMailbox(h.Name)
			must(t, err)
			if o.Mailbox().Content != h.Content || o.Mailbox().State != h.State || o.Mailbox().Messages != h.Messages {
				t.Errorf("%q: header and index differ", h.Name)
			}
			n := int64(0)
			for _, err := range o.Entries() {
				must(t, err)
				n++
			}
			for _, err := range o.Absences() {
				must(t, err)
			}
			must(t, o.Close())
			if n != h.Messages {
				t.Errorf("%q: %d entries, %d told", h.Name, n, h.Messages)
			}
		}
		slices.SortFunc(names, CompareMailboxes)
		if d := cmp.Diff(names, got); d != "" {
			t.Error(d)
		}
		rec := st.Record()
		if rec.Mailboxes != int64(len(names)) || rec.Messages != total || rec.Dirty || rec.Open.ID != 0 || rec.Complete.ID != 1 || rec.Content.IsZero() {
			t.Errorf("record %+v", rec)
		}
		if _, err := st.Head("nobody"); !errors.Is(err, ErrNoMailbox) {
			t.Error(err)
		}
		if _, err := st.OpenMailbox("nobody"); !errors.Is(err, ErrNoMailbox) {
			t.Error(err)
		}
		checkClean(t, d)
	}
}

// checkClean reads everything and wants no broken and no left-over file.
func checkClean(t testing.TB, d *durabletest.Disk) {
	t.Helper()
	if err := clean(d); err != nil {
		t.Fatal(err)
	}
}

func clean(d *durabletest.Disk) error {
	r, err := OpenRepo("/state", RepoOptions{FS: d, ReadOnly: true})
	if err != nil {
		return err
	}
	s, err := r.Store(StoreKey("", storeID.Path))
	if err != nil {
		return err
	}
	var res CheckResult
	for b, err := range s.Check(context.Background(), &res) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%s: %w", b.File, b.Err)
	}
	return noLeftovers(d, "/state", s)
}

// noLeftovers wants one manifest a mailbox and no temporary file.
func noLeftovers(d *durabletest.Disk, dir string, s *Store) error {
	files := int64(0)
	var walk func(dir string) error
	walk = func(dir string) error {
		names, err := d.Names(dir)
		if err != nil {
			return err
		}
		for _, n := range names {
			path := filepath.Join(dir, n)
			if info, err := d.Stat(path); err != nil {
				return err
			} else if info.Dir {
				if err := walk(path); err != nil {
					return err
				}
				continue
			}
			if _, _, ok := parseManifestName(n); ok {
				files++
			} else if n == "probe.tmp" && strings.Count(path, "/") < 4 {
				continue // empty, in a parent directory; the next probe there removes it
			} else if n != "index" && n != "store" && n != "lock" && n != "accepted" {
				return fmt.Errorf("left over: %s", path)
			}
		}
		return nil
	}
	if err := walk(dir); err != nil {
		return err
	}
	if rec := s.Record(); files != rec.Mailboxes+rec.Gone && rec.Generation == 1 {
		return fmt.Errorf("%d manifests, %d mailboxes", files, rec.Mailboxes)
	}
	return nil
}

func TestDraftsThatAreNotCommitted(t *testing.T) {
	d := durabletest.New(durabletest.Ext4)
	r := openRepo(t, d, false)
	s := begin(t, r, SessionOptions{})
	must(t, put(s, "anna", 3, 1))
	must(t, s.Checkpoint(nil))
	mb, list := sample("anna", 9000, 2) // larger than what stays in memory
	for _, end := range []string{"abort", "seal and abort", "seal and leave"} {
		dr, err := s.Create("anna")
		must(t, err)
		for i := range list {
			must(t, dr.Add(&list[i]))
		}
		if end != "abort" {
			must(t, dr.Seal(mb, Extra{}))
			if err := dr.Add(&list[0]); !errors.Is(err, ErrEnded) {
				t.Error(err)
			}
		}
		if end != "seal and leave" {
			dr.Abort()
			if err := dr.Commit(mb, Extra{}); !errors.Is(err, ErrEnded) {
				t.Errorf("commit after abort: %v", err)
			}
		}
	}
	bad, err := s.Create("anna")
	must(t, err)
	other := *mb
	other.Name = "bert"
	if err := bad.Commit(&other, Extra{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("commit under another name: %v", err)
	}
	// Sealed now, committed much later.
	late, err := s.Create("late")
	must(t, err)
	lmb, ll := sample("late", 20, 3)
	for i := range ll {
		must(t, late.Add(&ll[i]))
	}
	must(t, late.Seal(lmb, Extra{Disordered: 3}))
	must(t, s.Checkpoint(nil))
	if _, err := s.Store().Head("late"); !errors.Is(err, ErrNoMailbox) {
		t.Errorf("a sealed draft is seen: %v", err)
	}
	must(t, late.Commit(nil, Extra{}))
	must(t, s.Finish(true))
	st := openStore(t, d)
	for name, want := range map[string]uint64{"anna": 1, "late": 3} {
		if v, err := readVersion(st, name); err != nil || v != want {
			t.Errorf("%s: version %d, %v", name, v, err)
		}
	}
	checkClean(t, d)
}

func TestLargeMailboxThroughASession(t *testing.T) {
	dir := t.TempDir()
	r, err := OpenRepo(dir, RepoOptions{})
	must(t, err)
	s := begin(t, r, SessionOptions{})
	mb, list := sample("anna", 20_000, 2)
	dr, err := s.Create("anna")
	must(t, err)
	for i := range list {
		must(t, dr.Add(&list[i]))
	}
	must(t, dr.Commit(mb, Extra{}))
	must(t, s.Finish(true))
	st, err := r.Store(StoreKey("", storeID.Path))
	must(t, err)
	o, err := st.OpenMailbox("anna")
	must(t, err)
	defer o.Close()
	i := 0
	for e, err := range o.Entries() {
		must(t, err)
		if !cmp.Equal(e, list[i]) {
			t.Fatalf("entry %d: %s", i, cmp.Diff(list[i], e))
		}
		i++
	}
	if i != len(list) {
		t.Errorf("%d of %d entries", i, len(list))
	}
}

func TestAdoptKeepsTheOldGeneration(t *testing.T) {
	d := durabletest.New(durabletest.Ext4)
	r := openRepo(t, d, false)
	s := begin(t, r, SessionOptions{})
	must(t, put(s, "anna", 3, 1))
	must(t, put(s, "bert", 3, 1))
	must(t, s.Finish(true))

	other := storeID
	other.FSID = 99
	if _, err := r.Begin(other, SessionOptions{}); !errors.Is(err, ErrOther) {
		t.Fatalf("another file system was taken for the store: %v", err)
	}
	if _, err := r.Begin(storeID, SessionOptions{Alg: SHA256}); !errors.Is(err, ErrAlg) {
		t.Fatalf("another algorithm: %v", err)
	}
	s, err := r.Begin(other, SessionOptions{Adopt: true, Alg: SHA256})
	must(t, err)
	if n := len(heads(t, s.Store())); n != 0 {
		t.Errorf("%d mailboxes of the old generation count for the new", n)
	}
	must(t, s.Finish(true))
	st := openStore(t, d)
	if rec := st.Record(); rec.Generation != 2 || rec.FSID != 99 || rec.Gone != 0 || rec.Alg != SHA256 {
		t.Errorf("%+v", rec)
	}
	gens, err := st.Generations()
	if err != nil || !slices.Equal(gens, []uint32{1, 2}) {
		t.Errorf("%v, %v", gens, err)
	}
	old, err := st.At(1)
	must(t, err)
	if v, err := readVersion(old, "anna"); err != nil || v != 1 || old.Record().FSID != 7 || len(heads(t, old)) != 2 {
		t.Errorf("%d, %v, %+v", v, err, old.Record())
	}
	if _, err := st.At(5); !errors.Is(err, ErrNoRecord) {
		t.Error(err)
	}
}

func TestReadOnlyWritesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none", "state")
	r, err := OpenRepo(dir, RepoOptions{ReadOnly: true})
	must(t, err)
	for range r.Stores() {
		t.Error("a store out of nothing")
	}
	if _, err := r.Store(StoreKey("x", "")); !errors.Is(err, ErrNoRecord) {
		t.Error(err)
	}
	if _, err := r.Begin(storeID, SessionOptions{}); !errors.Is(err, ErrReadOnly) {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a directory was made")
	}
	// Nor does it write into a state that a killed session has left behind.
	d := durabletest.New(durabletest.Ext4)
	s := begin(t, openRepo(t, d, false), SessionOptions{Group: 1})
	must(t, put(s, "anna", 3, 1))
	d = d.Kill()
	d.Fail = func(_ int, op, path string) error {
		switch op {
		case "write", "rename", "unlink", "mkdir", "fsync", "syncfs", "link", "truncate":
			t.Errorf("%s %s", op, path)
		}
		return nil
	}
	if list := heads(t, openStore(t, d)); len(list) != 1 || list[0].Name != "anna" {
		t.Errorf("%+v", list)
	}
}

func TestOneSessionAtATime(t *testing.T) {
	dir := t.TempDir()
	r, err := OpenRepo(dir, RepoOptions{})
	must(t, err)
	s := begin(t, r, SessionOptions{})
	if _, err := r.Begin(storeID, SessionOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second session: %v", err)
	}
	must(t, s.Close())
	s = begin(t, r, SessionOptions{})
	must(t, s.Finish(false))
}

func TestReadersBesideASession(t *testing.T) {
	dir := t.TempDir()
	r, err := OpenRepo(dir, RepoOptions{})
	must(t, err)
	s := begin(t, r, SessionOptions{Group: 4})
	const boxes = 30
	for i := range boxes {
		must(t, put(s, fmt.Sprint(i), 2, 1))
	}
	must(t, s.Finish(true))
	s = begin(t, r, SessionOptions{Group: 4})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			ro, err := OpenRepo(dir, RepoOptions{ReadOnly: true})
			if err != nil {
				t.Error(err)
				return
			}
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				st, err := ro.Store(StoreKey("", storeID.Path))
				if err != nil {
					t.Error(err)
					return
				}
				if v, err := readVersion(st, fmt.Sprint(n%boxes)); err != nil || v < 1 || v > 4 {
					t.Errorf("version %d, %v", v, err)
					return
				}
			}
		})
	}
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for v := uint64(2); v <= 4; v++ {
				for i := w; i < boxes; i += 3 {
					if err := put(s, fmt.Sprint(i), 2, v); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
	must(t, s.Finish(true))
	close(stop)
	wg.Wait()
	st, err := r.Store(StoreKey("", storeID.Path))
	must(t, err)
	for i := range boxes {
		if v, err := readVersion(st, fmt.Sprint(i)); err != nil || v != 4 {
			t.Errorf("mailbox %d: version %d, %v", i, v, err)
		}
	}
}
