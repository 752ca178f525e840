//go:build ssh

package ssh

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/internal/link"
)

// phases are the commands whose way over a link is disturbed, by what passes
// while they run: the handshake, the roots, buckets and manifests of a
// comparison, the bodies of a restore, the tasks and the record that follows.
func (l *lab) phases() map[string][]string {
	return map[string][]string{
		"diff":    {"diff", l.path("a"), l.far("b")},
		"scan":    {"scan", l.far("b"), "--rehash"},
		"verify":  {"verify", l.far("b")},
		"restore": {"restore", l.path("a"), "--from", l.far("b"), "--undecided", "restore", "--yes"},
	}
}

// stops are the numbers of bytes after which something happens: in the
// handshake, and evenly over all that a command is answered.
func stops(total int64) []int64 {
	n := int64(3)
	if testing.Short() {
		n = 1
	}
	const greeted = 3500 // where ssh has exchanged its keys
	list := []int64{1500}
	for i := range n {
		list = append(list, greeted+(total-greeted)*(2*i+1)/(2*n))
	}
	return list
}

// disturbed is a lab with a store there, of which a part is here.
func disturbed(t *testing.T) *lab {
	l := newLab(t, "--restrict-to $DIR/b")
	l.fill("b", 12, 10, 8000)
	l.lose()
	return l
}

// lose makes of the store here what it was at the beginning.
func (l *lab) lose() {
	l.t.Helper()
	l.must(os.RemoveAll(l.path("a")))
	for b := range 12 {
		for _, dir := range []string{"cur", "new", "tmp"} {
			l.must(os.MkdirAll(l.path("a", fmt.Sprintf("u%04d", b), dir), 0o700))
		}
	}
	kept, err := filepath.Glob(l.path("b", "u0003", "cur", "*"))
	l.must(err)
	for _, f := range kept {
		p, err := os.ReadFile(f)
		l.must(err)
		l.must(os.WriteFile(l.path("a", "u0003", "cur", filepath.Base(f)), p, 0o600))
	}
}

// sound requires that the store here holds what it held, or more, whole, and
// nothing twice.
func (l *lab) sound(least int) int {
	l.t.Helper()
	here, err := filepath.Glob(l.path("a", "*", "*", "*"))
	l.must(err)
	n := 0
	for _, f := range here {
		if filepath.Base(filepath.Dir(f)) == "tmp" {
			continue
		}
		n++
		rel, err := filepath.Rel(l.path("a"), f)
		l.must(err)
		there, err1 := os.ReadFile(l.path("b", rel))
		p, err2 := os.ReadFile(f)
		if err1 != nil || err2 != nil || string(p) != string(there) {
			l.t.Errorf("%s is not what is there: %v %v", rel, err1, err2)
		}
	}
	if n < least {
		l.t.Errorf("%d messages, %d before", n, least)
	}
	return n
}

