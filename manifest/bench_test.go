package manifest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"
)

func BenchmarkWriter(b *testing.B) {
	for _, n := range []int{1, 100, 10_000, 200_000} {
		b.Run(fmt.Sprintf("messages=%d", n), func(b *testing.B) {
			mb, list := sample("anna", n, 1)
			b.ReportAllocs()
			size := int64(0)
			for b.Loop() {
				c := &counter{}
				w, err := NewWriter(c, mb)
				if err != nil {
					b.Fatal(err)
				}
				for i := range list {
					if err := w.Add(&list[i]); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
				size = c.n
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
			b.ReportMetric(float64(size)/float64(n), "B/message")
		})
	}
}

func BenchmarkReader(b *testing.B) {
	for _, n := range []int{1, 100, 10_000, 200_000} {
		b.Run(fmt.Sprintf("messages=%d", n), func(b *testing.B) {
			mb, list := sample("anna", n, 1)
			data := encode(b, mb, list, nil)
			b.ReportAllocs()
			for b.Loop() {
				r, err := NewReader(bytes.NewReader(data))
				if err != nil {
					b.Fatal(err)
				}
				if err := r.EachEntry(func(*Entry) bool { return true }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
		})
	}
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

var _ io.Writer = (*counter)(nil)

// BenchmarkSession records many small mailboxes: the cost of everything but
// reading mail.
func BenchmarkSession(b *testing.B) {
	for _, boxes := range []int{2_000, 20_000} {
		for _, look := range []string{"first", "unchanged"} {
			b.Run(fmt.Sprintf("mailboxes=%d/messages=1/look=%s", boxes, look), func(b *testing.B) {
				mb, list := sample("x", 1, 1)
				names := make([]string, boxes)
				for i := range names {
					names[i] = fmt.Sprintf("user%07d@example.org", i)
				}
				slices.SortFunc(names, CompareMailboxes)
				dir := b.TempDir()
				round := 0
				record := func(id Identity, keep bool) {
					r, err := OpenRepo(dir, RepoOptions{})
					must(b, err)
					s, err := r.Begin(id, SessionOptions{})
					must(b, err)
					known := map[string]bool{}
					for h, err := range s.Store().Heads(b.Context()) {
						must(b, err)
						known[h.Name] = true
					}
					for _, n := range names {
						if keep && known[n] {
							must(b, s.Keep(n))
							continue
						}
						d, err := s.Create(n)
						must(b, err)
						must(b, d.Add(&list[0]))
						m := *mb
						m.Name = n
						must(b, d.Commit(&m, Extra{Watch: make([]byte, 100)}))
					}
					must(b, s.Finish(true))
				}
				if look == "unchanged" {
					record(Identity{Path: "/0"}, false)
				}
				for b.Loop() {
					if look == "first" {
						round++
						record(Identity{Path: fmt.Sprint("/", round)}, false)
					} else {
						record(Identity{Path: "/0"}, true)
					}
				}
				b.ReportMetric(float64(b.N*boxes)/b.Elapsed().Seconds(), "mailboxes/s")
			})
		}
	}
}
