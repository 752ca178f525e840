package restore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"mailsync/restore/place"
)

// fault fails one system call of a run: the nth of all that go through the
// table. after makes the call first and then denies it.
type fault struct {
	n     int64
	errno unix.Errno
	after bool
	hook  func(n int64, name string) // instead of failing

	count atomic.Int64
	hit   atomic.Pointer[string]
}

func (f *fault) now(name string) bool {
	n := f.count.Add(1)
	if f.hook != nil {
		f.hook(n, name)
		return false
	}
	if n != f.n {
		return false
	}
	f.hit.Store(&name)
	return true
}

func (f *fault) err(name string, call func() error) error {
	if !f.now(name) {
		return call()
	}
	if f.after {
		_ = call()
	}
	return f.errno
}

// table wraps every call that changes a store, and the looks between them.
func (f *fault) table() *place.Calls {
	r := place.System()
	c := r
	fd := func(name string, call func() (int, error)) (int, error) {
		if !f.now(name) {
			return call()
		}
		if f.after {
			if fd, err := call(); err == nil {
				_ = unix.Close(fd)
			}
		}
		return -1, f.errno
	}
	c.Create = func(d int, name string, mode uint32) (int, error) {
		return fd("create "+name, func() (int, error) { return r.Create(d, name, mode) })
	}
	c.Append = func(d int, name string) (int, error) {
		return fd("append "+name, func() (int, error) { return r.Append(d, name) })
	}
	c.OpenParent = func(d int) (int, error) {
		return fd("parent", func() (int, error) { return r.OpenParent(d) })
	}
	c.Write = func(d int, p []byte) (int, error) {
		if !f.now("write") {
			return r.Write(d, p)
		}
		if f.after && len(p) > 1 {
			n, _ := r.Write(d, p[:len(p)/2])
			if f.errno == unix.EINTR {
				return n, nil // a short write
			}
		}
		return 0, f.errno
	}
	c.Mkdirat = func(d int, name string, mode uint32) error {
		return f.err("mkdir "+name, func() error { return r.Mkdirat(d, name, mode) })
	}
	c.Fchown = func(d, u, g int) error { return f.err("chown", func() error { return r.Fchown(d, u, g) }) }
	c.Fchmod = func(d int, m uint32) error { return f.err("chmod", func() error { return r.Fchmod(d, m) }) }
	c.Futimens = func(d int, ts *[2]unix.Timespec) error {
		return f.err("utimens", func() error { return r.Futimens(d, ts) })
	}
	c.Fsync = func(d int) error { return f.err("fsync", func() error { return r.Fsync(d) }) }
	c.Syncfs = func(d int) error { return f.err("syncfs", func() error { return nil }) } // nothing is cut here
	c.Fstat = func(d int, st *unix.Stat_t) error { return f.err("fstat", func() error { return r.Fstat(d, st) }) }
	c.Fstatat = func(d int, name string, st *unix.Stat_t) error {
		return f.err("stat "+name, func() error { return r.Fstatat(d, name, st) })
	}
	two := func(op string, call func(int, string, int, string) error) func(int, string, int, string) error {
		return func(a int, an string, b int, bn string) error {
			return f.err(op+" "+an+" "+bn, func() error { return call(a, an, b, bn) })
		}
	}
	c.Linkat, c.Move = two("link", r.Linkat), two("move", r.Move)
	c.Exchange, c.Replace = two("exchange", r.Exchange), two("replace", r.Replace)
	c.Unlinkat = func(d int, name string) error {
		return f.err("unlink "+name, func() error { return r.Unlinkat(d, name) })
	}
	c.Rmdirat = func(d int, name string) error {
		return f.err("rmdir "+name, func() error { return r.Rmdirat(d, name) })
	}
	b := r.Read
	c.Read.Openat2 = func(d int, path string, how *unix.OpenHow) (int, error) {
		return fd("open "+path, func() (int, error) { return b.Openat2(d, path, how) })
	}
	c.Read.Getdents = func(d int, buf []byte) (int, error) {
		if f.now("getdents") {
			return -1, f.errno
		}
		return b.Getdents(d, buf)
	}
	c.Read.Pread = func(d int, p []byte, off int64) (int, error) {
		if f.now("read") {
			return -1, f.errno
		}
		return b.Pread(d, p, off)
	}
	return &c
}

// everything sets up a target to which every kind of action is due, and
// returns the bodies of all messages by unique name.
func everything(w *world) map[string]string {
	kw := "0 Work\n1 Private\n"
	a := w.maildir("backup", "a", "")
	w.write(a+"/dovecot-keywords", kw, epoch)
	uids := "3 V1700000000 N9 G0895920c9cae026bc154000083ecc375\n"
	for n := range 5 {
		w.put("backup", "a", "", n, []string{":2,S", ":2,Sab", ":2,F", ":2,S", ":2,S"}[n])
		uids += fmt.Sprintf("%d :%s\n", n+1, msgName(n))
	}
	w.write(a+"/dovecot-uidlist", uids, epoch)
	b := w.maildir("backup", "b", "")
	w.maildir("backup", "b", ".Sent")
	w.put("backup", "b", "", 10, ":2,S")
	w.put("backup", "b", "", 11, "")
	w.put("backup", "b", ".Sent", 12, ":2,Sb")
	w.write(b+"/dovecot-uidlist", fmt.Sprintf("3 V1700000001 N9 G1895920c9cae026bc154000083ecc375\n1 :%s\n7 :%s\n", msgName(10), msgName(11)), epoch)
	w.write(b+"/.Sent/dovecot-keywords", "1 Later\n", epoch)
	w.write(b+"/subscriptions", "V\t2\n\nSent\n", epoch)

	p := w.maildir("primary", "a", "")
	w.write(p+"/dovecot-uidlist", "3 V1700000000 N5 G0895920c9cae026bc154000083ecc375\n1 :"+msgName(0)+"\n3 :"+msgName(2)+"\n4 :"+msgName(3)+"\n", epoch)
	w.write(p+"/maildirsize", "1000000S\n           0            0\n", epoch)
	w.put("primary", "a", "", 0, ":2,")                               // flags
	w.put("primary", "a", "", 2, ":2,F")                              // nothing to do
	w.write(w.put("primary", "a", "", 3, ":2,S"), "", epoch.Add(3e9)) // damaged
	w.tune = func(o *PlanOptions) { o.Undecided, o.MergeFlags, o.FixUIDNext = RestoreUndecided, UnionFlags, true }
	out := map[string]string{}
	for _, n := range []int{0, 1, 2, 3, 4, 10, 11, 12} {
		out[fmt.Sprintf("%d.M%dP1.host", epoch.Unix()+int64(n), n)] = body(n)
	}
	return out
}

