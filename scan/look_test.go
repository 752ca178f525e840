package scan

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailsync/compare"
	"mailsync/manifest"
)

func TestLookFindsEverything(t *testing.T) {
	b := newTree(t)
	b.maildir("u/Maildir", "u/Maildir/.Sent", "u/Maildir/.Archive.2026", "u/Maildir/nested/deep")
	one, two := mail("one", 300), mail("two", 5000)
	b.put("u/Maildir/cur", "1.M1P1.h", one, ":2,FSb")
	b.put("u/Maildir/new", "2.M1P1.h", two, "")
	b.put("u/Maildir/.Sent/cur", "3.M1P1.h", one, ":2,S")
	b.put("u/Maildir/.Archive.2026/cur", "4.M1P1.h", two, ":2,")
	b.put("u/Maildir/nested/deep/cur", "5.M1P1.h", two, ":2,")
	b.write("u/Maildir/dovecot-uidlist", fmt.Sprintf("3 V77 N9 G%032x\n3 :%s\n7 :%s\n", 5, named("1.M1P1.h", one, ""), named("2.M1P1.h", two, "")))
	b.write("u/Maildir/dovecot-keywords", "0 $Junk\n1 work\n")
	b.write("u/Maildir/subscriptions", "V\t2\n\nSent\nArchive\t2026\n")
	b.old()
	s := scanner(t, b.path, Options{})
	var names []string
	for h, err := range s.Mailboxes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if diff := cmp.Diff([]string{"u"}, names); diff != "" {
		t.Fatal(diff)
	}
	m := mustLook(t, s, "u", nil, LookOptions{})
	if diff := cmp.Diff([]string(nil), m.kinds()); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, e := range m.entries {
		if e.Status != manifest.Sound || e.Digest.IsZero() || e.HeaderID == (manifest.HeaderID{}) || e.Inode == 0 {
			t.Errorf("%q: %+v", e.Name, e)
		}
		got = append(got, fmt.Sprintf("%s %s/%s flags=%s keywords=%v uid=%d size=%d", e.Folder, e.Sub, e.Unique, e.Flags, e.Keywords, e.UID, e.Size))
	}
	want := []string{
		fmt.Sprintf("Archive/2026 cur/4.M1P1.h flags= keywords=[] uid=0 size=%d", len(two)),
		fmt.Sprintf("INBOX cur/1.M1P1.h flags=FS keywords=[work] uid=3 size=%d", len(one)),
		fmt.Sprintf("INBOX new/2.M1P1.h flags= keywords=[] uid=7 size=%d", len(two)),
		fmt.Sprintf("Sent cur/3.M1P1.h flags=S keywords=[] uid=0 size=%d", len(one)),
		fmt.Sprintf("nested/deep cur/5.M1P1.h flags= keywords=[] uid=0 size=%d", len(two)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	inbox := m.mb.Folder("INBOX")
	if inbox.UIDValidity != 77 || inbox.UIDNext != 9 || inbox.GUID != fmt.Sprintf("%032x", 5) || !inbox.CurStamp.Safe || !inbox.UIDListStamp.Safe {
		t.Errorf("INBOX: %+v", inbox)
	}
	if diff := cmp.Diff([]string{"Archive/2026", "Sent"}, m.mb.Subscriptions); diff != "" || !m.mb.Subscribed {
		t.Error(diff)
	}
	wantCounts := Counts{Mailboxes: 1, Folders: 4, Messages: 5, Bytes: int64(2*len(one) + 3*len(two)), ReadBytes: int64(2*len(one) + 3*len(two))}
	if diff := cmp.Diff(wantCounts, m.counts); diff != "" {
		t.Error(diff)
	}

	// The same again reads nothing, and the stamps alone say so.
	if len(m.watch) == 0 {
		t.Fatal("an untouched mailbox has no watch")
	}
	place, err := s.Place(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	if !s.unchanged("u/Maildir", &place, m.watch) {
		t.Error("an untouched mailbox is taken for changed")
	}
	again := mustLook(t, s, "u", m, LookOptions{})
	if again.counts.ReadBytes != 0 || again.counts.Reused != 5 {
		t.Errorf("second look: %+v", again.counts)
	}
	if diff := cmp.Diff(m.entries, again.entries); diff != "" {
		t.Error(diff)
	}
	b.put("u/Maildir/new", "6.M1P1.h", one, "")
	if s.unchanged("u/Maildir", &place, m.watch) {
		t.Error("a delivery was not noticed")
	}
	third := mustLook(t, s, "u", m, LookOptions{})
	if third.counts.ReadBytes != int64(len(one)) || third.counts.Reused != 5 || third.counts.Messages != 6 {
		t.Errorf("third look: %+v", third.counts)
	}
}

func TestStoreThatIsOneMaildir(t *testing.T) {
	b := newTree(t)
	b.maildir("box")
	b.put("box/cur", "1.h", mail("1", 10), ":2,")
	s := scanner(t, b.at("box"), Options{})
	m := mustLook(t, s, "box", nil, LookOptions{})
	if len(m.entries) != 1 || m.mb.Path != "." {
		t.Errorf("%d entries at %q", len(m.entries), m.mb.Path)
	}
	if _, err := look(t, s, "other", nil, LookOptions{}); !errors.Is(err, compare.ErrNoMailbox) {
		t.Errorf("a mailbox that is not there: %v", err)
	}
	if _, err := look(t, s, "../box", nil, LookOptions{}); !errors.Is(err, compare.ErrNoMailbox) {
		t.Errorf("a name that leads out: %v", err)
	}
}

func TestDiscovery(t *testing.T) {
	b := newTree(t)
	b.maildir("a@x/Maildir", "b@x", "deep/er/c/Maildir", ".mailsync/quarantine/1/m", "with\nnewline/Maildir", "\xff\xfe")
	b.check(os.MkdirAll(b.at("empty/dir"), 0o700))
	b.check(os.MkdirAll(b.at("half/cur"), 0o700))
	b.check(os.Symlink("a@x", b.at("link")))
	list := func(cfg Config) []string {
		cfg.Path, cfg.Name = b.path, "p"
		s := configured(t, cfg, Options{})
		var names []string
		last := ""
		for h, err := range s.Mailboxes(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if last != "" && manifest.CompareMailboxes(last, h.Name) >= 0 {
				t.Errorf("%q comes after %q", h.Name, last)
			}
			last = h.Name
			names = append(names, h.Name)
			if _, err := s.Place(t.Context(), h.Name); err != nil {
				t.Errorf("%q has no place: %v", h.Name, err)
			}
		}
		slices.Sort(names)
		return names
	}
	if diff := cmp.Diff([]string{"a@x", "b@x", "deep/er/c", "with\nnewline", "\xff\xfe"}, list(Config{})); diff != "" {
		t.Errorf("by path: %s", diff)
	}
	b.maildir("x.org/bob/Maildir", "x.org/eve/Maildir", "y.org/bob/Maildir", "y.org/bob/other")
	if diff := cmp.Diff([]string{"bob@x.org", "bob@y.org", "eve@x.org"}, list(Config{Layout: "%d/%n/Maildir"})); diff != "" {
		t.Errorf("by layout: %s", diff)
	}
	b.write("users", "bob@x.org\tx.org/bob/Maildir\nnobody@x.org\tx.org/nobody\nabs@x.org\t"+b.at("b@x")+"\n")
	if diff := cmp.Diff([]string{"abs@x.org", "bob@x.org"}, list(Config{Users: b.at("users")})); diff != "" {
		t.Errorf("by list: %s", diff)
	}
	if diff := cmp.Diff([]string{"abs@x.org", "bob@x.org"}, list(Config{UsersCommand: []string{"cat", b.at("users")}})); diff != "" {
		t.Errorf("by command: %s", diff)
	}
}

// flip changes a file behind everybody's back: same name, same size.
func flip(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var p [1]byte
	if _, err := f.ReadAt(p[:], 200); err != nil {
		t.Fatal(err)
	}
	p[0] ^= 1
	if _, err := f.WriteAt(p[:], 200); err != nil {
		t.Fatal(err)
	}
}

func TestDamageIsNeverLaundered(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	text := mail("x", 4000)
	file := b.put("u/cur", "1.h", text, ":2,S")
	b.old()
	s := scanner(t, b.path, Options{})
	good := mustLook(t, s, "u", nil, LookOptions{})
	digest := good.entry(t, "1.h").Digest
	flip(t, b.at(file))
	for name, o := range map[string]LookOptions{"by stamps": {}, "reading all": {Decide: DecideRead}, "after a crash": {Crashed: true}} {
		t.Run(name, func(t *testing.T) {
			rec := good
			for range 3 { // however often it is scanned
				// A delivery, so that the directory's stamp moves.
				b.put("u/cur", fmt.Sprintf("%d.new", len(rec.entries)+1), text, ":2,")
				rec = mustLook(t, s, "u", rec, o)
				e := rec.entry(t, "1.h")
				if e.Digest != digest || e.Status != manifest.Damaged || e.Damage != manifest.ContentChanged || !e.Good {
					t.Fatalf("%+v", e)
				}
				if diff := cmp.Diff([]string{"content_changed INBOX " + strings.TrimPrefix(file, "u/")}, rec.kinds()); diff != "" {
					t.Fatal(diff)
				}
				if rec.watch != nil {
					t.Fatal("a damaged mailbox could be skipped")
				}
			}
			// The good bytes come back: all is well.
			b.write(file, text)
			healed := mustLook(t, s, "u", rec, o)
			if e := healed.entry(t, "1.h"); e.Status != manifest.Sound || e.Digest != digest || len(healed.findings) != 0 {
				t.Fatalf("%+v %v", e, healed.kinds())
			}
			flip(t, b.at(file))
		})
	}
}

func TestUnchangedStampsAreReadAfterACrash(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	file := b.put("u/cur", "1.h", mail("x", 4000), ":2,S")
	b.old()
	s := scanner(t, b.path, Options{})
	good := mustLook(t, s, "u", nil, LookOptions{})
	flip(t, b.at(file))
	// As a file system that lost a write leaves it: stamps as recorded. ctime
	// cannot be set, so the record is made to say what the file says now.
	st, err := s.root.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	e := good.entry(t, "1.h")
	e.MTime, e.CTime = st.MTime, st.CTime
	if m := mustLook(t, s, "u", good, LookOptions{}); len(m.findings) != 0 || m.counts.ReadBytes != 0 {
		t.Errorf("by stamps: %v", m.kinds())
	}
	if m := mustLook(t, s, "u", good, LookOptions{Crashed: true}); len(m.findings) != 1 || m.findings[0].Kind != manifest.ContentChanged {
		t.Errorf("after a crash: %v", m.kinds())
	}
}

func TestDamageAtFirstSightHeals(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	text := mail("x", 4000)
	file := "u/cur/" + named("1.h", text, ":2,S")
	b.write(file, text[:1000])
	b.old()
	s := scanner(t, b.path, Options{})
	first := mustLook(t, s, "u", nil, LookOptions{})
	if e := first.entry(t, "1.h"); e.Status != manifest.Damaged || e.Damage != manifest.Truncated || e.Good {
		t.Fatalf("%+v", e)
	}
	b.write(file, text)
	second := mustLook(t, s, "u", first, LookOptions{})
	if e := second.entry(t, "1.h"); e.Status != manifest.Sound || len(second.findings) != 0 {
		t.Errorf("%+v %v", e, second.kinds())
	}
}

func TestAccept(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	file := b.put("u/cur", "1.h", mail("x", 4000), ":2,S")
	b.old()
	s := scanner(t, b.path, Options{})
	good := mustLook(t, s, "u", nil, LookOptions{})
	flip(t, b.at(file))
	var got []Acceptance
	m := mustLook(t, s, "u", good, LookOptions{Accept: true, Accepted: func(a Acceptance) { got = append(got, a) }})
	e := m.entry(t, "1.h")
	if len(got) != 1 || got[0].Old != good.entry(t, "1.h").Digest || got[0].New != e.Digest || got[0].Ref.Unique != "1.h" {
		t.Fatalf("%+v", got)
	}
	if e.Status != manifest.Sound || len(m.findings) != 0 {
		t.Errorf("%+v %v", e, m.kinds())
	}
	if m := mustLook(t, s, "u", m, LookOptions{Decide: DecideRead}); len(m.findings) != 0 {
		t.Errorf("afterwards: %v", m.kinds())
	}
	// NULs are no intended change.
	b.write(file, strings.Repeat("\x00", 4000))
	m = mustLook(t, s, "u", m, LookOptions{Accept: true, Accepted: func(Acceptance) { t.Error("NULs were accepted") }})
	if e := m.entry(t, "1.h"); e.Status != manifest.Damaged {
		t.Errorf("%+v", e)
	}
}

func TestAlgorithmChanges(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	same := b.put("u/cur", "1.h", mail("x", 4000), ":2,S")
	other := b.put("u/cur", "2.h", mail("y", 4000), ":2,S")
	b.old()
	good := mustLook(t, scanner(t, b.path, Options{}), "u", nil, LookOptions{})
	flip(t, b.at(other))
	s := configured(t, Config{Name: "primary", Path: b.path, Alg: manifest.SHA256}, Options{})
	m := mustLook(t, s, "u", good, LookOptions{})
	if diff := cmp.Diff([]string{"content_changed INBOX " + strings.TrimPrefix(other, "u/")}, m.kinds()); diff != "" {
		t.Error(diff)
	}
	if e := m.entry(t, "1.h"); e.Digest.Alg != manifest.SHA256 || e.Status != manifest.Sound {
		t.Errorf("%s: %+v", same, e)
	}
}

func TestUniqueNamesWithScatteredSizes(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	text := mail("x", 500)
	b.write(fmt.Sprintf("u/cur/1.h,S=%d,x=y:2,S", len(text)), text)
	b.write(fmt.Sprintf("u/cur/1.h,S=%d,a=b:2,S", len(text)), text)
	b.old()
	s := scanner(t, b.path, Options{})
	m := mustLook(t, s, "u", nil, LookOptions{})
	if len(m.entries) != 2 || m.entries[0].Unique != "1.h,a=b" || m.entries[1].Unique != "1.h,x=y" {
		t.Fatalf("%+v", m.entries)
	}
	if p, err := ask(t, s, "u", "INBOX", "1.h,x=y"); p != compare.Present || err != nil {
		t.Errorf("%v %v", p, err)
	}
}

func TestConvertedLineEndsAreAWrongName(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	text := mail("x", 2000)
	file := b.put("u/cur", "1.h", text, ":2,S")
	b.old()
	s := scanner(t, b.path, Options{})
	rec := mustLook(t, s, "u", nil, LookOptions{})
	b.write(file, strings.ReplaceAll(text, "\n", "\r\n"))
	for range 2 {
		rec = mustLook(t, s, "u", rec, LookOptions{Decide: DecideRead})
		if diff := cmp.Diff([]string{"wrong_size_name INBOX " + strings.TrimPrefix(file, "u/")}, rec.kinds()); diff != "" {
			t.Fatal(diff)
		}
	}
	if e := rec.entry(t, "1.h"); e.Status != manifest.Sound {
		t.Errorf("%+v", e)
	}
}

// TestSizesFromTheUIDList: where names hold no sizes, those of the server's list
// show damage.
func TestSizesFromTheUIDList(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	text := mail("one", 400)
	w := len(text) + strings.Count(text, "\n")
	list := "3 V7 N9\n"
	for i, c := range []struct{ name, text string }{
		{"whole", text},
		{"cut", text[:200]},
		{"changed", strings.Replace(text, "\n", " ", 5)},
		{"unsized", text},
	} {
		b.write("u/cur/"+c.name+":2,S", c.text)
		if c.name == "unsized" {
			list += fmt.Sprintf("%d :%s\n", i+1, c.name)
			continue
		}
		list += fmt.Sprintf("%d S%d W%d :%s\n", i+1, len(text), w, c.name)
	}
	b.write("u/dovecot-uidlist", list)
	m := mustLook(t, scanner(t, b.path, Options{}), "u", nil, LookOptions{})
	want := []string{"line_count INBOX cur/changed:2,S", "truncated INBOX cur/cut:2,S"}
	if diff := cmp.Diff(want, m.kinds()); diff != "" {
		t.Error(diff)
	}
}
