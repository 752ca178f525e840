package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailsync/manifest/durable"
	"mailsync/manifest/durable/durabletest"
)

func TestIndexIsRebuilt(t *testing.T) {
	dir := t.TempDir()
	r, err := OpenRepo(dir, RepoOptions{})
	must(t, err)
	s := begin(t, r, SessionOptions{})
	for i := range 20 {
		must(t, put(s, fmt.Sprint(i), i, 1))
	}
	must(t, s.Finish(true))
	st, err := r.Store(StoreKey("", storeID.Path))
	must(t, err)
	want := heads(t, st)
	indexes, err := filepath.Glob(filepath.Join(dir, "stores", "*", "g1", "*", "index"))
	must(t, err)
	for i, path := range indexes {
		data, err := os.ReadFile(path)
		must(t, err)
		switch i % 3 {
		case 0:
			must(t, os.Remove(path))
		case 1:
			must(t, os.WriteFile(path, data[:len(data)/2], 0o600))
		case 2:
			data[len(data)/2] ^= 1
			must(t, os.WriteFile(path, data, 0o600))
		}
	}
	st, err = r.Store(StoreKey("", storeID.Path))
	must(t, err)
	if d := cmp.Diff(want, heads(t, st)); d != "" {
		t.Error(d)
	}
	var res CheckResult
	n := int64(0)
	for _, err := range st.Check(context.Background(), &res) {
		must(t, err)
		n++
	}
	if n != int64(len(indexes)) || res.Broken != n || res.OK != 21 {
		t.Errorf("%d broken, %v", n, res)
	}
}

// A session that finds an index lost makes it anew from the directory, in which
// its own new manifests lie already: it must not take one for its predecessor.
func TestLostIndexCostsNoManifest(t *testing.T) {
	dir := t.TempDir()
	r, err := OpenRepo(dir, RepoOptions{})
	must(t, err)
	for version := uint64(1); version < 4; version++ {
		s := begin(t, r, SessionOptions{})
		for i := range 20 {
			must(t, put(s, fmt.Sprint(i), i, version))
		}
		must(t, s.Finish(true))
		st, err := r.Store(StoreKey("", storeID.Path))
		must(t, err)
		var res CheckResult
		for b, err := range st.Check(context.Background(), &res) {
			must(t, err)
			t.Errorf("version %d: %s: %v", version, b.File, b.Err)
		}
		indexes, err := filepath.Glob(filepath.Join(dir, "stores", "*", "g1", "*", "index"))
		must(t, err)
		for _, path := range indexes {
			must(t, os.Remove(path))
		}
	}
}

func TestCheckNamesEveryBrokenFile(t *testing.T) {
	dir := t.TempDir()
	r, err := OpenRepo(dir, RepoOptions{})
	must(t, err)
	s := begin(t, r, SessionOptions{})
	for i := range 4 {
		must(t, put(s, fmt.Sprint(i), 10, 1))
	}
	must(t, s.Accept(Acceptance{Mailbox: "1", Reason: "virus"}))
	must(t, s.Finish(true))
	st, err := r.Store(StoreKey("", storeID.Path))
	must(t, err)
	files, err := filepath.Glob(filepath.Join(dir, "stores", "*", "g1", "*", "*.*"))
	must(t, err)
	check := func() (names []string, res CheckResult) {
		for b, err := range st.Check(context.Background(), &res) {
			must(t, err)
			if b.Mailbox == "" || !errors.Is(b.Err, ErrCorrupt) {
				t.Errorf("%+v", b)
			}
			names = append(names, filepath.Join(dir, b.File))
		}
		return names, res
	}
	if names, res := check(); len(names) > 0 || res.OK != 10 { // store, accepted, 4 indexes, 4 manifests
		t.Fatalf("%v, %v", names, res)
	}
	data, err := os.ReadFile(files[1])
	must(t, err)
	data[len(data)/2] ^= 4
	must(t, os.WriteFile(files[1], data, 0o600))
	must(t, os.Remove(files[3]))
	names, res := check()
	if !slices.Equal(names, []string{files[1], files[3]}) || res.String() != "8 ok, 2 broken" {
		t.Errorf("%v, %v", names, res)
	}
}

