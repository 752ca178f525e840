package compare_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mailsync/compare"
	"mailsync/compare/comparetest"
	"mailsync/manifest"
)

// had is what one replica has of a message.
type had struct {
	there   bool
	folder  string
	flags   string
	damaged bool
}

var boxFolders = []string{"Archive", "INBOX", "Trash"}

// drawHistory lets users, servers and a crash work on a replica: what it has of
// each message in the end.
func drawHistory(t *rapid.T, label string, messages int) []had {
	out := make([]had, messages)
	for i := range out {
		out[i] = had{there: true, folder: "INBOX"}
	}
	if messages == 0 {
		return out
	}
	for range rapid.IntRange(0, 2*messages).Draw(t, label+" steps") {
		m := &out[rapid.IntRange(0, messages-1).Draw(t, label+" message")]
		switch rapid.SampledFrom([]string{"flag", "move", "expunge", "deliver", "damage"}).Draw(t, label+" step") {
		case "flag":
			m.flags = rapid.SampledFrom([]string{"", "F", "FS", "S"}).Draw(t, label+" flags")
		case "move":
			m.folder = rapid.SampledFrom(boxFolders).Draw(t, label+" folder")
		case "expunge":
			m.there = false
		case "deliver":
			*m = had{there: true, folder: "INBOX"}
		case "damage":
			m.damaged = true
		}
	}
	return out
}

// replica is a store with that history.
func replica(name string, history []had, recorded bool) *store {
	s := comparetest.New(name)
	if recorded {
		s.Meta.Recorded = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	}
	var list []msg
	for i, h := range history {
		if !h.there {
			continue
		}
		m := msg{Folder: h.folder, Name: fmt.Sprintf("%03d.h:2,%s", i, h.flags), Body: fmt.Sprintf("message %d", i)}
		if h.damaged {
			m.Body, m.Damage = m.Body[:4], manifest.Truncated
		}
		list = append(list, m)
	}
	box := s.Add("m", list...)
	for _, f := range boxFolders {
		box.Mailbox.Folders = append(box.Mailbox.Folders, manifest.Folder{Name: f})
	}
	return s
}

// expected is what has to be said of one message, by nothing but its histories.
func expected(no int, histories [][]had) (lines []string) {
	var have, good []int
	lacks, damaged, moved, flagged := false, false, false, false
	for i := range histories {
		h := histories[i][no]
		if !h.there {
			lacks = true
			continue
		}
		if len(have) > 0 {
			first := histories[have[0]][no]
			moved = moved || h.folder != first.folder
			flagged = flagged || h.flags != first.flags
		}
		have = append(have, i)
		if damaged = damaged || h.damaged; !h.damaged {
			good = append(good, i)
		}
	}
	if len(have) == 0 {
		return nil
	}
	say := func(kind compare.Kind, good []int) { lines = append(lines, fmt.Sprintf("%03d %s %v", no, kind, good)) }
	if lacks {
		say(compare.Missing, good)
	}
	if damaged {
		say(compare.DamagedCopy, good)
	}
	if moved {
		say(compare.Moved, nil)
	}
	if flagged {
		say(compare.Flags, nil)
	}
	return lines
}

// Three replicas that went apart, live or as recorded: exactly what their
// histories say is said of each message, once, whatever the order of the
// stores; a damaged copy is never good; one look a folder is enough.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const n = 3
		messages := rapid.IntRange(0, 12).Draw(rt, "messages")
		histories := make([][]had, n)
		stores := make([]*store, n)
		for i := range n {
			name := string(rune('a' + i))
			histories[i] = drawHistory(rt, name, messages)
			stores[i] = replica(name, histories[i], rapid.Bool().Draw(rt, name+" is recorded"))
		}
		want := []string{}
		for i := range messages {
			want = append(want, expected(i, histories)...)
		}
		slices.Sort(want)
		order := rapid.Permutation(identity(n)).Draw(rt, "order")
		turned := make([]*store, n)
		for k, i := range order {
			turned[k] = stores[i]
		}
		lines, r := diff(t, compare.Options{Workers: 2}, sides(turned...)...)
		got := []string{}
		for _, d := range lines {
			unique := ""
			for k := range d.Copies {
				if e := d.Copies[k].Entry; e != nil {
					unique = e.Unique
				}
			}
			var good []int
			for _, k := range d.Good {
				good = append(good, order[k])
			}
			slices.Sort(good)
			got = append(got, fmt.Sprintf("%.3s %s %v", unique, d.Kind, good))
		}
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			rt.Fatalf("(-histories +said):\n%s", d)
		}
		if len(r.Partial) > 0 {
			rt.Fatalf("partial: %+v", r.Partial)
		}
		for _, s := range stores {
			if !s.Meta.Recorded.IsZero() && len(s.Calls) > 0 {
				rt.Fatalf("a record was asked to look again")
			}
			if len(s.Calls) > 2*len(boxFolders) {
				rt.Fatalf("%d looks at %d folders", len(s.Calls), len(boxFolders))
			}
		}
	})
}
