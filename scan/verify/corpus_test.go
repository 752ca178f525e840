package verify_test

import (
	"archive/tar"
	"fmt"
	"strings"
	"testing"
	"time"

	"mailsync/manifest"
	"mailsync/scan/corpustest"
	"mailsync/scan/verify"
)

// Real mail, laid out as Maildirs with right names: no proof of damage, with
// and without a record, and everything read once.
func TestRealMailIsSound(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("lays out some ten thousand messages")
	}
	e := newEstate(t)
	n := 0
	corpustest.Each(t, func(h *tar.Header, p []byte) {
		name := h.Name
		mail := strings.Contains(name, "cypherpunks-maildir/") || strings.Contains(name, "spamassassin-public/")
		if !mail || strings.HasSuffix(name, ".md") || strings.HasSuffix(name, ".sha256") || len(p) == 0 {
			return
		}
		box := fmt.Sprintf("u%02d", n%20)
		if n < 20 {
			e.box(box)
		}
		e.put(box+"/cur", fmt.Sprintf("%d.M%dP1.h", 1_700_000_000+n, n), string(p), ":2,S")
		n++
	})
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
