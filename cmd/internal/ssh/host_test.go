//go:build ssh

package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/link"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "relay" {
		if err := link.RelayMain(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "relay:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// lab is a caller's host and another one.
type lab struct {
	t      *testing.T
	dir    string
	bin    string
	server *link.Server
	wire   *link.Wire // nil: the loopback address
	links  int        // that were made
	count  string     // file of the last link's bytes
}

func (l *lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.dir}, parts...)...)
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) run(name string, args ...string) string {
	l.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// newLab starts a server whose key leads to a forced command with these flags.
func newLab(t *testing.T, serve string) *lab { return newLabOn(t, nil, serve) }

// newLabOn does that on the far host of a wire, where there is one.
func newLabOn(t *testing.T, wire *link.Wire, serve string) *lab {
	t.Helper()
	l := &lab{t: t, wire: wire, dir: t.TempDir()}
	var err error
	l.bin, err = drive.Built(os.Getenv("MAILSYNC_BIN"))
	l.must(err)
	for _, need := range append([]string{"flock"}, link.Programs...) {
		if _, err := link.Look(need); err != nil {
			t.Fatal(err)
		}
	}
	forced := fmt.Sprintf(`command="echo $$ >%s; exec flock -sF %s env MAILSYNC_STATE=%s MAILSYNC_CONFIG=%s %s serve --stdio %s",restrict`,
		l.path("serve.pid"), l.path(busy), l.path("far"), os.DevNull, l.bin, strings.ReplaceAll(serve, "$DIR", l.dir))
	o := link.ServerOptions{Dir: l.dir, Keys: []string{forced}}
	if l.wire != nil {
		o.On, o.Address, o.Probe = l.wire.Far(), link.FarAddr, l.wire.Near()
	}
	l.server, err = link.Start(o)
	l.must(err)
	t.Cleanup(func() {
		l.server.Close()
		l.quiet()
	})
	return l
}

// busy is the file that every relay and every serve of a lab holds a lock of.
const busy = "busy"

// quiet waits for all of them to end. A serve that does not end when its caller
// has gone hangs here.
func (l *lab) quiet() {
	f, err := os.OpenFile(l.path(busy), os.O_RDWR|os.O_CREATE, 0o600)
	l.must(err)
	defer f.Close()
	l.must(syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
}

// over is the ssh command that goes over a relay.
func (l *lab) over(k link.Relay) string {
	l.t.Helper()
	self, err := os.Executable()
	l.must(err)
	l.links++ // a relay outlives its ssh, and tells late
	l.count = l.path(fmt.Sprintf("count%d", l.links))
	k.Count, k.Busy = l.count, l.path(busy)
	words, err := l.server.Client("spare1", 0, append([]string{self, "relay"}, k.Args(l.server.Addr)...))
	l.must(err)
	return strings.Join(words, " ")
}

// overWire is the ssh command that goes over the wire.
func (l *lab) overWire() string {
	l.t.Helper()
	words, err := l.server.Client("spare1", 0, nil)
	l.must(err)
	return strings.Join(append(l.wire.Near(), words...), " ")
}

// passed is how many bytes went over the link.
func (l *lab) passed() (in, out int64) {
	l.t.Helper()
	var p []byte
	var err error
	for range 100 { // ssh waits for nobody
		if p, err = os.ReadFile(l.count); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	l.must(err)
	if _, err := fmt.Sscan(string(p), &in, &out); err != nil {
		l.t.Fatal(err)
	}
	return in, out
}

// mailsync runs the program and requires an exit code.
func (l *lab) mailsync(code int, args ...string) string {
	l.t.Helper()
	return l.ends([]int{code}, args...)
}

// ends requires one of several.
func (l *lab) ends(codes []int, args ...string) string {
	l.t.Helper()
	c := exec.Command(l.bin, args...)
	c.Env = append(os.Environ(), "MAILSYNC_STATE="+l.path("near"), "MAILSYNC_CONFIG="+os.DevNull)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	l.must(c.Start())
	l.must(os.WriteFile(l.path("call.pid"), fmt.Appendf(nil, "%d\n", c.Process.Pid), 0o600))
	err := c.Wait()
	out := said.Bytes()
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			got = 128 + int(ws.Signal())
		}
	} else {
		l.must(err)
	}
	if !slices.Contains(codes, got) {
		l.t.Fatalf("mailsync %s: exit %d, want one of %d\n%s", strings.Join(args, " "), got, codes, out)
	}
	return string(out)
}

// fill writes a store of so many mailboxes and messages.
func (l *lab) fill(dir string, boxes, messages, size int) {
	l.t.Helper()
	for b := range boxes {
		root := l.path(dir, fmt.Sprintf("u%04d", b))
		for _, sub := range []string{"cur", "new", "tmp"} {
			l.must(os.MkdirAll(filepath.Join(root, sub), 0o700))
		}
		for m := range messages {
			l.must(os.WriteFile(filepath.Join(root, "cur", fmt.Sprintf("17%08d.M%dP1.host:2,S", b*messages+m, m)), text(b*messages+m, size), 0o600))
		}
	}
}

// text makes a message that does not compress well.
func text(seed, size int) []byte {
	p := fmt.Appendf(nil, "From: <a@example.org>\nDate: Mon, 2 Feb 2026 10:00:00 +0000\nMessage-ID: <%d@example.org>\nSubject: %d\n\n", seed, seed)
	x := uint64(seed)*0x9e3779b97f4a7c15 + 1
	for i := 0; len(p) < size; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		p = append(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[x>>58])
		if i%76 == 75 {
			p = append(p, '\n')
		}
	}
	return append(p, '\n')
}
