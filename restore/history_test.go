package restore

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// model is what the owner of a mailbox should see.
type model struct {
	w    *world
	next int
	// where each message lies on the primary, by number; gone ones are deleted
	at      map[int]spot
	deleted map[int]bool
}

type spot struct{ dir, info string }

func (s spot) path(w *world, store string, n int) string {
	sub := "cur"
	if s.info == "" {
		sub = "new"
	}
	return w.path(store, "a", s.dir, sub, msgName(n)+s.info)
}

var historyDirs = []string{"", ".Sent", ".Archive"}

func (m *model) deliver(dir, info string) {
	n := m.next
	m.next++
	m.w.put("primary", "a", dir, n, info)
	m.at[n] = spot{dir, info}
}

func (m *model) move(n int, to spot) {
	m.w.must(os.Rename(m.at[n].path(m.w, "primary", n), to.path(m.w, "primary", n)))
	m.at[n] = to
}

func (m *model) expunge(n int) {
	m.w.must(os.Remove(m.at[n].path(m.w, "primary", n)))
	delete(m.at, n)
	m.deleted[n] = true
}

// mirror makes the spare what the primary is.
func (m *model) mirror() {
	m.w.must(os.RemoveAll(m.w.store("spare")))
	m.w.copy("primary", "spare")
}

func (m *model) live() []int {
	out := make([]int, 0, len(m.at))
	for n := range m.at {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

func numberOf(file string) int {
	var sec, n int
	_, _ = fmt.Sscanf(filepath.Base(file), "%d.M%dP1.host", &sec, &n)
	return n
}

// Random histories on a primary, a spare that follows it, and a backup that
// does not: deliveries, flags, moves, deletions; then a crash that loses and
// damages mail on the primary. After restore nothing that any replica holds
// whole is lost, nothing is doubled, deletions stay, flags are those of before,
// and a second plan is empty.
func TestHistories(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		checks := "8"
		if exhaustive() {
			checks = "100"
		}
		_ = flag.Set("rapid.checks", checks)
		defer func() { _ = flag.Set("rapid.checks", f.DefValue) }()
	}
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "history")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		w := &world{t: rt, dir: dir}
		m := &model{w: w, at: map[int]spot{}, deleted: map[int]bool{}}
		for _, d := range historyDirs {
			w.maildir("primary", "a", d)
		}
		info := rapid.SampledFrom([]string{"", ":2,", ":2,S", ":2,FS", ":2,RS"})
		where := rapid.SampledFrom(historyDirs)
		for range rapid.IntRange(60, 80).Draw(rt, "messages") {
			m.deliver(where.Draw(rt, "dir"), info.Draw(rt, "info"))
		}
		w.copy("primary", "backup")
		w.scan("primary", "backup")
		deletions := 0
		for range rapid.IntRange(0, 25).Draw(rt, "operations") {
			live := m.live()
			n := live[rapid.IntRange(0, len(live)-1).Draw(rt, "message")]
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				m.deliver(where.Draw(rt, "dir"), info.Draw(rt, "info"))
			case 1:
				s := m.at[n]
				s.info = rapid.SampledFrom([]string{":2,", ":2,S", ":2,FRS"}).Draw(rt, "flags")
				m.move(n, s)
			case 2:
				m.move(n, spot{where.Draw(rt, "to"), ":2,S"})
			case 3:
				if deletions++; deletions <= 8 { // the usual share
					m.expunge(n)
				}
			}
		}
		if rapid.Bool().Draw(rt, "mirrored") {
			m.mirror()
		}
		w.scan("primary")
		if _, err := os.Stat(w.store("spare")); err != nil {
			m.mirror()
		}
		afterNow()
		for range rapid.IntRange(0, 10).Draw(rt, "deliveries before the crash") {
			m.deliver("", ":2,S")
			p := m.at[m.next-1].path(w, "primary", m.next-1)
			b, err := os.ReadFile(p)
			w.must(err)
			if rapid.Bool().Draw(rt, "replicated") {
				w.write(strings.Replace(p, "/primary/", "/spare/", 1), string(b), epoch.Add(time.Duration(m.next-1)*time.Second))
			}
		}
		// the cut
		crash := time.Now()
		lost := map[int]bool{}
		for _, n := range m.live() {
			p := m.at[n].path(w, "primary", n)
			switch rapid.IntRange(0, 9).Draw(rt, "damage") {
			case 0, 1:
				w.must(os.Remove(p))
				lost[n] = true
			case 2:
				w.must(os.Truncate(p, 0))
				lost[n] = true
			case 3:
				w.must(os.WriteFile(p, make([]byte, len(body(n))), 0o600))
				lost[n] = true
			}
		}
		have := map[int]bool{} // some replica holds it whole
		for _, s := range []string{"spare", "backup"} {
			for f := range w.tree(s) {
				have[numberOf(f)] = true
			}
		}
		w.tune = func(o *PlanOptions) { o.CrashAt = crash }
		w.restore("primary", "spare", "backup")
		check(rt, m, lost, have)
		p := w.plan("primary", "spare", "backup")
		defer p.Close()
		if p.Forecast().Work() {
			rt.Fatalf("a second plan has work: %v", summary(w.actions(p)))
		}
	})
}

// afterNow returns when files get stamps of after this moment: the clock by which
// the kernel stamps them goes in ticks of some milliseconds.
func afterNow() {
	now := time.Now()
	for {
		var tick unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &tick); err != nil || time.Unix(tick.Unix()).After(now) {
			return
		}
		runtime.Gosched()
	}
}

func check(rt *rapid.T, m *model, lost, have map[int]bool) {
	w := m.w
	count := map[int]int{}
	for f, text := range w.tree("primary") {
		n := numberOf(f)
		_, b, _ := strings.Cut(text, "\n")
		if strings.Contains(f, "/tmp/") {
			rt.Fatalf("left over: %s", f)
		}
		if b != body(n) {
			if have[n] {
				rt.Errorf("%s is still damaged, though a replica has it", f)
			}
			continue
		}
		count[n]++
		if m.deleted[n] {
			rt.Errorf("%s was deleted and is back", f)
		}
	}
	for n, s := range m.at {
		switch {
		case count[n] > 1:
			rt.Errorf("message %d is there %d times", n, count[n])
		case count[n] == 0 && (have[n] || !lost[n]):
			rt.Errorf("message %d (%q) is lost", n, s.dir)
		case !lost[n]:
			p := s.path(w, "primary", n)
			if _, err := os.Stat(p); err != nil {
				rt.Errorf("message %d is not what it was: %v", n, err)
			}
		}
	}
}
