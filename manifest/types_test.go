package manifest

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestDigestText(t *testing.T) {
	empty := BLAKE3.Sum(nil)
	const want = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262" // BLAKE3 of nothing
	if empty.String() != want {
		t.Error(empty)
	}
	if s := SHA256.Sum([]byte("abc")).String(); s != "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" { // FIPS 180-4
		t.Error(s)
	}
	for _, bad := range []string{"", "blake3", "blake3:", "md5:00", want[:len(want)-1], want + "0", "blake3:zz" + want[9:], "none:" + want[7:]} {
		if d, err := ParseDigest(bad); err == nil {
			t.Errorf("%q was read as %v", bad, d)
		}
	}
	if _, err := ParseAlg("md5"); !errors.Is(err, ErrAlg) {
		t.Error(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		d := anyDigest(rapid.SampledFrom([]Alg{BLAKE3, SHA256}).Draw(t, "alg")).Draw(t, "digest")
		var back Digest
		text, _ := d.MarshalText()
		if err := back.UnmarshalText(text); err != nil || back != d {
			t.Fatalf("%v, %v, %v", d, back, err)
		}
		h := BLAKE3.New()
		_, _ = h.Write([]byte("x"))
		if got := (Digest{Alg: BLAKE3, Sum: [32]byte(h.Sum(nil))}); got != BLAKE3.Sum([]byte("x")) {
			t.Fatal("New and Sum differ")
		}
	})
}

// The numbers of kinds are on disk: they may be added to, never changed.
func TestKinds(t *testing.T) {
	want := []string{
		"none", "empty", "nul_filled", "nul_tail", "truncated", "grown", "nul_run", "line_count", "compressed_corrupt",
		"content_changed", "header_broken", "missing", "unreadable", "duplicate_name", "bad_name", "wrong_size_name",
		"stale_tmp", "stranded_tmp", "not_regular", "uidlist_broken", "uid_duplicate", "uidnext_low", "keywords_broken",
		"quota_stale", "alternate_separator", "archive_truncated", "archive_refused", "archive_no_recipients",
	}
	for i, name := range want {
		k := Kind(i)
		if k.String() != name || !k.Valid() {
			t.Errorf("kind %d is %s, was %s", i, k, name)
		}
		var class Class
		switch {
		case i == 0:
		case i <= int(Missing):
			class = Damage
		case k == Unreadable:
			class = Unknown
		case i <= int(AlternateSeparator):
			class = Disorder
		default:
			class = Trouble
		}
		if k.Class() != class {
			t.Errorf("%s is of class %d, want %d", k, k.Class(), class)
		}
	}
	if k := Kind(250); k.Valid() || k.Class() != NoClass || k.String() != "kind(250)" {
		t.Error(k)
	}
}

func TestEvidence(t *testing.T) {
	for e := NoEvidence; e <= MassDisappearing; e++ {
		if e.Deleted() && e.Lost() {
			t.Errorf("%s is deleted and lost", e)
		}
		if (e == NoEvidence) != (e.String() == "none") {
			t.Errorf("evidence %d is called %s", e, e)
		}
	}
}

func TestEntryOrder(t *testing.T) {
	list := []Entry{
		{Folder: "A", Unique: "1", Sub: New, Name: "1"},
		{Folder: "A", Unique: "1", Sub: Cur, Name: "1"},
		{Folder: "A", Unique: "1", Sub: Cur, Name: "1:2,"},
		{Folder: "A", Unique: "1", Sub: Cur, Name: "1:2,S"},
		{Folder: "A", Unique: "10", Sub: New, Name: "10"},
		{Folder: "A", Unique: "2", Sub: New, Name: "2"},
		{Folder: "A/B", Unique: "1", Sub: New, Name: "1"},
		{Folder: "a", Unique: "1", Sub: New, Name: "1"},
		{Folder: "\xff", Unique: "1", Sub: New, Name: "1"},
	}
	for i := range list {
		for k := range list {
			if got, want := list[i].Compare(&list[k]), i-k; (got < 0) != (want < 0) || (got > 0) != (want > 0) {
				t.Errorf("%d against %d: %d", i, k, got)
			}
		}
	}
}

func TestShards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.String(), 0, 50).Draw(t, "names")
		slices.SortFunc(names, CompareMailboxes)
		for i, n := range names {
			if no := ShardOf(n); no < 0 || no >= Shards || i > 0 && ShardOf(names[i-1]) > no {
				t.Fatal(n)
			}
		}
	})
}
