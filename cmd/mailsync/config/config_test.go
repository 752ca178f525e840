package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// whole is the example of docs/configuration.md's first page.
const whole = `
state = "/var/lib/mailsync"
state_copies = ["/mnt/elsewhere", "backup1:/var/lib/mailsync"]

[stores.primary]
path   = "/srv/mail"
layout = "%d/%n/Maildir"
role   = "primary"
failure_domain = "rack-a"
limit_rate = "200M/s"
keep_absences = "90d"
breaker = "1%"

[stores.spare]
path  = "/srv/spare"
users = "/etc/mailsync/users"
role  = "spare"

[archives.gateway-archive]
path = "/srv/gateway"
timezone = "Europe/Zurich"
received_by = "mx1.example.org"
altered = "present"

[recipients]
delimiter = "+"
virtual   = ["/etc/postfix/virtual"]
passwd_files = ["/etc/dovecot/users"]
`

func TestParse(t *testing.T) {
	c, err := Parse("x.toml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	p := c.Stores["primary"]
	want := &Store{
		Name: "primary", Path: "/srv/mail", Layout: "%d/%n/Maildir", Role: Primary, FailureDomain: "rack-a",
		LimitRate: 200_000_000, Absences: Duration{90 * 24 * time.Hour}, Breaker: 0.01,
	}
	if d := cmp.Diff(want, p, cmpopts.EquateComparable(Role{}, Folders{}, Alg{})); d != "" {
		t.Errorf("primary (-want +got):\n%s", d)
	}
	if file, command := c.Stores["spare"].Users(); file != "/etc/mailsync/users" || command != nil {
		t.Errorf("users = %q %q", file, command)
	}
	a := c.Archives["gateway-archive"]
	if d := cmp.Diff(Words{"mx1.example.org"}, a.ReceivedBy); d != "" {
		t.Errorf("received_by: %s", d)
	}
	if a.Altered != AlteredPresent || c.Recipients.Delimiter != "+" || len(c.StateCopies) != 2 {
		t.Errorf("archive %+v, recipients %+v, copies %q", a, c.Recipients, c.StateCopies)
	}
}

// Whatever is wrong is found with its place.
func TestParseErrors(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":           {"state = \"/x\"\n\n[stores.a]\npath = \"/a\"\nlayot = \"%u\"\n", `x.toml:5:1: unknown key "stores.a.layot"`},
		"unknown key at top":    {"stat = \"/x\"\n", `x.toml:1:1: unknown key "stat"`},
		"unknown key, indented": {"[stores.a]\npath=\"/a\"\n  rol = \"spare\"\n", `x.toml:3:3: unknown key "stores.a.rol"`},
		"unknown table":         {"[store.a]\npath = \"/a\"\n", `x.toml:1:2: unknown key "store`},
		"two unknown":           {"a = 1\nb = 2\n", `x.toml:1:1: unknown key "a" (and 1 more)`},
		"syntax":                {"state = \n", "x.toml:1:"},
		"wrong type":            {"state = 7\n", "x.toml:1:"},
		"role":                  {"[stores.a]\npath = \"/a\"\nrole = \"master\"\n", "x.toml:3:8"},
		"rate":                  {"[stores.a]\npath = \"/a\"\nlimit_rate = \"fast\"\n", "x.toml:3:14"},
		"twice":                 {"state = \"/x\"\nstate = \"/y\"\n", "x.toml:2:"},
		"no path":               {"[stores.a]\nrole = \"spare\"\n", "x.toml:1:1: stores.a: path is missing"},
		"relative path":         {"\n[stores.a]\npath = \"mail\"\n", `x.toml:2:1: stores.a: path "mail" must be absolute`},
		"bad name":              {"[stores.Primary]\npath = \"/a\"\n", "x.toml:1:1: stores.Primary: a name is made of"},
		"layout and users":      {"[stores.a]\npath = \"/a\"\nlayout = \"%u\"\nusers = \"/u\"\n", "x.toml:1:1: stores.a: layout and users"},
		"same name twice":       {"[stores.a]\npath = \"/a\"\n[archives.a]\npath = \"/b\"\n", "x.toml:3:1: archives.a: a store has the same name"},
		"timezone":              {"[archives.a]\npath = \"/b\"\ntimezone = \"Mars\"\n", "x.toml:1:1: archives.a: timezone"},
		"relative as_of":        {"[recipients]\nas_of = \"etc\"\n", `x.toml: recipients: as_of "etc" must be absolute`},
		"negative readers":      {"readers = -1\n", "readers, limit_rate and limit_network must not be negative"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("x.toml", []byte(c.text))
			if !errors.Is(err, ErrConfig) {
				t.Fatalf("error %v is no ErrConfig", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q in it", err, c.want)
			}
		})
	}
}

