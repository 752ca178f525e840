package budget

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// kernel is a machine whose clock and pressure the test moves.
type kernel struct {
	t     *testing.T
	p     *pressure
	at    time.Time
	total time.Duration
}

func newKernel(t *testing.T) *kernel {
	k := &kernel{t: t, at: time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC)}
	k.p = &pressure{file: filepath.Join(t.TempDir(), "io"), now: func() time.Time { return k.at }}
	k.pass(0, 0)
	return k
}

// pass lets time pass, and some task wait for IO in a part of it.
func (k *kernel) pass(d, stalled time.Duration) {
	k.at, k.total = k.at.Add(d), k.total+stalled
	text := fmt.Sprintf("some avg10=1.87 avg60=0.63 avg300=2.07 total=%d\nfull avg10=1.02 avg60=0.35 avg300=1.23 total=1\n", k.total.Microseconds())
	if err := os.WriteFile(k.p.file, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func TestCrowded(t *testing.T) {
	k := newKernel(t)
	k.pass(time.Second, time.Second)
	if k.p.crowded() {
		t.Error("the first answer knows of no time before it")
	}
	k.pass(time.Second, 100*time.Millisecond)
	if k.p.crowded() {
		t.Error("a tenth of the time is crowded")
	}
	k.pass(time.Second, 400*time.Millisecond)
	if !k.p.crowded() {
		t.Error("others waited for 0.4 of the time, and it is not crowded")
	}
}

func TestOwnReadsAreNoPressure(t *testing.T) {
	k := newKernel(t)
	k.p.crowded()
	k.p.begin()
	k.pass(300*time.Millisecond, 300*time.Millisecond)
	k.p.begin() // a second one beside it is the same waiting
	k.pass(300*time.Millisecond, 300*time.Millisecond)
	k.p.end()
	k.p.end()
	k.pass(400*time.Millisecond, 0)
	if k.p.crowded() {
		t.Error("only our own reads waited, and it is crowded")
	}
	k.p.begin()
	k.pass(time.Second, time.Second)
	if k.p.crowded() {
		t.Error("a read under way is taken for somebody else's")
	}
	k.p.end()
	k.pass(time.Second, 900*time.Millisecond)
	if !k.p.crowded() {
		t.Error("others waited while we did not, and it is not crowded")
	}
}

func TestCrowdedReadersStepBack(t *testing.T) {
	k := newKernel(t)
	d := newDevice("sda", Limits{Readers: 9, Target: time.Second}, k.p)
	fast := func() (int, error) { k.pass(time.Millisecond, time.Millisecond); return 1, nil }
	run := func() {
		for range window {
			if _, err := d.Timed(t.Context(), fast); err != nil {
				t.Fatal(err)
			}
		}
	}
	run()
	k.pass(time.Second, time.Second)
	run()
	if got := d.Readers(); got != 6 {
		t.Errorf("%d readers beside others that wait, want 6", got)
	}
}

func TestAKernelWithoutPressure(t *testing.T) {
	p := &pressure{file: filepath.Join(t.TempDir(), "none"), now: time.Now}
	if first := p.crowded(); first || p.crowded() {
		t.Error("what is not known is crowded")
	}
}

func FuzzPressure(f *testing.F) {
	f.Add([]byte("some avg10=1.87 avg60=0.63 avg300=2.07 total=26409287\nfull avg10=1.02 total=1\n"))
	f.Add([]byte("some total=-1"))
	f.Add([]byte("some total=9223372036854775807"))
	f.Add([]byte("full total=3\nsome total=9"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if d, ok := parsePressure(text); ok && d < 0 {
			t.Errorf("a total of %v", d)
		}
	})
}
