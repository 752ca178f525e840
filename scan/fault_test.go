package scan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/restore/place/faulty"
	"mailsync/scan/beneath"
)

// truth is what a scan of an undisturbed store records.
func (st *state) truth() map[string][]string {
	st.t.Helper()
	out := map[string][]string{}
	store, err := st.repo().Store(manifest.StoreKey("", st.path))
	st.check(err)
	for h, err := range store.Heads(st.t.Context()) {
		st.check(err)
		m, err := store.OpenMailbox(h.Name)
		st.check(err)
		for e, err := range m.Entries() {
			st.check(err)
			out[h.Name] = append(out[h.Name], fmt.Sprintf("%s/%s %s", e.Folder, e.Unique, e.Digest))
		}
		for a, err := range m.Absences() {
			st.check(err)
			out[h.Name] = append(out[h.Name], fmt.Sprintf("gone %s/%s", a.Entry.Folder, a.Entry.Unique))
		}
		st.check(m.Close())
	}
	return out
}

// TestEveryCallFailsOnce lets each call of a scan fail once. Whatever fails,
// nothing is called damaged or missing, the record loses nothing, and a scan
// that says it is complete has recorded what there is.
func TestEveryCallFailsOnce(t *testing.T) {
	st := newState(t)
	for _, box := range []string{"a", "b"} {
		st.maildir(box+"/Maildir", box+"/Maildir/.Sent")
		st.many(box+"/Maildir/cur", 3)
		st.put(box+"/Maildir/.Sent/new", "s.h", mail("s", 100), "")
		st.write(box+"/Maildir/dovecot-uidlist", "3 V1 N9\n3 :x\n")
		st.write(box+"/Maildir/dovecot-keywords", "0 k\n")
		st.write(box+"/Maildir/subscriptions", "Sent\n")
		st.write(box+"/Maildir/tmp/half", "x")
	}
	st.old()
	st.must(RunOptions{})
	want := st.truth()
	for _, before := range []struct {
		name string
		opt  RunOptions
	}{{"by stamps", RunOptions{}}, {"reading all", RunOptions{Rehash: true}}, {"first scan", RunOptions{}}} {
		t.Run(before.name, func(t *testing.T) {
			dir, opt := st.dir, st.opt
			defer func() { st.dir, st.opt = dir, opt }()
			once := func(j *faulty.Injector) (res Result, found []string, opened bool, err error) {
				if before.name == "first scan" {
					st.dir = stateDir(t)
				}
				st.opt.Calls = j.Read()
				s, err := New(st.cfg, st.opt)
				if err != nil {
					return res, nil, false, err
				}
				defer s.Close()
				o := before.opt
				o.Workers = 1
				o.Finding = func(f manifest.Finding) {
					if f.Kind != manifest.Unreadable {
						found = append(found, fmt.Sprintf("%s %s %s", f.Kind, f.Folder, f.File))
					}
				}
				res, err = Run(t.Context(), s, st.repo(), o)
				return res, found, true, err
			}
			var plain faulty.Injector
			_, _, _, err := once(&plain)
			st.check(err)
			known, step := plain.Points(), 1
			if testing.Short() {
				step = 7
			}
			for i := 0; i < len(known); i += step {
				j := &faulty.Injector{At: known[i]}
				res, found, opened, err := once(j)
				name, hit := j.Hit()
				where := fmt.Sprintf("%s %q", known[i], name)
				if !hit {
					t.Errorf("%s: not met", where)
				}
				if !opened {
					continue
				}
				if len(found) > 0 || res.Vanished > 0 {
					t.Errorf("%s: %v, %d vanished", where, found, res.Vanished)
				}
				got := map[string][]string{}
				if _, serr := st.repo().Store(manifest.StoreKey("", st.path)); serr == nil {
					got = st.truth()
				}
				if before.name == "first scan" {
					// Nothing was recorded before: what is there is right or unknown.
					for box, rows := range got {
						for _, row := range rows {
							if !slices.Contains(want[box], row) && !strings.HasSuffix(row, " ") {
								t.Errorf("%s: %s records %q", where, box, row)
							}
						}
					}
				} else if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: the record changed\n%s", where, diff)
				}
				if err == nil && res.Complete() && !reflect.DeepEqual(want, got) {
					t.Errorf("%s: said to be complete, and is not\n%s", where, cmp.Diff(want, got))
				}
			}
			if len(known) < 100 {
				t.Fatalf("only %d points: the test is broken", len(known))
			}
		})
	}
}

// TestShortReadsAreNoDamage lets reads return less than they could, and end early.
func TestShortReadsAreNoDamage(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	b.many("u/cur", 5)
	b.old()
	want := mustLook(t, scanner(t, b.path, Options{}), "u", nil, LookOptions{})
	for name, change := range map[string]func(p []byte) []byte{
		"short": func(p []byte) []byte { return p[:min(len(p), 7)] },
		"none":  func(p []byte) []byte { return p[:0] },
	} {
		t.Run(name, func(t *testing.T) {
			calls := beneath.System()
			pread := calls.Pread
			calls.Pread = func(fd int, p []byte, off int64) (int, error) { return pread(fd, change(p), off) }
			calls.PreadNowait = func(int, []byte, int64) (int, error) { return 0, unix.EAGAIN }
			m := mustLook(t, scanner(t, b.path, Options{Calls: calls}), "u", nil, LookOptions{})
			for _, f := range m.findings {
				if f.Kind != manifest.Unreadable {
					t.Errorf("%+v", f)
				}
			}
			for i := range m.entries {
				if e := &m.entries[i]; e.Status != manifest.Unread && e.Digest != want.entries[i].Digest {
					t.Errorf("%+v", e)
				}
			}
			if name == "short" && len(m.findings) != 0 {
				t.Errorf("%v", m.kinds())
			}
			if name == "none" && m.counts.Unreadable != 5 {
				t.Errorf("%+v", m.counts)
			}
		})
	}
}
