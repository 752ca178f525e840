package manifest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"mailsync/manifest/pack"

	"github.com/zeebo/blake3"
)

// small is a manifest with entries, absences and more than one block of each.
func small(t testing.TB) []byte {
	t.Helper()
	mb, list := sample("anna", 30, 3)
	return encode(t, mb, list, sampleAbsences(list[:5]))
}

func TestEveryPrefixIsAnError(t *testing.T) {
	data := small(t)
	for n := range data {
		_, _, _, err := decode(data[:n])
		if !errors.Is(err, ErrCorrupt) || !errors.Is(err, ErrTruncated) {
			t.Fatalf("prefix of %d of %d bytes: %v", n, len(data), err)
		}
	}
	if _, _, _, err := decode(append(slices.Clone(data), 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte after the end: %v", err)
	}
}

func TestEveryFlippedByteIsAnError(t *testing.T) {
	data := small(t)
	_, good, _, err := decode(data)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		for _, mask := range []byte{0x01, 0x10, 0x80, 0xff} {
			bad := bytes.Clone(data)
			bad[i] ^= mask
			_, list, _, err := decode(bad)
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
				t.Fatalf("byte %d of %d: %v", i, len(data), err)
			}
			for k := range list { // what came before the error was right
				if list[k].Compare(&good[k]) != 0 || list[k].Digest != good[k].Digest {
					t.Fatalf("byte %d: entry %d is not what was written", i, k)
				}
			}
		}
	}
}

// blocksOf cuts a manifest into preamble and blocks.
func blocksOf(t *testing.T, data []byte) (preamble []byte, blocks [][]byte) {
	t.Helper()
	preamble, rest := data[:preambleSize], data[preambleSize:]
	for len(rest) > 0 {
		n := blockHead + checkSize + int(binary.LittleEndian.Uint32(rest[12:])) + int(binary.LittleEndian.Uint32(rest[20:]))
		blocks = append(blocks, rest[:n])
		rest = rest[n:]
	}
	return preamble, blocks
}

// Whole blocks in the wrong place are seen: moved, left out, doubled, or from
// another manifest of the same mailbox.
func TestMovedAndSplicedBlocks(t *testing.T) {
	mb, list := sample("anna", 3000, 3)
	gone := sampleAbsences(list)
	pre, blocks := blocksOf(t, encode(t, mb, list, gone))
	_, others := blocksOf(t, encode(t, mb, list, gone))
	if len(blocks) < 10 {
		t.Fatalf("only %d blocks", len(blocks))
	}
	for i := range blocks {
		var changed [][][]byte
		changed = append(changed, slices.Delete(slices.Clone(blocks), i, i+1))
		changed = append(changed, slices.Insert(slices.Clone(blocks), i, blocks[i]))
		splice := slices.Clone(blocks)
		splice[i] = others[i]
		changed = append(changed, splice)
		if i > 0 {
			swap := slices.Clone(blocks)
			swap[i], swap[i-1] = swap[i-1], swap[i]
			changed = append(changed, swap)
		}
		for k, b := range changed {
			got, entries, _, err := decode(slices.Concat(append([][]byte{pre}, b...)...))
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("block %d, change %d: %v", i, k, err)
			}
			for n := range entries {
				if entries[n].Compare(&list[n]) != 0 {
					t.Fatalf("block %d, change %d: entry %d was yielded out of place", i, k, n)
				}
			}
			_ = got
		}
	}
}

func TestVersionsAndKinds(t *testing.T) {
	data := small(t)
	reseal := func(b []byte) []byte {
		sum := blake3.Sum256(b[:24])
		copy(b[24:32], sum[:8])
		return b
	}
	newer := bytes.Clone(data)
	binary.LittleEndian.PutUint16(newer[12:], Version+1)
	if _, _, _, err := decode(reseal(newer)); !errors.Is(err, ErrNewer) || errors.Is(err, ErrCorrupt) {
		t.Errorf("newer version: %v", err)
	}
	other := bytes.Clone(data)
	copy(other[8:], kindIndex)
	if _, _, _, err := decode(reseal(other)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("other kind: %v", err)
	}
}

