package maildir

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/emersion/go-maildir/maildirpp"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func validUTF8(s string) bool { return utf8.ValidString(s) }

var folderName = rapid.Custom(func(t *rapid.T) string {
	level := rapid.OneOf(
		rapid.SampledFrom([]string{"Sent", "Årets møter", "日本語", "R&D", "a.b", "cur", "", "~", "%41", mark + "x", mark + "%C3", "INBOX", "tab\there", "💌", "&", "&-", ".hidden", "x\x00"}),
		rapid.String(),
	)
	return strings.Join(rapid.SliceOfN(level, 1, 3).Draw(t, "levels"), "/")
})

func TestFolderNames(t *testing.T) {
	t.Parallel()
	pp, ppUTF, fs, fsUTF := FolderNames{}, FolderNames{UTF8: true}, FolderNames{Layout: FS}, FolderNames{Layout: FS, UTF8: true}
	for _, tc := range []struct {
		f         FolderNames
		dir, name string
	}{
		{pp, "", "INBOX"},
		{pp, ".Sent", "Sent"},
		{pp, ".Archive.2025", "Archive/2025"},
		{pp, ".&AMU-rets m&APg-ter", "Årets møter"},
		{pp, ".R&-D", "R&D"},
		{pp, ".&ZeVnLIqe-.&MMYwuTDI-", "日本語/テスト"},
		{pp, ".A&B", mark + "A&B"},
		{pp, ".\xff", mark + "%FF"},
		{pp, ".Årets", mark + "%C3%85rets"},
		{pp, ".&AC8-", mark + "&AC8-"},
		{pp, ".INBOX", mark + "INBOX"},
		{pp, ".inbox", mark + "inbox"},
		{pp, ".INBOX.Sent", "INBOX/Sent"},
		{pp, ".A.", "A/"},
		{pp, ".&2D3cjA-", "💌"},
		{pp, ".&2D0-", mark + "&2D0-"},
		{ppUTF, ".Årets møter", "Årets møter"},
		{ppUTF, ".R&D", "R&D"},
		{ppUTF, ".\xff\xfe", mark + "%FF%FE"},
		{ppUTF, "." + mark, mark + "%EF%BF%BD"},
		{fs, "", "INBOX"},
		{fs, "Archive/2025", "Archive/2025"},
		{fs, "a.b", "a.b"},
		{fs, "&AMU-rets", "Årets"},
		{fsUTF, "R&D", "R&D"},
	} {
		name, ok := tc.f.Folder(tc.dir)
		if !ok || name != tc.name {
			t.Errorf("%+v %q: %q %v, want %q", tc.f, tc.dir, name, ok, tc.name)
		}
		if dir, err := tc.f.Dir(tc.name); err != nil || dir != tc.dir {
			t.Errorf("%+v %q: %q %v, want %q", tc.f, tc.name, dir, err, tc.dir)
		}
	}
	for _, dir := range []string{"..DOVECOT-TRASHED", "..", ".", "cur", "Sent", ".a/b"} {
		if name, ok := pp.Folder(dir); ok {
			t.Errorf("%q is folder %q", dir, name)
		}
	}
	for _, dir := range []string{"cur", "A/new", ".hidden", "A/.b", "A//b", "/A", "A/"} {
		if name, ok := fs.Folder(dir); ok {
			t.Errorf("LAYOUT=fs: %q is folder %q", dir, name)
		}
	}
	for _, name := range []string{"a.b", "", strings.Repeat("x", 256), "\xff", mark + "%zz", mark + "A", "a/" + mark + "%41"} {
		if dir, err := pp.Dir(name); !errors.Is(err, ErrFolderName) {
			t.Errorf("%q: %q %v", name, dir, err)
		}
	}
	for _, name := range []string{"cur", "a/tmp", ".a", "", "a//b"} {
		if dir, err := fs.Dir(name); !errors.Is(err, ErrFolderName) {
			t.Errorf("LAYOUT=fs: %q: %q %v", name, dir, err)
		}
	}
}

// Every directory has a name of its own that gives it back; so has every name
// that can be stored.
func TestFolderNamesRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := FolderNames{Layout: rapid.SampledFrom([]Layout{PlusPlus, FS}).Draw(t, "layout"), UTF8: rapid.Bool().Draw(t, "utf8")}
		raw := string(rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 1, 12), rapid.SliceOfN(rapid.SampledFrom([]byte("&-AC8+,./%\xef\xbf\xbdINBOX")), 1, 12)).Draw(t, "dir"))
		if f.Layout == PlusPlus {
			raw = "." + raw
		}
		if name, ok := f.Folder(raw); ok && strings.IndexByte(raw, 0) < 0 {
			if !validUTF8(name) {
				t.Fatalf("%q: the name %q is not UTF-8", raw, name)
			}
			if dir, err := f.Dir(name); err != nil || dir != raw {
				t.Fatalf("%q is folder %q, which lies in %q (%v)", raw, name, dir, err)
			}
		}
		name := folderName.Draw(t, "name")
		if dir, err := f.Dir(name); err == nil {
			if back, ok := f.Folder(dir); !ok || back != name {
				t.Fatalf("%q lies in %q, which is folder %q", name, dir, back)
			}
		}
	})
}

