package scan

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/restore/place/faulty"
)

// killedStore and killedState tell a child process of this test what to scan.
const (
	killedStore = "MAILSYNC_TEST_KILL_STORE"
	killedState = "MAILSYNC_TEST_KILL_STATE"
)

// TestMain makes the test binary a scanner that kills itself, where its parent
// asks for that.
func TestMain(m *testing.M) {
	if store := os.Getenv(killedStore); store != "" {
		scanUntilKilled(store, os.Getenv(killedState))
	}
	os.Exit(m.Run())
}

// scanUntilKilled scans and kills its own process, with no chance to tidy up,
// at the call of the system whose number is in the environment.
func scanUntilKilled(store, state string) {
	var at, n int64
	_, _ = fmt.Sscan(os.Getenv("MAILSYNC_TEST_KILL_AT"), &at)
	j := &faulty.Injector{Hook: func(op, _ string) {
		if op != "store getdents64" {
			return
		}
		if n++; n == at {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	}}
	s, err := New(Config{Name: "primary", Path: store}, Options{Calls: j.Read(), BootID: "boot-1", BootAt: time.Unix(1, 0)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	repo, err := manifest.OpenRepo(state, manifest.RepoOptions{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if _, err := Run(context.Background(), s, repo, RunOptions{Workers: 1}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestKilledScansGoOn kills scans with SIGKILL at many places. The record is
// whole after each, and in the end holds what an undisturbed scan records.
func TestKilledScansGoOn(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	st := newState(t)
	st.estate(12, 4)
	clean := newState(t)
	clean.tree, clean.cfg.Path = st.tree, st.path
	clean.must(RunOptions{})
	want := clean.truth()
	kills := 0
	for at := int64(5); ; at += 37 {
		if at > 2000 {
			t.Fatal("it is killed for ever")
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), killedStore+"="+st.path, killedState+"="+st.dir, fmt.Sprintf("MAILSYNC_TEST_KILL_AT=%d", at))
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		if cmd.ProcessState.Exited() {
			t.Fatalf("%v: %s", err, out)
		}
		kills++
		if _, err := os.Stat(filepath.Join(st.dir, "stores")); err != nil {
			continue // nothing was recorded yet
		}
		for box, rows := range st.truth() {
			if diff := cmp.Diff(want[box], rows); diff != "" {
				t.Fatalf("killed at %d: %s: %s", at, box, diff)
			}
		}
	}
	if kills < 3 {
		t.Fatalf("only %d kills: nothing is proven", kills)
	}
	if diff := cmp.Diff(want, st.truth()); diff != "" {
		t.Error(diff)
	}
	if res, found := st.must(RunOptions{}); !res.Complete() || len(found) != 0 || res.Skipped != 12 {
		t.Errorf("afterwards: %+v %v", res, found)
	}
	t.Logf("%d kills", kills)
}
