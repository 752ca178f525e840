package doctor

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailsync/scan/beneath"
)

// Each way in which Dovecot says where mail lies, by its own documentation.
func TestFind(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       *Store
		note       string // part of one; "" = none
	}{
		{"2.3, homes", "mail_home = /srv/mail/%d/%n\nmail_location = maildir:~/Maildir\n", &Store{Path: "/srv/mail", Layout: "%d/%n/Maildir"}, ""},
		{"2.3, absolute", "mail_location = maildir:/srv/mail/%u\n", &Store{Path: "/srv/mail", Layout: "%u"}, ""},
		{
			"2.3, trees beside it", "mail_location = maildir:/srv/mail/%d/%n:INDEX=/idx/%d/%n:CONTROL=/ctl/%u:LAYOUT=fs:UTF-8\n",
			&Store{Path: "/srv/mail", Layout: "%d/%n", Index: "/idx/%d/%n", Control: "/ctl/%u", FS: true, UTF8: true}, "",
		},
		{"2.3, static users", "mail_location = maildir:~/\nuserdb {\n  driver = static\n  args = uid=vmail home=/srv/%Ld/%Ln\n}\n", &Store{Path: "/srv", Layout: "%Ld/%Ln"}, ""},
		{"2.3, hashed", "mail_location = maildir:/srv/mail/%2.256Nu/%u\n", &Store{Path: "/srv/mail", Layout: "%2.256Nu/%u"}, ""},
		{"2.4", "mail_driver = maildir\nmail_path = ~/mail\nmail_home = /srv/%{user | domain}/%{user | username}\nmailbox_list_layout = fs\n", &Store{Path: "/srv", Layout: "%{user | domain}/%{user | username}/mail", FS: true}, ""},
		{"2.4, static users", "mail_driver = maildir\nmail_path = %{home}/m\nuserdb static {\n  fields {\n    home = /srv/%{user}\n  }\n}\n", &Store{Path: "/srv", Layout: "%{user}/m"}, ""},
		{"a database and a default", "mail_location = maildir:~/M\nmail_home = /srv/%u\nuserdb {\n  driver = sql\n}\n", &Store{Path: "/srv", Layout: "%u/M"}, "may name other home directories"},
		{"a database", "mail_location = maildir:~/M\nuserdb {\n  driver = ldap\n}\n", nil, "the user database (ldap)"},
		{"mbox", "mail_location = mbox:~/mail:INBOX=/var/mail/%u\n", nil, `kept as "mbox"`},
		{"nothing", "base_dir = /run/dovecot\n", nil, `kept as "auto"`},
		{"one user", "mail_location = maildir:/srv/mail\n", nil, "makes no layout"},
		{"a variable that only a session has", "mail_location = maildir:/srv/mail/%u/%r\n", nil, "makes no layout"},
		{"another inbox", "mail_location = maildir:/srv/%u:INBOX=/in/%u\n", &Store{Path: "/srv", Layout: "%u"}, "INBOX=/in/%u"},
		{"indexes in memory", "mail_location = maildir:/srv/%u:INDEX=MEMORY\n", &Store{Path: "/srv", Layout: "%u"}, "no index files"},
		{"2.3, Maildirs below their folders", "mail_location = maildir:/srv/%u:LAYOUT=fs:DIRNAME=mm\n", nil, "in a directory of its own, mm,"},
		{"2.4, Maildirs below their folders", "mail_driver = maildir\nmail_path = /srv/%{user}\nmailbox_directory_name = mm\n", nil, "in a directory of its own, mm,"},
		{"2.3, listescape", "mail_location = maildir:/srv/%u\nmail_plugins = quota listescape\n", &Store{Path: "/srv", Layout: "%u"}, `names (\ and two`},
		{"2.3, listescape of one protocol", "mail_location = maildir:/srv/%u\nprotocol imap {\n  mail_plugins = listescape\n}\nplugin {\n  listescape_char = %\n}\n", &Store{Path: "/srv", Layout: "%u"}, `names (% and two`},
		{"2.4, escaped names", "mail_driver = maildir\nmail_path = /srv/%{user}\nmailbox_list_storage_escape_char = ^\n", &Store{Path: "/srv", Layout: "%{user}"}, `names (^ and two`},
		{"a second namespace", "mail_location = maildir:/srv/%u\nnamespace x {\n  location = maildir:/shared\n}\n", &Store{Path: "/srv", Layout: "%u"}, "/shared"},
	} {
		s, err := Parse([]byte("# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf\n" + c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		f := s.Find()
		if d := cmp.Diff(c.want, f.Store); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
		if notes := strings.Join(f.Notes, "\n"); (notes == "") != (c.note == "") || !strings.Contains(notes, c.note) {
			t.Errorf("%s: notes %q, want %q", c.name, notes, c.note)
		}
		if s.Version != "2.3.19.1" {
			t.Errorf("%s: version %q", c.name, s.Version)
		}
	}
}

func TestMounts(t *testing.T) {
	mounts, err := Mounts(strings.NewReader(`22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,data=writeback
30 22 8:2 / /srv/mail rw,noatime - xfs /dev/sdb1 rw,nobarrier
31 22 8:3 / /srv/a\040b ro - ext4 /dev/sdc1 ro
32 30 0:9 / /srv/mail rw - tmpfs none rw
broken line
`))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/": "/dev/sda1", "/srv/mailbox": "/dev/sda1", "/srv/mail/x": "none", "/srv/a b": "/dev/sdc1"} {
		if m, ok := Of(mounts, path); !ok || m.Source != want {
			t.Errorf("%s lies on %v, want %s", path, m, want)
		}
	}
	for path, tried := range map[string]bool{"/home": true, "/srv/mail/x": false, "/tmp/x": false} {
		if m, _ := Of(append(mounts, Mount{Dir: "/tmp", Type: "overlay"}), path); m.Tried() != tried {
			t.Errorf("%s: tried is %v", path, m.Tried())
		}
	}
	if m, _ := Of(mounts, "/home"); !m.Has("data=writeback") || m.Has("ro") {
		t.Errorf("options of /: %v", m.Options)
	}
	fstab, err := Fstab(strings.NewReader("# comment\nUUID=1 / ext4 defaults 0 1\nUUID=2 /srv/mail xfs noatime 0 2\nUUID=3 /srv/mail/vol1 xfs defaults 0 2\nUUID=4 none swap sw 0 0\nUUID=5 /backup ext4 noauto 0 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/srv/mail": 1, "/srv/mail/vol1/example.org": 1, "/srv/mail/vol2": 0, "/backup/mail": 1, "/srv": 1} {
		if got := NotMounted(fstab, mounts, path); len(got) != want {
			t.Errorf("not mounted around %s: %v, want %d", path, got, want)
		}
	}
}

func TestRights(t *testing.T) {
	for text, want := range map[string]Rights{
		"Name:\tx\nCapEff:\t0000000000000000\n": {},
		"CapEff:\t000000000000000c\n":           {Read: true, NoAtime: true},
		"CapEff:\t000001ffffffffff\n":           {Read: true, NoAtime: true, Write: true},
	} {
		if got, err := RightsOf(strings.NewReader(text)); err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "CapEff:\tx\n"} {
		if _, err := RightsOf(strings.NewReader(text)); err == nil {
			t.Errorf("%q is taken for rights", text)
		}
	}
}

func TestSample(t *testing.T) {
	dir := t.TempDir()
	links := false
	look := func() Sample {
		t.Helper()
		d, err := beneath.OpenRoot(dir, beneath.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		s, err := SampleOf(d, time.Now(), links)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := look(); !s.Empty || s.Files != 0 {
		t.Errorf("an empty store: %v", s)
	}
	if err := os.MkdirAll(filepath.Join(dir, "a/cur"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]time.Time{"old": time.Now().Add(-time.Hour), "ahead": time.Now().Add(time.Hour)} {
		file := filepath.Join(dir, "a/cur", name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	// A link is neither followed nor counted.
	if err := os.Symlink("/", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	if s := look(); s.Empty || s.Files != 2 || s.Future != 1 {
		t.Errorf("got %+v, want 2 files, 1 of them in the future", s)
	}
	// Where the operator links mailboxes to elsewhere, those are looked at, but no
	// link in them.
	far := t.TempDir()
	for _, sub := range []string{"b/cur", "b/new", "c/cur"} {
		if err := os.MkdirAll(filepath.Join(far, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"b/cur/one", "c/cur/two"} {
		if err := os.WriteFile(filepath.Join(far, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "out")), os.Symlink(filepath.Join(far, "b"), filepath.Join(dir, "b")), os.Symlink(filepath.Join(far, "c"), filepath.Join(far, "b/planted"))); err != nil {
		t.Fatal(err)
	}
	if s := look(); s.Files != 2 {
		t.Errorf("without links %+v", s)
	}
	links = true
	if s := look(); s.Files != 3 {
		t.Errorf("with links %+v, want 3 files", s)
	}
}

func TestSpace(t *testing.T) {
	s, err := SpaceOf(t.TempDir())
	if err != nil || s.Bytes < 0 || s.Bytes > 1 || s.Inodes < 0 || s.Inodes > 1 {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := SpaceOf(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("a path that is not there has space")
	}
}

// Whatever a program prints that is called doveconf, it is read or refused, and
// a store that comes of it has an absolute path and a layout.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"# 2.3.19.1 (x): y\nmail_location = maildir:~/Maildir:INDEX=/i/%u\nmail_home = /srv/%d/%n\n",
		"mail_driver = maildir\nmail_path = /srv/%{user}\nuserdb static {\n  fields {\n    home = /x\n  }\n}\n",
		"}\n", "a {\n", strings.Repeat("b", 1000) + " {\nc=d\n}\n", "mail_location = maildir:", "mail_location = maildir:%h%u\nmail_home=/\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		for _, x := range s.list {
			if len(x.key) > 32*(maxBlockName+1)+len(text) {
				t.Errorf("a key of %d bytes out of %d", len(x.key), len(text))
			}
		}
		if st := s.Find().Store; st != nil && (st.Path == "" || st.Path[0] != '/' || st.Path == "/" || st.Layout == "") {
			t.Errorf("%q makes %+v", text, st)
		}
	})
}

// Mounts, fstab and rights of a process are read as they stand, or refused: a
// directory that comes of them was named by a line, and no line makes two.
func FuzzHostFiles(f *testing.F) {
	f.Add("36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n - \n")
	f.Add("/dev/sda1 /srv\\040mail ext4 noatime 0 2\n# comment\nx / y\n")
	f.Add("CapEff:\t000001ffffffffff\n")
	f.Add("CapEff: \nCapEff:\t-1\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Count(text, "\n") + 1
		mounts, err := Mounts(strings.NewReader(text))
		if len(mounts) > lines || err != nil && !errors.Is(err, bufio.ErrTooLong) {
			t.Fatalf("%d mounts, %v", len(mounts), err)
		}
		fstab, err := Fstab(strings.NewReader(text))
		if len(fstab) > lines || err != nil && !errors.Is(err, bufio.ErrTooLong) {
			t.Fatalf("%d lines of fstab, %v", len(fstab), err)
		}
		for _, m := range fstab {
			if m.Dir == "" || m.Dir[0] != '/' || m.Type == "" {
				t.Errorf("%+v", m)
			}
		}
		if m, ok := Of(mounts, "/srv/mail"); ok && !below("/srv/mail", m.Dir) {
			t.Errorf("/srv/mail lies on %+v", m)
		}
		for _, m := range NotMounted(fstab, mounts, "/srv/mail") {
			if m.Dir == "/" || !below("/srv/mail", m.Dir) && !below(m.Dir, "/srv/mail") {
				t.Errorf("/srv/mail needs %+v", m)
			}
		}
		if r, err := RightsOf(strings.NewReader(text)); (r != Rights{}) && (err != nil || !strings.Contains(text, "CapEff:")) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
