package compare_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailsync/compare"
	"mailsync/compare/comparetest"
	"mailsync/manifest"
)

// What is missing is looked for folder by folder, not message by message: the
// number of looks does not grow with the number of messages.
func TestLooksDoNotGrowWithMessages(t *testing.T) {
	for _, n := range []int{3, 300, 40_000} {
		a, b := comparetest.New("a"), comparetest.New("b")
		a.Now, b.Now = map[manifest.Ref]compare.Presence{}, map[manifest.Ref]compare.Presence{}
		var list []msg
		for i := range n {
			m := msg{Folder: []string{"INBOX", "Sent"}[i%2], Name: fmt.Sprintf("%06d.a:2,S", i), Body: fmt.Sprint("body", i)}
			list = append(list, m)
			ref := manifest.Ref{Mailbox: "m", Folder: m.Folder, Unique: fmt.Sprintf("%06d.a", i)}
			a.Now[ref], b.Now[ref] = compare.Present, compare.Absent
		}
		a.Add("m", list...)
		b.Add("m").Mailbox.Folders = []manifest.Folder{{Name: "INBOX"}, {Name: "Sent"}}
		lines, r := diff(t, compare.Options{}, sides(a, b)...)
		if len(lines) != n || len(r.Partial) != 0 || len(a.Looks) != n || len(b.Looks) != n {
			t.Errorf("%d messages: %d lines, %d and %d looked for, %v", n, len(lines), len(a.Looks), len(b.Looks), r.Partial)
		}
		// One look a folder and side for each 32,768 messages begun, twice where
		// a stretch begins in the middle of a folder.
		most := 2 + 2*(n/(1<<15))
		if len(a.Calls) > most || len(b.Calls) > most {
			t.Errorf("%d messages: looked %d and %d times", n, len(a.Calls), len(b.Calls))
		}
	}
}

// Names that are asked about at once get each its own answer.
func TestAnswersBelongToTheirNames(t *testing.T) {
	a, b := comparetest.New("a"), comparetest.New("b")
	b.Now = map[manifest.Ref]compare.Presence{}
	a.Now = map[manifest.Ref]compare.Presence{}
	var list []msg
	var want []string
	for i := range 60 {
		unique := fmt.Sprintf("%02d.a", i)
		list = append(list, msg{Name: unique, Body: unique})
		ref := manifest.Ref{Mailbox: "m", Folder: "INBOX", Unique: unique}
		b.Now[ref] = compare.Presence(i % 3)
		a.Now[ref] = compare.Present
		if b.Now[ref] == compare.Absent {
			if i%5 == 0 { // it went from both
				a.Now[ref] = compare.Absent
				continue
			}
			want = append(want, fmt.Sprintf("m INBOX missing [INBOX/cur/%s -] good [0]", unique))
		}
	}
	a.Add("m", list...)
	b.Add("m")
	lines, r := diff(t, compare.Options{}, sides(a, b)...)
	if d := cmp.Diff(want, texts(lines)); d != "" {
		t.Error(d)
	}
	if r.Unknown != 40 || len(r.Partial) != 1 || r.Partial[0].Count != 20 {
		t.Errorf("unknown %d, partial %+v", r.Unknown, r.Partial)
	}
}

// A folder that cannot be looked for again is unknown, never missing.
func TestFolderThatCannotBeLookedForAgain(t *testing.T) {
	for name, set := range map[string]func(b *store){
		"fails": func(b *store) { b.LookErr = errors.New("stale handle") },
		"not known": func(b *store) {
			b.Now = map[manifest.Ref]compare.Presence{{Mailbox: "m", Folder: "Sent", Unique: "1.a"}: compare.UnknownPresence}
		},
		"came since": func(b *store) {
			b.Now = map[manifest.Ref]compare.Presence{{Mailbox: "m", Folder: "Sent", Unique: "1.a"}: compare.Present}
		},
	} {
		a, b := comparetest.New("a"), comparetest.New("b")
		a.Add("m", msg{Folder: "Sent", Name: "1.a", Body: "x"}, msg{Folder: "Sent", Name: "2.a", Body: "y"})
		b.Add("m")
		set(b)
		lines, r := diff(t, compare.Options{}, sides(a, b)...)
		if len(lines) != 0 {
			t.Errorf("%s: %v", name, texts(lines))
		}
		if partial := slices.ContainsFunc(r.Partial, func(d compare.Doubt) bool { return strings.Contains(d.Reason, "looked for again") }); partial == (name == "came since") {
			t.Errorf("%s: partial %+v", name, r.Partial)
		}
	}
}
