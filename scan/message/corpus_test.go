package message

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailsync/manifest"
	"mailsync/scan/corpustest"
	"mailsync/scan/maildir"
)

func TestNoProofAgainstRealMail(t *testing.T) {
	t.Parallel()
	x, id := NewExaminer(Limits{}), NewIdentifier(Limits{})
	defer x.Close()
	defer id.Close()
	messages, named, suspected, damaged := 0, 0, 0, 0
	inMail := 0 // suspected in the two large collections of ordinary mail
	encodings := map[Encoding]int{}
	corpustest.Each(t, func(h *tar.Header, p []byte) {
		name := h.Name
		if strings.HasSuffix(name, "ORIGIN.md") || strings.HasSuffix(name, "README.md") || strings.HasSuffix(name, "MANIFEST.sha256") || len(p) == 0 {
			return
		}
		messages++
		f := x.Examine(manifest.BLAKE3, p)
		if d := cmp.Diff(naive(p, manifest.BLAKE3), f.Stored); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		encodings[f.Encoding]++
		// laid out with the right sizes
		if f.StreamErr == nil && !f.Opaque() {
			c := Claim{S: f.Message.Size, HasS: true, W: f.Message.Size + f.Message.Lines.Bare(), HasW: true, Digest: f.Stored.Digest, Size: f.Stored.Size, HasSize: true}
			switch v := Damage(&f, &c); {
			case v.Kind != manifest.NoKind && v.Certainty == manifest.Proof && !f.Stored.AllNUL():
				t.Errorf("%s: %v proven: %s", name, v.Kind, v.Detail)
			case v.Kind != manifest.NoKind:
				suspected++
				if strings.Contains(name, "cypherpunks") || strings.Contains(name, "spamassassin-public") {
					inMail++
				}
			}
			if strings.Contains(name, "/Maildir/") || strings.Contains(name, "cypherpunks") {
				if v := Damage(&f, &c); v.Kind != manifest.NoKind && v.Kind != manifest.HeaderBroken && strings.Contains(name, "/cur/") {
					t.Errorf("%s: %v: %s", name, v.Kind, v.Detail)
				}
			}
			// half of it is damaged, and by every sign there is
			if n := len(p) / 2; n > 0 && f.Encoding == Plain {
				h := x.Examine(manifest.BLAKE3, p[:n])
				if v := Damage(&h, &c); v.Kind != manifest.Truncated && v.Kind != manifest.NULTail && v.Kind != manifest.NULFilled || v.Certainty != manifest.Proof {
					t.Errorf("%s cut in half: %+v", name, v)
				}
				damaged++
			}
		}
		// as it lies in the store that it came from
		if i := strings.LastIndex(name, "/"); strings.Contains(name, "/cur/") || strings.Contains(name, "/new/") {
			n := maildir.ParseName(name[i+1:])
			// (one fixture has other contents under the names of real messages)
			if n.HasS && !strings.Contains(name, "stalwart-mail-parser") {
				named++
				v := Damage(&f, &Claim{S: n.S, HasS: true, W: n.W, HasW: n.HasW})
				if v.Kind != manifest.NoKind && v.Certainty == manifest.Proof {
					t.Errorf("%s: %v: %s", name, v.Kind, v.Detail)
				}
			}
		}
		// read in pieces, it is the same message
		if whole, err := id.Identify(p); err == nil {
			if whole.Encoding == Plain && whole.HeaderID != f.HeaderID {
				t.Errorf("%s: HeaderID of Identify differs", name)
			}
			crlf, err := id.Read(bytes.NewReader(bytes.ReplaceAll(bytes.ReplaceAll(p, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))))
			if whole.Encoding == Plain && (err != nil || crlf.Exact != whole.Exact || crlf.NoID != whole.NoID) {
				t.Errorf("%s: CRLF changes the identity (%v)", name, err)
			}
		} else if !isStreamError(err) {
			t.Errorf("%s: %v", name, err)
		}
	})
	if messages < 10_000 || named < 500 || damaged < 10_000 {
		t.Errorf("only %d files, %d with a size in the name, %d cut", messages, named, damaged)
	}
	for _, enc := range []Encoding{Gzip, Bzip2, Zstd, LZ4, MailCrypt} {
		if encodings[enc] == 0 {
			t.Errorf("no %v in the corpus", enc)
		}
	}
	if inMail > 5 {
		t.Errorf("%d messages of ordinary mail are suspected", inMail)
	}
	t.Logf("%d files, %d with S= in the name, %d suspected with right sizes (%d in ordinary mail), %v", messages, named, suspected, inMail, encodings)
}
