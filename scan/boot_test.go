package scan

import (
	"fmt"
	"testing"
	"time"

	"mailsync/manifest"
)

// TestCleanStop: stamps are trusted over a reboot only where the stop before it
// was recorded, and nothing lies between that nobody vouches for.
func TestCleanStop(t *testing.T) {
	boots := 1
	boot := func(st *state) {
		boots++
		st.clock.d += time.Minute
		st.opt.BootID, st.opt.BootAt = fmt.Sprintf("boot-%d", boots), st.clock.now()
		st.clock.d += time.Minute
	}
	key := func(st *state) string { return manifest.StoreKey("", st.path) }
	stop := func(st *state) {
		st.check(st.repo().Stopped(key(st), manifest.Stop{BootID: st.opt.BootID, At: st.clock.now()}))
	}
	start := func(st *state) {
		_, err := st.repo().Started(key(st), st.opt.BootID, func(rec manifest.StoreRecord) bool {
			return Crashed(&rec, st.opt.BootID, st.opt.BootAt)
		})
		st.check(err)
	}
	scan := func(st *state) { st.must(RunOptions{}) }
	later := func(st *state) { st.clock.d += 3 * time.Hour }
	type step = func(*state)
	for _, c := range []struct {
		name    string
		steps   []step
		crashed bool
	}{
		{"no stop", []step{boot}, true},
		{"stopped", []step{stop, boot}, false},
		{"stopped, and started by the unit", []step{stop, boot, start}, false},
		{"started, and nobody stopped it", []step{boot, start}, true},
		{"scanned after the stop", []step{stop, scan, boot}, true},
		{"stopped, and it ran on", []step{stop, later, boot}, true},
		{"the stop of an earlier boot", []step{stop, boot, scan, boot}, true},
		{"twice", []step{stop, boot, start, stop, boot, start}, false},
		{"twice, with a scan", []step{stop, boot, scan, stop, boot}, false},
		{"a crash after a clean start", []step{stop, boot, start, boot}, true},
		{"a crash, and then a clean stop", []step{boot, start, stop, boot, start}, true},
		{"a boot that nobody recorded", []step{stop, boot, later, boot}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			boots = 1
			st := newState(t)
			st.estate(2, 3)
			st.must(RunOptions{})
			for _, s := range c.steps {
				s(st)
			}
			res, found := st.must(RunOptions{})
			if res.Crashed != c.crashed || (res.Skipped == 2) == c.crashed || len(found) != 0 {
				t.Errorf("%+v %v", res, found)
			}
			if res, _ = st.must(RunOptions{}); res.Crashed || res.Skipped != 2 {
				t.Errorf("the next scan of the same boot: %+v", res)
			}
		})
	}
}
