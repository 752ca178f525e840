package restore

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mailsync/compare"
	"mailsync/manifest"
)

// recordView is a record with the given messages and deletions.
type recordView struct {
	compare.View
	entries, deleted []string
}

func (v *recordView) Mailbox() *manifest.Mailbox {
	return &manifest.Mailbox{Name: "a", Began: epoch, Folders: []manifest.Folder{{Name: "INBOX", UIDValidity: 7}}}
}

func named(unique string) manifest.Entry { return manifest.Entry{Folder: "INBOX", Unique: unique} }

func (v *recordView) Entries(context.Context) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for _, u := range v.entries {
			if !yield(named(u), nil) {
				return
			}
		}
	}
}

func (v *recordView) Absences(context.Context) iter.Seq2[manifest.Absence, error] {
	return func(yield func(manifest.Absence, error) bool) {
		for _, u := range v.deleted {
			if !yield(manifest.Absence{Entry: named(u), LastSeen: epoch.Add(-time.Hour)}, nil) {
				return
			}
		}
	}
}

// A mailbox that is gone shows every recorded message as absent and every
// recorded deletion, in the order of entries, and stops when it is told to.
func TestAbsentMailbox(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unique := rapid.SliceOfDistinct(rapid.Map(rapid.IntRange(0, 99), func(n int) string { return fmt.Sprintf("%02d", n) }), rapid.ID)
		all := unique.Draw(t, "all")
		slices.Sort(all)
		v := &recordView{}
		deleted := map[string]bool{}
		for _, u := range all {
			if rapid.Bool().Draw(t, "deleted") {
				v.deleted = append(v.deleted, u)
				deleted[u] = true
			} else {
				v.entries = append(v.entries, u)
			}
		}
		stop := rapid.IntRange(0, len(all)).Draw(t, "stop")
		var got []string
		a := &absentView{record: v, deleted: v, now: epoch.Add(time.Hour)}
		for x, err := range a.Absences(context.Background()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, x.Entry.Unique)
			switch was := deleted[x.Entry.Unique]; {
			case was && !x.LastSeen.Equal(epoch.Add(-time.Hour)):
				t.Fatalf("%s: a deletion became a loss", x.Entry.Unique)
			case !was && (!x.LastSeen.Equal(epoch) || !x.FirstAbsent.Equal(a.now) || x.UIDValidity != 7):
				t.Fatalf("%s: a loss is told as %+v", x.Entry.Unique, x)
			}
			if len(got) == stop {
				break
			}
		}
		want := all
		if stop > 0 {
			want = all[:stop]
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}
