package message

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/cpu"
	"pgregory.net/rapid"

	"mailsync/manifest"
)

// Sizes at which a chunk, a group or a subtree ends, and their neighbours.
func TestBLAKE3IsBLAKE3(t *testing.T) {
	t.Parallel()
	p := make([]byte, 40*groupSize+5)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(p)
	for _, wide := range []bool{false, cpu.X86.HasAVX512F} {
		h := newBLAKE3()
		h.wide = wide
		check := func(how string, p []byte) {
			t.Helper()
			var got [32]byte
			if h.sum(got[:0]); got != manifest.BLAKE3.Sum(p).Sum {
				t.Errorf("%d bytes %s, AVX-512 %v: another digest", len(p), how, wide)
			}
		}
		for _, unit := range []int{64, 1024, 8192, groupSize, 2 * groupSize, 3 * groupSize, 4 * groupSize, 7 * groupSize, 8 * groupSize, 32 * groupSize} {
			for _, d := range []int{-1025, -1024, -1, 0, 1, 63, 64, 1024, 1025, 5000} {
				n := unit + d
				if n < 0 {
					continue
				}
				h.reset()
				h.write(p[:n])
				check("at once", p[:n])
				h.reset()
				h.write(p[:n/3])
				h.write(nil)
				h.write(p[n/3 : n])
				check("in two pieces", p[:n])
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		h := newBLAKE3()
		n := rapid.IntRange(0, len(p)).Draw(t, "size")
		for rest := p[:n]; len(rest) > 0; {
			k := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			h.write(rest[:k])
			rest = rest[k:]
		}
		var got [32]byte
		if h.sum(got[:0]); got != manifest.BLAKE3.Sum(p[:n]).Sum {
			t.Fatalf("%d bytes in pieces: another digest", n)
		}
	})
}

func BenchmarkBLAKE3(b *testing.B) {
	for _, n := range []int{2 << 10, 8 << 10, 16 << 10, 24 << 10, 50 << 10, 256 << 10} {
		p := make([]byte, n)
		for _, wide := range []bool{false, cpu.X86.HasAVX512F} {
			b.Run(fmt.Sprintf("size=%dk/avx512=%v", n>>10, wide), func(b *testing.B) {
				h := newBLAKE3()
				h.wide = wide
				var sum [32]byte
				b.SetBytes(int64(n))
				for b.Loop() {
					h.reset()
					h.write(p)
					h.sum(sum[:0])
				}
			})
		}
	}
}
