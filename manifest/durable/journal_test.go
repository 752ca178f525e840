package durable_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/zeebo/blake3"

	"mailsync/manifest/durable"
	"mailsync/manifest/durable/durabletest"
)

// journalFile returns the bytes of a journal with records 1 to n, synced after
// every second, sealed or not.
func journalFile(t testing.TB, n int, seal bool) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "j")
	j, err := durable.OpenJournal(path, journalOptions)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= n; i++ {
		if err := j.Append(record(i)); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if err := j.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if seal {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !seal {
		_ = j.Close()
	}
	return data
}

// recoverBytes reads a journal that holds data.
func recoverBytes(t testing.TB, data []byte) (n int, tail durable.Tail, err error) {
	t.Helper()
	d := durabletest.New(durabletest.Ext4)
	f, err := d.Open("/j", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	o := journalOptions
	o.FS = d
	for rec, err := range durable.Recover("/j", o, &tail) {
		if err != nil {
			return n, tail, err
		}
		n++
		if !bytes.Equal(rec.Data, record(n)) {
			t.Fatalf("record %d is not what was written", n)
		}
	}
	return n, tail, nil
}

func TestJournalRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 7} {
		for _, seal := range []bool{false, true} {
			got, tail, err := recoverBytes(t, journalFile(t, n, seal))
			if err != nil || got != n || tail.Records != uint64(n) || tail.Torn != 0 || tail.Sealed != seal {
				t.Errorf("%d records, seal %v: got %d, %+v, %v", n, seal, got, tail, err)
			}
		}
	}
}

func TestEveryPrefixOfAJournal(t *testing.T) {
	data := journalFile(t, 6, true)
	for n := range data {
		got, tail, err := recoverBytes(t, data[:n])
		if err != nil {
			if n >= 48 {
				t.Fatalf("prefix of %d: %v: a torn tail is no corruption", n, err)
			}
			continue
		}
		if n < 48 {
			t.Fatalf("prefix of %d: a journal without a head was accepted", n)
		}
		if tail.Size+tail.Torn != int64(n) || tail.Sealed && got < 6 {
			t.Fatalf("prefix of %d: %d records, %+v", n, got, tail)
		}
	}
}

// A flipped byte never changes a record. In a sealed journal it never loses
// one silently either; in an open one it may look like the tear of the last
// group, which nobody can tell from it.
func TestEveryFlippedByteOfAJournal(t *testing.T) {
	for _, seal := range []bool{true, false} {
		data := journalFile(t, 6, seal)
		const frame = 32 + 200
		for i := range data {
			for _, mask := range []byte{0x01, 0x80, 0xff} {
				bad := bytes.Clone(data)
				bad[i] ^= mask
				got, tail, err := recoverBytes(t, bad)
				switch {
				case err != nil:
					if !errors.Is(err, durable.ErrCorrupt) && !errors.Is(err, durable.ErrNewer) {
						t.Fatalf("byte %d: %v", i, err)
					}
				case seal && got < 6:
					t.Fatalf("byte %d: %d of 6 records, %+v, no error", i, got, tail)
				case !seal && i < 48+4*frame:
					t.Fatalf("byte %d: a synced record before another group is lost without an error", i)
				}
			}
		}
	}
}

// A power cut may write the second page of a group and not the first.
func TestTornInTheMiddleOfAGroup(t *testing.T) {
	data := journalFile(t, 2, false)
	path := filepath.Join(t.TempDir(), "j")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := durable.OpenJournal(path, journalOptions)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append(record(3), record(4), record(5)); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(whole[len(data)+10 : len(data)+100]) // of record 3, never synced
	got, tail, err := recoverBytes(t, whole)
	if err != nil || got != 2 || tail.Torn == 0 {
		t.Fatalf("%d records, %+v, %v; want 2 and a torn tail", got, tail, err)
	}
	_ = j.Close()
}

func TestJournalVersions(t *testing.T) {
	data := journalFile(t, 1, true)
	seal := func(b []byte) []byte {
		sum := blake3.Sum256(b[:40])
		copy(b[40:48], sum[:8])
		return b
	}
	newer := bytes.Clone(data)
	binary.LittleEndian.PutUint16(newer[8:], 2)
	if _, _, err := recoverBytes(t, seal(newer)); !errors.Is(err, durable.ErrNewer) {
		t.Errorf("newer format: %v", err)
	}
	newer = bytes.Clone(data)
	binary.LittleEndian.PutUint16(newer[10:], 9)
	if _, _, err := recoverBytes(t, seal(newer)); !errors.Is(err, durable.ErrNewer) {
		t.Errorf("newer records: %v", err)
	}
	other := bytes.Clone(data)
	copy(other[16:], "other")
	if _, _, err := recoverBytes(t, seal(other)); !errors.Is(err, durable.ErrCorrupt) {
		t.Errorf("other kind: %v", err)
	}
}

func TestJournalIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, err := durable.OpenJournal(path, journalOptions)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := durable.OpenJournal(path, journalOptions); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestJournalRefusesLargeRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, err := durable.OpenJournal(path, journalOptions)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append(make([]byte, 1001)); err == nil {
		t.Error("a record over the limit was taken")
	}
	if err := j.Append(record(1)); err != nil {
		t.Error("the journal is of no use after a refused record:", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func TestManyAppendersShareSyncs(t *testing.T) {
	d := durabletest.New(durabletest.Ext4)
	var mu sync.Mutex
	syncs := 0
	d.Fail = func(_ int, op, _ string) error {
		if op == "fsync" {
			mu.Lock()
			syncs++
			mu.Unlock()
		}
		return nil
	}
	o := journalOptions
	o.FS = d
	j, err := durable.OpenJournal("/j", o)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				if err := j.Append(fmt.Appendf(nil, "%d %d", g, i)); err != nil {
					t.Error(err)
				}
				if err := j.Sync(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range durable.Recover("/j", o, nil) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 400 || syncs > 410 {
		t.Errorf("%d records, %d syncs", n, syncs)
	}
}

// Heads of frames that overlap, each of which promises a record, would have to
// be read as often as there are heads.
func overlapping(t testing.TB) []byte {
	data := journalFile(t, 1, false)
	for len(data) < 100_000 {
		data = append(data, "MSr\xa5\xe8\x03\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00"...)
	}
	return data
}

func TestOverlappingFramesAreNoTornTail(t *testing.T) {
	d := durabletest.New(durabletest.Ext4)
	put(t, d, overlapping(t))
	o := journalOptions
	o.FS = d
	var last error
	for _, err := range durable.Recover("/j", o, nil) {
		last = err
	}
	if !errors.Is(last, durable.ErrCorrupt) {
		t.Errorf("read with %v", last)
	}
	if _, err := durable.OpenJournal("/j", o); !errors.Is(err, durable.ErrCorrupt) {
		t.Errorf("opened with %v", err)
	}
}

func put(t testing.TB, d *durabletest.Disk, data []byte) {
	t.Helper()
	file, err := d.Open("/j", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
}

func FuzzJournal(f *testing.F) {
	f.Add(overlapping(f)[:2000])
	f.Add(journalFile(f, 0, false))
	f.Add(journalFile(f, 3, false))
	f.Add(journalFile(f, 4, true))
	f.Add(journalFile(f, 4, true)[:400])
	f.Fuzz(func(t *testing.T, data []byte) {
		d := durabletest.New(durabletest.Ext4)
		put(t, d, data)
		o := journalOptions
		o.FS = d
		var tail durable.Tail
		n := uint64(0)
		for rec, err := range durable.Recover("/j", o, &tail) {
			if err != nil {
				if !errors.Is(err, durable.ErrCorrupt) && !errors.Is(err, durable.ErrNewer) {
					t.Fatal(err)
				}
				return
			}
			n++
			if rec.Seq != n || len(rec.Data) > 1000 {
				t.Fatalf("record %d of %d bytes", rec.Seq, len(rec.Data))
			}
		}
		if tail.Records != n || tail.Size+tail.Torn != int64(len(data)) {
			t.Fatalf("%d records of %d bytes, %+v", n, len(data), tail)
		}
		// what is read whole can be gone on with
		j, err := durable.OpenJournal("/j", o)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(j.Append([]byte("more")), j.Close()); err != nil {
			t.Fatal(err)
		}
		last := durable.Record{}
		for rec, err := range durable.Recover("/j", o, &tail) {
			if err != nil {
				t.Fatal(err)
			}
			last = rec
		}
		if last.Seq != n+1 || string(last.Data) != "more" || !tail.Sealed || tail.Torn != 0 {
			t.Fatalf("gone on with, it ends in record %d of %d, %+v", last.Seq, n+1, tail)
		}
	})
}

func BenchmarkJournal(b *testing.B) {
	for _, group := range []int{1, 100} {
		b.Run(fmt.Sprintf("append/records=%d/bytes=200", group), func(b *testing.B) {
			j, err := durable.OpenJournal(filepath.Join(b.TempDir(), "j"), journalOptions)
			if err != nil {
				b.Fatal(err)
			}
			recs := make([][]byte, group)
			for i := range recs {
				recs[i] = record(i)
			}
			for b.Loop() {
				if err := j.Append(recs...); err != nil {
					b.Fatal(err)
				}
			}
			_ = j.Close()
		})
	}
}
