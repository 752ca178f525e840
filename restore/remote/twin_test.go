package remote_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mailsync/compare"
	"mailsync/restore"
	"mailsync/restore/remote"
)

// drawStores writes a store "good" into one machine and "hurt" into another, which
// has lost, damaged, flagged and received mail. Both are written into a twin, too,
// which has no connection.
func drawStores(rt *rapid.T, good, hurt, twin *machine) {
	both := func(m *machine, store, box string, n int, info string, spoil func(string)) {
		for _, x := range []*machine{m, twin} {
			if p := x.put(store, box, n, info); spoil != nil {
				spoil(p)
			}
		}
	}
	n := 0
	for b := range rapid.IntRange(1, 3).Draw(rt, "mailboxes") {
		box := fmt.Sprintf("u%d", b)
		for range rapid.IntRange(0, 9).Draw(rt, "messages") {
			n++
			info := rapid.SampledFrom([]string{":2,", ":2,S", ":2,RS"}).Draw(rt, "info")
			switch rapid.IntRange(0, 5).Draw(rt, "fate") {
			case 0: // came later
				both(hurt, "hurt", box, n, info, nil)
			case 1, 2: // lost
				both(good, "good", box, n, info, nil)
			case 3: // damaged
				both(good, "good", box, n, info, nil)
				size := rapid.Int64Range(0, 40).Draw(rt, "left")
				both(hurt, "hurt", box, n, info, func(p string) {
					hurt.must(os.Truncate(p, size))
					hurt.must(os.Chtimes(p, time.Unix(1800000000, 0), time.Unix(1800000000, 0)))
				})
			case 4: // flagged
				both(good, "good", box, n, info, nil)
				both(hurt, "hurt", box, n, ":2,FS", nil)
			default:
				both(good, "good", box, n, info, nil)
				both(hurt, "hurt", box, n, info, nil)
			}
		}
	}
	for _, x := range []*machine{good, hurt, twin} { // at least a directory
		good.must(os.MkdirAll(x.path("good"), 0o700))
		good.must(os.MkdirAll(x.path("hurt"), 0o700))
	}
}

// toldOf is what a run said, as far as it does not depend on the run.
func toldOf(list []restore.Action) []string {
	out := make([]string, 0, len(list))
	for _, a := range list {
		out = append(out, fmt.Sprintf("%s %s %s/%s %s %s %q", a.State, a.Op, a.Ref.Mailbox, a.Ref.Folder, a.Why, a.Post.Digest, a.Post.Name))
	}
	sort.Strings(out)
	return out
}

// alone restores in one machine, without a connection.
func (m *machine) alone(target string, source compare.Side, src restore.Source) []restore.Action {
	m.t.Helper()
	sc, err := m.scanner(target)
	m.must(err)
	defer sc.Close()
	plan, err := restore.NewPlan(context.Background(), restore.PlanOptions{
		Target: compare.Side{Source: sc, Witness: sc}, Site: m.site(target), Sources: []compare.Side{source},
		Undecided: restore.RestoreUndecided, MergeFlags: restore.UnionFlags,
	})
	m.must(err)
	defer plan.Close()
	run, release, err := m.Begin(context.Background(), &remote.RunOptions{Target: remote.Spec{Path: target}, Command: "restore"})
	m.must(err)
	defer release()
	var out []restore.Action
	for a, err := range run.Apply(context.Background(), plan, src) {
		m.must(err)
		out = append(out, a)
	}
	m.must(run.End(nil))
	return out
}

// local is a store of this machine as a side, and as a source.
func (m *machine) local(store string) (compare.Side, restore.Source, func()) {
	m.t.Helper()
	sc, err := m.scanner(store)
	m.must(err)
	return compare.Side{Source: sc, Witness: sc}, restore.BySource{store: m.source(store)}, func() { _ = sc.Close() }
}