// sound fails where the target shows half a message, or one twice. hurt is the
// base name of a message that may still be damaged.
func (w *world) sound(store string, bodies map[string]string, hurt string) map[string]bool {
	w.t.Helper()
	seen := map[string]bool{}
	for path, text := range w.tree(store) {
		dir := filepath.Base(filepath.Dir(path))
		if dir == "tmp" || strings.Contains(path, "..mailsync.") {
			continue
		}
		name := filepath.Base(path)
		unique, _, _ := strings.Cut(name, ",")
		want, ok := bodies[unique]
		if !ok {
			w.t.Errorf("%s: what is this?", path)
			continue
		}
		_, got, _ := strings.Cut(text, "\n")
		if got != want && !(unique == hurt && got == "") {
			w.t.Errorf("%s: visible and not whole: %d bytes of %d", path, len(got), len(want))
		}
		if seen[unique] {
			w.t.Errorf("%s: doubled", path)
		}
		seen[unique] = got == want
	}
	return seen
}

// faultCase runs everything with one fault, then without, and checks that
// nothing false was said, shown or lost.
func faultCase(t testing.TB, f *fault) (hit bool) {
	w := newWorld(t)
	bodies := everything(w)
	hurt, _, _ := strings.Cut(msgName(3), ",")
	p := w.plan("primary", "backup")
	w.calls = f.table()
	var res result
	r, err := w.begin("primary", "restore")
	if err == nil {
		res = w.finish(r, p, "backup")
	}
	_ = p.Close()
	w.calls = nil
	seen := w.sound("primary", bodies, hurt)
	for _, a := range res.actions {
		if a.State == Done && (a.Op == Add || a.Op == Replace) && !seen[a.Ref.Unique] {
			t.Errorf("%s of %s is said to be done", a.Op, a.Ref.Unique)
		}
	}
	if f.hit.Load() == nil && f.hook == nil {
		return false
	}
	again := w.plan("primary", "backup")
	res2 := w.apply(again, "primary", "backup")
	_ = again.Close()
	if res2.err != nil {
		t.Errorf("the second run: %v", res2.err)
	}
	for _, a := range res2.actions {
		if a.State == Failed || a.State == Refused {
			t.Errorf("the second run: %s %s/%s: %s: %s", a.Op, a.Ref.Mailbox, a.Ref.Folder, a.State, a.Detail)
		}
	}
	seen = w.sound("primary", bodies, "")
	if len(seen) != len(bodies) {
		t.Errorf("after the second run %d messages of %d", len(seen), len(bodies))
	}
	w.noLeftovers("primary")
	last := w.plan("primary", "backup")
	if last.Forecast().Work() {
		t.Errorf("work is left: %v", summary(w.actions(last)))
	}
	_ = last.Close()
	return true
}

// Every system call of a run that restores, repairs, merges and makes folders
// fails once, in three ways, before and after it took effect. Nothing is said
// to be done that is not, nothing is shown by halves or twice, and the same
// command again completes.
func TestEveryCallFails(t *testing.T) {
	step := int64(1)
	if !exhaustive() {
		step = 23
	}
	injected := 0
	for _, errno := range []unix.Errno{unix.EIO, unix.ENOSPC, unix.EINTR} {
		for _, after := range []bool{false, true} {
			if errno == unix.EINTR && after {
				continue // a call that was interrupted had no effect
			}
			for n := int64(1); ; n += step {
				f := &fault{n: n, errno: errno, after: after}
				if !faultCase(t, f) {
					break
				}
				injected++
				if t.Failed() {
					t.Fatalf("call %d, %q: %v, after %v", n, *f.hit.Load(), errno, after)
				}
			}
		}
	}
	t.Logf("%d faults", injected)
	if injected < 40 {
		t.Fatalf("only %d faults were injected: the test is broken", injected)
	}
}

func TestNoFault(t *testing.T) {
	f := &fault{n: -1}
	w := newWorld(t)
	bodies := everything(w)
	w.calls = f.table()
	res := w.restore("primary", "backup")
	w.calls = nil
	if got := w.sound("primary", bodies, ""); len(got) != len(bodies) {
		t.Errorf("%d messages", len(got))
	}
	t.Logf("%d calls, %v", f.count.Load(), res.counts)
	ops := map[Op]int{}
	for _, a := range res.actions {
		ops[a.Op]++
	}
	for _, op := range []Op{Add, Replace, Flags, Mkdir, Subscribe, UID} {
		if ops[op] == 0 {
			t.Errorf("no %s in the scenario: %v", op, ops)
		}
	}
	_ = context.Background
	_ = os.Getpid
}
