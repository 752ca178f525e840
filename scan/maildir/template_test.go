package maildir

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestTemplates(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		template, address, path string
		folds                   bool // the path does not tell the case of the address
	}{
		{"%d/%n/Maildir", "a@example.org", "example.org/a/Maildir", false},
		{"%d/%n/Maildir/", "a@example.org", "example.org/a/Maildir", false},
		{"%u", "a@example.org", "a@example.org", false},
		{"vmail/%u/mail", "a@example.org", "vmail/a@example.org/mail", false},
		{"%n", "a", "a", false},
		{"%d/%1n/%n", "bob@example.org", "example.org/b/bob", false},
		{"%d/%1.1n/%n", "bob@example.org", "example.org/o/bob", false},
		{"%2.256Nu/%u", "a@example.org", "7b/a@example.org", false},
		{"%2Mu/%u", "a@example.org", "22/a@example.org", false},
		{"%Ld/%Ln", "A@Example.ORG", "example.org/a", true},
		{"%d/%Un", "a@example.org", "example.org/A", false},
		{"%n@%d", "a@example.org", "a@example.org", false},
		{"x%%/%n", "a", "x%/a", false},
		{"%{user}", "a@example.org", "a@example.org", false},
		{"%{user | domain}/%{user | username}/Maildir", "a@example.org", "example.org/a/Maildir", false},
		{"%{domain|lower}/%{username | substr(0,2)}/%{username}", "bob@example.org", "example.org/bo/bob", false},
		{"%{user|username|lower}/%{user|domain|upper}", "bob@example.org", "bob/EXAMPLE.ORG", false},
	} {
		tm, err := ParseTemplate(tc.template)
		if err != nil {
			t.Errorf("%s: %v", tc.template, err)
			continue
		}
		path, err := tm.Expand(tc.address, "")
		if err != nil || tc.path != "" && path != tc.path {
			t.Errorf("%s of %s: %q %v, want %q", tc.template, tc.address, path, err, tc.path)
			continue
		}
		address, ok := tm.Match(path)
		want := tc.address
		if tc.folds {
			want = strings.ToLower(want)
		}
		if !ok || address != want {
			t.Errorf("%s: %q is of %q (%v), want %q", tc.template, path, address, ok, want)
		}
		parts := strings.Split(path, "/")
		for i := range parts {
			if !tm.MatchPrefix(strings.Join(parts[:i+1], "/")) {
				t.Errorf("%s: %q leads nowhere", tc.template, parts[:i+1])
			}
		}
		if _, ok := tm.Match(path + "/more"); ok || tm.MatchPrefix(path+"/more") {
			t.Errorf("%s: matches below %q", tc.template, path)
		}
		if tm.String() != tc.template {
			t.Errorf("%s prints as %s", tc.template, tm)
		}
	}

	home, err := ParseTemplate("%h/Maildir")
	if err != nil {
		t.Fatal(err)
	}
	tilde, err := ParseTemplate("~/Maildir")
	if err != nil {
		t.Fatal(err)
	}
	for _, tm := range []*Template{home, tilde} {
		if p, err := tm.Expand("a@b", "/home/a"); err != nil || p != "/home/a/Maildir" {
			t.Errorf("%s: %q %v", tm, p, err)
		}
		if _, err := tm.Expand("a@b", ""); !errors.Is(err, ErrTemplate) {
			t.Error(err)
		}
		if _, ok := tm.Match("/home/a/Maildir"); ok || tm.MatchPrefix("home") {
			t.Errorf("%s: matches", tm)
		}
	}

	for _, bad := range []string{"", "Maildir", "/srv/%u", "%d/Maildir", "%Hu/%u", "%{user", "%{user | sha1 % 256 | hex(2)}/%{user}", "%{auth}", "%", "%5", "%1.n", "%2Nu/%u", "a/%h", "%d/../%n", "%d//%n", "%Lh/x", "%x", "%1n", "%Mu", "%2.0Nu/%u"} {
		if tm, err := ParseTemplate(bad); !errors.Is(err, ErrTemplate) || !strings.Contains(err.Error(), "users list") {
			t.Errorf("%q: %v %v", bad, tm, err)
		}
	}
	tm, err := ParseTemplate("%d/%n/Maildir")
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"", "a", "../x@b", "..@b", "a@..", "a@", "@b", "a/b@c", "a\x00@c", ".@."} {
		if p, err := tm.Expand(address, ""); !errors.Is(err, ErrTemplate) {
			t.Errorf("%q: %q %v", address, p, err)
		}
	}
	if one, err := ParseTemplate("%n"); err != nil {
		t.Error(err)
	} else if p, err := one.Expand(".", ""); !errors.Is(err, ErrTemplate) {
		t.Errorf("%q %v", p, err)
	}
	for path, ok := range map[string]bool{"example.org/a/Maildir": true, "example.org/a/maildir": false, "example.org/a": false, "../a/Maildir": false, "example.org/a@b/Maildir": false, "example.org//Maildir": false} {
		if _, got := tm.Match(path); got != ok {
			t.Errorf("%q: %v", path, got)
		}
	}
	for path, ok := range map[string]bool{"example.org": true, "example.org/a": true, "lost+found": true, "example.org/a/cur": false, "a@b": false} {
		if tm.MatchPrefix(path) != ok {
			t.Errorf("%q: %v", path, !ok)
		}
	}
}

