package manifest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"syscall"
	"testing"

	"mailsync/manifest/durable/durabletest"
)

// life is what a process has tried and what it was told is durable.
type life struct {
	tried, acked map[string]uint64 // version of each mailbox
}

func newLife() *life { return &life{map[string]uint64{}, map[string]uint64{}} }

// live runs two looks at a store: everything new, then a part changed, one
// mailbox kept, one not visited. It stops at the first error.
func live(d *durabletest.Disk, l *life) error {
	r, err := OpenRepo("/state", RepoOptions{FS: d})
	if err != nil {
		return err
	}
	for version := uint64(1); version <= 2; version++ {
		if err := look(r, l, version); err != nil {
			return err
		}
	}
	return nil
}

func look(r *Repo, l *life, version uint64) error {
	s, err := r.Begin(storeID, SessionOptions{Group: 2, Now: clock()})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	ack := func(err error) error {
		if err == nil {
			maps.Copy(l.acked, l.tried)
		}
		return err
	}
	write := func(name string, n int) error {
		l.tried[name] = version
		return put(s, name, n, version)
	}
	if err := write("anna", 3); err != nil {
		return err
	}
	if version == 1 {
		if err := write("bert", 1); err != nil {
			return err
		}
	} else if err := s.Keep("bert"); err != nil {
		return err
	}
	if err := write("cora", 1); err != nil {
		return err
	}
	if err := ack(s.Checkpoint([]byte("cora"))); err != nil {
		return err
	}
	if version == 1 {
		if err := write("dora", 2); err != nil {
			return err
		}
	}
	if err := s.Accept(Acceptance{Mailbox: "anna", Reason: "r"}); err != nil {
		return err
	}
	return ack(s.Finish(true)) // in the second look dora is gone, and her manifest stays
}

// judge wants every acknowledged mailbox, in a version that was tried, whole.
func judge(d *durabletest.Disk, l *life) error {
	r, err := OpenRepo("/state", RepoOptions{FS: d, ReadOnly: true})
	if err != nil {
		return err
	}
	s, err := r.Store(StoreKey("", storeID.Path))
	if errors.Is(err, ErrNoRecord) && len(l.acked) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	found := map[string]uint64{}
	for _, name := range []string{"anna", "bert", "cora", "dora"} {
		b, err := s.load(bundleOf(ShardOf(name)))
		if err != nil {
			return err
		}
		for _, r := range b.rows {
			h := r.Head
			v, err := readVersion(s, h.Name)
			if err != nil {
				return err
			}
			if v < l.acked[h.Name] || v > l.tried[h.Name] || uint64(h.Disordered) != v {
				return fmt.Errorf("%s: version %d; %d was acknowledged, %d tried", h.Name, v, l.acked[h.Name], l.tried[h.Name])
			}
			if !h.Gone.IsZero() && (h.Name != "dora" || l.tried["anna"] < 2) {
				return fmt.Errorf("%s looks gone", h.Name)
			}
			found[h.Name] = v
		}
	}
	for name, v := range l.acked {
		if found[name] < v {
			return fmt.Errorf("%s is not recorded", name)
		}
	}
	return nil
}

// recovered begins and ends a session, as the next scan does, and wants no
// left-over then.
func recovered(d *durabletest.Disk, l *life) error {
	r, err := OpenRepo("/state", RepoOptions{FS: d})
	if err != nil {
		return err
	}
	s, err := r.Begin(storeID, SessionOptions{Now: clock()})
	if err != nil {
		return err
	}
	if err := s.Finish(false); err != nil {
		return err
	}
	if err := judge(d, l); err != nil {
		return err
	}
	return clean(d)
}

// after looks at what a kill and several power cuts leave, and recovers each,
// with the power cut again in the middle of that, three deep.
func after(t *testing.T, d *durabletest.Disk, l *life, seeds uint64, what string) (states int) {
	t.Helper()
	disks := []*durabletest.Disk{d.Kill(), d.PowerCut(nil)}
	for seed := range seeds {
		disks = append(disks, d.PowerCut(rand.New(rand.NewPCG(seed, 1))))
	}
	for i, left := range disks {
		if err := judge(left, l); err != nil {
			t.Fatalf("%s, state %d: %v", what, i, err)
		}
		r := rand.New(rand.NewPCG(uint64(i), 2))
		for depth := range 3 {
			cut := left.Kill()
			cut.Fail = durabletest.CutAt(1 + r.IntN(60))
			_ = recovered(cut, l)
			left = cut.PowerCut(r)
			states++
			if err := judge(left, l); err != nil {
				t.Fatalf("%s, state %d, cut again %d: %v", what, i, depth, err)
			}
		}
		if err := recovered(left, l); err != nil {
			t.Fatalf("%s, state %d, recovered: %v", what, i, err)
		}
		states++
	}
	return states
}

var kinds4test = map[string]int64{"syncfs": durabletest.Ext4, "fsync": durabletest.Tmpfs}