// fewer draws n cases where nobody has asked for another number: each syncs a
// few stores.
func fewer(t *testing.T, n int) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	if f.Value.String() != f.DefValue {
		return
	}
	_ = flag.Set("rapid.checks", strconv.Itoa(n))
	t.Cleanup(func() { _ = flag.Set("rapid.checks", f.DefValue) })
}

// machines makes machines for one drawn case.
func machines(rt *rapid.T, n int) (out []*machine, done func()) {
	dir, err := os.MkdirTemp("", "machines")
	if err != nil {
		rt.Fatal(err)
	}
	for i := range n {
		out = append(out, &machine{t: rt, dir: filepath.Join(dir, fmt.Sprint(i))})
	}
	return out, func() { _ = os.RemoveAll(dir) }
}

// A target on another host becomes what it would have become beside its source,
// and what is told of it is the same; a second plan has nothing to do.
func TestRestoresAlikeThere(t *testing.T) {
	fewer(t, 10)
	h := &switched{}
	p := pair(t, remote.Options{Spill: spillIn(t)}, remote.Options{Host: h})
	rapid.Check(t, func(rt *rapid.T) {
		list, done := machines(rt, 3)
		defer done()
		near, far, twin := list[0], list[1], list[2]
		drawStores(rt, near, far, twin)
		h.machine = far
		side, src, shut := twin.local("good")
		defer shut()
		want := twin.alone("hurt", side, src)
		e := &estate{t: rt, near: near, far: far, p: p}
		got := e.restore("hurt", "good")
		if d := cmp.Diff(toldOf(want), toldOf(got.actions)); d != "" {
			rt.Fatalf("told (- beside, + there):\n%s", d)
		}
		if d := cmp.Diff(twin.tree("hurt"), far.tree("hurt")); d != "" {
			rt.Fatalf("trees (- beside, + there):\n%s", d)
		}
		plan, closePlan, err := e.plan("hurt", "good")
		if err != nil {
			rt.Fatal(err)
		}
		defer closePlan()
		if f := plan.Forecast(); f.Work() {
			rt.Fatalf("a second plan has %d actions", f.Actions)
		}
	})
}

// A target here becomes from a source on another host what it becomes from one
// beside it.
func TestRestoresAlikeFromThere(t *testing.T) {
	fewer(t, 10)
	h := &switched{}
	p := pair(t, remote.Options{Spill: spillIn(t)}, remote.Options{Host: h})
	rapid.Check(t, func(rt *rapid.T) {
		list, done := machines(rt, 3)
		defer done()
		near, far, twin := list[0], list[1], list[2]
		drawStores(rt, far, near, twin)
		h.machine = far
		side, src, shut := twin.local("good")
		defer shut()
		want := twin.alone("hurt", side, src)
		store, err := p.Open(context.Background(), remote.Spec{Name: "good", Path: "good"})
		if err != nil {
			rt.Fatal(err)
		}
		defer store.Close()
		got := near.alone("hurt", compare.Side{Source: store, Witness: store}, restore.BySource{"good": store.Messages()})
		if d := cmp.Diff(toldOf(want), toldOf(got)); d != "" {
			rt.Fatalf("told (- beside, + from there):\n%s", d)
		}
		if d := cmp.Diff(twin.tree("hurt"), near.tree("hurt")); d != "" {
			rt.Fatalf("trees (- beside, + from there):\n%s", d)
		}
	})
}

// switched is a host whose machine changes from case to case.
type switched struct{ *machine }

// Only what a plan or a run needs is offered, and only while it lasts.
func TestOfferEnds(t *testing.T) {
	e := newEstate(t)
	e.near.put("backup", "a", 1, ":2,S")
	e.far.put("spare", "a", 2, ":2,S")
	plan, done, err := e.plan("spare", "backup")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	r, err := e.apply(t.Context(), plan, "spare", "restore", "", nil)
	if err != nil || r.err != nil || r.counts.Failed != 1 || !strings.Contains(r.actions[0].Detail, "refused") {
		t.Errorf("%+v, %v", r, err)
	}
}