func TestCopyTo(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	ctx := context.Background()
	r, err := OpenRepo(from, RepoOptions{})
	must(t, err)
	s := begin(t, r, SessionOptions{})
	for i := range 10 {
		must(t, put(s, fmt.Sprint(i), 5, 1))
	}
	must(t, s.Accept(Acceptance{Mailbox: "1", Reason: "virus", Old: BLAKE3.Sum(nil)}))
	must(t, s.Finish(true))
	copyNow := func() CopyResult {
		st, err := r.Store(StoreKey("", storeID.Path))
		must(t, err)
		res, err := st.CopyTo(ctx, to)
		must(t, err)
		back, err := OpenRepo(to, RepoOptions{ReadOnly: true})
		must(t, err)
		cp, err := back.Store(StoreKey("", storeID.Path))
		must(t, err)
		if d := cmp.Diff(heads(t, st), heads(t, cp)); d != "" {
			t.Error(d)
		}
		if st.Record().State != cp.Record().State || st.Record().Generation != cp.Record().Generation {
			t.Error("records differ")
		}
		var cr CheckResult
		for b, err := range cp.Check(ctx, &cr) {
			t.Errorf("%+v %v", b, err)
		}
		n := 0
		for a, err := range cp.Acceptances() {
			must(t, err)
			if a.Reason != "virus" || a.Old != BLAKE3.Sum(nil) {
				t.Errorf("%+v", a)
			}
			n++
		}
		if n != 1 {
			t.Errorf("%d acceptances", n)
		}
		return res
	}
	if res := copyNow(); res.Files < 20 || res.Skipped != 0 {
		t.Errorf("%+v", res)
	}
	if res := copyNow(); res.Files != 0 || res.Skipped != 10 {
		t.Errorf("second copy: %+v", res)
	}
	s = begin(t, r, SessionOptions{})
	must(t, put(s, "3", 6, 2))
	must(t, s.Finish(false))
	if res := copyNow(); res.Files != 2 || res.Skipped != 9 {
		t.Errorf("one changed: %+v", res)
	}
	s, err = r.Begin(storeID, SessionOptions{Adopt: true})
	must(t, err)
	must(t, put(s, "3", 6, 3))
	must(t, s.Finish(true))
	copyNow()
	st, err := r.Store(StoreKey("", storeID.Path))
	must(t, err)
	if _, err := st.CopyTo(ctx, "backup1:/var/lib/mailsync"); !errors.Is(err, ErrRemoteCopy) {
		t.Error(err)
	}
	if _, err := st.CopyTo(ctx, from); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

func TestStoresAndKeys(t *testing.T) {
	keys := []string{StoreKey("primary", "/x"), StoreKey("", "/srv/mail"), StoreKey("", "/srv2/mail"), StoreKey("", "/srv/mail/.."), StoreKey("", "/a\nb")}
	slices.Sort(keys)
	if len(slices.Compact(keys)) != 5 {
		t.Error(keys)
	}
	if StoreKey("", "/srv/mail") != StoreKey("", "/srv//mail/") {
		t.Error("one path, two keys")
	}
	d := durabletest.New(durabletest.Ext4)
	r := openRepo(t, d, false)
	for _, id := range []Identity{{Name: "b", Path: "/b"}, {Name: "a", Path: "/a"}} {
		s, err := r.Begin(id, SessionOptions{})
		must(t, err)
		must(t, s.Finish(true))
	}
	must(t, durable.WriteFile(d, "/state/stores/name-a/store", []byte("broken"), 0o600))
	var list []string
	for rec, err := range r.Stores() {
		list = append(list, fmt.Sprint(rec.Key, " ", rec.Path, " ", errors.Is(err, ErrCorrupt)))
	}
	if d := cmp.Diff([]string{"name-a  true", "name-b /b false"}, list); d != "" {
		t.Error(d)
	}
}

func TestShardRoots(t *testing.T) {
	d := durabletest.New(durabletest.Ext4)
	r := openRepo(t, d, false)
	s := begin(t, r, SessionOptions{})
	must(t, put(s, "anna", 3, 1))
	must(t, put(s, "bert", 3, 1))
	must(t, s.Finish(true))
	before := openStore(t, d)
	s = begin(t, r, SessionOptions{})
	must(t, put(s, "anna", 3, 2))
	must(t, s.Finish(false))
	after := openStore(t, d)
	for no := range Shards {
		a, _, err := before.ShardRoots(no)
		must(t, err)
		b, _, err := after.ShardRoots(no)
		must(t, err)
		if a.IsZero() || (a == b) != (no != ShardOf("anna")) {
			t.Errorf("shard %03x: %v, %v", no, a, b)
		}
	}
	if before.Record().Content == after.Record().Content {
		t.Error("the store's root has not moved")
	}
}

// sampleIndex is an index with one mailbox, and the sums of its shard.
func sampleIndex(t testing.TB) (*bundle, shardSum) {
	mb, list := sample("anna", 3, 1)
	encode(t, mb, list, nil)
	no := ShardOf("anna")
	b := &bundle{no: bundleOf(no), alg: BLAKE3, generation: 1}
	b.put(&row{
		Head:   headOf(mb, &Extra{Watch: []byte("w")}, &sums{messages: 3, content: mb.Content, state: mb.State}),
		serial: 1 << 32, shard: no,
	})
	return b, sumShard(BLAKE3, no, b.rows)
}

func FuzzIndex(f *testing.F) {
	b, _ := sampleIndex(f)
	f.Add((&bundle{no: b.no, alg: BLAKE3, generation: 1}).encode())
	f.Add(b.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decodeIndex(resealAll(data), b.no)
		if err != nil {
			return
		}
		again, err := decodeIndex(got.encode(), got.no)
		if err != nil || !cmp.Equal(again.rows, got.rows, cmp.AllowUnexported(row{})) {
			t.Fatalf("not the same after writing it again: %v", err)
		}
	})
}

