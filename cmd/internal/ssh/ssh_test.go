//go:build ssh

package ssh

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/internal/link"
)

// far is a store of the other host.
func (l *lab) far(dir string) string { return "spare1:" + l.path(dir) }

func (l *lab) copyTree(from, to string) {
	l.t.Helper()
	l.run("cp", "-a", l.path(from), l.path(to))
}

// messages counts the messages of a store.
func (l *lab) messages(dir string) int {
	l.t.Helper()
	n, err := filepath.Glob(l.path(dir, "*", "cur", "*"))
	l.must(err)
	return len(n)
}

// Every command that reads works over a real ssh with a forced command, and
// what is lost here comes back from there.
func TestOverSSH(t *testing.T) {
	l := newLab(t, "--restrict-to $DIR/b --read-only")
	l.fill("b", 5, 20, 4000)
	l.copyTree("b", "a")
	ssh := l.over(link.Relay{})
	l.mailsync(0, "scan", l.far("b"), "--ssh", ssh)
	l.mailsync(0, "verify", l.far("b"), "--ssh", ssh)
	l.mailsync(0, "diff", l.path("a"), l.far("b"), "--ssh", ssh)
	l.must(os.RemoveAll(l.path("a", "u0003")))
	lost, err := filepath.Glob(l.path("a", "u0001", "cur", "*"))
	l.must(err)
	for _, f := range lost[:7] {
		l.must(os.Remove(f))
	}
	out := l.mailsync(1, "diff", l.path("a"), l.far("b"), "--ssh", ssh)
	if !strings.Contains(out, "8 differences") {
		t.Errorf("7 messages and a mailbox are gone:\n%s", out)
	}
	l.mailsync(0, "restore", l.path("a"), "--from", l.far("b"), "--ssh", ssh, "--undecided", "restore", "--yes")
	if n := l.messages("a"); n != 100 {
		t.Errorf("%d messages, want 100", n)
	}
	l.mailsync(0, "diff", l.path("a"), l.far("b"), "--ssh", ssh)
}

// The forced command is what runs, whatever is asked for, and nothing outside
// of its directory is served.
func TestForcedCommand(t *testing.T) {
	l := newLab(t, "--restrict-to $DIR/b --read-only")
	l.fill("b", 1, 1, 500)
	l.fill("secret", 1, 1, 500)
	ssh := strings.Fields(l.over(link.Relay{}))
	c := exec.Command(ssh[0], append(ssh[1:], "spare1", "rm -rf "+l.path("b"))...)
	if out, _ := c.Output(); !strings.HasPrefix(string(out), "mailsync 1-") { // nobody answers it: it fails
		t.Errorf("what was run says %q", out)
	}
	if l.messages("b") != 1 {
		t.Error("the command was carried out")
	}
	for _, path := range []string{"secret", "b/../secret", "b/link"} {
		_ = os.Symlink(l.path("secret"), l.path("b", "link"))
		out := l.mailsync(77, "diff", l.path("b"), "spare1:"+l.dir+"/"+path, "--ssh", strings.Join(ssh, " "))
		if !strings.Contains(out, "refused") {
			t.Errorf("%s: %s", path, out)
		}
	}
}

// A link that breaks anywhere ends in exit 3 or, before the first word, 69;
// the same command goes on, and in the end nothing is lost or doubled.
func TestCut(t *testing.T) {
	l := newLab(t, "--restrict-to $DIR/b")
	l.fill("b", 3, 40, 5000)
	l.must(os.MkdirAll(l.path("a", "u0000", "cur"), 0o700))
	l.must(os.MkdirAll(l.path("a", "u0000", "new"), 0o700))
	l.must(os.MkdirAll(l.path("a", "u0000", "tmp"), 0o700))
	restore := func(code int, k link.Relay) {
		t.Helper()
		l.mailsync(code, "restore", l.path("a"), "--from", l.far("b"), "--ssh", l.over(k), "--undecided", "restore", "--yes")
	}
	restore(69, link.Relay{Cut: 1000})
	before := l.messages("a")
	for _, cut := range []int64{60_000, 200_000, 300_000} {
		restore(3, link.Relay{Cut: cut})
		if n := l.messages("a"); n < before {
			t.Errorf("%d messages after a cut, %d before", n, before)
		} else {
			before = n
		}
	}
	if before == 0 {
		t.Error("three cuts, and nothing came")
	}
	restore(0, link.Relay{})
	l.mailsync(0, "diff", l.path("a"), l.far("b"), "--ssh", l.over(link.Relay{}))
	if n := l.messages("a"); n != 120 {
		t.Errorf("%d messages, want 120", n)
	}
	if left, _ := filepath.Glob(l.path("a", "*", "tmp", "*")); len(left) > 0 {
		t.Errorf("left in tmp: %q", left)
	}
}

