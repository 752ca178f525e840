package restore

import (
	"os"
	"strings"
	"testing"
)

// A source that is closed holds nothing of its store.
func TestSourceIsClosed(t *testing.T) {
	w := newWorld(t)
	w.maildir("backup", "a", "")
	w.put("backup", "a", "", 1, ":2,S")
	w.maildir("primary", "a", "")
	w.tune = func(o *PlanOptions) { o.Undecided = RestoreUndecided }
	p := w.plan("primary", "backup")
	defer p.Close()
	src := FromSite(w.site("backup"))
	for _, a := range w.actions(p) {
		if a.Op != Add {
			continue
		}
		m, err := src.Open(t.Context(), &a)
		w.must(err)
		w.must(m.Close())
	}
	held := func() (n int) {
		list, err := os.ReadDir("/proc/self/fd")
		w.must(err)
		for _, e := range list {
			if at, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(at, w.store("backup")) {
				n++
			}
		}
		return n
	}
	if held() == 0 {
		t.Fatal("it holds nothing: the test is broken")
	}
	src.Close()
	if n := held(); n > 0 {
		t.Errorf("%d descriptors are left", n)
	}
}
