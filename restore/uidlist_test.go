package restore

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"mailsync/scan/maildir"
)

// mergedSlowly is what mergeUIDs means, with all of it in memory.
func mergedSlowly(have []maildir.UIDRecord, lines []UIDLine) []string {
	uids, names := map[uint32]bool{}, map[string]bool{}
	out := slices.Clone(have)
	for _, r := range have {
		uids[r.UID], names[r.Base] = true, true
	}
	for _, l := range lines {
		if l.UID == 0 || len(l.Base) == 0 || uids[l.UID] || names[string(l.Base)] {
			continue
		}
		uids[l.UID], names[string(l.Base)] = true, true
		out = append(out, maildir.UIDRecord{UID: l.UID, Base: string(l.Base)})
	}
	slices.SortFunc(out, func(a, b maildir.UIDRecord) int { return int(int64(a.UID) - int64(b.UID)) })
	return uidLines(out)
}

func uidLines(recs []maildir.UIDRecord) (out []string) {
	for _, r := range recs {
		out = append(out, fmt.Sprintf("%d %v :%s", r.UID, r.Keys, r.Base))
	}
	return out
}

// A list that is torn anywhere, joined with what was recorded, is what the
// server would read of both, and can be read again as it was written.
func FuzzUIDListMended(f *testing.F) {
	head := "3 V7 N9 G0895920c9cae026bc154000083ecc375\n"
	f.Add(head+"1 :a\n2 G5 :b\n8 :c\ntorn", []byte("\x01a\x02x\x03d\x08c\x09e"))
	f.Add(head, []byte("\x01a\x01b\x02a"))
	f.Add(head+"4294967294 :z\n", []byte("\xffy"))
	f.Add("1 7 9\n5 a\n3 b\n", []byte("\x04c"))
	f.Add("", []byte("\x04c"))
	f.Fuzz(func(t *testing.T, text string, recorded []byte) {
		u := readUIDs([]byte(text))
		var have []maildir.UIDRecord
		for rec, err := range u.records() {
			if err != nil {
				if u.header.UIDValidity == 0 {
					return // no list at all
				}
				t.Fatal(err)
			}
			have = append(have, rec)
		}
		if len(have) != u.count {
			t.Fatalf("%d records, counted %d", len(have), u.count)
		}
		if u.header.Version != 3 {
			return // Courier's need not ascend, and are not mended
		}
		var lines []UIDLine // ascending, as a plan has them
		for pair := range slices.Chunk(recorded, 2) {
			uid := uint32(pair[0])
			if uid == 0xff {
				uid = 1<<32 - 2
			}
			lines = append(lines, UIDLine{UID: uid, Base: bytes.Trim(pair[1:], "/:\r\n\x00")})
		}
		slices.SortStableFunc(lines, func(a, b UIDLine) int { return int(int64(a.UID) - int64(b.UID)) })
		var got []maildir.UIDRecord
		for rec, err := range mergeUIDs(u.records(), lines) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, rec)
		}
		if want := mergedSlowly(have, lines); !slices.Equal(uidLines(got), want) {
			t.Fatalf("merged to %q, want %q", uidLines(got), want)
		}
		h := u.header
		h.NextUID = 1<<32 - 1
		var out bytes.Buffer
		if err := maildir.WriteUIDList(&out, h, mergeUIDs(u.records(), lines)); err != nil {
			return // a name or a key that no list can hold
		}
		if again := readUIDs(out.Bytes()); again.err != nil || again.count != len(got) {
			t.Fatalf("written as %q, read as %d records, %v", out.String(), again.count, again.err)
		}
	})
}

// A list with very many lines costs its text, and not a record for each.
func TestManyUIDLinesAreNotHeld(t *testing.T) {
	var text bytes.Buffer
	text.WriteString("3 V7 N900000 G0895920c9cae026bc154000083ecc375\n")
	const n = 200_000
	for i := range n {
		fmt.Fprintf(&text, "%d :%x\n", i+1, i)
	}
	before := heapInUse()
	u := readUIDs(text.Bytes())
	if u.err != nil || u.count != n {
		t.Fatalf("%d records, %v", u.count, u.err)
	}
	if more := heapInUse() - before; more > 8*n {
		t.Errorf("%d lines hold %d bytes beside their text", n, more)
	}
	var out strings.Builder
	if err := maildir.WriteUIDList(&out, u.header, mergeUIDs(u.records(), []UIDLine{{UID: n + 1, Base: []byte("last")}})); err != nil {
		t.Fatal(err)
	}
	if want := text.String() + fmt.Sprintf("%d :last\n", n+1); out.String() != want {
		t.Error("the list is another")
	}
	runtime.KeepAlive(u)
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