// TestSessionCutAtEveryCall cuts the power before each call that two looks make.
func TestSessionCutAtEveryCall(t *testing.T) {
	for name, kind := range kinds4test {
		t.Run(name, func(t *testing.T) {
			whole := durabletest.New(kind)
			must(t, live(whole, newLife()))
			checkClean(t, whole)
			step, seeds, states := 1, uint64(2), 0
			if testing.Short() {
				step = 7
			}
			for n := 1; n <= whole.Calls(); n += step {
				d, l := durabletest.New(kind), newLife()
				d.Fail = durabletest.CutAt(n)
				if err := live(d, l); err == nil && !maps.Equal(l.acked, l.tried) {
					t.Fatalf("cut at call %d: no error, and not all is acknowledged", n)
				}
				states += after(t, d, l, seeds, fmt.Sprintf("cut at call %d", n))
			}
			t.Logf("%d calls, %d states", whole.Calls(), states)
		})
	}
}

// TestSessionWithEveryCallFailing lets each call fail once: nothing that
// follows may be acknowledged wrongly.
func TestSessionWithEveryCallFailing(t *testing.T) {
	for name, kind := range kinds4test {
		t.Run(name, func(t *testing.T) {
			whole := durabletest.New(kind)
			must(t, live(whole, newLife()))
			planned, hit := 0, 0
			for n := 1; n <= whole.Calls(); n++ {
				for _, errno := range []error{syscall.EIO, syscall.ENOSPC} {
					if testing.Short() && n%5 > 0 {
						continue
					}
					planned++
					d, l := durabletest.New(kind), newLife()
					d.Fail = durabletest.FailAt(n, errno)
					_ = live(d, l)
					if d.Calls() >= n {
						hit++
					}
					d.Fail = nil
					for _, left := range []*durabletest.Disk{d.Kill(), d.PowerCut(nil)} {
						if err := judge(left, l); err != nil {
							t.Fatalf("call %d fails with %v: %v", n, errno, err)
						}
						if err := recovered(left, l); err != nil {
							t.Fatalf("call %d fails with %v, recovered: %v", n, errno, err)
						}
					}
				}
			}
			if hit != planned {
				t.Errorf("%d faults hit, %d planned", hit, planned)
			}
		})
	}
}

// TestSessionOnAFileSystemThatLies: after it has shut down, fsync of a
// directory answers nil and does nothing.
func TestSessionOnAFileSystemThatLies(t *testing.T) {
	for name, kind := range kinds4test {
		t.Run(name, func(t *testing.T) {
			whole := durabletest.New(kind)
			must(t, live(whole, newLife()))
			for n := 1; n <= whole.Calls(); n++ {
				d, l := durabletest.New(kind), newLife()
				d.Fail = func(i int, _, _ string) error {
					d.Shut = i >= n
					return nil
				}
				_ = live(d, l)
				d.Fail = nil
				if err := judge(d.PowerCut(nil), l); err != nil {
					t.Fatalf("shut down at call %d: %v", n, err)
				}
			}
		})
	}
}

// CopyTo is cut at each call: the copy is the old record or the new, and the
// next copy makes it the new one.
func TestCopyCutAtEveryCall(t *testing.T) {
	for name, kind := range kinds4test {
		t.Run(name, func(t *testing.T) {
			base := durabletest.New(kind)
			l := newLife()
			r, err := OpenRepo("/state", RepoOptions{FS: base})
			must(t, err)
			must(t, look(r, l, 1))
			first := openStore(t, base)
			_, err = first.CopyTo(t.Context(), "/copy")
			must(t, err)
			must(t, look(r, l, 2))
			copyOn := func(d *durabletest.Disk) error {
				_, err := openStore(t, d).CopyTo(t.Context(), "/copy")
				return err
			}
			versions := func(d *durabletest.Disk) (string, error) {
				r, err := OpenRepo("/copy", RepoOptions{FS: d, ReadOnly: true})
				if err != nil {
					return "", err
				}
				s, err := r.Store(StoreKey("", storeID.Path))
				if err != nil {
					return "", err
				}
				out := ""
				for _, n := range []string{"anna", "bert", "cora", "dora"} {
					v, err := readVersion(s, n)
					if err != nil {
						return "", err
					}
					out += fmt.Sprint(v)
				}
				return out, nil
			}
			whole := base.Kill()
			must(t, copyOn(whole))
			if v, err := versions(whole); err != nil || v != "2121" {
				t.Fatal(v, err)
			}
			step := max(1, whole.Calls()/100)
			for n := 1; n <= whole.Calls(); n += step {
				d := base.Kill()
				d.Fail = func(i int, op, path string) error {
					return durabletest.CutAt(n)(i, op, path)
				}
				func() {
					defer func() { _ = recover() }()
					st := &Store{repo: &Repo{dir: "/state", fs: d}, dir: "/state/stores/" + StoreKey("", storeID.Path), rec: openStore(t, base.Kill()).rec}
					_, _ = st.CopyTo(t.Context(), "/copy")
				}()
				d.Fail = nil
				left := d.PowerCut(rand.New(rand.NewPCG(uint64(n), 3)))
				if v, err := versions(left); err != nil {
					t.Fatalf("cut at call %d: %s %v", n, v, err)
				}
				must(t, copyOn(left))
				if v, err := versions(left); err != nil || v != "2121" {
					t.Fatalf("cut at call %d, copied again: %s %v", n, v, err)
				}
			}
		})
	}
}
