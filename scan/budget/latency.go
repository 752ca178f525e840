package budget

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Histogram counts durations in buckets of powers of two microseconds. It is
// safe for use by several goroutines.
type Histogram struct {
	buckets [32]atomic.Int64
	sum     atomic.Int64
}

func (h *Histogram) add(d time.Duration) {
	i := min(bits.Len64(uint64(max(d.Microseconds(), 0))), len(h.buckets)-1)
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// Count returns how many durations were added.
func (h *Histogram) Count() int64 {
	var n int64
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}

// Mean returns the mean duration, 0 of none.
func (h *Histogram) Mean() time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	return time.Duration(h.sum.Load() / n)
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

// window is how many reads are looked at before the pace changes.
const window = 64

// pace decides how many readers are right: one step up for each window in
// which reads were fast enough, a third off for each in which they were not.
type pace struct {
	mu      sync.Mutex
	target  atomic.Int64 // nanoseconds; 0 = off
	max     int
	now     int
	seen    int
	slow    int
	lowered atomic.Int64
}

func (p *pace) set(target time.Duration, readers int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target.Store(int64(target))
	p.max, p.now, p.seen, p.slow = readers, readers, 0, 0
}

// observe returns the number of readers that is right after one more read.
func (p *pace) observe(took time.Duration) (n int, changed bool) {
	target := p.target.Load()
	if target == 0 {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen++
	if int64(took) > target {
		p.slow++
	}
	if p.seen < window {
		return 0, false
	}
	slow := p.slow*10 > p.seen
	p.seen, p.slow = 0, 0
	old := p.now
	if slow {
		p.now = max(1, p.now*2/3)
		p.lowered.Add(1)
	} else {
		p.now = min(p.max, p.now+1)
	}
	return p.now, p.now != old
}
