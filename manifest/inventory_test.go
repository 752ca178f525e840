package manifest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestInventory(t *testing.T) {
	dir := t.TempDir()
	r, err := OpenRepo(dir, RepoOptions{})
	must(t, err)
	record := func(version uint64) *Store {
		s := begin(t, r, SessionOptions{})
		for i := range 3 {
			must(t, put(s, fmt.Sprint(i), 5, version))
		}
		must(t, s.Accept(Acceptance{Mailbox: "1", Reason: "virus"}))
		must(t, s.Finish(true))
		st, err := r.Store(StoreKey("", storeID.Path))
		must(t, err)
		return st
	}
	st := record(1)
	must(t, st.WriteInventory(t.Context()))
	inventory, err := os.ReadFile(st.InventoryPath())
	must(t, err)
	// store, accepted, 3 indexes, 3 manifests
	if n := strings.Count(string(inventory), "\n"); n != 8 {
		t.Errorf("%d files listed, want 8:\n%s", n, inventory)
	}
	differing := func() (tampered, unlisted []string) {
		t.Helper()
		for b, err := range st.CheckInventory(context.Background(), strings.NewReader(string(inventory))) {
			must(t, err)
			switch {
			case errors.Is(b.Err, ErrTampered):
				tampered = append(tampered, b.File)
			case errors.Is(b.Err, ErrUnlisted):
				unlisted = append(unlisted, b.File)
			default:
				t.Errorf("%s: %v", b.File, b.Err)
			}
		}
		return tampered, unlisted
	}
	if a, b := differing(); a != nil || b != nil {
		t.Errorf("nothing changed, and %q, %q", a, b)
	}
	// Others can check the list too.
	if program, err := exec.LookPath("b3sum"); err == nil {
		c := exec.Command(program, "-c", InventoryName)
		c.Dir = filepath.Dir(st.InventoryPath())
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("b3sum -c: %v\n%s", err, out)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "stores", "*", "g1", "*", "*.*"))
	must(t, err)
	data, err := os.ReadFile(files[0])
	must(t, err)
	must(t, os.WriteFile(files[0], append(data, 0), 0o600))
	rel, err := filepath.Rel(dir, files[0])
	must(t, err)
	if a, b := differing(); len(a) != 1 || a[0] != rel || b != nil {
		t.Errorf("%s changed, and %q, %q", rel, a, b)
	}
	must(t, os.WriteFile(files[0], data, 0o600))
	st = record(2)
	// every manifest is new; the store's record, the journal, the indexes have moved on
	if a, b := differing(); a != nil || len(b) != 8 {
		t.Errorf("a scan later: %q, %q", a, b)
	}
	// A copy of the record has its inventory, too.
	to := t.TempDir()
	_, err = st.CopyTo(t.Context(), to)
	must(t, err)
	copied, err := os.ReadFile(filepath.Join(to, "stores", filepath.Base(filepath.Dir(st.InventoryPath())), InventoryName))
	if err != nil || string(copied) != string(inventory) {
		t.Errorf("copied inventory: %v", err)
	}
}

func TestBrokenInventories(t *testing.T) {
	dir := t.TempDir()
	r, err := OpenRepo(dir, RepoOptions{})
	must(t, err)
	s := begin(t, r, SessionOptions{})
	must(t, s.Finish(true))
	st, err := r.Store(StoreKey("", storeID.Path))
	must(t, err)
	sum := strings.Repeat("ab", 32)
	for _, text := range []string{"x\n", sum + "\n", sum + " store\n", sum[1:] + "  store\n", sum + "  ../../etc/passwd\n", sum + "  \n"} {
		var got error
		for _, err := range st.CheckInventory(t.Context(), strings.NewReader(text)) {
			got = err
		}
		if !errors.Is(got, ErrCorrupt) {
			t.Errorf("%q: %v", text, got)
		}
	}
}
