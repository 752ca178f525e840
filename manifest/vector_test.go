package manifest

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the vectors in testdata anew; only for a new version of a format")

// Files of version 1 as they were first written. Every later version reads
// them; a change that does not is a new version.
func TestVectors(t *testing.T) {
	mb, list := sample("anna", 12, 42)
	list[3].Status, list[3].Damage, list[3].Good = Damaged, NULTail, true
	list[4].Status, list[4].Damage = Suspect, NULRun
	list[5].Plain = BLAKE3.Sum([]byte("plain"))
	list[6].Opaque = true
	list[7].Name, list[7].Unique = "odd\xff\nname", "17"
	list = sortEntries(list)
	gone := sampleAbsences(list[:3])
	file := encode(t, mb, list, gone)
	index, sum := sampleIndex(t)
	rec := &StoreRecord{
		Identity: storeID, Key: "name-a", Generation: 2, Alg: BLAKE3, session: 7, Dirty: true,
		Open: Look{ID: 6, Began: mb.Began, BootID: "b", Policy: "rehash", Place: []byte("x")}, Complete: Look{ID: 5, Ended: mb.Ended},
		Stop: Stop{BootID: "b", At: mb.Ended},
	}
	rec.setShard(sum)
	rec.sumShards()
	vector := func(name string, data []byte) []byte {
		path := filepath.Join("testdata", name)
		if *update {
			must(t, os.MkdirAll("testdata", 0o755))
			must(t, os.WriteFile(path, data, 0o644))
		}
		got, err := os.ReadFile(path)
		must(t, err)
		return got
	}

	gotMB, gotList, gotGone, err := decode(vector("v1.manifest", file))
	must(t, err)
	if d := cmp.Diff(mb, gotMB) + cmp.Diff(list, gotList) + cmp.Diff(gone, gotGone); d != "" {
		t.Error("manifest:", d)
	}
	gotIndex, err := decodeIndex(vector("v1.index", index.encode()), index.no)
	must(t, err)
	if d := cmp.Diff(index.rows, gotIndex.rows, cmp.AllowUnexported(row{})); d != "" {
		t.Error("index:", d)
	}
	gotRec, err := decodeRecord(vector("v1.store", rec.encode()))
	must(t, err)
	if d := cmp.Diff(rec, gotRec, cmp.AllowUnexported(StoreRecord{}, shardSum{})); d != "" {
		t.Error("store record:", d)
	}
	a := Acceptance{At: mb.Began, By: "root", Mailbox: "m", Folder: "f", File: "cur/x", Reason: "r", Old: BLAKE3.Sum(nil), New: SHA256.Sum(nil)}
	gotA, err := decodeAcceptance(vector("v1.acceptance", a.encode()))
	must(t, err)
	if d := cmp.Diff(a, gotA); d != "" {
		t.Error("acceptance:", d)
	}
}
