package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mailsync/compare"
	"mailsync/manifest"
)

// many fills a folder with n messages and returns their paths.
func (b *tree) many(dir string, n int) []string {
	b.t.Helper()
	var out []string
	for i := range n {
		out = append(out, b.put(dir, fmt.Sprintf("%04d.h", i), mail(fmt.Sprint(i), 300), ":2,S"))
	}
	return out
}

func (b *tree) remove(paths ...string) {
	b.t.Helper()
	for _, p := range paths {
		b.check(os.Remove(b.at(p)))
	}
}

func evidences(m *memory) map[string]string {
	out := map[string]string{}
	for _, a := range m.absences {
		out[a.Entry.Unique] = a.Evidence.String()
	}
	return out
}

func TestAbsenceIsNoDeletion(t *testing.T) {
	boot := time.Now()
	for _, c := range []struct {
		name   string
		lose   int
		listed bool
		o      LookOptions
		want   string
		missed bool // a finding
	}{
		{name: "a few in ordinary operation", lose: 3, want: "ordinary_absence"},
		{name: "most of the mailbox", lose: 25, want: "mass_disappearing"},
		{name: "still in the UID list", lose: 3, listed: true, want: "server_unaware", missed: true},
		{name: "after a crash", lose: 3, o: LookOptions{Crashed: true}, want: "inside_crash", missed: true},
		{name: "inside the crash window", lose: 3, o: LookOptions{CrashAt: boot.Add(24 * time.Hour)}, want: "inside_crash", missed: true},
		{name: "recorded after the crash", lose: 3, o: LookOptions{CrashAt: boot.Add(-24 * time.Hour)}, want: "ordinary_absence"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newTree(t)
			b.maildir("u")
			files := b.many("u/cur", 40)
			if c.listed {
				var list strings.Builder
				list.WriteString("3 V1 N100\n")
				for i, f := range files {
					base, _, _ := strings.Cut(strings.TrimPrefix(f, "u/cur/"), ":")
					fmt.Fprintf(&list, "%d :%s\n", i+1, base)
				}
				b.write("u/dovecot-uidlist", list.String())
			}
			b.old()
			s := scanner(t, b.path, Options{})
			before := mustLook(t, s, "u", nil, LookOptions{})
			b.remove(files[:c.lose]...)
			after := mustLook(t, s, "u", before, c.o)
			if len(after.absences) != c.lose || len(after.entries) != 40-c.lose {
				t.Fatalf("%d absences, %d entries", len(after.absences), len(after.entries))
			}
			for u, e := range evidences(after) {
				if e != c.want {
					t.Errorf("%s: %s, want %s", u, e, c.want)
				}
			}
			a := after.absences[0]
			if f, ok := MissingFinding("primary", "u", &a); ok != c.missed || ok && (f.Kind != manifest.Missing || f.File == "") {
				t.Errorf("finding %v %+v", ok, f)
			}
			if a.LastSeen != before.mb.Ended || a.FirstAbsent != after.mb.Began || a.Entry.Digest.IsZero() {
				t.Errorf("%+v", a)
			}
			wantVanished := int64(c.lose)
			if c.missed {
				wantVanished = 0
			}
			if after.counts.Vanished != wantVanished || after.mass != (c.want == "mass_disappearing") {
				t.Errorf("vanished %d, mass %v", after.counts.Vanished, after.mass)
			}
			// It is carried on, and counted once.
			third := mustLook(t, s, "u", after, LookOptions{})
			if diff := cmp.Diff(after.absences, third.absences); diff != "" || third.counts.Vanished != 0 {
				t.Errorf("carried: vanished %d %s", third.counts.Vanished, diff)
			}
			// A message that returns is no absence any more.
			b.many("u/cur", 1)
			fourth := mustLook(t, s, "u", third, LookOptions{})
			if len(fourth.absences) != c.lose-1 || len(fourth.findings) != 0 {
				t.Errorf("after one came back: %d absences, %v", len(fourth.absences), fourth.kinds())
			}
		})
	}
}

func TestAbsencesAreForgotten(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	files := b.many("u/cur", 40)
	b.old()
	clock := &later{time.Hour}
	s := scanner(t, b.path, Options{Now: clock.now})
	rec := mustLook(t, s, "u", nil, LookOptions{})
	b.remove(files[0])
	rec = mustLook(t, s, "u", rec, LookOptions{})
	for day := range 100 {
		clock.d += 24 * time.Hour
		rec = mustLook(t, s, "u", rec, LookOptions{})
		want := 1
		if day >= 89 { // the first of them was the first day
			want = 0
		}
		if len(rec.absences) != want {
			t.Fatalf("day %d: %d absences", day, len(rec.absences))
		}
	}
}