func TestModifiedUTF7(t *testing.T) {
	t.Parallel()
	for plain, coded := range map[string]string{
		"": "", "a": "a", "&": "&-", "é": "&AOk-", "~peter/mail/台北/日本語": "~peter/mail/&U,BTFw-/&ZeVnLIqe-", "💌": "&2D3cjA-", "a\tb": "a&AAk-b", "éa&é": "&AOk-a&-&AOk-",
	} {
		if got, ok := EncodeMUTF7(plain); !ok || got != coded {
			t.Errorf("%q: %q %v, want %q", plain, got, ok, coded)
		}
		if got, ok := DecodeMUTF7(coded); !ok || got != plain {
			t.Errorf("%q: %q %v, want %q", coded, got, ok, plain)
		}
	}
	for _, s := range []string{"&", "&AOk", "é", "&AOk-&AOk-", "&AGE-", "&2D0-", "&AOkA-", "&!-", "\n", "&AOl-x&", "&AA-"} {
		if got, ok := DecodeMUTF7(s); ok {
			t.Errorf("%q decodes to %q", s, got)
		}
	}
	if _, ok := EncodeMUTF7("\xff"); ok {
		t.Error("not UTF-8")
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		coded, ok := EncodeMUTF7(s)
		if !ok {
			t.Fatalf("%q", s)
		}
		if back, ok := DecodeMUTF7(coded); !ok || back != s {
			t.Fatalf("%q: %q: %q", s, coded, back)
		}
	})
}

func FuzzMUTF7(f *testing.F) {
	f.Add("&AOk-x&-")
	f.Add("&2D3cjA-")
	f.Fuzz(func(t *testing.T, s string) {
		if plain, ok := DecodeMUTF7(s); ok {
			if back, ok := EncodeMUTF7(plain); !ok || back != s {
				t.Fatalf("%q: %q: %q", s, plain, back)
			}
		}
		for _, names := range []FolderNames{{}, {UTF8: true}, {Layout: FS}, {Layout: FS, UTF8: true}} {
			if name, ok := names.Folder(s); ok && len(s) < 255 && strings.IndexByte(s, 0) < 0 {
				if dir, err := names.Dir(name); err != nil || dir != s {
					t.Fatalf("%q: %q: %q %v", s, name, dir, err)
				}
			}
			_, _ = names.Dir(s)
		}
	})
}

// maildirpp of go-maildir is an independent reader of the same layout.
func TestMaildirPPAgrees(t *testing.T) {
	t.Parallel()
	for _, levels := range [][]string{{"Sent"}, {"Archive", "2025"}, {"A b", "c-d", "e"}} {
		other, err := maildirpp.Join(levels)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.Join(levels, "/")
		if dir, err := (FolderNames{UTF8: true}).Dir(name); err != nil || dir != other {
			t.Errorf("%q: %q %v, go-maildir has %q", name, dir, err, other)
		}
		split, err := maildirpp.Split(other)
		if got, ok := (FolderNames{}).Folder(other); err != nil || !ok || !slices.Equal(strings.Split(got, "/"), split) {
			t.Errorf("%q: %q, go-maildir has %q (%v)", other, got, split, err)
		}
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	one := Place{Root: "/s/u/Maildir"}
	apart := Place{Root: "/s/u/Maildir", Control: "/c/u", Index: "/i/u"}
	fs := Place{Root: "/s/u/mail", Control: "/c/u", Layout: FS, UTF8: true}
	got := []string{
		one.MessageDir(""), one.MessageDir(".A.B"), one.ControlDir(""), one.IndexDir(".A"), one.ControlRoot(),
		apart.MessageDir(""), apart.ControlDir(""), apart.ControlDir(".A.B"), apart.IndexDir(""), apart.IndexDir(".A"), apart.ControlRoot(),
		fs.MessageDir("A/B"), fs.ControlDir(""), fs.ControlDir("A/B"), fs.IndexDir(""), fs.ControlRoot(),
	}
	want := []string{
		"/s/u/Maildir", "/s/u/Maildir/.A.B", "/s/u/Maildir", "/s/u/Maildir/.A", "/s/u/Maildir",
		"/s/u/Maildir", "/c/u/.INBOX", "/c/u/.A.B", "/i/u/.INBOX", "/i/u/.A", "/c/u",
		"/s/u/mail/A/B", "/c/u/INBOX", "/c/u/A/B", "/s/u/mail", "/c/u",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if fs.Folders() != (FolderNames{Layout: FS, UTF8: true}) {
		t.Error("folder names of another place")
	}
}
