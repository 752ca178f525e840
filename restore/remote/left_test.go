package remote_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"mailsync/restore"
	"mailsync/restore/remote"
)

// What a run that died there has left under a temporary name is told with a plan,
// and removed by a run that has nothing else to do.
func TestLeftThere(t *testing.T) {
	e := newEstate(t)
	e.far.put("spare", "a", 0, ":2,S")
	e.near.put("backup", "a", 0, ":2,S")
	run, _, err := e.far.Begin(t.Context(), &remote.RunOptions{Target: remote.Spec{Path: "spare"}, Command: "replay"})
	e.far.must(err)
	for _, err := range run.Deliver(t.Context(), []restore.Action{delivery(1)}, restore.BySource{"archive": texts{}}) {
		e.far.must(err)
	}
	journals, err := filepath.Glob(filepath.Join(e.far.state(), "runs", run.ID(), "*"))
	e.far.must(err)
	dead := run.ID()[:len(run.ID())-8] + "ffffffff" // begun right after it
	e.far.must(os.Mkdir(filepath.Join(e.far.state(), "runs", dead), 0o700))
	for _, j := range journals { // a journal without an end
		p, err := os.ReadFile(j)
		e.far.must(err)
		e.far.must(os.WriteFile(filepath.Join(e.far.state(), "runs", dead, filepath.Base(j)), p, 0o600))
	}
	e.far.must(run.End(nil))
	left := e.far.path("spare", "a", "tmp", "mailsync."+dead+".1")
	e.far.must(os.WriteFile(left, []byte("half a mess"), 0o600))

	ask := func() *remote.Planned {
		t.Helper()
		served, err := e.near.served("backup")
		e.near.must(err)
		offer, err := e.p.Offer(served)
		e.near.must(err)
		defer offer.Close()
		plan, err := e.p.Plan(t.Context(), &remote.Restoration{
			Target: remote.Spec{Name: "far:spare", Path: "spare"}, Sources: []remote.Side{{Name: "backup", Offered: offer}},
			Header: restore.PlanHeader{Command: "restore"}, Writes: true,
		}, nil)
		e.far.must(err)
		e.far.must(plan.Close())
		return plan
	}
	if plan := ask(); plan.Forecast().Work() || !plan.Left {
		t.Fatalf("work %t, left %t", plan.Forecast().Work(), plan.Left)
	}
	far, err := e.p.Begin(t.Context(), &remote.RunOptions{Target: remote.Spec{Path: "spare"}, Command: "restore"})
	e.far.must(err)
	e.far.must(far.End(nil))
	if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if ask().Left {
		t.Error("it is told again")
	}
}