func FuzzStoreRecord(f *testing.F) {
	r := &StoreRecord{Identity: storeID, Key: "k", Generation: 1, Alg: BLAKE3, Open: Look{ID: 3, Place: []byte("x")}}
	f.Add(r.encode())
	r.setShard(shardSum{shard: 5, mailboxes: 3, content: BLAKE3.Sum(nil), state: BLAKE3.Sum(nil)})
	f.Add(r.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decodeRecord(resealAll(data))
		if err != nil {
			return
		}
		again, err := decodeRecord(got.encode())
		if err != nil || !cmp.Equal(got, again, cmp.AllowUnexported(StoreRecord{}, shardSum{})) {
			t.Fatalf("not the same after writing it again: %v", err)
		}
	})
}

// Indexes and store records, cut and flipped.
func TestBrokenIndexesAndRecords(t *testing.T) {
	b, t1 := sampleIndex(t)
	rec := &StoreRecord{Identity: storeID, Key: "k", Generation: 1, Alg: BLAKE3}
	rec.setShard(t1)
	for name, c := range map[string]struct {
		data   []byte
		decode func([]byte) error
	}{
		"index":  {b.encode(), func(p []byte) error { _, err := decodeIndex(p, b.no); return err }},
		"record": {rec.encode(), func(b []byte) error { _, err := decodeRecord(b); return err }},
	} {
		must(t, c.decode(c.data))
		for n := range c.data {
			if err := c.decode(c.data[:n]); !errors.Is(err, ErrTruncated) {
				t.Fatalf("%s, prefix of %d: %v", name, n, err)
			}
			for _, mask := range []byte{1, 0x80, 0xff} {
				bad := bytes.Clone(c.data)
				bad[n] ^= mask
				if err := c.decode(bad); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
					t.Fatalf("%s, byte %d: %v", name, n, err)
				}
			}
		}
	}
}
