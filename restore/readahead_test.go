package restore

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"

	"mailsync/manifest"
	"mailsync/scan/budget"
)

// coldFile is a message that is not cached, of a source on a slow disk.
type coldFile struct {
	text []byte
	off  int
	told func(string)
}

func (f *coldFile) Read(p []byte) (int, error) {
	f.told("read")
	n := copy(p, f.text[f.off:])
	f.off += n
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
func (f *coldFile) Close() error                             { return nil }
func (f *coldFile) WillNeed(int64)                           { f.told("ask") }
func (f *coldFile) Cached([]byte, int64) (n int, ok, k bool) { return 0, false, true }

type coldSource struct {
	mu   sync.Mutex
	told []string
}

func (s *coldSource) Open(_ context.Context, a *Action) (io.ReadCloser, error) {
	return &coldFile{text: []byte(a.Detail), told: func(what string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told = append(s.told, what)
	}}, nil
}

// What is not cached is asked for several messages ahead of its reading, so
// that the disk works while earlier ones are read.
func TestColdMessagesAreAskedForAhead(t *testing.T) {
	src := &coldSource{}
	l := &load{ready: make(chan struct{})}
	for n := range loadItems {
		text := body(n)
		l.items = append(l.items, &item{ahead: true, a: Action{
			Op: Add, State: Planned, Detail: text,
			Post: Ground{Size: int64(len(text)), Digest: manifest.BLAKE3.Sum([]byte(text))},
		}})
		l.bytes += len(text) + 1
	}
	f := fetcher{ctx: t.Context(), src: src}
	f.fetch(l)
	for n, it := range l.items {
		if it.readErr != nil || string(it.data) != body(n) {
			t.Fatalf("message %d: %v", n, it.readErr)
		}
	}
	asked, reads := 0, 0
	for _, what := range src.told {
		if what == "ask" {
			asked++
			continue
		}
		// two reads a message: its bytes, and the end
		if k := reads / 2; k > 0 && asked < min(k+ahead, loadItems)-1 {
			t.Fatalf("message %d is read when only %d were asked for: %v", k, asked, src.told)
		}
		reads++
	}
	if asked != loadItems-1 {
		t.Errorf("%d of %d messages were asked for ahead", asked, loadItems)
	}
}

// Messages are read within the budget of the source's disk, which is how a
// sick device is read no faster than it bears.
func TestSourcesAreReadWithinTheirBudget(t *testing.T) {
	w := newWorld(t)
	w.maildir("backup", "a", "")
	w.maildir("primary", "a", "")
	for n := range 40 {
		w.put("backup", "a", "", n, ":2,S")
	}
	set := budget.NewSet(budget.Limits{Readers: 1, BytesPerSec: 1 << 30}, nil)
	site := w.site("backup")
	asked := 0
	var mu sync.Mutex
	site.Disk = func(path string, dev uint64) *budget.Device {
		mu.Lock()
		defer mu.Unlock()
		asked++
		return set.For(path, dev)
	}
	p := w.plan("primary", "backup")
	r, err := w.begin("primary", "restore")
	w.must(err)
	for a, err := range r.Apply(t.Context(), p, BySource{"backup": FromSite(site)}) {
		w.must(err)
		if a.State != Done {
			t.Errorf("%s: %s", a.State, a.Detail)
		}
	}
	w.must(r.End(nil))
	if asked == 0 || r.Counts().Done != 40 {
		t.Errorf("the budget was asked for %d times, %d done", asked, r.Counts().Done)
	}
}

// Loads of every shape carry each action once, in order.
func TestLoadsKeepOrder(t *testing.T) {
	s := &stager{r: &Run{}, ctx: t.Context()}
	var want []string
	actions := func(yield func(Action, error) bool) {
		for n := range 300 {
			a := Action{Op: Add, Detail: fmt.Sprint(n), Post: Ground{Size: int64(n) * 997 % (smallMessage + 5000)}}
			if n%7 == 0 {
				a.Op = Flags
			}
			want = append(want, a.Detail)
			if !yield(a, nil) {
				return
			}
		}
	}
	var got []string
	for l := range s.loads(actions) {
		if len(l.items) > loadItems || l.bytes > loadBytes+smallMessage+1 {
			t.Errorf("a load of %d actions, %d bytes", len(l.items), l.bytes)
		}
		for _, it := range l.items {
			got = append(got, it.a.Detail)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Error("the order has changed")
	}
}
