package replay

import (
	"context"
	"slices"
	"testing"
)

// fakeDB is a database that counts what it is asked.
type fakeDB struct {
	aliases map[string][]string
	boxes   map[string]string
	asked   map[string]int
	calls   int
}

func (f *fakeDB) Aliases(_ context.Context, keys []string) (map[string][]string, error) {
	f.calls++
	out := map[string][]string{}
	for _, k := range keys {
		f.asked[k]++
		if to := f.aliases[k]; to != nil {
			out[k] = to
		}
	}
	return out, nil
}

func (f *fakeDB) Mailboxes(_ context.Context, addrs []string) (map[string]string, error) {
	f.calls++
	out := map[string]string{}
	for _, k := range addrs {
		f.asked["box "+k]++
		if p, ok := f.boxes[k]; ok {
			out[k] = p
		}
	}
	return out, nil
}

// Databases are followed like maps, in rounds of many addresses, and asked for
// nothing twice.
func TestUserdb(t *testing.T) {
	db := &fakeDB{asked: map[string]int{}, aliases: map[string][]string{
		"sales@example.org": {"ann@example.org", "bela@example.org"},
		"ann@example.org":   {"ann@example.org"},
		"loop@example.org":  {"loop2@example.org"},
		"loop2@example.org": {"loop@example.org"},
		"@old.example":      {"@example.org"},
		"@catch.example":    {"bela@example.org"},
		"deep@example.org":  {"sales@old.example", "nobody@example.org"},
		"away@example.org":  {"x@elsewhere.example"},
	}, boxes: map[string]string{"ann@example.org": "", "bela@example.org": "/srv/bela", "new@example.org": ""}}
	names := &Names{}
	names.Add("ann@example.org")
	names.Add("odd/bela")
	r, err := NewResolver(Maps{Delimiter: "+", Mailboxes: names, Userdbs: []Userdb{db}, At: func(p string) string {
		if p == "/srv/bela" {
			return "odd/bela"
		}
		return ""
	}, Placed: func(name string) bool { return name == "new@example.org" }})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"Ann+x@Example.org":   {"ann@example.org"},
		"sales@example.org":   {"ann@example.org", "odd/bela"},
		"sales@old.example":   {"ann@example.org", "odd/bela"},
		"any@catch.example":   {"odd/bela"},
		"deep@example.org":    {"ann@example.org", "odd/bela"},
		"loop@example.org":    nil,
		"away@example.org":    nil,
		"nobody@example.org":  nil,
		"new@example.org":     {"new@example.org"},
		"bela+a@example.org":  {"odd/bela"},
		"'; DROP@example.org": nil,
	}
	var addrs []string
	for a := range want {
		addrs = append(addrs, a)
	}
	slices.Sort(addrs)
	got, err := r.Resolve(context.Background(), addrs)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range addrs {
		if !slices.Equal(got[i].Mailboxes, want[a]) {
			t.Errorf("%s leads to %q, want %q (%+v)", a, got[i].Mailboxes, want[a], got[i])
		}
	}
	for k, n := range db.asked {
		if n != 1 {
			t.Errorf("%s is asked %d times", k, n)
		}
	}
	if db.calls > 12 {
		t.Errorf("%d questions: they are not asked in bulk", db.calls)
	}
	if _, err := r.Resolve(context.Background(), addrs); err != nil || db.calls > 12 {
		t.Errorf("asked again: %d questions, %v", db.calls, err)
	}
}
