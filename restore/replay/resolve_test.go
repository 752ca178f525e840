package replay

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func mapFile(t testing.TB, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "map")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func names(list ...string) *Names {
	n := &Names{}
	for _, x := range list {
		n.Add(x)
	}
	return n
}

func TestResolve(t *testing.T) {
	virtual := mapFile(t, `# aliases
info@example.com	ann@example.com,
   bob@example.com
  # a comment inside
all@example.com   info@example.com, carl@example.com carl@example.com
loop@example.com  loop2@example.com
loop2@example.com loop@example.com
self@example.com  self@example.com, ann@example.com
half@example.com  ann@example.com, ghost@example.com
away@example.com  ann@elsewhere.example
"odd one"@example.com bob@example.com
@old.example      @example.com
@catch.example    ann@example.com
plain             bob@example.com
ext+special@example.com carl@example.com
`)
	aliases := mapFile(t, `postmaster: ann
owner-list: bob
list: "|/usr/bin/list", carl
stop: \dora
`)
	store := names("ann@example.com", "bob@example.com", "carl@example.com", "self@example.com", "dora@example.com", "Fred@example.com", "pat@catch.example")
	r, err := NewResolver(Maps{Delimiter: "+-", Domains: []string{"example.com"}, Virtual: []string{"hash:" + virtual}, Aliases: []string{aliases}, Mailboxes: store})
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string][]string{
		"ann@example.com":            {"ann@example.com"},
		"<ANN@Example.COM>":          {"ann@example.com"},
		"ann+x@example.com":          {"ann@example.com"},
		"ann-x+y@example.com":        {"ann@example.com"},
		"fred@example.com":           {"Fred@example.com"},
		"info@example.com":           {"ann@example.com", "bob@example.com"},
		"info+ext@example.com":       {"ann@example.com", "bob@example.com"},
		"all@example.com":            {"ann@example.com", "bob@example.com", "carl@example.com"},
		"self@example.com":           {"ann@example.com", "self@example.com"},
		"half@example.com":           {"ann@example.com"},
		`"odd one"@example.com`:      {"bob@example.com"},
		"bob@old.example":            {"bob@example.com"},
		"pat@catch.example":          {"ann@example.com"}, // Postfix' trap: a catch-all hides the mailbox
		"plain@example.com":          {"bob@example.com"},
		"ext+special@example.com":    {"carl@example.com"},
		"postmaster@example.com":     {"ann@example.com"},
		"owner-list@example.com":     {"bob@example.com"},
		"list@example.com":           {"carl@example.com"},
		"stop@example.com":           {"dora@example.com"},
		"dora":                       {"dora@example.com"},
		"loop@example.com":           nil,
		"ghost@example.com":          nil,
		"away@example.com":           nil,
		"ann@elsewhere.example":      nil,
		"":                           nil,
		"@":                          nil,
		"ann@example.com@evil.test":  nil,
		"postmaster+x@other.example": nil,
	} {
		got, err := r.Resolve(context.Background(), []string{addr})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got[0].Mailboxes, want) {
			t.Errorf("%q: %q, want %q (%+v)", addr, got[0].Mailboxes, want, got[0])
		}
		if len(want) == 0 && got[0].Detail == "" {
			t.Errorf("%q: nothing says why", addr)
		}
	}
	got, _ := r.Resolve(context.Background(), []string{"half@example.com", "away@example.com"})
	if !slices.Equal(got[0].Unknown, []string{"ghost@example.com"}) || !got[1].Elsewhere {
		t.Errorf("%+v", got)
	}
	if MapsChanged(r).IsZero() || time.Since(MapsChanged(r)) > time.Hour {
		t.Errorf("maps changed %v", MapsChanged(r))
	}
}

func TestResolveExpansionLimit(t *testing.T) {
	var b strings.Builder
	b.WriteString("big@example.com")
	for i := range 1500 {
		b.WriteString(" u" + strings.Repeat("x", i%50) + string(rune('a'+i%26)) + strings.Repeat("y", i/26) + "@example.com")
	}
	r, err := NewResolver(Maps{Virtual: []string{mapFile(t, b.String()+"\n")}, Mailboxes: names("ua@example.com")})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Resolve(context.Background(), []string{"big@example.com"})
	if err != nil || len(got[0].Mailboxes) != 0 || !strings.Contains(got[0].Detail, "expand") {
		t.Errorf("%+v %v", got, err)
	}
}

