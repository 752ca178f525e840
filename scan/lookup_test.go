package scan

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/beneath"
)

// ask looks for one message again.
func ask(t testing.TB, s *Scanner, mailbox, folder, unique string) (compare.Presence, error) {
	t.Helper()
	p, err := s.Lookup(t.Context(), mailbox, folder, []string{unique})
	if err != nil {
		return compare.UnknownPresence, err
	}
	if len(p) != 1 {
		t.Fatalf("%d answers to one question", len(p))
	}
	return p[0], nil
}

// listings counts how often directories are listed to their end.
type listings struct{ n atomic.Int64 }

func (l *listings) calls() beneath.Calls {
	c := beneath.System()
	getdents := c.Getdents
	c.Getdents = func(fd int, p []byte) (int, error) {
		n, err := getdents(fd, p)
		if n == 0 && err == nil {
			l.n.Add(1)
		}
		return n, err
	}
	return c
}

// The price of looking again is that of the folder, not of folder times
// messages, whether they are there or not, asked about at once or one by one.
func TestLookupsShareListings(t *testing.T) {
	const n = 1000
	b := newTree(t)
	b.maildir("u")
	for i := range n {
		b.write(fmt.Sprintf("u/cur/%04d.h:2,S", i), "x")
	}
	b.old()
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%04d.h", i), fmt.Sprintf("%04d.gone", i))
	}
	check := func(got []compare.Presence) {
		t.Helper()
		for i, p := range got {
			if want := []compare.Presence{compare.Present, compare.Absent}[i%2]; p != want {
				t.Fatalf("%s: %v, want %v", names[i], p, want)
			}
		}
	}
	var l listings
	s := scanner(t, b.path, Options{Calls: l.calls()})
	got, err := s.Lookup(t.Context(), "u", "INBOX", names)
	if err != nil {
		t.Fatal(err)
	}
	check(got)
	if l.n.Load() > 4 { // new and cur, twice
		t.Errorf("%d listings for %d questions at once", l.n.Load(), len(names))
	}
	var one listings
	s = scanner(t, b.path, Options{Calls: one.calls()})
	got = got[:0]
	for _, u := range names {
		p, err := ask(t, s, "u", "INBOX", u)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p)
	}
	check(got)
	if one.n.Load() > 6 {
		t.Errorf("%d listings for %d questions one by one", one.n.Load(), len(names))
	}
	// A folder that moves before every question is listed for every question.
	b.remove("u/cur/0000.h:2,S")
	if p, err := ask(t, s, "u", "INBOX", "0000.h"); p != compare.Absent || err != nil {
		t.Errorf("removed: %v, %v", p, err)
	}
}

// A look at two live stores lists a folder a fixed number of times, however
// many messages one of them lacks.
func TestComparedListingsDoNotGrow(t *testing.T) {
	count := func(n int) int64 {
		var l listings
		var sides []compare.Side
		for k, name := range []string{"full", "empty"} {
			b := newTree(t)
			b.maildir("u", "u/.Sent")
			for i := range n * (1 - k) {
				b.put([]string{"u/cur", "u/.Sent/cur"}[i%2], fmt.Sprintf("%05d.h", i), mail(fmt.Sprint(i), 100), ":2,S")
			}
			b.old()
			s := configured(t, Config{Name: name, Path: b.path}, Options{Calls: l.calls()})
			sides = append(sides, compare.Side{Source: s, Witness: s})
		}
		c, err := compare.New(sides, compare.Options{})
		if err != nil {
			t.Fatal(err)
		}
		missing := 0
		for d, err := range c.Differences(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if d.Kind == compare.Missing {
				missing++
			}
		}
		if r := c.Result(); missing != n || len(r.Partial) > 0 {
			t.Fatalf("%d missing of %d, %+v", missing, n, r.Partial)
		}
		return l.n.Load()
	}
	few, many := count(4), count(1500)
	if few != many {
		t.Errorf("%d listings for 4 messages, %d for 1500", few, many)
	}
}

// What a source has lost or renamed since it was looked at is found, or proven
// gone, without listing its folder for each message.
func TestOpeningSharesListings(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	files := b.many("u/cur", 300)
	for i, f := range files {
		if i%2 == 0 {
			b.check(os.Rename(b.at(f), b.at(strings.Replace(f, ":2,S", ":2,RS", 1))))
		} else {
			b.remove(f)
		}
	}
	b.old()
	var l listings
	s := scanner(t, b.path, Options{Calls: l.calls()})
	for i, f := range files {
		r, err := s.OpenMessage(t.Context(), "u", "", manifest.Cur, strings.TrimPrefix(f, "u/cur/"))
		switch {
		case i%2 == 0 && err == nil:
			b.check(r.Close())
		case i%2 == 0 || err == nil:
			t.Fatalf("%s: %v", f, err)
		}
	}
	if l.n.Load() > 8 {
		t.Errorf("%d listings for %d messages", l.n.Load(), len(files))
	}
}

// What a record has and the disk has not is proven gone with a fixed number of
// listings.
func TestAbsencesShareListings(t *testing.T) {
	count := func(n int) int64 {
		b := newTree(t)
		b.maildir("u")
		files := b.many("u/cur", 2*n)
		b.old()
		var l listings
		s := scanner(t, b.path, Options{Calls: l.calls()})
		rec := mustLook(t, s, "u", nil, LookOptions{})
		b.remove(files[:n]...)
		b.old()
		l.n.Store(0)
		if m := mustLook(t, s, "u", rec, LookOptions{}); len(m.absences) != n || len(m.entries) != n {
			t.Fatalf("%d absences, %d entries", len(m.absences), len(m.entries))
		}
		return l.n.Load()
	}
	if few, many := count(3), count(400); few != many {
		t.Errorf("%d listings for 3 messages that are gone, %d for 400", few, many)
	}
}

// A directory that cannot be listed leaves what it may hold unknown.
func TestLookupThatFails(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	b.many("u/cur", 3)
	c := beneath.System()
	c.Getdents = func(int, []byte) (int, error) { return 0, unix.EIO }
	s := scanner(t, b.path, Options{Calls: c})
	p, err := s.Lookup(t.Context(), "u", "INBOX", []string{"0000.h", "none"})
	if !errors.Is(err, unix.EIO) || len(p) > 0 {
		t.Errorf("%v, %v", p, err)
	}
}
