package verify_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"mailsync/manifest"
	"mailsync/scan/verify"
)

// Real mail, laid out as Maildirs with right names: no proof of damage, with
// and without a record, and everything read once.
func TestRealMailIsSound(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("lays out some ten thousand messages")
	}
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", "corpus", "mail.tar.zst"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("NOT TESTED ON REAL MAIL: the mail corpus (../shared/corpus/mail.tar.zst) is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	e := newEstate(t)
	n := 0
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		mail := strings.Contains(h.Name, "cypherpunks-maildir/") || strings.Contains(h.Name, "spamassassin-public/")
		if h.Typeflag != tar.TypeReg || !mail || strings.HasSuffix(h.Name, ".md") || strings.HasSuffix(h.Name, ".sha256") {
			continue
		}
		p, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if len(p) == 0 {
			continue
		}
		box := fmt.Sprintf("u%02d", n%20)
		if n < 20 {
			e.box(box)
		}
		e.put(box+"/cur", fmt.Sprintf("%d.M%dP1.h", 1_700_000_000+n, n), string(p), ":2,S")
		n++
	}
	if n < 1000 {
		t.Fatalf("only %d messages in the corpus", n)
	}
	e.age(time.Hour)
	for _, baseline := range []bool{false, true} {
		if baseline {
			e.scan()
		}
		out := e.verify(verify.Options{}, baseline)
		for i := range out.findings {
			if f := &out.findings[i]; f.Certainty == manifest.Proof && f.Kind.Class() == manifest.Damage {
				t.Errorf("record %v: %s: %s", baseline, line(f), f.Detail)
			}
		}
		r := out.result
		if r.Messages != int64(n) || r.ReadBytes != r.Bytes || r.Unreadable+r.Disordered+r.Vanished != 0 || len(r.Partial) > 0 {
			t.Errorf("record %v: %+v", baseline, r)
		}
		t.Logf("record %v: %d messages, %d suspicions", baseline, n, r.Suspect)
	}
}