func TestResolvePaths(t *testing.T) {
	at := func(p string) string {
		p = strings.TrimSuffix(strings.TrimSuffix(p, "/"), "/Maildir")
		return strings.TrimPrefix(strings.TrimPrefix(p, "/srv/mail"), "/")
	}
	r, err := NewResolver(Maps{
		VirtualMailbox: []string{mapFile(t, "ann@example.com example.com/ann/\n@example.org catchall/\n")}, VirtualMailboxBase: "/srv/mail/",
		PasswdFiles: []string{mapFile(t, "# users\nbob@example.com:{PLAIN}x:5000:5000::/srv/mail/example.com/b/bob::userdb_mail=maildir:~/Maildir:INDEX=/x quota=1\ncarl@example.com:x:::::/\n")},
		Mailboxes:   names("example.com/ann", "example.com/b/bob", "catchall", "example.com/dora"),
		At:          at,
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Resolve(context.Background(), []string{"ann@example.com", "bob@example.com", "x@example.org", "dora@example.com", "carl@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"example.com/ann", "example.com/b/bob", "catchall", "example.com/dora", ""} {
		if strings.Join(got[i].Mailboxes, " ") != want {
			t.Errorf("%d: %+v, want %q", i, got[i], want)
		}
	}
}

// Local parts alone mean something only where the domain is known to be ours.
func TestResolveFlatStore(t *testing.T) {
	flat := names("ann", "bob")
	r, err := NewResolver(Maps{Mailboxes: flat})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Resolve(context.Background(), []string{"ann@example.com", "bob@example.com", "carl@other.example"})
	if err != nil || len(got[0].Mailboxes) != 1 || len(got[1].Mailboxes) != 1 || len(got[2].Mailboxes) != 0 {
		t.Errorf("one domain: %+v %v", got, err)
	}
	r, err = NewResolver(Maps{Mailboxes: flat})
	if err != nil {
		t.Fatal(err)
	}
	got, err = r.Resolve(context.Background(), []string{"ann@example.com", "bob@gmail.example"})
	if err != nil || len(got[0].Mailboxes)+len(got[1].Mailboxes) != 0 {
		t.Errorf("two domains: %+v %v", got, err)
	}
	r, err = NewResolver(Maps{Mailboxes: flat, Domains: []string{"example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err = r.Resolve(context.Background(), []string{"ann@example.com", "bob@gmail.example"})
	if err != nil || len(got[0].Mailboxes) != 1 || len(got[1].Mailboxes) != 0 {
		t.Errorf("named domain: %+v %v", got, err)
	}
}

func TestResolveErrors(t *testing.T) {
	if _, err := NewResolver(Maps{Virtual: []string{"/does/not/exist"}}); !errors.Is(err, ErrResolver) {
		t.Errorf("%v", err)
	}
	if _, err := NewResolver(Maps{Virtual: []string{mapFile(t, "/^(.*)@x$/ $1@y\n")}}); !errors.Is(err, ErrResolver) {
		t.Errorf("a regexp map: %v", err)
	}
}

func FuzzMaps(f *testing.F) {
	f.Add("a@b c@d, e@f\n  g\n# x\n@b @c\n", "x+y@b")
	f.Add("a: |\"x y\", :include:/z, \\a\n\"q q\"@x y\n", "\"q q\"@x")
	f.Add("u@d:p:1:1:g:/h:/s:userdb_mail=maildir:~/M\n", "u@d")
	f.Fuzz(func(t *testing.T, s, addr string) {
		v, err := parsePostfixMap([]byte(s))
		if err != nil {
			v = nil
		}
		a, _ := parseAliases([]byte(s))
		r := &mapResolver{
			Maps:    Maps{Delimiter: "+", Mailboxes: names("u@d", "a"), Domains: []string{"b"}},
			virtual: []table{v}, aliases: []table{a}, passwd: map[string]string{}, local: map[string]bool{"b": true}, homes: map[string]bool{},
		}
		for user, path := range parsePasswd([]byte(s)) {
			r.passwd[user] = path
		}
		got, err := r.Resolve(context.Background(), []string{addr})
		if err != nil || len(got) != 1 {
			t.Fatalf("%v %v", got, err)
		}
		for _, box := range got[0].Mailboxes {
			if box != "u@d" && box != "a" {
				t.Fatalf("%q leads to %q, which the store does not have", addr, box)
			}
		}
	})
}

func FuzzRecord(f *testing.F) {
	var e enc
	v := verdict{state: stOpen, match: Exact, detail: "x"}
	e.verdict(&v)
	f.Add(e.b)
	f.Fuzz(func(t *testing.T, b []byte) {
		d := newDec(b)
		v := d.verdict()
		if d.bad {
			return
		}
		var e enc
		e.verdict(&v)
		d = newDec(e.b)
		if d.verdict(); d.bad {
			t.Fatal("what was read cannot be written and read again")
		}
	})
}
