package ui

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line  string
		width int
		hang  int
		want  string
	}{
		{"short", 20, 0, "short"},
		{"nobody knows how wide a pipe is", 0, 0, "nobody knows how wide a pipe is"},
		{"one two three four five six", 20, 0, "one two three four\nfive six"},
		{"label:   one two three four", 20, 9, "label:   one two\n         three four"},
		{"   detail that goes on and on", 20, 0, "   detail that goes\n   on and on"},
		{"\x1b[1mbold words\x1b[0m and others here", 20, 0, "\x1b[1mbold words\x1b[0m and\nothers here"},
		{"a-word-that-is-wider-than-the-terminal and more", 20, 2, "a-word-that-is-wider-than-the-terminal\n  and more"},
		{"日本 日本 日本 日本 日本", 20, 0, "日本 日本 日本 日本\n日本"},
	} {
		if diff := cmp.Diff(c.want, wrap(c.line, c.width, c.hang)); diff != "" {
			t.Error(diff)
		}
	}
}

// TestWrapKeepsEveryWord: nothing is lost, and only a word that is wider than
// the terminal goes beyond its edge.
func TestWrapKeepsEveryWord(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.StringMatching(`[a-zé日]{1,30}`)).Draw(t, "words")
		width := rapid.IntRange(20, 100).Draw(t, "width")
		hang := rapid.IntRange(0, 40).Draw(t, "hang")
		got := wrap(strings.Join(words, " "), width, hang)
		if diff := cmp.Diff(words, append(words[:0:0], strings.Fields(got)...)); diff != "" {
			t.Fatal(diff)
		}
		for l := range strings.SplitSeq(got, "\n") {
			if printed(l) > width && len(strings.Fields(l)) > 1 {
				t.Fatalf("%q is wider than %d", l, width)
			}
		}
	})
}

func TestTableFits(t *testing.T) {
	t.Parallel()
	long := "a.very.long.name.of.a.mailbox.with.a.tail@department.example.org"
	table := Table{{"mailbox", ">messages", "state"}, {long, "1,234,567", "looked at now"}, {"short", "1", "日本日本日本日本日本日本日本日本日本日本"}}
	for _, l := range table.Lines(Style{}, 60) {
		if printed(l) > 60 {
			t.Errorf("%q", l)
		}
	}
	if got := shorten(long, 20); got != "a.very.lo…xample.org" && printed(got) != 20 {
		t.Errorf("%q", got)
	}
	if got := shorten("äöüäöü", 3); printed(got) != 3 || !strings.Contains(got, "…") {
		t.Errorf("%q", got)
	}
}
