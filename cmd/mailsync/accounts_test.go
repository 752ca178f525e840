package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"mailsync/cmd/mailsync/ui"
	"mailsync/restore/replay"
)

// The table of accounts fits a terminal of 80 columns, whatever it has to tell;
// nothing that was counted is left out, and what is open is always told.
func TestAccountsFit(t *testing.T) {
	counts := replay.Counts{Archived: 123_456, Present: 100_000, Deleted: 2_000, Filtered: 3_000, Duplicate: 4_000, Ambiguous: 5_000, Failed: 6_000, Unexplained: 3_456}
	audit, replayed := counts, counts
	audit.WouldDeliver, replayed.Delivered = 7_000, 7_000
	for name, c := range map[string]struct {
		counts replay.Counts
		want   []string
		absent string
	}{
		"audit":        {audit, []string{"to deliver", "7,000", "deleted", "filtered", "double", "14,456"}, "delivered"},
		"replay":       {replayed, []string{"delivered", "7,000", "deleted", "filtered", "double", "14,456"}, "to deliver"},
		"nothing lost": {replay.Counts{Archived: 1, Present: 1}, []string{"archived", "present", "open"}, "deleted"},
	} {
		var a accounts
		for range 30 {
			a.add(&replay.Event{Account: &replay.Account{Mailbox: "somebody.with.a.long.name@customers.of.example.org", Counts: c.counts}})
		}
		text := strings.Join(a.table(false).Lines(ui.Style{}, 80), "\n")
		for _, w := range append(c.want, "… 10 more") {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %q in\n%s", name, w, text)
			}
		}
		if strings.Contains(text, c.absent) {
			t.Errorf("%s: a column %q without anything in it", name, c.absent)
		}
		for l := range strings.SplitSeq(text, "\n") {
			if n := utf8.RuneCountInString(l); n > 80 {
				t.Errorf("%s: %d columns: %s", name, n, l)
			}
		}
	}
}
