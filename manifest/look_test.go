package manifest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"mailsync/manifest/durable/durabletest"
)

func TestKeepCostsNothing(t *testing.T) {
	d := durabletest.New(durabletest.Ext4)
	r := openRepo(t, d, false)
	s := begin(t, r, SessionOptions{})
	for i := range 50 {
		must(t, put(s, fmt.Sprint("user", i), 1, 1))
	}
	must(t, s.Finish(true))
	before := openStore(t, d).Record()

	s = begin(t, r, SessionOptions{})
	calls := d.Calls()
	for i := range 50 {
		must(t, s.Keep(fmt.Sprint("user", i)))
	}
	if n := d.Calls() - calls; n != 0 {
		t.Errorf("%d calls for Keep", n)
	}
	must(t, s.Finish(true))
	after := openStore(t, d).Record()
	if n := d.Calls() - calls; n > 20 {
		t.Errorf("%d calls for a look that found nothing changed", n)
	}
	if after.Content != before.Content || after.Mailboxes != 50 || after.Complete.ID != 2 {
		t.Errorf("%+v", after)
	}
}

func TestGone(t *testing.T) {
	d := durabletest.New(durabletest.Ext4)
	r := openRepo(t, d, false)
	all := []string{"anna", "bert", "cora", "dora"}
	s := begin(t, r, SessionOptions{})
	for _, n := range all {
		must(t, put(s, n, 3, 1))
	}
	must(t, s.Finish(true))
	gone := func() (list []string) {
		for _, h := range heads(t, openStore(t, d)) {
			if !h.Gone.IsZero() {
				list = append(list, h.Name)
			}
		}
		slices.Sort(list)
		return list
	}

	// A look that was not complete, or was killed, concludes nothing.
	s = begin(t, r, SessionOptions{})
	must(t, s.Keep("anna"))
	must(t, s.Finish(false))
	s = begin(t, r, SessionOptions{})
	must(t, s.Keep("anna"))
	must(t, s.Close())
	if g := gone(); g != nil {
		t.Fatalf("gone after looks that were not complete: %v", g)
	}
	// A complete one does; what it could not look at is not gone.
	s = begin(t, r, SessionOptions{})
	must(t, s.Keep("anna"))
	must(t, s.Unknown("bert"))
	must(t, put(s, "cora", 3, 2))
	must(t, s.Finish(true))
	if g := gone(); !slices.Equal(g, []string{"dora"}) {
		t.Fatalf("gone: %v", g)
	}
	if v, err := readVersion(openStore(t, d), "dora"); err != nil || v != 1 {
		t.Errorf("the manifest of a mailbox that is gone: %d, %v", v, err)
	}
	if rec := openStore(t, d).Record(); rec.Gone != 1 || rec.Mailboxes != 3 || !rec.Content.IsZero() {
		t.Errorf("%+v", rec)
	}
	since := func() time.Time { h, err := openStore(t, d).Head("dora"); must(t, err); return h.Gone }
	first := since()
	// It stays gone since then, until it is back.
	s = begin(t, r, SessionOptions{})
	for _, n := range all[:3] {
		must(t, s.Keep(n))
	}
	must(t, s.Gone("dora"))
	must(t, s.Finish(true))
	if !since().Equal(first) {
		t.Errorf("gone since %v, was %v", since(), first)
	}
	if err := func() error { s = begin(t, r, SessionOptions{}); defer s.Close(); return s.Gone("nobody") }(); !errors.Is(err, ErrNoMailbox) {
		t.Error(err)
	}
	s = begin(t, r, SessionOptions{})
	for _, n := range all {
		must(t, s.Keep(n))
	}
	must(t, s.Finish(true))
	if g := gone(); g != nil {
		t.Errorf("gone although it is back: %v", g)
	}
	checkClean(t, d)
}

func TestInterruptedLookGoesOn(t *testing.T) {
	d := durabletest.New(durabletest.Ext4)
	r := openRepo(t, d, false)
	s := begin(t, r, SessionOptions{Policy: "rehash"})
	must(t, put(s, "anna", 3, 1))
	must(t, s.Checkpoint([]byte("anna")))
	must(t, put(s, "bert", 3, 1)) // not durable
	id := s.Look().ID
	d = d.PowerCut(nil)
	r = openRepo(t, d, false)

	s = begin(t, r, SessionOptions{Policy: "rehash"})
	if !s.Resumed() || s.Look().ID != id || string(s.Look().Place) != "anna" {
		t.Fatalf("%+v", s.Look())
	}
	h, err := s.Store().Head("anna")
	must(t, err)
	if !h.Done {
		t.Error("what is done is not called done")
	}
	if _, err := s.Store().Head("bert"); !errors.Is(err, ErrNoMailbox) {
		t.Error(err)
	}
	must(t, put(s, "bert", 3, 2))
	must(t, s.Finish(true)) // anna was done by the session before
	st := openStore(t, d)
	if rec := st.Record(); rec.Gone != 0 || rec.Mailboxes != 2 || rec.Complete.ID != id {
		t.Errorf("%+v", rec)
	}
	// Another policy, or Fresh, is another look.
	s = begin(t, r, SessionOptions{Policy: "rehash"})
	must(t, s.Finish(false))
	for _, o := range []SessionOptions{{Policy: ""}, {Policy: "", Fresh: true}} {
		s = begin(t, r, o)
		if s.Resumed() {
			t.Errorf("%+v went on with another look", o)
		}
		must(t, s.Finish(false))
	}
}
