package scan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/scan/beneath"
)

// faults makes the n-th call of a table fail, and counts calls. Calls whose
// failure changes nothing (closing, advice) are left alone.
type faults struct {
	n     atomic.Int64
	fail  int64
	errno unix.Errno
	hit   atomic.Pointer[string]
}

func (f *faults) point(name string) error {
	if f.n.Add(1) == f.fail {
		f.hit.Store(&name)
		return f.errno
	}
	return nil
}

func (f *faults) calls() beneath.Calls {
	c := beneath.System()
	openat2, openat, fstat, statx, statfs, rewind, getdents, pread, nowait := c.Openat2, c.Openat, c.Fstat, c.Statx, c.Fstatfs, c.Rewind, c.Getdents, c.Pread, c.PreadNowait
	c.Openat2 = func(fd int, path string, how *unix.OpenHow) (int, error) {
		if err := f.point("openat2 " + path); err != nil {
			return -1, err
		}
		return openat2(fd, path, how)
	}
	c.Openat = func(fd int, path string, flags int, mode uint32) (int, error) {
		if err := f.point("openat " + path); err != nil {
			return -1, err
		}
		return openat(fd, path, flags, mode)
	}
	c.Fstat = func(fd int, st *unix.Stat_t) error {
		if err := f.point("fstat"); err != nil {
			return err
		}
		return fstat(fd, st)
	}
	c.Statx = func(fd int, path string, flags, mask int, st *unix.Statx_t) error {
		if err := f.point("statx " + path); err != nil {
			return err
		}
		return statx(fd, path, flags, mask, st)
	}
	c.Fstatfs = func(fd int, st *unix.Statfs_t) error {
		if err := f.point("fstatfs"); err != nil {
			return err
		}
		return statfs(fd, st)
	}
	c.Rewind = func(fd int) error {
		if err := f.point("lseek"); err != nil {
			return err
		}
		return rewind(fd)
	}
	c.Getdents = func(fd int, p []byte) (int, error) {
		if err := f.point("getdents"); err != nil {
			return 0, err
		}
		return getdents(fd, p)
	}
	c.Pread = func(fd int, p []byte, off int64) (int, error) {
		if err := f.point("pread"); err != nil {
			return 0, err
		}
		return pread(fd, p, off)
	}
	c.PreadNowait = func(fd int, p []byte, off int64) (int, error) {
		if err := f.point("preadv2"); err != nil {
			return 0, err
		}
		return nowait(fd, p, off)
	}
	return c
}

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
			dir := st.dir
			defer func() { st.dir = dir }()
			hit := map[string]bool{}
			step := int64(1)
			if testing.Short() {
				step = 7
			}
			for n := int64(1); ; n += step {
				if before.name == "first scan" {
					st.dir = stateDir(t)
				}
				errno := []unix.Errno{unix.EIO, unix.EACCES, unix.EINTR, unix.EMFILE}[n%4]
				f := &faults{fail: n, errno: errno}
				opt := st.opt
				st.opt.Calls = f.calls()
				s, err := New(st.cfg, st.opt)
				st.opt = opt
				if err != nil {
					if f.hit.Load() == nil {
						t.Fatalf("opening the store: %v", err)
					}
					continue
				}
				var found []string
				o := before.opt
				o.Workers = 1
				o.Finding = func(f manifest.Finding) {
					if f.Kind != manifest.Unreadable {
						found = append(found, fmt.Sprintf("%s %s %s", f.Kind, f.Folder, f.File))
					}
				}
				res, err := Run(t.Context(), s, st.repo(), o)
				_ = s.Close()
				if f.hit.Load() == nil {
					if n < 40 {
						t.Fatalf("only %d calls", n)
					}
					break
				}
				where := fmt.Sprintf("call %d (%s) fails with %v", n, *f.hit.Load(), errno)
				kind, _, _ := strings.Cut(*f.hit.Load(), " ")
				hit[kind] = true
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
			for _, kind := range []string{"openat2", "fstat", "statx", "getdents"} {
				if step == 1 && !hit[kind] && !(before.name == "by stamps" && kind == "preadv2") {
					t.Errorf("no %s was made to fail", kind)
				}
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
