package manifest

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// FuzzAcceptance: a journalled acceptance is read as it was written, or refused.
func FuzzAcceptance(f *testing.F) {
	a := Acceptance{
		At: time.Unix(1_700_000_000, 0).UTC(), By: "root", Mailbox: "anna@example.org", Folder: "INBOX", File: "cur/1.M1P1.h:2,S", Reason: "re-encoded",
		Old: BLAKE3.Sum([]byte("a")), New: SHA256.Sum([]byte("b")),
	}
	f.Add(a.encode())
	f.Add((&Acceptance{}).encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := decodeAcceptance(data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		b, err := decodeAcceptance(a.encode())
		if err != nil || a != b {
			t.Fatalf("%+v\n%+v\n%v", a, b, err)
		}
	})
}

// FuzzInventory: a list of a record's files names none outside of it.
func FuzzInventory(f *testing.F) {
	sum := strings.TrimPrefix(BLAKE3.Sum([]byte("x")).String(), "blake3:")
	f.Add([]byte(sum + "  store\n" + sum + "  g1/05/index\n"))
	f.Add([]byte(sum + "  ../escape\n"))
	f.Add([]byte(sum + " one space\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		listed, err := readInventory(bytes.NewReader(data))
		if err != nil {
			return
		}
		for path := range listed {
			if path == "" || strings.HasPrefix(path, "../") || strings.Contains(path, "/../") || strings.HasPrefix(path, "/") {
				t.Fatalf("%q", path)
			}
		}
	})
}
