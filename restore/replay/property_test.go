package replay

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mailsync/manifest"
)

// Random mail: some delivered with what servers do to it, some moved, some
// deleted with or without evidence, some archived twice, some for several
// recipients; and a gap in which nothing was delivered. Whatever is drawn:
// nothing is lost, nothing doubled, nothing resurrected, the account closes over
// its lines, and a second replay delivers nothing.
func TestReplayProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		boxes := []string{"a@example.com", "b@example.com", "c@example.com"}
		s, g := newStore(boxes...), newGateway(tb{t, rt})
		defer os.RemoveAll(g.dir)
		n := rapid.IntRange(1, 25).Draw(rt, "messages")
		from, to := rapid.IntRange(0, 25).Draw(rt, "gap from"), rapid.IntRange(0, 25).Draw(rt, "gap to")
		at := func(i int) time.Time { return t0.Add(time.Duration(i) * time.Minute) }

		type pair struct {
			box string
			id  int
		}
		archived := map[pair]bool{}
		deleted := map[pair]bool{}  // with evidence
		vanished := map[pair]bool{} // without, though it had been there
		altered := map[pair]bool{}
		for i := range n {
			body := mail(i, at(i))
			if rapid.IntRange(0, 9).Draw(rt, "no id") == 0 {
				body = strings.Replace(body, fmt.Sprintf("Message-ID: <%d@example.net>\n", i), "", 1)
			}
			var rcpts []string
			for _, b := range boxes {
				if rapid.Bool().Draw(rt, "to "+b) {
					rcpts = append(rcpts, b)
				}
			}
			if len(rcpts) == 0 {
				rcpts = boxes[:1]
			}
			g.put(at(i), body, rcpts...)
			if rapid.IntRange(0, 4).Draw(rt, "twice") == 0 {
				g.put(at(i).Add(time.Second), body, rcpts...)
			}
			for _, b := range rcpts {
				p := pair{b, i}
				archived[p] = true
				fate := rapid.SampledFrom([]string{"kept", "kept", "kept", "moved", "deleted", "vanished", "altered", "twice"}).Draw(rt, "fate")
				if i >= from && i < to && fate != "deleted" {
					continue // the gap
				}
				copyOf := deliveredCopy(body, b, rapid.IntRange(0, 4).Draw(rt, "how"))
				switch fate {
				case "moved":
					s.put(b, "Archive/2026", at(i), copyOf)
				case "deleted":
					s.remove(b, s.put(b, "INBOX", at(i), copyOf), manifest.ServerExpunge)
					deleted[p] = true
				case "vanished":
					vanished[p] = true
				case "altered":
					if strings.Contains(body, "Message-ID:") {
						s.put(b, "INBOX", at(i), copyOf+"footer\n")
						altered[p] = true
					} else {
						s.put(b, "INBOX", at(i), copyOf)
					}
				case "twice":
					s.put(b, "INBOX", at(i), copyOf)
					s.put(b, "Sent", at(i), copyOf)
				default:
					s.put(b, "INBOX", at(i), copyOf)
				}
			}
		}
		copies := func() map[pair]int {
			out := map[pair]int{}
			for b, list := range s.boxes {
				for _, m := range list {
					text := strings.ReplaceAll(string(m.body), "\r", "")
					var id int
					_, after, _ := strings.Cut(text, "Subject: message ")
					fmt.Sscan(after, &id)
					out[pair{b, id}]++
				}
			}
			return out
		}
		before := copies()
		o := options(tb{t, rt}, g, s)
		o.Memory = 4 << 10 // everything goes through the spool
		o.Since, o.Until = at(from), at(max(to, from+1))
		r, err := run(tb{t, rt}, o, s)
		if err != nil {
			rt.Fatal(err)
		}
		after := copies()
		for p := range archived {
			inGap := p.id >= from && p.id < max(to, from+1)
			switch {
			case deleted[p]:
				if after[p] != 0 {
					rt.Errorf("%v was deleted and is there again", p)
				}
			case altered[p] || before[p] > 0:
				if after[p] != before[p] {
					rt.Errorf("%v: %d copies, then %d", p, before[p], after[p])
				}
			case inGap:
				if after[p] != 1 {
					rt.Errorf("%v was missing inside the window: now %d copies", p, after[p])
				}
			case after[p] != 0:
				rt.Errorf("%v was delivered from outside the window", p)
			}
		}
		for b, a := range r.accounts {
			if a.Archived == 0 && r.totals.OutsideWindow == 0 {
				rt.Errorf("account of %s is empty", b)
			}
		}
		again, err := run(tb{t, rt}, o, s)
		if err != nil {
			rt.Fatal(err)
		}
		if again.totals.Delivered != 0 {
			rt.Errorf("a second replay delivered %d", again.totals.Delivered)
		}
		if again.totals.Present != r.totals.Present+r.totals.Delivered {
			rt.Errorf("present %d, then %d after %d were delivered", r.totals.Present, again.totals.Present, r.totals.Delivered)
		}
	})
}

// tb fails the property, with the temporary directories of the test.
type tb struct {
	*testing.T
	rt *rapid.T
}

func (b tb) Helper()                           {}
func (b tb) Fatal(args ...any)                 { b.rt.Fatal(args...) }
func (b tb) Errorf(format string, args ...any) { b.rt.Errorf(format, args...) }

// Records of any size come back in order, from memory or from many runs.
func TestSorterProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		recs := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, 40)).Draw(rt, "records")
		s := newSorter(rapid.IntRange(1, 400).Draw(rt, "memory"))
		defer s.close()
		want := map[string]int{}
		for _, r := range recs {
			want[string(r)]++
			if err := s.add(r); err != nil {
				rt.Fatal(err)
			}
		}
		last, n := "", 0
		for r, err := range s.sorted(t.Context()) {
			if err != nil {
				rt.Fatal(err)
			}
			if string(r) < last {
				rt.Fatalf("%q behind %q", r, last)
			}
			last = string(r)
			want[last]--
			n++
		}
		for k, v := range want {
			if v != 0 {
				rt.Errorf("%q: %d", k, v)
			}
		}
		if n != len(recs) {
			rt.Errorf("%d of %d records", n, len(recs))
		}
	})
}
