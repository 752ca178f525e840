package restore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"mailsync/restore/place"
)

// manyFolders makes a backup whose folders have keywords, UID lists and
// subscriptions, and a target that has lost all their messages, or everything.
func manyFolders(w *world, folders int, empty bool) {
	subs := "V\t2\n\n"
	for n := range folders {
		dir := ""
		if n > 0 {
			dir = fmt.Sprintf(".F%d", n)
			subs += dir[1:] + "\n"
		}
		p := w.maildir("backup", "a", dir)
		w.write(p+"/dovecot-keywords", "0 Work\n1 Private\n2 Later\n", epoch)
		uids := fmt.Sprintf("3 V17%08d N4 G%032x\n", n, n)
		for m, letter := range []string{"a", "b", "c"} {
			w.put("backup", "a", dir, 3*n+m, ":2,S"+letter)
			uids += fmt.Sprintf("%d :%s\n", m+1, msgName(3*n+m))
		}
		w.write(p+"/dovecot-uidlist", uids, epoch)
		if empty {
			continue
		}
		q := w.maildir("primary", "a", dir)
		w.write(q+"/dovecot-keywords", "0 Own\n", epoch)
		w.write(q+"/dovecot-uidlist", fmt.Sprintf("3 V17%08d N4 G%032x\n", n, n), epoch)
	}
	w.write(w.path("backup", "a", "subscriptions"), subs, epoch)
	if empty {
		w.must(os.MkdirAll(w.store("primary"), 0o700))
	}
	w.tune = func(o *PlanOptions) { o.Undecided = RestoreUndecided }
}

// fsyncs counts the syncs of single files and directories on the store.
func fsyncs(w *world) *atomic.Int64 {
	var n atomic.Int64
	real := place.System()
	calls := real
	calls.Fsync = func(fd int) error {
		n.Add(1)
		return real.Fsync(fd)
	}
	w.calls = &calls
	return &n
}

// batches skips a test where the test's file system has no barrier.
func (w *world) batches(t *testing.T) {
	t.Helper()
	o, err := newOpener(w.site("backup"))
	w.must(err)
	defer o.Close()
	d, err := o.disks.Of(o.store)
	w.must(err)
	if !d.Batches {
		t.Skip("syncfs(2) is not trusted on this file system")
	}
}

// What a restore syncs does not grow with the folders: their tables, lists,
// locks and directories become durable by the batch's barrier.
func TestFsyncsDoNotGrowWithFolders(t *testing.T) {
	for _, empty := range []bool{false, true} {
		t.Run(fmt.Sprintf("empty=%v", empty), func(t *testing.T) {
			count := func(folders int) int64 {
				w := newWorld(t)
				manyFolders(w, folders, empty)
				w.batches(t)
				n := fsyncs(w)
				w.restore("primary", "backup")
				w.noLeftovers("primary")
				for f := range folders {
					dir := ""
					if f > 0 {
						dir = fmt.Sprintf(".F%d", f)
					}
					table := "0 Own\n1 Work\n2 Private\n3 Later\n"
					letters := "bcd"
					if empty {
						table, letters = "0 Work\n1 Private\n2 Later\n", "abc"
					}
					got, err := os.ReadFile(w.path("primary", "a", dir, "dovecot-keywords"))
					if err != nil || string(got) != table {
						t.Errorf("the table of folder %q is %q (%v), want %q", dir, got, err, table)
					}
					for m := range 3 {
						if _, err := os.Stat(w.path("primary", "a", dir, "cur", msgName(3*f+m)+":2,S"+letters[m:m+1])); err != nil {
							t.Error(err)
						}
					}
				}
				return n.Load()
			}
			few, many := count(3), count(30)
			if many > few {
				t.Errorf("%d fsyncs for 3 folders, %d for 30", few, many)
			}
			t.Logf("%d fsyncs", many)
		})
	}
}

// A server that changes the keyword table or the subscriptions after they were
// drafted, and before they get their names, loses nothing: its letters stay,
// ours come behind.
func TestServerIsFasterThanADraft(t *testing.T) {
	w := newWorld(t)
	manyFolders(w, 2, false)
	w.batches(t)
	real := place.System()
	calls := real
	var once atomic.Bool
	calls.Syncfs = func(fd int) error {
		if once.CompareAndSwap(false, true) {
			drafts, err := filepath.Glob(w.path("primary", "a", tempPrefix+"*"))
			w.must(err)
			if len(drafts) == 0 {
				t.Error("nothing was drafted: the test is broken")
			}
			w.write(w.path("primary", "a", "dovecot-keywords"), "0 Own\n1 Late\n", epoch)
			w.write(w.path("primary", "a", "subscriptions"), "V\t2\n\nMine\n", epoch)
		}
		return real.Syncfs(fd)
	}
	w.calls = &calls
	w.restore("primary", "backup")
	w.noLeftovers("primary")
	for file, want := range map[string]string{
		"dovecot-keywords":     "0 Own\n1 Late\n2 Work\n3 Private\n4 Later\n",
		".F1/dovecot-keywords": "0 Own\n1 Work\n2 Private\n3 Later\n",
	} {
		got, err := os.ReadFile(w.path("primary", "a", file))
		if err != nil || string(got) != want {
			t.Errorf("%s is %q (%v), want %q", file, got, err, want)
		}
	}
	got, err := os.ReadFile(w.path("primary", "a", "subscriptions"))
	if err != nil || !strings.Contains(string(got), "Mine\n") || !strings.Contains(string(got), "F1\n") {
		t.Errorf("subscriptions are %q (%v)", got, err)
	}
	for m, letter := range []string{"c", "d", "e"} {
		if _, err := os.Stat(w.path("primary", "a", "cur", msgName(m)+":2,S"+letter)); err != nil {
			t.Error(err)
		}
	}
}

// Where not all new keywords find a letter, those of the first messages do,
// and none goes beyond the 26.
func TestDraftNeverExceedsTheLetters(t *testing.T) {
	w := newWorld(t)
	manyFolders(w, 1, false)
	var table strings.Builder
	for n := range 25 {
		fmt.Fprintf(&table, "%d K%d\n", n, n)
	}
	w.write(w.path("primary", "a", "dovecot-keywords"), table.String(), epoch)
	res := w.restore("primary", "backup")
	w.noLeftovers("primary")
	got, err := os.ReadFile(w.path("primary", "a", "dovecot-keywords"))
	if want := table.String() + "25 Work\n"; err != nil || string(got) != want {
		t.Errorf("the table is %q (%v), want %q", got, err, want)
	}
	without := 0
	for _, a := range res.actions {
		if a.Op == Add && strings.Contains(a.Detail, "found no letter") {
			without++
		}
	}
	if without != 2 {
		t.Errorf("%d messages are told to be without their keyword, want 2", without)
	}
}
