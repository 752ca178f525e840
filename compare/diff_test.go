package compare_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailsync/compare"
	"mailsync/compare/comparetest"
	"mailsync/manifest"
)

// Each case is what two or three stores hold, and the lines that come of it.
func TestDiffKinds(t *testing.T) {
	day := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	folders := func(list ...manifest.Folder) manifest.Mailbox { return manifest.Mailbox{Folders: list} }
	cases := []struct {
		name    string
		stores  func() []*store
		want    []string
		partial bool
		why     string // part of the first line's reason
	}{
		{
			name: "equal", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a:2,S", Body: "x"})
				b.Add("m", msg{Name: "1.a:2,S", Body: "x"})
				return []*store{a, b}
			},
		},
		{
			name: "another base name alone is no difference", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a:2,S", Body: "x"}, msg{Name: "1.c", Body: "y"})
				b.Add("m", msg{Name: "9.z:2,S", Body: "x"}, msg{Name: "0.y", Body: "y"})
				return []*store{a, b}
			},
		},
		{
			name: "another compression alone is no difference", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "gzip", Plain: "x"})
				b.Add("m", msg{Name: "1.a", Body: "x"})
				return []*store{a, b}
			},
		},
		{
			name: "missing", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a:2,S", Body: "x"}, msg{Name: "2.b", Body: "y"})
				b.Add("m", msg{Name: "2.b", Body: "y"})
				return []*store{a, b}
			},
			want: []string{"m INBOX missing [INBOX/cur/1.a:2,S -] good [0]"}, why: "b lacks it",
		},
		{
			name: "a matched copy explains no other", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "x", Inode: 7}, msg{Folder: "Trash", Name: "2.b", Body: "x", Inode: 7})
				bx := b.Add("m", msg{Name: "1.a", Body: "x"})
				bx.Mailbox = folders(manifest.Folder{Name: "Trash"})
				return []*store{a, b}
			},
			want: []string{"m Trash missing [Trash/cur/2.b -] good [0]"},
		},
		{
			name: "moved", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				ax := a.Add("m", msg{Name: "1.a", Body: "x"})
				ax.Mailbox = folders(manifest.Folder{Name: "Trash"})
				b.Add("m", msg{Folder: "Trash", Name: "2.b", Body: "x"})
				return []*store{a, b}
			},
			want: []string{"m INBOX moved [INBOX/cur/1.a Trash/cur/2.b] good []"},
		},
		{
			name: "damaged by itself", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "xx", Damage: manifest.Truncated})
				b.Add("m", msg{Name: "1.a", Body: "xxx"})
				return []*store{a, b}
			},
			want: []string{"m INBOX damaged [INBOX/cur/1.a INBOX/cur/1.a] good [1]"}, why: "a is damaged (truncated)",
		},
		{
			name: "the date of an accident is no date", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "xx", Damage: manifest.Truncated, Date: day.Add(time.Hour)})
				b.Add("m", msg{Name: "1.a", Body: "xxx", Date: day})
				return []*store{a, b}
			},
			want: []string{"m INBOX damaged [INBOX/cur/1.a INBOX/cur/1.a] good [1]"},
		},
		{
			name: "an accident makes no date earlier", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "xx", Damage: manifest.Truncated, Date: day})
				b.Add("m", msg{Name: "1.a", Body: "xxx", Date: day.Add(time.Hour)})
				return []*store{a, b}
			},
			want: []string{
				"m INBOX damaged [INBOX/cur/1.a INBOX/cur/1.a] good [1]",
				"m INBOX date [INBOX/cur/1.a INBOX/cur/1.a] good []",
			},
		},
		{
			name: "damaged everywhere", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Damage: manifest.Empty})
				b.Add("m", msg{Name: "1.a", Damage: manifest.Empty})
				return []*store{a, b}
			},
			want: []string{"m INBOX damaged [INBOX/cur/1.a INBOX/cur/1.a] good []"}, why: "no good copy",
		},
		{
			name: "contents differ and nothing proves which is right", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "x"})
				b.Add("m", msg{Name: "1.a", Body: "y"})
				return []*store{a, b}
			},
			want: []string{"m INBOX content [INBOX/cur/1.a INBOX/cur/1.a] good []"},
		},
		{
			name: "flags, keywords, date", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a:2,Sa", Body: "x", Keywords: []string{"$Junk"}, Date: day})
				b.Add("m", msg{Name: "1.a:2,RSa", Body: "x", Keywords: []string{"$NonJunk"}, Date: day.Add(time.Second)})
				return []*store{a, b}
			},
			want: []string{
				"m INBOX flags [INBOX/cur/1.a:2,Sa INBOX/cur/1.a:2,RSa] good []",
				"m INBOX keywords [INBOX/cur/1.a:2,Sa INBOX/cur/1.a:2,RSa] good []",
				"m INBOX date [INBOX/cur/1.a:2,Sa INBOX/cur/1.a:2,RSa] good []",
			},
		},
		{
			name: "keywords are compared by name, dates in seconds", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a:2,Sa", Body: "x", Keywords: []string{"$Junk"}, Date: day})
				b.Add("m", msg{Name: "1.a:2,Sb", Body: "x", Keywords: []string{"$Junk"}, Date: day.Add(999 * time.Millisecond)})
				return []*store{a, b}
			},
		},
		{
			name: "uid", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "x", UID: 3}).Mailbox = folders(manifest.Folder{Name: "INBOX", UIDValidity: 9})
				b.Add("m", msg{Name: "1.a", Body: "x", UID: 4}).Mailbox = folders(manifest.Folder{Name: "INBOX", UIDValidity: 9})
				return []*store{a, b}
			},
			want: []string{"m INBOX uid [INBOX/cur/1.a INBOX/cur/1.a] good []"},
		},
		{
			name: "UIDs under another UIDVALIDITY mean nothing", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "x", UID: 3}).Mailbox = folders(manifest.Folder{Name: "INBOX", UIDValidity: 9})
				b.Add("m", msg{Name: "1.a", Body: "x", UID: 4}).Mailbox = folders(manifest.Folder{Name: "INBOX", UIDValidity: 10})
				return []*store{a, b}
			},
			want: []string{"m INBOX uidvalidity [there there] good []"},
		},
		{
			name: "an unknown UID or UIDVALIDITY is no difference", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "x", UID: 3}).Mailbox = folders(manifest.Folder{Name: "INBOX", UIDValidity: 9})
				b.Add("m", msg{Name: "1.a", Body: "x"})
				return []*store{a, b}
			},
		},
		{
			name: "a missing folder is one line", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Folder: "Sent", Name: "1.a", Body: "x"}, msg{Folder: "Sent", Name: "2.a", Body: "y"})
				b.Add("m")
				return []*store{a, b}
			},
			want: []string{"m Sent folder_missing [there -] good [0] messages 2"},
		},
		{
			name: "a missing mailbox is one line", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "x"}, msg{Folder: "Sent", Name: "2.a", Body: "y"})
				return []*store{a, b}
			},
			want: []string{"m  mailbox_missing [there -] good [0] messages 2"},
		},
		{
			name: "a renamed folder", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Folder: "Old", Name: "1.a", Body: "x"})
				b.Add("m", msg{Folder: "New", Name: "1.a", Body: "x"})
				return []*store{a, b}
			},
			want: []string{
				"m New folder_missing [- there] good [1] messages 1",
				"m Old folder_missing [there -] good [0] messages 1",
			}, why: "1 of its messages are in other folders of a",
		},
		{
			name: "subscriptions", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m").Mailbox = manifest.Mailbox{Subscribed: true, Subscriptions: []string{"Sent"}}
				b.Add("m")
				return []*store{a, b}
			},
			want: []string{"m  subscriptions [there there] good []"},
		},
		{
			name: "an unreadable mailbox is unknown, never missing", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "x"})
				b.Add("m").OpenErr = syscall.EIO
				return []*store{a, b}
			},
			partial: true,
		},
		{
			name: "a mailbox that fails half way is unknown as a whole", stores: func() []*store {
				a, b, c := comparetest.New("a"), comparetest.New("b"), comparetest.New("c")
				a.Add("m", msg{Name: "1.a", Body: "x"}, msg{Name: "2.b", Body: "y"})
				bx := b.Add("m", msg{Name: "1.a", Body: "other"})
				bx.Err, bx.FailAfter = syscall.EIO, 1
				c.Add("m", msg{Name: "1.a", Body: "x"})
				return []*store{a, b, c}
			},
			want:    []string{"m INBOX missing [INBOX/cur/2.b unknown -] good [0]"},
			partial: true,
		},
		{
			name: "absences that cannot be read make a side unknown", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "x"})
				b.Add("m").AbsentErr = syscall.EIO
				return []*store{a, b}
			},
			partial: true,
		},
		{
			name: "an unread message matches by name and is not compared", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "x"})
				b.Add("m", msg{Name: "1.a", Body: "x", Unread: true, Detail: "input/output error"})
				return []*store{a, b}
			},
			partial: true,
		},
		{
			name: "an unread message of that size may be the one that seems missing", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "xyz"})
				b.Add("m", msg{Name: "5.q", Body: "xyz", Unread: true})
				return []*store{a, b}
			},
			partial: true,
			want:    []string{"m INBOX missing [- unknown] good []"},
		},
		{
			name: "a message that moved while we looked is not missing", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "x"})
				b.Add("m")
				b.Now = map[manifest.Ref]compare.Presence{{Mailbox: "m", Folder: "INBOX", Unique: "1.a"}: compare.Present}
				return []*store{a, b}
			},
		},
		{
			name: "a message that went everywhere while we looked is not missing", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "x"})
				a.Now = map[manifest.Ref]compare.Presence{{Mailbox: "m", Folder: "INBOX", Unique: "1.a"}: compare.Absent}
				b.Add("m")
				return []*store{a, b}
			},
		},
		{
			name: "nobody can look again: unknown", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "x"})
				b.Add("m")
				b.LookErr = errors.New("stale handle")
				return []*store{a, b}
			},
			partial: true,
		},
		{
			name: "encrypted by the server", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Body: "x", Opaque: true})
				b.Add("m", msg{Name: "1.a", Body: "y"})
				return []*store{a, b}
			},
			want: []string{"m INBOX content [INBOX/cur/1.a INBOX/cur/1.a] good []"}, why: "encrypted",
		},
		{
			name: "two names of one file are one message", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a:2,", Body: "x", Inode: 5}, msg{Name: "1.a:2,S", Body: "x", Inode: 5})
				b.Add("m", msg{Name: "1.a:2,S", Body: "x"})
				return []*store{a, b}
			},
		},
		{
			name: "a doubled name is two messages", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a:2,", Body: "x", Inode: 5}, msg{Name: "1.a:2,S", Body: "x", Inode: 6})
				b.Add("m", msg{Name: "1.a:2,S", Body: "x"})
				return []*store{a, b}
			},
			want: []string{"m INBOX missing [INBOX/cur/1.a:2, -] good [0]"},
		},
		{
			name: "a damaged message that was moved", stores: func() []*store {
				a, b := comparetest.New("a"), comparetest.New("b")
				a.Add("m", msg{Name: "1.a", Damage: manifest.Empty}).Mailbox = folders(manifest.Folder{Name: "Trash"})
				b.Add("m", msg{Folder: "Trash", Name: "1.a", Body: "x"})
				return []*store{a, b}
			},
			want: []string{
				"m INBOX damaged [INBOX/cur/1.a Trash/cur/1.a] good [1]",
				"m INBOX moved [INBOX/cur/1.a Trash/cur/1.a] good []",
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			list := c.stores()
			lines, r := diff(t, compare.Options{}, sides(list...)...)
			if c.want == nil {
				c.want = []string{}
			}
			if d := cmp.Diff(c.want, texts(lines)); d != "" {
				t.Errorf("lines (-want +got):\n%s", d)
			}
			if (len(r.Partial) > 0) != c.partial {
				t.Errorf("partial: %+v", r.Partial)
			}
			if c.why != "" && (len(lines) == 0 || !strings.Contains(lines[0].Reason, c.why)) {
				t.Errorf("want a reason with %q: %+v", c.why, lines)
			}
			if int64(len(lines)) != r.Differences {
				t.Errorf("%d lines, counted %d", len(lines), r.Differences)
			}
			for k, n := range r.Kinds {
				if int64(kinds(lines)[k]) != n {
					t.Errorf("%d lines of kind %s, counted %d", kinds(lines)[k], k, n)
				}
			}
		})
	}
}
