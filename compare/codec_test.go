package compare

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mailsync/manifest"
)

func drawDigest(t *rapid.T) (d manifest.Digest) {
	if rapid.Bool().Draw(t, "known") {
		d.Alg = rapid.SampledFrom([]manifest.Alg{manifest.BLAKE3, manifest.SHA256}).Draw(t, "alg")
		copy(d.Sum[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "sum"))
	}
	return d
}

// What goes into an arena comes out of it, in memory and in a file.
func TestEntriesReadBack(t *testing.T) {
	folders := []string{"INBOX", "Archive/2026"}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.Rune())
		e := manifest.Entry{
			Folder: rapid.SampledFrom(folders).Draw(t, "folder"),
			Unique: text.Draw(t, "unique"),
			Sub:    rapid.SampledFrom([]manifest.Sub{manifest.New, manifest.Cur}).Draw(t, "sub"),
			Flags:  text.Draw(t, "flags"),
			Size:   rapid.Int64().Draw(t, "size"), MTime: rapid.Int64().Draw(t, "mtime"), CTime: rapid.Int64().Draw(t, "ctime"),
			Inode: rapid.Uint64().Draw(t, "inode"), UID: rapid.Uint32().Draw(t, "uid"),
			Digest: drawDigest(t), Plain: drawDigest(t), Held: drawDigest(t),
			Opaque: rapid.Bool().Draw(t, "opaque"), Good: rapid.Bool().Draw(t, "good"),
			Status: manifest.Status(rapid.IntRange(0, 3).Draw(t, "status")), Damage: manifest.Kind(rapid.IntRange(0, 20).Draw(t, "damage")),
			Checked: rapid.Int64().Draw(t, "checked"), Detail: rapid.StringN(0, 40, 200).Draw(t, "detail"),
		}
		e.Name = rapid.SampledFrom([]string{e.Unique + ",S=1:2,S", "elsewhere"}).Draw(t, "name")
		copy(e.HeaderID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "header"))
		for range rapid.IntRange(0, 3).Draw(t, "keywords") {
			e.Keywords = append(e.Keywords, text.Draw(t, "keyword"))
		}
		folder := 0
		if e.Folder != folders[0] {
			folder = 1
		}
		rec := appendEntry(nil, &e, folder)
		d := decoderOver(rec)
		got := d.entry(folders)
		if d.Bad || len(d.B) != 0 {
			t.Fatal("it does not read back")
		}
		if diff := cmp.Diff(&e, got); diff != "" {
			t.Fatal(diff)
		}
		// A record that is cut is noticed, not guessed.
		cut := decoderOver(rec[:rapid.IntRange(0, len(rec)-1).Draw(t, "cut")])
		if cut.entry(folders); !cut.Bad {
			t.Fatal("a cut record was taken")
		}
	})
}
