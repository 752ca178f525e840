//go:build hostile

package hostile

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/cmd/internal/sample"
)

// A user swaps a directory of his mailbox for a symlink to somewhere else, as
// fast as he can, while commands run. Nothing outside is read, and nothing is
// written there.
func TestSwappedDirectories(t *testing.T) {
	for _, sub := range []string{"cur", "tmp", "new"} {
		t.Run(sub, func(t *testing.T) {
			g := newGround(t, sample.Options{Seed: 2, Mailboxes: 2, PerMailbox: 60})
			g.once([]int{0}, "scan", g.store())
			g.once([]int{0}, "scan", g.replica())
			for i, m := range g.e.Boxes[0].Folders[0].Messages {
				if i%2 == 0 {
					must(t, os.Remove(m.Path(g.store())))
				}
			}
			other := g.inbox(sub + ".other")
			must(t, os.Symlink(g.path("outside", "cur"), other))
			ctx, stop := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			swaps := 0
			wg.Go(func() {
				for ctx.Err() == nil {
					if unix.Renameat2(unix.AT_FDCWD, g.inbox(sub), unix.AT_FDCWD, other, unix.RENAME_EXCHANGE) == nil {
						swaps++
					}
				}
			})
			for began := time.Now(); time.Since(began) < time.Duration(size(6, 2))*time.Second; {
				g.once(nil, "scan", g.store())
				g.once(nil, "verify", g.store())
				g.once(nil, "restore", g.store(), "--from", g.replica(), "--undecided", "restore", "--yes")
			}
			stop()
			wg.Wait()
			t.Logf("%d swaps", swaps)
			if swaps < 1000 {
				t.Error("too few swaps to prove anything")
			}
			g.safe()
			g.noLeak("state")
			// at rest again, everything comes back
			if fi, err := os.Lstat(g.inbox(sub)); err == nil && fi.Mode()&os.ModeSymlink != 0 {
				must(t, unix.Renameat2(unix.AT_FDCWD, g.inbox(sub), unix.AT_FDCWD, other, unix.RENAME_EXCHANGE))
			}
			must(t, os.Remove(other))
			g.once([]int{0, 1}, "restore", g.store(), "--from", g.replica(), "--undecided", "restore", "--yes")
			for _, bad := range g.e.Check(g.store()) {
				t.Errorf("in the end: %s", bad)
			}
		})
	}
}
