package replay

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"mailsync/manifest"
)

// A ledger that is cut anywhere, or has any byte flipped, tells what was recorded
// up to there and nothing else, or is refused: what it says of a delivery is never
// of another one. A record that was durable before a later one was written cannot
// be lost in silence.
func TestLedgerHarmedAnywhere(t *testing.T) {
	dir := t.TempDir()
	l, err := OpenLedger(nil, dir, "primary", false)
	if err != nil {
		t.Fatal(err)
	}
	var want []delivered
	for i := range 5 {
		d := delivered{mailbox: bob, digest: manifest.BLAKE3.Sum([]byte{byte(i)}), at: 1_700_000_000 + int64(i), run: "r1", state: SentDelivered, recipient: bob, answer: fmt.Sprintf("250 %d", i)}
		want = append(want, d)
		if err := l.add([]delivered{d}); err != nil { // each is durable before the next
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(l.path())
	if err != nil {
		t.Fatal(err)
	}
	look := func(p []byte, how string, at, atLeast int) {
		t.Helper()
		if err := os.WriteFile(l.path(), p, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := OpenLedger(nil, dir, "primary", true)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for d, err := range l.all() {
			if err != nil {
				if !errors.Is(err, ErrLedger) {
					t.Fatalf("%s at %d: %v", how, at, err)
				}
				return
			}
			if n == len(want) || d != want[n] {
				t.Fatalf("%s at %d: record %d is %+v", how, at, n, d)
			}
			n++
		}
		if n < atLeast {
			t.Fatalf("%s at %d: only %d records, and no error", how, at, n)
		}
	}
	look(good, "whole", 0, len(want))
	for at := range good {
		look(good[:at], "cut", at, 0)
		for _, mask := range []byte{1, 0x80} {
			p := bytes.Clone(good)
			p[at] ^= mask
			look(p, "flipped", at, len(want)-1)
		}
	}
}
