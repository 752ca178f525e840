//go:build ssh

package ssh

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailsync/cmd/internal/link"
)

// emptyBox makes a mailbox without messages.
func (l *lab) emptyBox(parts ...string) {
	l.t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		l.must(os.MkdirAll(l.path(append(parts, sub)...), 0o700))
	}
}

// told are the files of which the lines of a run say that they are done.
func (l *lab) told(out string) (files []string) {
	l.t.Helper()
	in := bufio.NewScanner(strings.NewReader(out))
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var a struct{ Type, Op, State, Mailbox, File string }
		if json.Unmarshal(in.Bytes(), &a) == nil && a.Type == "action" && a.Op == "add" && a.State == "done" {
			files = append(files, filepath.Join(a.Mailbox, a.File))
		}
	}
	return files
}

// A target over a real ssh: planned, applied, listed, undone; a store beside it
// and one of this host give the same.
func TestTargetOverSSH(t *testing.T) {
	l := newLab(t, "--restrict-to $DIR/far-stores")
	l.fill("a", 5, 20, 4000)
	l.must(os.Mkdir(l.path("far-stores"), 0o700))
	l.copyTree("a", "far-stores/beside")
	l.emptyBox("far-stores", "b", "u0000")
	ssh := l.over(link.Relay{})
	target := l.far("far-stores/b")
	for _, from := range []string{l.path("a"), l.far("far-stores/beside")} {
		restore := []string{"restore", target, "--from", from, "--ssh", ssh, "--undecided", "restore"}
		l.mailsync(1, append(restore, "--dry-run")...)
		l.mailsync(1, append(restore, "--plan", l.path("plan"))...)
		if n := l.messages("far-stores/b"); n != 0 {
			t.Fatalf("%d messages after a dry run and a plan", n)
		}
		l.mailsync(0, append(restore, "--yes")...)
		l.mailsync(0, "diff", l.path("a"), target, "--ssh", ssh)
		if out := l.mailsync(0, "runs", "--ssh", ssh); !strings.Contains(out, "undo") {
			t.Errorf("runs:\n%s", out)
		}
		l.mailsync(0, "undo", "last", "--ssh", ssh, "--yes")
		if n := l.messages("far-stores/b"); n != 0 {
			t.Fatalf("%d messages after undo", n)
		}
	}
	if _, err := os.Stat(l.path("near", "runs")); err == nil {
		t.Error("a journal of this host")
	}
}

// A forced command that is read-only, or has another directory, lets nothing be
// written.
func TestTargetRefused(t *testing.T) {
	for name, serve := range map[string]string{"read-only": "--restrict-to $DIR/b --read-only", "elsewhere": "--restrict-to $DIR/c"} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, serve)
			l.fill("a", 1, 3, 500)
			l.emptyBox("b", "u0000")
			l.emptyBox("c", "u0000")
			l.must(os.Symlink(l.path("b"), l.path("c", "link")))
			ssh := l.over(link.Relay{})
			for _, target := range []string{"b", "c/../b", "c/link"} {
				out := l.mailsync(77, "restore", "spare1:"+l.dir+"/"+target, "--from", l.path("a"), "--ssh", ssh, "--undecided", "restore", "--yes")
				if !strings.Contains(out, "refused") {
					t.Errorf("%s: %s", target, out)
				}
			}
			if n := l.messages("b"); n != 0 {
				t.Errorf("%d messages", n)
			}
		})
	}
}

// Either side is killed, or the link is cut, in the middle of a restore into a
// store of the other host: what was told as done is there, and the same command
// goes on, loses nothing and doubles nothing.
func TestTargetKilled(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		code int
	}{
		"serve":  {"serve.pid", 3},
		"caller": {"call.pid", 128 + 9},
		"cut":    {"", 3},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "--restrict-to $DIR/b")
			l.fill("a", 30, 50, 400) // three batches
			restore := func(code int, store string, k link.Relay) string {
				t.Helper()
				return l.mailsync(code, "restore", l.far("b/"+store), "--from", l.path("a"), "--undecided", "restore", "--yes", "--json", "--ssh", l.over(k))
			}
			l.emptyBox("b", "whole", "u0000")
			restore(0, "whole", link.Relay{})
			all, _ := l.passed()
			middle := 0
			for _, percent := range []int64{50, 75, 90} {
				store := fmt.Sprintf("s%d", percent)
				l.emptyBox("b", store, "u0000")
				k := link.Relay{Cut: all * percent / 100}
				if c.file != "" {
					_ = os.Remove(l.path(c.file))
					k.Kill = l.path(c.file)
				}
				out := restore(c.code, store, k)
				l.quiet() // the run there has ended
				for _, f := range l.told(out) {
					if _, err := os.Stat(l.path("b", store, f)); err != nil {
						t.Errorf("told as done: %v", err)
					}
				}
				if n := l.messages("b/" + store); n > 0 && n < 1500 {
					middle++
				}
				restore(0, store, link.Relay{})
				if n := l.messages("b/" + store); n != 1500 {
					t.Errorf("%d messages, want 1500", n)
				}
				if left, _ := filepath.Glob(l.path("b", store, "*", "tmp", "*")); len(left) > 0 {
					t.Errorf("left in tmp: %q", left)
				}
				l.mailsync(0, "diff", l.path("a"), l.far("b/"+store), "--ssh", l.over(link.Relay{}))
			}
			if middle == 0 {
				t.Error("no cut was in the middle of the writing")
			}
		})
	}
}
