package maildir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func records(l *UIDList) (recs []UIDRecord, failed error) {
	for r, err := range l.Records() {
		if err != nil {
			return recs, err
		}
		recs = append(recs, r)
	}
	return recs, nil
}

func seq(recs []UIDRecord) iter.Seq2[UIDRecord, error] {
	return func(yield func(UIDRecord, error) bool) {
		for _, r := range recs {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func TestUIDListOfDovecot(t *testing.T) {
	t.Parallel()
	const in = "3 V1795337889 N2 G0895920c9cae026bc154000083ecc375 Xy\n" +
		"1 :1795337884.M1P1.vm,S=3110,W=3181\n" +
		"3 S5 W6 G1795337885.x Pold :b:2,S\n" +
		"9 P :c d\n"
	l, err := ReadUIDList(iotest.OneByteReader(strings.NewReader(in)))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(UIDHeader{Version: 3, UIDValidity: 1795337889, NextUID: 2, GUID: "0895920c9cae026bc154000083ecc375", Extra: []UIDKey{{'X', "y"}}}, l.Header()); d != "" {
		t.Error(d)
	}
	got, err := records(l)
	if err != nil {
		t.Fatal(err)
	}
	want := []UIDRecord{
		{UID: 1, Base: "1795337884.M1P1.vm,S=3110,W=3181"},
		{UID: 3, Base: "b", GUID: "1795337885.x", S: 5, W: 6, HasS: true, HasW: true, Keys: []UIDKey{{'S', "5"}, {'W', "6"}, {'G', "1795337885.x"}, {'P', "old"}}},
		{UID: 9, Base: "c d", Keys: []UIDKey{{'P', ""}}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if l.Next() != 10 {
		t.Errorf("next %d", l.Next())
	}
	h := l.Header()
	h.NextUID = l.Next()
	var b bytes.Buffer
	if err := WriteUIDList(&b, h, seq(got)); err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(strings.Replace(in, " N2", " N10", 1), ":b:2,S", ":b", 1); b.String() != want {
		t.Errorf("written:\n%s\nwant\n%s", b.String(), want)
	}
}

func TestUIDListOfCourier(t *testing.T) {
	t.Parallel()
	l, err := ReadUIDList(strings.NewReader("1 795337628 8\n5 b,S=1\n1 a,S=166\n"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := records(l)
	if d := cmp.Diff([]UIDRecord{{UID: 5, Base: "b,S=1"}, {UID: 1, Base: "a,S=166"}}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if l.Next() != 8 || l.Header().Version != 1 || l.Header().UIDValidity != 795337628 {
		t.Errorf("%+v next %d", l.Header(), l.Next())
	}
}

func TestBrokenUIDLists(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"empty": "", "NULs": "\x00\x00\x00\x00", "torn header": "3 V1 N1", "version": "4 V1 N1\n", "version 2": "2 V1 N1\n", "no UIDVALIDITY": "3 N1\n",
		"UIDVALIDITY 0": "3 V0 N1\n", "no next": "3 V1\n", "negative": "3 V-1 N1\n", "too large": "3 V4294967296 N1\n", "GUID": "3 V1 N1 Gxyz\n", "courier": "1 5\n", "endless": strings.Repeat("3", 20_000),
	} {
		_, err := ReadUIDList(strings.NewReader(in))
		var b *Broken
		if !errors.Is(err, ErrUIDList) || !errors.As(err, &b) || b.Reason == "" {
			t.Errorf("header %s: %v", name, err)
		}
	}
	const head = "3 V1 N1\n1 :a\n2 :b\n"
	for name, in := range map[string]string{
		"torn": "3 :c", "NULs": "\x00\x00\x00\n", "NULs without end": strings.Repeat("\x00", 4096), "not ascending": "2 :c\n", "UID 0": "0 :c\n", "last UID": "4294967295 :c\n",
		"no colon": "3 c\n", "no name": "3 :\n", "empty line": "\n", "slash": "3 :a/b\n", "key": "3 1 :c\n", "no number": "x :c\n", "endless": strings.Repeat("3", 20_000) + "\n", "huge": "99999999999999999999 :c\n",
	} {
		l, err := ReadUIDList(strings.NewReader(head + in))
		if err != nil {
			t.Fatal(err)
		}
		got, err := records(l)
		var b *Broken
		if !errors.As(err, &b) || !errors.Is(err, ErrUIDList) || b.Line != 4 || b.Offset != int64(len(head)) || len(got) != 2 || l.Next() != 3 {
			t.Errorf("%s: %d records, next %d, %v", name, len(got), l.Next(), err)
		}
	}
	boom := errors.New("boom")
	if _, err := ReadUIDList(iotest.ErrReader(boom)); !errors.Is(err, boom) || errors.Is(err, ErrUIDList) {
		t.Errorf("a failing reader is no broken list: %v", err)
	}
	l, err := ReadUIDList(io.MultiReader(strings.NewReader(head), iotest.ErrReader(boom)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := IndexUIDs(l); !errors.Is(err, boom) || errors.Is(err, ErrUIDList) {
		t.Errorf("a reader that fails later is no broken list: %v", err)
	}
}

func TestUIDIndex(t *testing.T) {
	t.Parallel()
	l, err := ReadUIDList(strings.NewReader("3 V1 N1\n1 :a,S=1\n2 :b\n3 :a,S=1\n4 :c\n5 :a,S=1\n6 :d"))
	if err != nil {
		t.Fatal(err)
	}
	x, err := IndexUIDs(l)
	if !errors.Is(err, ErrUIDList) {
		t.Errorf("the torn tail: %v", err)
	}
	for base, want := range map[string]uint32{"a,S=1": 5, "b": 2, "c": 4, "a": 0, "d": 0} {
		if got := x.UID(base); got != want {
			t.Errorf("%q: %d, want %d", base, got, want)
		}
	}
	if d := cmp.Diff([]UIDDuplicate{{1, 3}, {3, 5}}, x.Duplicates()); d != "" || len(x.recs) != 3 {
		t.Error(d, len(x.recs))
	}
}

// A list of a million messages is found in about 16 bytes a message.
func TestALargeUIDIndexIsLean(t *testing.T) {
	const n = 1_000_000
	r, w := io.Pipe()
	go func() {
		fmt.Fprintf(w, "3 V1 N%d\n", n+1)
		for i := 1; i <= n; i++ {
			fmt.Fprintf(w, "%d :1795337883.M%dP21697.mail.example.org,S=%d,W=%d\n", i, i, i, i+9)
		}
		_ = w.Close()
	}()
	l, err := ReadUIDList(r)
	if err != nil {
		t.Fatal(err)
	}
	x, err := IndexUIDs(l)
	if err != nil {
		t.Fatal(err)
	}
	if len(x.recs) != n || len(x.Duplicates()) != 0 || x.UID("1795337883.M777P21697.mail.example.org,S=777,W=786") != 777 {
		t.Errorf("%d names", len(x.recs))
	}
	x.recs = slices.Clip(x.recs)
	runtime.GC()
	if size := cap(x.recs) * 16; size > 40*n {
		t.Errorf("%d bytes a message", size/n)
	}
}

func TestWhatTheWriterRefuses(t *testing.T) {
	t.Parallel()
	ok := UIDHeader{Version: 3, UIDValidity: 1, NextUID: 10}
	for name, tc := range map[string]struct {
		h    UIDHeader
		recs []UIDRecord
	}{
		"UIDVALIDITY 0": {UIDHeader{Version: 3, NextUID: 1}, nil}, "version": {UIDHeader{Version: 2, UIDValidity: 1, NextUID: 1}, nil},
		"next UID": {ok, []UIDRecord{{UID: 10, Base: "a"}}}, "order": {ok, []UIDRecord{{UID: 2, Base: "a"}, {UID: 2, Base: "b"}}}, "UID 0": {ok, []UIDRecord{{Base: "a"}}},
		"colon": {ok, []UIDRecord{{UID: 1, Base: "a:2,"}}}, "line break": {ok, []UIDRecord{{UID: 1, Base: "a\nb"}}}, "no name": {ok, []UIDRecord{{UID: 1}}},
		"key": {ok, []UIDRecord{{UID: 1, Base: "a", Keys: []UIDKey{{'S', "1 2"}}}}}, "header key": {UIDHeader{Version: 3, UIDValidity: 1, NextUID: 1, Extra: []UIDKey{{'1', ""}}}, nil},
		"long": {ok, []UIDRecord{{UID: 1, Base: strings.Repeat("a", maxUIDLine)}}},
	} {
		if err := WriteUIDList(io.Discard, tc.h, seq(tc.recs)); !errors.Is(err, ErrUIDList) {
			t.Errorf("%s: %v", name, err)
		}
	}
	boom := errors.New("boom")
	if err := WriteUIDList(io.Discard, ok, func(yield func(UIDRecord, error) bool) { yield(UIDRecord{}, boom) }); !errors.Is(err, boom) {
		t.Errorf("a failing sequence: %v", err)
	}
}

// What is written is read back as it was, whatever it is.
func TestUIDListsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := UIDHeader{Version: rapid.SampledFrom([]int{1, 3}).Draw(t, "version"), UIDValidity: rapid.Uint32Min(1).Draw(t, "validity"), NextUID: maxUID + 1}
		uids := rapid.SliceOfNDistinct(rapid.Uint32Range(1, maxUID), 0, 20, rapid.ID).Draw(t, "uids")
		slices.Sort(uids)
		var recs []UIDRecord
		for _, uid := range uids {
			r := UIDRecord{UID: uid, Base: rapid.StringMatching(`[^:/\x00\r\n]{1,20}`).Draw(t, "base")}
			if h.Version == 3 && rapid.Bool().Draw(t, "keys") {
				r.key(rapid.SampledFrom([]byte("SWGPOZ")).Draw(t, "key"), rapid.StringMatching("[!-~]{0,6}").Draw(t, "value"))
			}
			recs = append(recs, r)
		}
		if h.Version == 3 {
			h.GUID = rapid.SampledFrom([]string{"", strings.Repeat("0a", 16)}).Draw(t, "guid")
		}
		var b bytes.Buffer
		if err := WriteUIDList(&b, h, seq(recs)); err != nil {
			t.Fatal(err)
		}
		l, err := ReadUIDList(&b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := records(l)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(recs, got); d != "" {
			t.Fatal(d)
		}
		if d := cmp.Diff(h, l.Header()); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzUIDList(f *testing.F) {
	f.Add([]byte("3 V1795337889 N15 G0895920c9cae026bc154000083ecc375\n1 S5 W6 :a,S=1\n2 P :b:2,S\n"))
	f.Add([]byte("1 795337628 4\n1 a,S=166\n"))
	f.Add([]byte("3 V1 N1\n1 :a\n\x00\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		l, err := ReadUIDList(bytes.NewReader(p))
		if err != nil {
			return
		}
		recs, err := records(l)
		if err != nil && !errors.Is(err, ErrUIDList) {
			t.Fatalf("an error of no class: %v", err)
		}
		last := uint32(0)
		for _, r := range recs {
			if r.UID == 0 || r.Base == "" || r.UID <= last && l.Header().Version == 3 {
				t.Fatalf("%+v after %d", r, last)
			}
			last = max(last, r.UID)
		}
		if l.Next() <= last {
			t.Fatalf("next %d after %d", l.Next(), last)
		}
	})
}

// A list of more messages than a folder can hold costs what its first ones do,
// and is called broken.
func TestTooManyUIDs(t *testing.T) {
	t.Parallel()
	lines := strings.Repeat("1 a\n", maxUIDs+1) // in Courier's lists UIDs need not ascend
	l, err := ReadUIDList(strings.NewReader("1 1700000000 9\n" + lines))
	if err != nil {
		t.Fatal(err)
	}
	x, err := IndexUIDs(l)
	if !errors.Is(err, ErrUIDList) || len(x.recs) != 1 || len(x.Duplicates()) != maxUIDs-1 {
		t.Errorf("%d names, %d duplicates, %v", len(x.recs), len(x.Duplicates()), err)
	}
}
