package lmtp

import (
	"errors"
	"testing"
)

// FuzzTarget: what is taken for an address of a server is one that can be dialled.
func FuzzTarget(f *testing.F) {
	f.Add("unix:/var/run/dovecot/lmtp")
	f.Add("[::1]:24")
	f.Add("host:0")
	f.Add(":24")
	f.Fuzz(func(t *testing.T, s string) {
		g, err := ParseTarget(s)
		if err != nil {
			if !errors.Is(err, ErrTarget) {
				t.Fatal(err)
			}
			return
		}
		if again, err := ParseTarget(g.String()); err != nil || again != g {
			t.Fatalf("%q: %+v, %+v, %v", s, g, again, err)
		}
	})
}
