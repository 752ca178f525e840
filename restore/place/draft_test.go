package place

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// add appends a line to a small file, unless it is there.
func add(line string) func([]byte) ([]byte, error) {
	return func(old []byte) ([]byte, error) {
		if strings.Contains(string(old), line) {
			return nil, nil
		}
		return append(append([]byte(nil), old...), line...), nil
	}
}

// A draft gets its name only where the file is still the one that it was made
// from and the lock is free; nothing of it is left afterwards.
func TestDraft(t *testing.T) {
	const table = "dovecot-keywords"
	own := Owner{UID: -1, GID: -1, Mode: 0o600}
	for _, c := range []struct {
		name      string
		before    string // "" = no file
		hidden    bool
		meanwhile func(x *lockTest, file string)
		ok        bool
		err       error
		want      string
	}{
		{name: "none before", ok: true, want: "0 Work\n"},
		{name: "grows", before: "0 Own\n", ok: true, want: "0 Own\n0 Work\n"},
		{name: "hidden", hidden: true, ok: true, want: "0 Work\n"},
		{name: "nothing to change", before: "0 Work\n", want: "0 Work\n"},
		{name: "appeared", meanwhile: func(x *lockTest, file string) {
			_ = os.WriteFile(file, []byte("0 Mine\n"), 0o600)
		}, want: "0 Mine\n"},
		{name: "grew", before: "0 Own\n", meanwhile: func(x *lockTest, file string) {
			_ = os.WriteFile(file, []byte("0 Own\n1 Mine\n"), 0o600)
		}, want: "0 Own\n1 Mine\n"},
		{name: "removed", before: "0 Own\n", meanwhile: func(x *lockTest, file string) { _ = os.Remove(file) }},
		{name: "lock too old", meanwhile: func(x *lockTest, file string) { x.now = x.now.Add(time.Minute) }},
		{name: "lock held", meanwhile: func(x *lockTest, file string) {
			x.alive[7] = true
			_ = os.WriteFile(file+".lock", []byte("7:here"), 0o600)
		}, err: ErrHeld},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newLockTest(t)
			file := filepath.Join(x.path, table)
			if c.before != "" {
				if err := os.WriteFile(file, []byte(c.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			d, err := x.l.Draft(x.dir, table, own, c.hidden, add("0 Work\n"))
			if err != nil {
				t.Fatal(err)
			}
			if d == nil {
				if c.before != c.want {
					t.Fatal("nothing was drafted")
				}
				return
			}
			if c.meanwhile != nil {
				c.meanwhile(x, file)
			}
			ok, err := x.l.Publish(t.Context(), d)
			if ok != c.ok || !errors.Is(err, c.err) {
				t.Errorf("published %v, %v; want %v, %v", ok, err, c.ok, c.err)
			}
			x.l.Discard(d)
			got, err := os.ReadFile(file)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("the file is %q, want %q", got, c.want)
			}
			if again, err := x.l.Publish(t.Context(), d); again || err != nil {
				t.Errorf("published twice: %v, %v", again, err)
			}
			left, err := os.ReadDir(x.path)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range left {
				if e.Name() != table && c.err == nil {
					t.Errorf("left over: %s", e.Name())
				}
			}
		})
	}
}
