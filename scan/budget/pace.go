package budget

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// window is how many reads are looked at before the pace changes.
	window = 64
	// calm is the share of a window's reads that may be slow.
	calm = 0.1
	// longest bounds how long a single reader rests after a read, as a
	// multiple of what the read took.
	longest = 16
)

// pace decides how hard a device may be read: additive increase,
// multiplicative decrease. One reader more for each window in which reads were
// fast enough, a third fewer for each in which they were not. Where a single
// reader is still too much it rests after each read, twice as long with each
// slow window.
type pace struct {
	target  atomic.Int64 // nanoseconds; 0 = off
	lowered atomic.Int64
	rested  atomic.Int64 // nanoseconds

	mu   sync.Mutex
	max  int
	now  int
	rest int // of a single reader: multiples of a read's own time
	seen int
	slow int
}

func (p *pace) set(target time.Duration, readers int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target.Store(int64(target))
	p.max, p.now, p.rest, p.seen, p.slow = readers, readers, 0, 0, 0
}

// observe takes one more read into account. It returns how long the reader is
// to rest, and at the end of a window the number of readers that is right from
// now on, else 0. crowded says, asked once a window, that others wait for the
// disks although we do not.
func (p *pace) observe(took time.Duration, crowded func() bool) (rest time.Duration, readers int) {
	target := p.target.Load()
	if target == 0 {
		return 0, 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen++
	if int64(took) > target {
		p.slow++
	}
	if p.seen >= window {
		slow := float64(p.slow) > calm*float64(p.seen) || crowded()
		p.seen, p.slow = 0, 0
		readers = p.step(slow)
	}
	if p.now > 1 || p.rest == 0 {
		return 0, readers
	}
	// A read that took a minute is no measure of how long to rest.
	rest = min(took, 4*time.Duration(target)) * time.Duration(p.rest)
	p.rested.Add(int64(rest))
	return rest, readers
}

func (p *pace) step(slow bool) int {
	switch {
	case !slow && p.rest > 0:
		p.rest /= 2
	case !slow:
		p.now = min(p.max, p.now+1)
	case p.now > 1:
		p.now = max(1, p.now*2/3)
		p.lowered.Add(1)
	default:
		p.rest = min(longest, max(1, 2*p.rest))
		p.lowered.Add(1)
	}
	return p.now
}