// A file that claims a lot costs what it has, not what it claims.
func TestClaimsAreBoundedBeforeAllocation(t *testing.T) {
	u := appendPreamble(nil, kindMailbox, Version, 1)
	head := make([]byte, blockHead)
	for i := 4; i < blockHead; i++ {
		head[i] = 0xff
	}
	head[0] = blockHeader
	allocs := testing.AllocsPerRun(20, func() {
		if _, err := NewReader(bytes.NewReader(append(u[:len(u):len(u)], head...))); !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	})
	if allocs > 40 {
		t.Errorf("%v allocations", allocs)
	}
	// Lists that claim more members than there are bytes.
	for _, claim := range []uint64{1 << 10, 1 << 20, 1<<63 - 1} {
		c := cursorOver(pack.Uint(nil, claim))
		if got := c.strings(MaxSubscriptions, 100); got != nil || !c.Bad {
			t.Errorf("a list of %d strings out of nothing", claim)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	mb, list := sample("anna", 3, 3)
	long := string(make([]byte, MaxFileName+1))
	cases := map[string]struct {
		change func(e *Entry)
		want   error
	}{
		"not after the entry before": {func(e *Entry) { *e = list[0] }, ErrOrder},
		"before":                     {func(e *Entry) { e.Folder = "" }, ErrOrder},
		"name":                       {func(e *Entry) { e.Name = long }, ErrLimit},
		"unique":                     {func(e *Entry) { e.Unique = long }, ErrLimit},
		"folder":                     {func(e *Entry) { e.Folder = string(make([]byte, MaxFolderName+1)) }, ErrLimit},
		"flags":                      {func(e *Entry) { e.Flags = long }, ErrLimit},
		"keywords":                   {func(e *Entry) { e.Keywords = []string{long, long, long} }, ErrLimit},
		"unsorted keywords":          {func(e *Entry) { e.Keywords = []string{"b", "a"} }, ErrOrder},
		"no name":                    {func(e *Entry) { e.Name = "" }, ErrInvalid},
		"sub":                        {func(e *Entry) { e.Sub = 0 }, ErrInvalid},
		"status":                     {func(e *Entry) { e.Status = 9 }, ErrInvalid},
		"size":                       {func(e *Entry) { e.Size = -1 }, ErrInvalid},
		"algorithm":                  {func(e *Entry) { e.Digest.Alg = SHA256 }, ErrInvalid},
	}
	for name, c := range cases {
		w, err := NewWriter(&bytes.Buffer{}, mb)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(&list[0]); err != nil {
			t.Fatal(err)
		}
		e := list[1]
		c.change(&e)
		if err := w.Add(&e); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err := w.Close(); err == nil {
			t.Errorf("%s: closed as if nothing had happened", name)
		}
	}
	for name, change := range map[string]func(*Mailbox){
		"no algorithm":     func(m *Mailbox) { m.Alg = NoAlg },
		"no name":          func(m *Mailbox) { m.Name = "" },
		"unsorted folders": func(m *Mailbox) { m.Folders = []Folder{{Name: "b"}, {Name: "a"}} },
		"subscriptions":    func(m *Mailbox) { m.Subscriptions = []string{"b", "a"} },
	} {
		m := *mb
		change(&m)
		if _, err := NewWriter(&bytes.Buffer{}, &m); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	w, _ := NewWriter(&bytes.Buffer{}, mb)
	if err := w.Absent(&Absence{Entry: list[0]}); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(&list[1]); !errors.Is(err, ErrOrder) {
		t.Errorf("entry after an absence: %v", err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(small(f))
	mb, list := sample("b", 1, 9)
	f.Add(encode(f, mb, list, nil))
	f.Add(encode(f, mb, nil, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		mb, list, gone, err := decode(resealAll(data))
		if err != nil {
			return
		}
		// What is accepted can be written, and reads the same.
		mb2 := *mb
		again := encode(t, &mb2, list, gone)
		mb3, list2, gone2, err := decode(again)
		if err != nil || len(list2) != len(list) || len(gone2) != len(gone) || mb3.State != mb2.State {
			t.Fatalf("not the same after writing it again: %v", err)
		}
	})
}

// resealAll makes every check right again, so that fuzzing reaches what lies
// behind them.
func resealAll(data []byte) []byte {
	out := bytes.Clone(data)
	if len(out) < preambleSize {
		return out
	}
	sum := blake3.Sum256(out[:24])
	copy(out[24:], sum[:8])
	salt := out[16:24]
	for rest := out[preambleSize:]; len(rest) >= blockHead+checkSize; {
		n := blockHead + int(binary.LittleEndian.Uint32(rest[12:])&0x1ffff) + int(binary.LittleEndian.Uint32(rest[20:])&0x1ffff)
		if n+checkSize > len(rest) {
			break
		}
		sum := blake3.Sum256(append(bytes.Clone(salt), rest[:n]...))
		copy(rest[n:], sum[:checkSize])
		rest = rest[n+checkSize:]
	}
	return out
}