func TestMovedIsNotVanished(t *testing.T) {
	b := newTree(t)
	b.maildir("u", "u/.Archive")
	files := b.many("u/cur", 12)
	base, _, _ := strings.Cut(strings.TrimPrefix(files[0], "u/cur/"), ":")
	b.write("u/dovecot-uidlist", "3 V1 N9\n1 :"+base+"\n")
	b.old()
	s := scanner(t, b.path, Options{})
	rec := mustLook(t, s, "u", nil, LookOptions{})
	for _, f := range files { // all of it, as a mail reader without a server does
		b.check(os.Rename(b.at(f), b.at(strings.Replace(f, "u/cur", "u/.Archive/cur", 1))))
	}
	m := mustLook(t, s, "u", rec, LookOptions{})
	for u, e := range evidences(m) {
		if e != "ordinary_absence" {
			t.Errorf("%s: %s", u, e)
		}
	}
	if m.counts.Vanished != 0 || m.mass || len(m.entries) != 12 {
		t.Errorf("vanished %d, mass %v, %d entries", m.counts.Vanished, m.mass, len(m.entries))
	}
}

func TestFolderGone(t *testing.T) {
	b := newTree(t)
	b.maildir("u", "u/.Old")
	b.many("u/cur", 30)
	b.many("u/.Old/cur", 5)
	b.old()
	s := scanner(t, b.path, Options{})
	rec := mustLook(t, s, "u", nil, LookOptions{})
	b.check(os.RemoveAll(b.at("u/.Old")))
	m := mustLook(t, s, "u", rec, LookOptions{})
	if len(m.absences) != 5 || m.mb.Folder("Old") != nil || len(m.findings) != 0 {
		t.Errorf("%d absences, %v", len(m.absences), m.kinds())
	}
}

func TestUnknownIsNotMissing(t *testing.T) {
	if os.Getuid() == 0 {
		// root reads everything: the calls refuse instead
		t.Run("refused by call", testRefused)
		return
	}
	testRefused(t)
}

