package manifest

import (
	"bytes"
	"fmt"
	"io"
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