// A side that is killed, at any point, loses and doubles nothing: the other one
// ends too, a caller with exit 3, and the same command goes on.
func TestKill(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		code int
	}{
		"serve":  {"serve.pid", 3},
		"caller": {"call.pid", 128 + 9},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "--restrict-to $DIR/b")
			l.fill("b", 30, 4, 5000)
			for _, dir := range []string{"cur", "new", "tmp"} {
				l.must(os.MkdirAll(l.path("a", "u0000", dir), 0o700))
			}
			killed := func(cut int64, args ...string) {
				t.Helper()
				_ = os.Remove(l.path(c.file))
				l.mailsync(c.code, append(args, "--ssh", l.over(link.Relay{Cut: cut, Kill: l.path(c.file)}))...)
				l.quiet()
			}
			whole := func(code int, args ...string) {
				t.Helper()
				l.mailsync(code, append(args, "--ssh", l.over(link.Relay{}))...)
			}
			diff := []string{"diff", l.path("a"), l.far("b")}
			killed(6000, diff...)
			whole(1, diff...)
			scan := []string{"scan", l.far("b")}
			killed(6000, scan...)
			whole(0, scan...)
			restore := []string{"restore", l.path("a"), "--from", l.far("b"), "--undecided", "restore", "--yes"}
			before := 0
			for _, cut := range []int64{10_000, 200_000, 300_000} {
				killed(cut, restore...)
				n := l.messages("a")
				if n < before {
					t.Errorf("%d messages after a kill, %d before", n, before)
				}
				before = n
			}
			if before == 0 && c.file == "serve.pid" { // a caller that is killed has not said yet that anything is there
				t.Error("three kills, and nothing came")
			}
			whole(0, restore...)
			whole(0, diff...)
			if n := l.messages("a"); n != 120 {
				t.Errorf("%d messages, want 120", n)
			}
			if left, _ := filepath.Glob(l.path("a", "*", "tmp", "*")); len(left) > 0 {
				t.Errorf("left in tmp: %q", left)
			}
		})
	}
}

// A limited rate is kept over a real ssh: what comes takes the time that it must.
func TestLimitNetwork(t *testing.T) {
	l := newLab(t, "--restrict-to $DIR/b --read-only")
	l.fill("b", 1, 40, 10_000)
	l.must(os.Mkdir(l.path("a"), 0o700))
	began := time.Now()
	l.mailsync(0, "restore", l.path("a"), "--from", l.far("b"), "--ssh", l.over(link.Relay{}), "--limit-network", "200K", "--undecided", "restore", "--yes")
	in, out := l.passed()
	if n := l.messages("a"); n != 40 || in < 300_000 {
		t.Errorf("%d messages, %d bytes", n, in)
	}
	// Sent and received together. SSH adds to what is counted here, and a part
	// may pass before the limit begins to bite.
	if took := time.Since(began); took < time.Second {
		t.Errorf("%d bytes at 200K a second took %s", in+out, took)
	}
}

// Equal stores cost a few kilobytes over a long link, and 1 % of the mailboxes
// no more than their manifests and a little.
func TestBytesOverALongLink(t *testing.T) {
	l := newLab(t, "--restrict-to $DIR/b")
	l.fill("b", 200, 20, 300)
	l.copyTree("b", "a")
	time.Sleep(10 * time.Millisecond) // stamps of the same tick prove nothing
	for range 3 {
		l.mailsync(0, "scan", l.path("a"))
		l.mailsync(0, "scan", l.far("b"), "--ssh", l.over(link.Relay{}))
	}
	long := link.Relay{Delay: 10 * time.Millisecond, Rate: 12_500_000}
	l.mailsync(0, "diff", l.path("a"), l.far("b"), "--ssh", l.over(long))
	in, out := l.passed()
	t.Logf("equal stores of 4,000 messages: %d bytes came, %d went", in, out)
	if in+out > 50_000 {
		t.Errorf("equal stores cost %d bytes", in+out)
	}
	for _, b := range []string{"u0017", "u0123"} {
		f, err := filepath.Glob(l.path("a", b, "cur", "*"))
		l.must(err)
		l.must(os.Remove(f[0]))
	}
	l.mailsync(1, "diff", l.path("a"), l.far("b"), "--ssh", l.over(long))
	in, out = l.passed()
	t.Logf("two mailboxes of 20 messages differ: %d bytes came, %d went", in, out)
	if in+out > 60_000 {
		t.Errorf("two small mailboxes cost %d bytes", in+out)
	}
	// The scan has left a copy of what is recorded there, and nothing there moved:
	// the two manifests need not come.
	equal := in + out
	l.must(os.RemoveAll(l.path("near", "stores")))
	for range 2 {
		l.mailsync(0, "scan", l.path("a"))
	}
	l.mailsync(1, "diff", l.path("a"), l.far("b"), "--ssh", l.over(long))
	in, out = l.passed()
	t.Logf("the same without a copy of the record: %d bytes came, %d went", in, out)
	if in+out <= equal {
		t.Errorf("with a copy of the record %d bytes passed, without %d", equal, in+out)
	}
}
