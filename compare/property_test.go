package compare_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mailsync/compare"
	"mailsync/compare/comparetest"
	"mailsync/manifest"
)

// drawMessages draws a mailbox in which names and contents repeat and collide.
func drawMessages(t *rapid.T, label string) []msg {
	n := rapid.IntRange(0, 12).Draw(t, label+" messages")
	seen := map[string]bool{}
	var out []msg
	for i := range n {
		m := msg{
			Folder: rapid.SampledFrom([]string{"INBOX", "Sent", "Trash"}).Draw(t, "folder"),
			Name:   rapid.SampledFrom([]string{"1.a", "2.b", "3.c", "4.d", "1.a.1"}).Draw(t, "name") + rapid.SampledFrom([]string{"", ":2,", ":2,S", ":2,FS"}).Draw(t, "info"),
			Body:   rapid.SampledFrom([]string{"x", "y", "z", "long"}).Draw(t, "body"),
			New:    rapid.Bool().Draw(t, "new"),
			Header: rapid.SampledFrom([]string{"", "h1", "h2"}).Draw(t, "header"),
			Inode:  uint64(i + 1),
		}
		switch rapid.IntRange(0, 9).Draw(t, "state") {
		case 0:
			m.Damage = manifest.Truncated
		case 1:
			m.Damage, m.Good = manifest.ContentChanged, rapid.SampledFrom([]string{"x", "y", "q"}).Draw(t, "good")
		case 2:
			m.Unread = true
		case 3:
			m.Status, m.Damage = manifest.Suspect, manifest.NULTail
		}
		key := fmt.Sprint(m.Folder, m.New, m.Name)
		if seen[key] {
			continue
		}
		seen[key] = true
		out = append(out, m)
	}
	return out
}

func drawStores(t *rapid.T) []*store {
	n := rapid.IntRange(2, 4).Draw(t, "stores")
	out := make([]*store, n)
	for i := range out {
		out[i] = comparetest.New(string(rune('a' + i)))
		out[i].Add("m", drawMessages(t, out[i].Meta.Name)...)
		// Nobody looks again: the fakes would find a name's other holder.
		out[i].Now = map[manifest.Ref]compare.Presence{}
	}
	return out
}

func still(stores []*store, order []int) []compare.Side {
	out := make([]compare.Side, 0, len(order))
	for _, i := range order {
		out = append(out, compare.Side{Source: stores[i]})
	}
	return out
}

func identity(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// all returns every copy that a comparison puts into a group, a side.
func all(t testing.TB, list []compare.Side) [][]string {
	t.Helper()
	out := make([][]string, len(list))
	for _, g := range groups(t, compare.Options{}, list...) {
		for i := range g.Copies {
			if e := g.Copies[i].Entry; e != nil {
				out[i] = append(out[i], e.Folder+"/"+e.File())
			}
		}
	}
	for i := range out {
		slices.Sort(out[i])
	}
	return out
}

// Matching is a partition: every message of every store lies in exactly one
// group. An extra, empty store keeps every group in the output.
func TestMatchIsAPartition(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		stores := drawStores(rt)
		empty := comparetest.New("empty")
		list := append(still(stores, identity(len(stores))), compare.Side{Source: empty})
		got := all(t, list)
		for i, s := range stores {
			want := []string(nil)
			for _, e := range s.Boxes["m"].All() {
				want = append(want, e.Folder+"/"+e.File())
			}
			slices.Sort(want)
			if d := cmp.Diff(want, got[i]); d != "" {
				rt.Fatalf("store %s (-has +grouped):\n%s", s.Meta.Name, d)
			}
		}
	})
}

// shape makes a line that does not depend on the order of the sides.
func shape(d *compare.Difference, order []int) string {
	parts := make([]string, len(order))
	for i, s := range order {
		parts[s] = side(&d.Copies[i])
	}
	good := make([]int, 0, len(d.Good))
	for _, i := range d.Good {
		good = append(good, order[i])
	}
	slices.Sort(good)
	return fmt.Sprintf("%s [%s] %v", d.Kind, strings.Join(parts, " "), good)
}

// The order in which stores are named changes nothing but the order of columns.
func TestDiffIsSymmetric(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		stores := drawStores(rt)
		straight := identity(len(stores))
		turned := rapid.Permutation(straight).Draw(rt, "order")
		shapes := func(order []int) []string {
			lines, _ := diff(t, compare.Options{}, still(stores, order)...)
			out := []string{}
			for i := range lines {
				out = append(out, shape(&lines[i], order))
			}
			slices.Sort(out)
			return out
		}
		if d := cmp.Diff(shapes(straight), shapes(turned)); d != "" {
			rt.Fatalf("(-as drawn +turned):\n%s", d)
		}
	})
}

