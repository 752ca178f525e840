package message

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailsync/manifest"
)

// bares counts LFs without CR.
func bares(p []byte) int64 {
	return int64(bytes.Count(p, []byte("\n")) - bytes.Count(p, []byte("\r\n")))
}

// claimOf is what the name of a sound plain message says.
func claimOf(p []byte) Claim {
	return Claim{S: int64(len(p)), HasS: true, W: int64(len(p)) + bares(p), HasW: true}
}

// recordOf is what a scan of p recorded.
func recordOf(p []byte) Claim {
	return Claim{Digest: manifest.BLAKE3.Sum(p), Size: int64(len(p)), HasSize: true}
}

func merge(a, b Claim) Claim {
	a.Digest, a.Plain, a.Size, a.HasSize = b.Digest, b.Plain, b.Size, b.HasSize
	return a
}

func TestDamage(t *testing.T) {
	t.Parallel()
	good := sample(6000)
	nulled := bytes.Clone(good)
	clear(nulled[4096:])
	holed := bytes.Clone(good)
	clear(holed[1024:2048])
	shortTail := append(bytes.Clone(good[:4096]), make([]byte, 100)...)
	flipped := bytes.Clone(good)
	flipped[3000] ^= 1
	crlf := bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n"))
	flippedCRLF := bytes.Clone(crlf)
	flippedCRLF[3000] ^= 1
	gz := squeeze(t, Gzip, good)
	zst := squeeze(t, Zstd, good)
	crypt := append([]byte(magicCrypt+"\x02"), bytes.Repeat([]byte{7, 9}, 3000)...)
	cryptChanged := append(bytes.Clone(crypt[:5000]), 1)
	named, recorded := claimOf(good), recordOf(good)
	both := merge(named, recorded)
	wrongName := named
	wrongName.S, wrongName.W = 7000, 7100

	const (
		none = manifest.NoKind
		p    = manifest.Proof
		s    = manifest.Suspicion
	)
	for _, tc := range []struct {
		name  string
		in    []byte
		claim Claim
		kind  manifest.Kind
		how   manifest.Certainty
		also  []manifest.Kind
	}{
		{"sound, nothing claimed", good, Claim{}, none, 0, nil},
		{"sound, named", good, named, none, 0, nil},
		{"sound, recorded", good, both, none, 0, nil},
		{"sound, sizes in the UID list", good, Claim{ListS: named.S, HasListS: true, ListW: named.W, HasListW: true}, none, 0, nil},
		{"sound, W alone", good, Claim{W: named.W, HasW: true}, none, 0, nil},
		{"sound CRLF", crlf, claimOf(crlf), none, 0, nil},

		{"empty", nil, Claim{}, manifest.Empty, p, nil},
		{"empty, named and recorded", nil, both, manifest.Empty, p, []manifest.Kind{manifest.Truncated}},
		{"empty, recorded as empty", nil, recordOf(nil), manifest.Empty, p, nil},
		{"all NUL", make([]byte, 6000), named, manifest.NULFilled, p, []manifest.Kind{manifest.LineCount}},
		{"all NUL, nothing claimed", make([]byte, 100), Claim{}, manifest.NULFilled, p, nil},
		{"all NUL, short", make([]byte, 4096), named, manifest.NULFilled, p, []manifest.Kind{manifest.Truncated, manifest.LineCount}},
		{"all NUL, recorded", make([]byte, 6000), recorded, manifest.NULFilled, p, []manifest.Kind{manifest.ContentChanged}},
		{"NUL tail, nothing claimed", nulled, Claim{}, manifest.NULTail, s, nil},
		{"NUL tail, line count", nulled, named, manifest.NULTail, p, []manifest.Kind{manifest.LineCount}},
		{"NUL tail, right size and no W", nulled, Claim{S: 6000, HasS: true}, manifest.NULTail, s, nil},
		{"NUL tail, recorded", nulled, recorded, manifest.NULTail, p, []manifest.Kind{manifest.ContentChanged}},
		{"NUL tail, recorded so", nulled, recordOf(nulled), manifest.NULTail, s, nil},
		{"short NUL tail from a page boundary", shortTail, Claim{}, manifest.NULTail, s, nil},
		{"short NUL tail elsewhere", append(bytes.Clone(good), 0, 0), Claim{}, none, 0, nil},
		{"truncated", good[:4000], named, manifest.Truncated, p, []manifest.Kind{manifest.LineCount, manifest.HeaderBroken}[:1]},
		{"truncated by the record only", good[:4000], recorded, manifest.Truncated, p, []manifest.Kind{manifest.ContentChanged}},
		{"truncated, the name follows the damage", good[:4000], merge(claimOf(good[:4000]), recorded), manifest.Truncated, p, []manifest.Kind{manifest.ContentChanged}},
		{"truncated in the header", good[:300], Claim{}, manifest.HeaderBroken, s, nil},
		{"grown", append(bytes.Clone(good), "more\n"...), named, manifest.Grown, p, []manifest.Kind{manifest.LineCount}},
		{"NUL run, nothing claimed", holed, Claim{}, manifest.NULRun, s, nil},
		{"NUL run, line count", holed, named, manifest.NULRun, p, []manifest.Kind{manifest.LineCount}},
		{"NUL run, truncated", holed[:5000], named, manifest.Truncated, p, []manifest.Kind{manifest.NULRun, manifest.LineCount}},
		{"line count", bytes.Replace(good, []byte("fox jumps"), []byte("fox\njumps"), 1), named, manifest.LineCount, p, nil},
		{"line count, W alone", bytes.Replace(good, []byte("fox jumps"), []byte("fox\njumps"), 1), Claim{W: named.W, HasW: true}, manifest.LineCount, p, nil},
		{"one bit", flipped, named, none, 0, nil},
		{"one bit, recorded", flipped, both, manifest.ContentChanged, p, nil},
		{"another algorithm says nothing", flipped, Claim{Digest: manifest.SHA256.Sum(good), Size: 6000, HasSize: true}, none, 0, nil},
		{"no header", bytes.Repeat([]byte("hello world\n"), 10), Claim{}, manifest.HeaderBroken, s, nil},

		{"name wrong, recorded", good, merge(wrongName, recorded), manifest.WrongSizeName, p, nil},
		{"name wrong, not recorded", good, wrongName, manifest.Truncated, p, []manifest.Kind{manifest.LineCount}},
		{"converted to CRLF", crlf, named, manifest.WrongSizeName, p, nil},
		{"converted to LF", good, claimOf(crlf), manifest.WrongSizeName, p, nil},

		{"gzip, sound", gz, named, none, 0, nil},
		{"zstd, sound", zst, named, none, 0, nil},
		{"gzip, name wrong", gz, wrongName, manifest.Truncated, p, []manifest.Kind{manifest.LineCount}},
		{"gzip, named by its compressed size", gz, Claim{S: int64(len(gz)), HasS: true}, manifest.WrongSizeName, p, nil},
		{"gzip, cut", gz[:len(gz)/2], named, manifest.CompressedCorrupt, p, nil},
		{"gzip, cut, recorded", gz[:len(gz)/2], merge(named, Claim{Digest: manifest.BLAKE3.Sum(gz), Plain: recorded.Digest, Size: int64(len(gz)), HasSize: true}), manifest.Truncated, p, []manifest.Kind{manifest.CompressedCorrupt, manifest.ContentChanged}},
		{"gzip of what was recorded plain", gz, both, none, 0, nil},
		{"plain of what was recorded gzip", good, merge(named, Claim{Digest: manifest.BLAKE3.Sum(gz), Plain: recorded.Digest, Size: int64(len(gz)), HasSize: true}), none, 0, nil},
		{"zstd of what was recorded gzip", zst, merge(named, Claim{Digest: manifest.BLAKE3.Sum(gz), Plain: recorded.Digest, Size: int64(len(gz)), HasSize: true}), none, 0, nil},
		{"gzip of something else", squeeze(t, Gzip, flipped), both, manifest.Truncated, p, []manifest.Kind{manifest.ContentChanged}},
		{"gzip with a NUL tail", append(bytes.Clone(gz), make([]byte, 4096)...), named, manifest.NULTail, p, []manifest.Kind{manifest.CompressedCorrupt}},

		{"mail_crypt", crypt, named, none, 0, nil},
		{"mail_crypt, changed", cryptChanged, recordOf(crypt), manifest.Truncated, s, []manifest.Kind{manifest.ContentChanged}},
		{"mail_crypt of what was recorded plain", crypt, merge(named, recordOf(append(bytes.Clone(good), make([]byte, len(crypt)-len(good))...))), manifest.ContentChanged, s, nil},
	} {
		x := NewExaminer(Limits{})
		f := x.Examine(manifest.BLAKE3, tc.in)
		v := Damage(&f, &tc.claim)
		if v.Kind != tc.kind || v.Certainty != tc.how {
			t.Errorf("%s: %v (%v) %q, want %v (%v)", tc.name, v.Kind, v.Certainty, v.Detail, tc.kind, tc.how)
			continue
		}
		if d := cmp.Diff(tc.also, v.Also); d != "" {
			t.Errorf("%s: further kinds: %s", tc.name, d)
		}
		for _, k := range v.Also {
			if !strings.Contains(v.Detail, k.String()) {
				t.Errorf("%s: %q does not name %v", tc.name, v.Detail, k)
			}
		}
		if strings.Contains(v.Detail, "fox") || strings.Contains(v.Detail, "example.org") {
			t.Errorf("%s: message text in %q", tc.name, v.Detail)
		}
		if v.Opaque != (f.Encoding == MailCrypt) {
			t.Errorf("%s: opaque %v", tc.name, v.Opaque)
		}
	}

	// With the record, only the exact conversion clears the message.
	for _, tc := range []struct {
		in   []byte
		kind manifest.Kind
	}{{crlf, manifest.WrongSizeName}, {flippedCRLF, manifest.ContentChanged}} {
		if !both.Converted(int64(len(tc.in))) || both.Converted(6000) {
			t.Error("Converted does not tell when to look")
		}
		x := NewExaminer(Limits{})
		x.Reset(manifest.BLAKE3)
		x.AlsoConverted()
		_, _ = x.Write(tc.in)
		f := x.Finish()
		if v := Damage(&f, &both); v.Kind != tc.kind || v.Certainty != manifest.Proof {
			t.Errorf("converted, recorded: %v %q, want %v", v.Kind, v.Detail, tc.kind)
		}
	}
}