// A path leads back to its address, whatever the template.
// Control and index trees lie where the operator says.
func TestTreesBesideTheMail(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ template, home, path string }{
		{"/var/lib/dovecot/control/%d/%n", "", "/var/lib/dovecot/control/example.org/bob"},
		{"/control/%u/", "", "/control/bob@example.org"},
		{"control/%u", "", "control/bob@example.org"},
		{"%h/control", "/home/bob", "/home/bob/control"},
	} {
		tm, err := ParseTree(tc.template)
		if err != nil {
			t.Errorf("%s: %v", tc.template, err)
			continue
		}
		if got, err := tm.Expand("bob@example.org", tc.home); err != nil || got != tc.path {
			t.Errorf("%s: %q, %v", tc.template, got, err)
		}
	}
	tm, err := ParseTree("/control/%n/x")
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"..@example.org", ".@example.org", "@example.org"} {
		if got, err := tm.Expand(address, ""); !errors.Is(err, ErrTemplate) {
			t.Errorf("%s: %q, %v", address, got, err)
		}
	}
	for _, text := range []string{"", "/control", "/control//%u", "/control/../%u", "/"} {
		if _, err := ParseTree(text); !errors.Is(err, ErrTemplate) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := ParseTemplate("/control/%u"); !errors.Is(err, ErrTemplate) {
		t.Errorf("an absolute layout: %v", err)
	}
}

func TestTemplatesRoundTrip(t *testing.T) {
	t.Parallel()
	templates := []string{"%d/%n/Maildir", "%u", "%d/%1n/%1.1n/%n", "%2.256Nu/%d/%n", "%1Mn/%u/mail", "%n@%d/x", "%{user|domain}/%{user|username}", "%n-%d", "x%n/y%dz"}
	rapid.Check(t, func(t *rapid.T) {
		tm, err := ParseTemplate(rapid.SampledFrom(templates).Draw(t, "template"))
		if err != nil {
			t.Fatal(err)
		}
		address := rapid.StringMatching(`[a-zA-Z0-9.+_é-]{1,8}@[a-z0-9.-]{1,10}`).Draw(t, "address")
		path, err := tm.Expand(address, "")
		if err != nil {
			t.Skip(err)
		}
		back, ok := tm.Match(path)
		if !ok {
			t.Fatalf("%s: %q of %q is of nobody", tm, path, address)
		}
		// "%n-%d" is ambiguous: then the answer is another address of the same path
		if again, err := tm.Expand(back, ""); err != nil || again != path {
			t.Fatalf("%s: %q is of %q, whose path is %q", tm, path, back, again)
		}
		if back != address && tm.String() != "%n-%d" {
			t.Fatalf("%s: %q of %q is of %q", tm, path, address, back)
		}
	})
}

func TestUsers(t *testing.T) {
	t.Parallel()
	collect := func(r io.Reader) (got []User, failed error) {
		for u, err := range ParseUsers(r) {
			if err != nil {
				return got, err
			}
			got = append(got, u)
		}
		return got, nil
	}
	got, err := collect(strings.NewReader("# users\na@b\t/srv/a b\r\n\nc@d\t\tdisk2/c"))
	if d := cmp.Diff([]User{{"a@b", "/srv/a b", 2}, {"c@d", "disk2/c", 4}}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	for name, in := range map[string]string{"no TAB": "a@b x\n", "no path": "a@b\t\n", "no address": "\tx\n", "space": "a b\tx\n", "slash": "a/b\tx\n", "NUL": "\x00\x00\n", "long": strings.Repeat("x", 20_000)} {
		got, err := collect(strings.NewReader("a@b\tx\n" + in))
		var b *Broken
		if !errors.Is(err, ErrUsers) || !errors.As(err, &b) || b.Line != 2 || len(got) != 1 {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	if _, err := collect(iotest.ErrReader(iotest.ErrTimeout)); !errors.Is(err, iotest.ErrTimeout) {
		t.Error(err)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("%d/%n/Maildir", "a@b")
	f.Add("%2.256Nu/%{user | lower}", "A@b")
	f.Add("~/%1.2n", "x")
	f.Fuzz(func(t *testing.T, template, address string) {
		tm, err := ParseTemplate(template)
		if err != nil {
			if !errors.Is(err, ErrTemplate) {
				t.Fatal(err)
			}
			return
		}
		tm.MatchPrefix(address)
		path, err := tm.Expand(address, "/h")
		if err != nil {
			return
		}
		for _, c := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
			if c == "" || c == "." || c == ".." {
				t.Fatalf("%q of %q: %q", template, address, path)
			}
		}
		if back, ok := tm.Match(path); ok {
			if again, err := tm.Expand(back, ""); err != nil || again != path {
				t.Fatalf("%q: %q: %q: %q", template, path, back, again)
			}
		}
	})
}