// The same stores give the same lines, sorted by folder and file.
func TestDiffIsDeterministicAndSorted(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		stores := drawStores(rt)
		order := identity(len(stores))
		one, _ := diff(t, compare.Options{Workers: 3}, still(stores, order)...)
		two, _ := diff(t, compare.Options{Workers: 1}, still(stores, order)...)
		if d := cmp.Diff(texts(one), texts(two)); d != "" {
			rt.Fatal(d)
		}
		for i := 1; i < len(one); i++ {
			a, b := &one[i-1], &one[i]
			if a.Folder > b.Folder || a.Folder == b.Folder && a.File > b.File {
				rt.Fatalf("%s after %s", text(b), text(a))
			}
		}
	})
}

// Equal stores give no difference, whatever the names of their files.
func TestEqualStoresWhateverTheNames(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := comparetest.New("a"), comparetest.New("b")
		var x, y []msg
		n := rapid.IntRange(0, 15).Draw(rt, "messages")
		names := rapid.Permutation(identity(n)).Draw(rt, "names")
		for i := range n {
			m := msg{
				Folder: rapid.SampledFrom([]string{"INBOX", "Sent"}).Draw(rt, "folder"),
				Body:   rapid.SampledFrom([]string{"x", "y", "z"}).Draw(rt, "body"),
				Name:   fmt.Sprintf("%d.a:2,S", i), Inode: uint64(i + 1),
			}
			x = append(x, m)
			m.Inode += 1000
			if rapid.Bool().Draw(rt, "renamed") {
				m.Name = fmt.Sprintf("%d.z:2,S", names[i])
			}
			y = append(y, m)
		}
		a.Add("m", x...)
		b.Add("m", y...)
		for _, f := range []string{"INBOX", "Sent"} {
			for _, s := range []*store{a, b} {
				box := s.Boxes["m"]
				box.Mailbox.Folders = append(box.Mailbox.Folders, manifest.Folder{Name: f})
			}
		}
		lines, r := diff(t, compare.Options{}, sides(a, b)...)
		if len(lines) > 0 || len(r.Partial) > 0 || r.Messages != int64(n) {
			rt.Fatalf("%v %v %d messages of %d", texts(lines), r.Partial, r.Messages, n)
		}
	})
}

// Two stores differ by as many messages as their multisets of contents do.
func TestMultisets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := comparetest.New("a"), comparetest.New("b")
		count := map[string]int{}
		for k, s := range []*store{a, b} {
			var list []msg
			for i := range rapid.IntRange(0, 15).Draw(rt, "messages") {
				body := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(rt, "body")
				folder := rapid.SampledFrom([]string{"INBOX", "Sent"}).Draw(rt, "folder")
				count[body] += 1 - 2*k
				list = append(list, msg{Folder: folder, Name: fmt.Sprintf("%d.%d", i, k), Body: body, Inode: uint64(i + 1)})
			}
			s.Add("m", list...).Mailbox.Folders = []manifest.Folder{{Name: "Sent"}}
		}
		lines, _ := diff(t, compare.Options{}, sides(a, b)...)
		want := 0
		for _, n := range count {
			want += max(n, -n)
		}
		if got := kinds(lines)[compare.Missing]; got != want {
			rt.Fatalf("%d missing, want %d: %v", got, want, texts(lines))
		}
	})
}

// Good copies are never called damaged; what is undecided has no good copy; and
// no verdict calls a proven damaged copy good.
func TestVerdictsAreConsistent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		stores := drawStores(rt)
		for _, g := range groups(t, compare.Options{}, still(stores, identity(len(stores)))...) {
			for _, i := range g.Good {
				e := g.Copies[i].Entry
				if e == nil || e.Status == manifest.Damaged || e.Status == manifest.Unread || slices.Contains(g.Damaged, i) {
					rt.Fatalf("good: %+v in %+v", e, g.Verdict)
				}
			}
			for i := range g.Copies {
				e := g.Copies[i].Entry
				if e != nil && e.Status == manifest.Damaged && !slices.Contains(g.Damaged, i) {
					rt.Fatalf("proven damaged and not said: %+v", g.Verdict)
				}
			}
			if g.Basis == compare.Undecided && len(g.Good) > 0 {
				rt.Fatalf("undecided with a good copy: %+v", g.Verdict)
			}
		}
	})
}
