package scan

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/beneath"
)

// storm renames the files of a folder as a server does that changes flags and
// moves mail from new to cur. It strikes inside the calls of the scan, so that
// names move while they are listed, between listing and stat, between stat and
// open; one call in odds.
type storm struct {
	mu      sync.Mutex
	b       *tree
	dir     string
	r       *rand.Rand
	odds    int // 0: calm
	renames int
}

func (st *storm) strike() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.odds == 0 || st.r.IntN(st.odds) != 0 {
		return
	}
	sub := []string{"new", "cur", "cur"}[st.r.IntN(3)]
	list, err := os.ReadDir(st.b.at(st.dir + "/" + sub))
	if err != nil || len(list) == 0 {
		return
	}
	for range 5 {
		name := list[st.r.IntN(len(list))].Name()
		base, _, _ := strings.Cut(name, ":")
		flags := []string{":2,", ":2,S", ":2,FS", ":2,RS", ":2,T"}[st.r.IntN(5)]
		if err := os.Rename(st.b.at(st.dir+"/"+sub+"/"+name), st.b.at(st.dir+"/cur/"+base+flags)); err == nil {
			st.renames++
		}
	}
}

func (st *storm) calls() beneath.Calls {
	c := beneath.System()
	open, statx, getdents := c.Openat2, c.Statx, c.Getdents
	c.Openat2 = func(fd int, path string, how *unix.OpenHow) (int, error) {
		st.strike()
		return open(fd, path, how)
	}
	c.Statx = func(fd int, path string, flags, mask int, s *unix.Statx_t) error {
		st.strike()
		return statx(fd, path, flags, mask, s)
	}
	c.Getdents = func(fd int, p []byte) (int, error) {
		st.strike()
		return getdents(fd, p[:min(len(p), 4096)]) // a large folder, seen small
	}
	return c
}

// TestLiveStore looks at a mailbox again and again while its files are renamed
// all the time: nothing is lost, doubled or called wrong.
func TestLiveStore(t *testing.T) {
	const n = 400
	for _, odds := range []int{2, 10, 100} {
		t.Run(fmt.Sprintf("one call in %d", odds), func(t *testing.T) {
			b := newTree(t)
			b.maildir("u")
			for i := range n {
				dir := "u/cur"
				if i%3 == 0 {
					dir = "u/new"
				}
				b.put(dir, fmt.Sprintf("%04d.h", i), mail(fmt.Sprint(i), 600), "")
			}
			storm := &storm{b: b, dir: "u", r: rand.New(rand.NewPCG(uint64(odds), 1))}
			// Stamps must be as young as they are.
			s := scanner(t, b.path, Options{Now: time.Now, Calls: storm.calls()})
			rec := mustLook(t, s, "u", nil, LookOptions{})
			storm.odds = odds
			unproven := 0
			const rounds = 6
			for round := range rounds {
				o := LookOptions{}
				if round%2 == 1 {
					o.Decide = DecideRead
				}
				m := mustLook(t, s, "u", rec, o)
				if len(m.entries) != n || len(m.absences) != 0 {
					t.Errorf("round %d: %d entries, %d absences", round, len(m.entries), len(m.absences))
				}
				for _, f := range m.findings {
					if f.Kind == manifest.Unreadable && strings.Contains(f.Detail, errRestless.Error()) {
						unproven++ // an honest answer: it moves too fast
						continue
					}
					t.Errorf("round %d: %+v", round, f)
				}
				for i := range m.entries {
					if m.entries[i].Digest != rec.entries[i].Digest || m.entries[i].Unique != rec.entries[i].Unique {
						t.Fatalf("round %d: %+v", round, m.entries[i])
					}
				}
				p, err := ask(t, s, "u", "INBOX", fmt.Sprintf("%04d.h", round*17))
				if err != nil || p == compare.Absent {
					t.Errorf("round %d: lookup says %v, %v", round, p, err)
				}
				f, err := s.OpenMessage(t.Context(), "u", "", manifest.Cur, m.entries[round].Name)
				switch {
				case err == nil:
					_ = f.Close()
				case !errors.Is(err, compare.ErrUnknown):
					t.Errorf("round %d: open: %v", round, err)
				}
				rec = m
			}
			if storm.renames < 100 {
				t.Errorf("only %d renames: nothing is proven", storm.renames)
			}
			t.Logf("%d renames, %d answers were not known", storm.renames, unproven)
			if unproven > rounds*n/100 {
				t.Errorf("%d answers were not known", unproven)
			}
			// At rest again, everything is proven.
			storm.odds = 0
			if m := mustLook(t, s, "u", rec, LookOptions{}); len(m.entries) != n || len(m.findings) != 0 || len(m.absences) != 0 {
				t.Errorf("at rest: %d entries, %v", len(m.entries), m.kinds())
			}
		})
	}
}

// TestHardLinksAreDuplicates: two names at the same time are no rename.
func TestHardLinksAreDuplicates(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	file := b.put("u/cur", "1.h", mail("x", 500), ":2,S")
	b.check(os.Link(b.at(file), b.at(strings.Replace(file, ":2,S", ":2,", 1))))
	b.check(os.Link(b.at(file), b.at(strings.Replace(file, "1.h", "2.h", 1))))
	m := mustLook(t, scanner(t, b.path, Options{}), "u", nil, LookOptions{})
	if len(m.entries) != 3 || len(m.findings) != 1 || m.findings[0].Kind != manifest.DuplicateName {
		t.Errorf("%d entries, %v", len(m.entries), m.kinds())
	}
}

// TestExpungesBesideRenames removes messages while others are renamed: what is
// gone is proven gone or said to be unknown, and nothing else is.
func TestExpungesBesideRenames(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	const n = 200
	files := b.many("u/cur", n)
	storm := &storm{b: b, dir: "u", r: rand.New(rand.NewPCG(1, 1))}
	s := scanner(t, b.path, Options{Now: time.Now, Calls: storm.calls()})
	rec := mustLook(t, s, "u", nil, LookOptions{})
	b.remove(files[:10]...)
	storm.odds = 3
	m := mustLook(t, s, "u", rec, LookOptions{})
	storm.odds = 0
	unknown := 0
	for _, e := range m.entries {
		if e.Unique < "0010" {
			if e.Status != manifest.Unread {
				t.Errorf("%s is gone, and was seen", e.Unique)
			}
			unknown++
		}
	}
	if len(m.entries)-unknown != n-10 || unknown+len(m.absences) != 10 {
		t.Errorf("%d entries, %d of them unknown, %d absences", len(m.entries), unknown, len(m.absences))
	}
	m = mustLook(t, s, "u", m, LookOptions{})
	if len(m.entries) != n-10 || len(m.absences) != 10 || m.counts.Unreadable != 0 {
		t.Errorf("at rest: %d entries, %d absences, %+v", len(m.entries), len(m.absences), m.counts)
	}
}
