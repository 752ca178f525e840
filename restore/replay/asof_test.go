package replay

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// An alias led to Ann during the gap, and leads to Bob today: with the maps of
// then her mail is hers, and a map of which then has no copy is an error.
func TestMapsAsOf(t *testing.T) {
	now, then := t.TempDir(), t.TempDir()
	virtual := filepath.Join(now, "virtual")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(virtual, "info@example.com bob@example.com\n")
	write(filepath.Join(then, virtual), "info@example.com ann@example.com\n")
	names := &Names{}
	names.Add("ann@example.com")
	names.Add("bob@example.com")
	for asOf, want := range map[string]string{"": "bob@example.com", then: "ann@example.com"} {
		r, err := NewResolver(Maps{Virtual: []string{"hash:" + virtual}, Mailboxes: names, AsOf: asOf})
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Resolve(context.Background(), []string{"info@example.com"})
		if err != nil || !slices.Equal(got[0].Mailboxes, []string{want}) {
			t.Errorf("as of %q: %+v, %v; want %s", asOf, got, err, want)
		}
		if changed := MapsChanged(r); changed.IsZero() != (asOf != "") {
			t.Errorf("as of %q: maps changed %v", asOf, changed)
		}
	}
	if _, err := NewResolver(Maps{Virtual: []string{virtual}, Mailboxes: names, AsOf: t.TempDir()}); !errors.Is(err, ErrResolver) {
		t.Errorf("today's map was taken for one of then: %v", err)
	}
}