// Whatever phase a link breaks in, or either side is killed in, the run ends
// with exit 3, or 69 before the first word; nothing that did not come is called
// missing, nothing is lost, halved or doubled, and the same command goes on from
// there.
func TestEveryPhase(t *testing.T) {
	for name := range (&lab{}).phases() {
		t.Run(name, func(t *testing.T) {
			l := disturbed(t)
			command := l.phases()[name]
			right := 0
			if name == "diff" {
				right = 1
			}
			l.mailsync(0, "scan", l.far("b"), "--ssh", l.over(link.Relay{}))
			l.mailsync(right, append(slices.Clone(command), "--ssh", l.over(link.Relay{}))...)
			total, _ := l.passed()
			trouble := map[string]link.Relay{
				"cut": {}, "serve": {Kill: l.path("serve.pid")}, "caller": {Kill: l.path("call.pid")}, "stall": {Stall: 300 * time.Millisecond},
			}
			for what, k := range trouble {
				l.lose()
				least := 10
				for _, k.Cut = range stops(total) {
					_ = os.Remove(l.path("serve.pid"))
					codes := []int{right, 3, 69} // it may be over before so much has passed
					switch {
					case what == "caller":
						codes = []int{right, 128 + 9}
					case what == "stall":
						codes = []int{right}
					case what == "serve" && k.Cut < 3500:
						continue // nobody serves yet
					}
					out := l.ends(codes, append(slices.Clone(command), "--json", "--ssh", l.over(k))...)
					if name == "diff" && what != "stall" && strings.Contains(out, fmt.Sprintf("%q:null", l.far("b"))) {
						t.Errorf("%s after %d bytes: what did not come is called missing\n%s", what, k.Cut, out)
					}
					l.quiet()
					least = l.sound(least)
				}
				l.mailsync(right, append(slices.Clone(command), "--ssh", l.over(link.Relay{}))...)
				if n := l.sound(least); name == "restore" && n != 120 {
					t.Errorf("%s: %d messages in the end, want 120", what, n)
				}
				if left, _ := filepath.Glob(l.path("a", "*", "tmp", "*")); name == "restore" && len(left) > 0 {
					t.Errorf("%s: left in tmp: %q", what, left)
				}
			}
		})
	}
}

// newWire is a way between two network namespaces.
func newWire(t *testing.T, way link.Way) *link.Wire {
	t.Helper()
	w, err := link.NewWire(way)
	if err != nil {
		if os.Getenv("MAILSYNC_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Cleanup(w.Close)
	return w
}

// A long way on which packets are lost, both ways, changes the time that
// everything takes, and nothing else.
func TestLoss(t *testing.T) {
	w := newWire(t, link.Way{Delay: 10 * time.Millisecond, Rate: 2_500_000})
	l := newLabOn(t, w, "--restrict-to $DIR/b")
	l.fill("b", 12, 10, 8000)
	l.lose()
	w.Set(link.Way{Delay: 10 * time.Millisecond, Rate: 2_500_000, Loss: 0.02})
	ssh := l.overWire()
	l.mailsync(0, "scan", l.far("b"), "--ssh", ssh)
	l.mailsync(0, "verify", l.far("b"), "--ssh", ssh)
	out := l.mailsync(1, "diff", l.path("a"), l.far("b"), "--ssh", ssh)
	if !strings.Contains(out, "110 differences") {
		t.Errorf("110 messages are gone:\n%s", out)
	}
	l.mailsync(0, "restore", l.path("a"), "--from", l.far("b"), "--undecided", "restore", "--yes", "--ssh", ssh)
	if n := l.sound(120); n != 120 {
		t.Errorf("%d messages, want 120", n)
	}
	l.mailsync(0, "diff", l.path("a"), l.far("b"), "--ssh", ssh)
}

// A way that falls silent in the middle of a restore, as when somebody pulls a
// cable, ends in exit 3 by itself: ssh notices nothing of it for hours. Both
// ends end, and the same command goes on when the way is there again.
func TestPulledCable(t *testing.T) {
	if testing.Short() {
		t.Skip("a silent way is given up after 60 seconds")
	}
	way := link.Way{Delay: 5 * time.Millisecond, Rate: 400_000}
	w := newWire(t, way)
	l := newLabOn(t, w, "--restrict-to $DIR/b")
	l.fill("b", 12, 10, 8000)
	l.lose()
	restore := []string{"restore", l.path("a"), "--from", l.far("b"), "--undecided", "restore", "--yes", "--ssh", l.overWire()}
	pulled := make(chan struct{})
	go func() {
		defer close(pulled)
		start, _ := w.Bytes()
		for {
			if in, _ := w.Bytes(); in-start > 300_000 {
				w.Set(link.Way{Loss: 1})
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	l.mailsync(3, restore...)
	<-pulled
	l.quiet()
	least := l.sound(10)
	w.Set(way)
	l.mailsync(0, restore...)
	if n := l.sound(least); n != 120 {
		t.Errorf("%d messages, want 120", n)
	}
}