func TestUsers(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	list := put("users", "a@example.org\t/srv/a\n", 0o644)
	loose := put("loose", "a@example.org\t/srv/a\n", 0o755) // as on a file system without modes
	prog := put("prog", "#!/bin/sh\n", 0o755)
	spaced := put("with space", "a@example.org\t/srv/a\n", 0o644)
	for name, c := range map[string]struct {
		words   Words
		file    string
		command []string
	}{
		"list":               {Words{list}, list, nil},
		"executable list":    {Words{loose}, loose, nil},
		"program":            {Words{prog}, "", []string{prog}},
		"program with words": {Words{"/usr/bin/doveadm user *"}, "", []string{"/usr/bin/doveadm", "user", "*"}},
		"array":              {Words{"doveadm", "user", "*"}, "", []string{"doveadm", "user", "*"}},
		"list with a space":  {Words{spaced}, spaced, nil},
		"absent":             {Words{"/nowhere/users"}, "/nowhere/users", nil},
		"none":               {nil, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			file, command := (&Store{UsersAsGiven: c.words}).Users()
			if file != c.file || !cmp.Equal(command, c.command) {
				t.Errorf("got %q %q", file, command)
			}
		})
	}
}

func TestStateDir(t *testing.T) {
	env := func(kv ...string) func(string) string {
		return func(k string) string {
			for i := 0; i < len(kv); i += 2 {
				if kv[i] == k {
					return kv[i+1]
				}
			}
			return ""
		}
	}
	for name, c := range map[string]struct {
		cfg  Config
		flag string
		env  func(string) string
		uid  int
		want string
	}{
		"flag first":        {Config{State: "/c"}, "/f", env("MAILSYNC_STATE", "/e"), 0, "/f"},
		"then config":       {Config{State: "/c"}, "", env("MAILSYNC_STATE", "/e"), 0, "/c"},
		"then environment":  {Config{}, "", env("MAILSYNC_STATE", "/e"), 0, "/e"},
		"then root's":       {Config{}, "", env("XDG_STATE_HOME", "/x"), 0, "/var/lib/mailsync"},
		"else XDG":          {Config{}, "", env("XDG_STATE_HOME", "/x", "HOME", "/h"), 7, "/x/mailsync"},
		"else below $HOME":  {Config{}, "", env("HOME", "/h"), 7, "/h/.local/state/mailsync"},
		"else no directory": {Config{}, "", env(), 7, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.cfg.StateDir(c.flag, c.env, c.uid)
			if got != c.want || (err != nil) != (c.want == "") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "m.toml")
	if err := os.WriteFile(file, []byte("state = \"/s\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Find("", func(k string) string {
		if k == "MAILSYNC_CONFIG" {
			return file
		}
		return ""
	})
	if err != nil || c.State != "/s" || c.File != file {
		t.Errorf("from the environment: %+v, %v", c, err)
	}
	if _, err := Find(filepath.Join(dir, "absent.toml"), func(string) string { return file }); !errors.Is(err, ErrConfig) {
		t.Errorf("a file asked for by name must exist: %v", err)
	}
}

func TestResolve(t *testing.T) {
	c, err := Parse("x.toml", []byte(whole+"\n[stores.far]\npath = \"host:/srv/mail\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]struct {
		path string
		err  error
	}{
		"primary":               {"/srv/mail", nil},
		"./primary":             {filepath.Join(wd, "primary"), nil},
		"/srv/x/":               {"/srv/x", nil},
		".":                     {wd, nil},
		"./a:b":                 {filepath.Join(wd, "a:b"), nil},
		"/srv/a:b":              {"/srv/a:b", nil},
		"host:/srv/mail":        {"host:/srv/mail", nil},
		"host:":                 {"", ErrHost},
		"host:mail":             {"", ErrHost},
		"-oProxyCommand=x:/srv": {"", ErrHost},
		"a b:/srv":              {"", ErrHost},
		"far":                   {"host:/srv/mail", nil},
		"secondary":             {"", ErrNoName},
		"Primary":               {"", ErrNoName},
		"":                      {"", ErrEmptyName},
	} {
		s, err := c.Store(arg)
		if !errors.Is(err, want.err) || err == nil && s.Path != want.path {
			t.Errorf("Store(%q) = %+v, %v", arg, s, err)
		}
		if err == nil && IsPath(arg) && s.Name != arg {
			t.Errorf("Store(%q).Name = %q, want it as given", arg, s.Name)
		}
	}
	if _, err := c.Archive("gateway"); !errors.Is(err, ErrNoName) {
		t.Errorf("archive: %v", err)
	}
	if got := c.WithRole(Primary); len(got) != 1 || got[0].Name != "primary" {
		t.Errorf("role primary: %v", got)
	}
}

// No text makes the reader panic, and every error is an ErrConfig.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("[stores.a]\npath = \"/a\"\nusers = [\"a\", \"b\"]\n"))
	f.Add([]byte("readers = 2\nas_of = 1979-05-27\n"))
	f.Add([]byte("[stores]\na = 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f.toml", data)
		if err != nil {
			if !errors.Is(err, ErrConfig) {
				t.Errorf("error %v is no ErrConfig", err)
			}
			return
		}
		for name, s := range c.Stores {
			if s.Path == "" || !ValidName(name) {
				t.Errorf("accepted store %q %+v", name, s)
			}
		}
	})
}
