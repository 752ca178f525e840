package budget

import (
	"context"
	"sync"
)

// gate is a semaphore whose size can change while it is in use.
type gate struct {
	mu      sync.Mutex
	max     int
	now     int // the limit in force, at most max
	used    int
	waiters []chan struct{} // first come, first served
}

func (g *gate) setMax(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.max, g.now = n, n
	g.wake()
}

func (g *gate) setLimit(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = min(max(n, 1), g.max)
	g.wake()
}

func (g *gate) limit() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

func (g *gate) acquire(ctx context.Context) error {
	g.mu.Lock()
	if g.used < g.now && len(g.waiters) == 0 {
		g.used++
		g.mu.Unlock()
		return nil
	}
	ch := make(chan struct{})
	g.waiters = append(g.waiters, ch)
	g.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, w := range g.waiters {
		if w == ch {
			g.waiters = append(g.waiters[:i], g.waiters[i+1:]...)
			return context.Cause(ctx)
		}
	}
	// It was ours already when the context ended: pass it on.
	g.used--
	g.wake()
	return context.Cause(ctx)
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used--
	g.wake()
}

// wake lets waiters in. The caller holds the lock.
func (g *gate) wake() {
	for g.used < g.now && len(g.waiters) > 0 {
		close(g.waiters[0])
		g.waiters = g.waiters[1:]
		g.used++
	}
}
