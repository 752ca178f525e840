package compare_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailsync/compare"
	"mailsync/compare/comparetest"
	"mailsync/manifest"
)

// recorded writes a store of fake mailboxes into a repository and opens its record.
func recorded(t *testing.T, repo *manifest.Repo, s *store, complete bool) *manifest.Store {
	t.Helper()
	at := time.Date(2026, 5, 1, 3, 0, 0, 0, time.UTC)
	id := manifest.Identity{Path: "/srv/" + s.Meta.Name, FSID: 1, Device: 1, RootInode: 2, BootID: "boot"}
	session, err := repo.Begin(id, manifest.SessionOptions{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for name := range s.Boxes {
		names = append(names, name)
	}
	slices.SortFunc(names, manifest.CompareMailboxes)
	for _, name := range names {
		d, err := session.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		mb := s.Boxes[name].Mailbox
		mb.Name, mb.Path, mb.Alg, mb.Began, mb.Ended, mb.Generation = name, name, manifest.BLAKE3, at, at, 1
		if mb.Folders == nil {
			mb.Folders = []manifest.Folder{{Name: "INBOX"}}
		}
		for _, e := range s.Boxes[name].All() {
			if err := d.Add(&e); err != nil {
				t.Fatal(err)
			}
		}
		for _, a := range s.Boxes[name].Absences {
			if err := d.Absent(&a); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Commit(&mb, manifest.Extra{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := session.Finish(complete); err != nil {
		t.Fatal(err)
	}
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := repo.Store(manifest.StoreKey(id.Name, id.Path))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func repository(t *testing.T) *manifest.Repo {
	t.Helper()
	r, err := manifest.OpenRepo(t.TempDir(), manifest.RepoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func filled(name string, n int) *store {
	s := comparetest.New(name)
	for i := range n {
		s.Add(fmt.Sprintf("user%d@example.org", i), msg{Name: "1.a:2,S", Body: fmt.Sprint(i)}, msg{Name: "2.b", Body: "x"})
	}
	return s
}

func TestRecordedStores(t *testing.T) {
	repo := repository(t)
	a, b := filled("a", 60), filled("b", 60)
	same := [2]*manifest.Store{recorded(t, repo, a, true), recorded(t, repo, b, true)}
	list := func(stores ...*manifest.Store) []compare.Side {
		out := []compare.Side{}
		for _, s := range stores {
			r := compare.Recorded(s, compare.RecordedOptions{})
			out = append(out, compare.Side{Source: r, Witness: r})
		}
		return out
	}
	lines, r := diff(t, compare.Options{}, list(same[:]...)...)
	if len(lines) != 0 || r.Mailboxes != 60 || r.Messages != 120 || r.Skipped != 120 || len(r.Partial) > 0 {
		t.Errorf("equal records: %v %+v", texts(lines), r)
	}
	if r.Sides[0].Recorded.IsZero() || r.Sides[0].Name != "/srv/a" {
		t.Errorf("side: %+v", r.Sides[0])
	}
	// A glob counts only what it matches.
	_, r = diff(t, compare.Options{Mailbox: func(n string) bool { return n == "user7@example.org" }}, list(same[:]...)...)
	if r.Mailboxes != 1 || r.Messages != 2 {
		t.Errorf("one mailbox: %+v", r.Counts)
	}

	c := filled("c", 60)
	c.Boxes["user5@example.org"].Messages[0].Name = "1.a:2,RS"
	c.Boxes["user9@example.org"].Messages = c.Boxes["user9@example.org"].Messages[:1]
	c.Boxes["user9@example.org"].Absences = []manifest.Absence{{Entry: msg{Name: "2.b", Body: "x"}.Entry(), Evidence: manifest.ServerExpunge, LastSeen: time.Unix(1, 0), FirstAbsent: time.Unix(2, 0)}}
	delete(c.Boxes, "user11@example.org")
	other := recorded(t, repo, c, true)
	lines, r = diff(t, compare.Options{}, list(same[0], other)...)
	want := []string{
		"user11@example.org  mailbox_missing [there -] good [0] messages 2",
		"user5@example.org INBOX flags [INBOX/cur/1.a:2,S INBOX/cur/1.a:2,RS] good []",
		"user9@example.org INBOX missing [INBOX/cur/2.b -] good [0]",
	}
	if d := cmp.Diff(want, sorted(texts(lines))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if r.Skipped != 114 || r.Mailboxes != 60 {
		t.Errorf("%+v", r.Counts)
	}
	for _, d := range lines {
		if d.Kind == compare.Missing && d.Reason == "" {
			t.Error("no reason")
		}
	}
}

// What an unfinished first scan has not seen yet is unknown, not missing.
func TestRecordOfAnUnfinishedScan(t *testing.T) {
	repo := repository(t)
	a, b := filled("a", 4), filled("b", 4)
	delete(b.Boxes, "user2@example.org")
	r := compare.Recorded(recorded(t, repo, b, false), compare.RecordedOptions{Name: "b"})
	lines, res := diff(t, compare.Options{}, a.Side(), compare.Side{Source: r})
	if len(lines) != 0 || len(res.Partial) != 1 || res.Partial[0].Mailbox != "user2@example.org" {
		t.Errorf("%v %+v", texts(lines), res.Partial)
	}
	if _, err := r.Open(t.Context(), "user2@example.org"); !errors.Is(err, compare.ErrUnknown) {
		t.Errorf("open: %v", err)
	}
}
