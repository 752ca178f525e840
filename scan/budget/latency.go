package budget

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts durations in buckets of powers of two microseconds. It is
// safe for use by several goroutines.
type Histogram struct {
	buckets [32]atomic.Int64
}

func (h *Histogram) add(d time.Duration) {
	i := min(bits.Len64(uint64(max(d.Microseconds(), 0))), len(h.buckets)-1)
	h.buckets[i].Add(1)
}

// Count returns how many durations were added.
func (h *Histogram) Count() int64 {
	var n int64
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}

// Quantile returns an upper bound of the duration below which the share q of
// all durations lies, exact to a factor of two. It is 0 of none.
func (h *Histogram) Quantile(q float64) time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	want := int64(q*float64(n) + 0.5)
	var seen int64
	for i := range h.buckets {
		seen += h.buckets[i].Load()
		if seen >= want && seen > 0 {
			return time.Duration(uint64(1)<<i) * time.Microsecond
		}
	}
	return time.Duration(uint64(1)<<len(h.buckets)) * time.Microsecond
}
