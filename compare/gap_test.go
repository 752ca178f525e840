package compare_test

import (
	"slices"
	"strings"
	"testing"

	"mailsync/compare"
	"mailsync/compare/comparetest"
	"mailsync/manifest"
)

// What a server keeps beside the messages may be lost, which is a difference,
// or unreadable, which is unknown and none.
func TestGaps(t *testing.T) {
	uidlist := func(lost bool) []compare.Gap {
		return []compare.Gap{{Folder: "INBOX", What: compare.UIDList, Lost: lost, Reason: "gone with the crash"}}
	}
	cases := []struct {
		name    string
		a, b    uint32 // UIDVALIDITY
		gaps    []compare.Gap
		want    []string
		why     string
		partial bool
	}{
		{name: "lost", a: 9, gaps: uidlist(true), want: []string{"m INBOX uidvalidity [there there] good [0]"}, why: "b has lost its UID list (gone with the crash)"},
		{name: "lost, and nobody has one", gaps: uidlist(true), want: []string{"m INBOX uidvalidity [there there] good []"}, why: "clients fetch them again"},
		{name: "unreadable", a: 9, gaps: uidlist(false), partial: true},
		{name: "none, as on a replica that no server has opened", a: 9},
		{name: "torn, and its header is there", a: 9, b: 9, gaps: uidlist(true)},
		{
			name: "keyword names unreadable", a: 9, b: 9, partial: true,
			gaps: []compare.Gap{{Folder: "INBOX", What: compare.KeywordTable, Reason: "input/output error"}},
		},
		{
			name: "keyword names lost", a: 9, b: 9, want: []string{"m INBOX keywords [INBOX/cur/1.a:2,Sa INBOX/cur/1.a:2,Sa] good []"},
			gaps: []compare.Gap{{Folder: "INBOX", What: compare.KeywordTable, Lost: true, Reason: "torn"}},
		},
	}
	for _, c := range cases {
		a, b := comparetest.New("a"), comparetest.New("b")
		a.Add("m", msg{Name: "1.a:2,Sa", Body: "x", Keywords: []string{"$Junk"}}).Mailbox.Folders = []manifest.Folder{{Name: "INBOX", UIDValidity: c.a}}
		words := []string{"$Junk"}
		if len(c.gaps) > 0 && c.gaps[0].What == compare.KeywordTable {
			words = []string{"?a"}
		}
		box := b.Add("m", msg{Name: "1.a:2,Sa", Body: "x", Keywords: words})
		box.Mailbox.Folders, box.Gaps = []manifest.Folder{{Name: "INBOX", UIDValidity: c.b}}, c.gaps
		lines, r := diff(t, compare.Options{}, sides(a, b)...)
		if !slices.Equal(texts(lines), c.want) {
			t.Errorf("%s: %q, want %q", c.name, texts(lines), c.want)
		}
		if c.why != "" && (len(lines) == 0 || !strings.Contains(lines[0].Reason, c.why)) {
			t.Errorf("%s: want a reason with %q: %+v", c.name, c.why, lines)
		}
		if (len(r.Partial) > 0) != c.partial {
			t.Errorf("%s: partial %+v", c.name, r.Partial)
		}
	}
	// A list of subscriptions that cannot be read is not an empty one.
	a, b := comparetest.New("a"), comparetest.New("b")
	a.Add("m").Mailbox = manifest.Mailbox{Subscribed: true, Subscriptions: []string{"Sent"}}
	b.Add("m").Gaps = []compare.Gap{{Folder: "INBOX", What: compare.SubscriptionList, Reason: "input/output error"}}
	if lines, r := diff(t, compare.Options{}, sides(a, b)...); len(lines) != 0 || len(r.Partial) != 1 {
		t.Errorf("subscriptions: %v, %+v", texts(lines), r.Partial)
	}
	// A record that knows of a list and not what it said.
	a, b = comparetest.New("a"), comparetest.New("b")
	m := msg{Name: "1.a", Body: "x"}
	a.Add("m", m).Mailbox.Folders = []manifest.Folder{{Name: "INBOX", UIDValidity: 9}}
	b.Add("m", m).Mailbox.Folders = []manifest.Folder{{Name: "INBOX", UIDListStamp: manifest.DirStamp{Inode: 5}}}
	if lines, _ := diff(t, compare.Options{}, sides(a, b)...); len(lines) != 1 || lines[0].Kind != compare.UIDValidity {
		t.Errorf("recorded: %v", texts(lines))
	}
}