func testRefused(t *testing.T) {
	b := newTree(t)
	b.maildir("u", "u/.Sent")
	b.many("u/.Sent/cur", 3)
	b.many("u/cur", 3)
	b.old()
	rec := mustLook(t, scanner(t, b.path, Options{}), "u", nil, LookOptions{})
	for _, where := range []string{".Sent", "cur", "0001.h"} {
		t.Run(where, func(t *testing.T) {
			opt := Options{}
			real := unix.Openat2
			opt.Calls.Openat2 = func(fd int, path string, how *unix.OpenHow) (int, error) {
				if strings.HasPrefix(path, where) {
					return -1, unix.EACCES
				}
				return real(fd, path, how)
			}
			m, err := look(t, scanner(t, b.path, opt), "u", rec, LookOptions{Decide: DecideRead})
			if err != nil {
				t.Fatal(err)
			}
			if len(m.absences) != 0 || len(m.entries) != 6 || m.counts.Unreadable == 0 || m.watch != nil {
				t.Errorf("%d absences, %d entries, %+v", len(m.absences), len(m.entries), m.counts)
			}
			for i := range m.entries {
				if m.entries[i].Digest != rec.entries[i].Digest {
					t.Errorf("%s lost its digest", m.entries[i].Name)
				}
			}
			// When it can be read again, all is as it was.
			again := mustLook(t, scanner(t, b.path, Options{}), "u", m, LookOptions{})
			if diff := cmp.Diff(rec.entries, again.entries, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Checked" }, cmp.Ignore())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMailboxGoneIsUnknown(t *testing.T) {
	b := newTree(t)
	b.maildir("u", "v")
	b.many("u/cur", 3)
	s := scanner(t, b.path, Options{})
	rec := mustLook(t, s, "u", nil, LookOptions{})
	b.check(os.Rename(b.at("u"), b.at("w")))
	if _, err := look(t, s, "u", rec, LookOptions{}); !errors.Is(err, compare.ErrUnknown) {
		t.Errorf("%v, want ErrUnknown", err)
	}
	if _, err := look(t, s, "u", nil, LookOptions{}); !errors.Is(err, compare.ErrNoMailbox) {
		t.Errorf("never recorded: %v, want ErrNoMailbox", err)
	}
	b.check(os.Rename(b.at("w"), b.at("u")))
	rec.mb.FSID++
	if _, err := look(t, s, "u", rec, LookOptions{}); !errors.Is(err, compare.ErrUnknown) || !errors.Is(err, ErrOtherFilesystem) {
		t.Errorf("other file system: %v", err)
	}
	if m := mustLook(t, s, "u", rec, LookOptions{Adopted: true}); len(m.entries) != 3 {
		t.Errorf("adopted: %d entries", len(m.entries))
	}
}

// TestQuestionsAtOnce: many goroutines ask about one folder, whose directories
// they share, while its stamps move.
func TestQuestionsAtOnce(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	b.many("u/cur", 300)
	s := scanner(t, b.path, Options{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 40 {
				if i%10 == 0 {
					if err := os.WriteFile(b.at(fmt.Sprintf("u/new/%d.%d", g, i)), []byte("x"), 0o600); err != nil {
						t.Error(err)
					}
				}
				for unique, want := range map[string]compare.Presence{fmt.Sprintf("%04d.h", i): compare.Present, fmt.Sprintf("no%d", i): compare.Absent} {
					p, err := ask(t, s, "u", "INBOX", unique)
					if err != nil || p != want && p != compare.UnknownPresence {
						t.Errorf("%s: %v, %v", unique, p, err)
					}
				}
			}
			for _, err := range s.Mailboxes(t.Context()) {
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
}

func TestWitness(t *testing.T) {
	b := newTree(t)
	b.maildir("u", "u/.Sent")
	files := b.many("u/cur", 3)
	s := scanner(t, b.path, Options{})
	rec := mustLook(t, s, "u", nil, LookOptions{})
	expect := func(folder, unique string, want compare.Presence) {
		t.Helper()
		for range 2 { // the second answer comes from what the first has learned
			got, err := ask(t, s, "u", folder, unique)
			if err != nil || got != want {
				t.Errorf("%s %s: %v, %v, want %v", folder, unique, got, err, want)
			}
		}
	}
	expect("INBOX", "0001.h", compare.Present)
	expect("Sent", "0001.h", compare.Absent)
	expect("None", "0001.h", compare.Absent)
	b.check(os.Rename(b.at(files[1]), b.at(strings.Replace(files[1], ":2,S", ":2,RS", 1))))
	expect("INBOX", "0001.h", compare.Present)
	b.remove(files[0])
	expect("INBOX", "0000.h", compare.Absent)
	b.put("u/.Sent/new", "0001.h", mail("late", 10), "")
	expect("Sent", "0001.h", compare.Present)
	if got, err := ask(t, s, "nobody", "INBOX", "x"); got != compare.UnknownPresence || err == nil {
		t.Errorf("mailbox that is not there: %v %v", got, err)
	}

	e := rec.entry(t, "0001.h") // under its old name
	for kind, check := range map[compare.EvidenceKind]func(compare.Evidence) bool{
		compare.OwnProofs:    func(ev compare.Evidence) bool { return ev.Holds == compare.Yes },
		compare.BodyIdentity: func(ev compare.Evidence) bool { return !ev.Exact.IsZero() && !ev.Delivery.IsZero() && !ev.ID.IsZero() },
		compare.DKIMBody:     func(ev compare.Evidence) bool { return ev.Holds == compare.Maybe },
	} {
		ev, err := s.Evidence(t.Context(), "primary", "u", e, kind)
		if err != nil || !ev.Known || ev.Kind != kind || !check(ev) {
			t.Errorf("evidence %d: %+v, %v", kind, ev, err)
		}
	}
	if ev, err := s.Evidence(t.Context(), "primary", "u", rec.entry(t, "0000.h"), compare.OwnProofs); err != nil || ev.Known {
		t.Errorf("evidence of what is gone: %+v, %v", ev, err)
	}
	b.write(strings.Replace(files[2], ":2,S", ":2,", 1), "cut")
	b.remove(files[2])
	if ev, err := s.Evidence(t.Context(), "primary", "u", rec.entry(t, "0002.h"), compare.OwnProofs); err != nil || ev.Holds != compare.No || ev.Finding != manifest.Truncated {
		t.Errorf("evidence of a cut copy: %+v, %v", ev, err)
	}
	if _, err := s.OpenMessage(t.Context(), "u", "", manifest.Cur, strings.TrimPrefix(files[0], "u/cur/")); !errors.Is(err, ErrGone) {
		t.Errorf("opening what is gone: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("stop")
	cancel(cause)
	v, err := s.Look(t.Context(), "u", LookOptions{NoRecord: true})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var last error
	for _, last = range v.Entries(ctx) {
	}
	if !errors.Is(last, cause) {
		t.Errorf("cancelled: %v", last)
	}
}
