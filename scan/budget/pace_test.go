package budget

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// reads lets a device answer n reads, each after the same time.
func reads(t *testing.T, d *Device, n int, each time.Duration) {
	t.Helper()
	for range n {
		if _, err := d.Timed(t.Context(), func() (int, error) { time.Sleep(each); return 1, nil }); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBackOffAndRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := quiet(Limits{Readers: 9, Target: 10 * time.Millisecond})
		reads(t, d, window, 50*time.Millisecond)
		if got := d.Readers(); got != 6 {
			t.Errorf("after slow reads %d readers, want 6", got)
		}
		reads(t, d, 20*window, 50*time.Millisecond)
		if got := d.Readers(); got != 1 {
			t.Errorf("after many slow reads %d readers, want 1", got)
		}
		if d.pace.rest != longest {
			t.Errorf("the last reader rests %d times as long as it reads, want %d", d.pace.rest, longest)
		}
		reads(t, d, 14*window, time.Millisecond)
		if got := d.Readers(); got != 9 || d.pace.rest != 0 {
			t.Errorf("after recovery %d readers that rest %d times, want 9 and 0", got, d.pace.rest)
		}
		if h := Judge([]*Device{d})[0]; h.BackedOff == 0 || h.Rested == 0 || h.Reads != 35*window {
			t.Errorf("told: %+v", h)
		}
	})
}

// A reader that rests must not keep a run from ending.
func TestARestEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := quiet(Limits{Readers: 1, Target: time.Second})
		reads(t, d, 6*window, time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		if _, err := d.Timed(ctx, func() (int, error) { return 0, nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Timed(ctx, func() (int, error) { time.Sleep(time.Second); return 0, nil }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it rested %v after the context ended", took)
		}
	})
}

func TestWithoutATargetNothingBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := quiet(Limits{Readers: 4})
		reads(t, d, 10*window, time.Second)
		if d.Readers() != 4 || d.pace.rested.Load() != 0 {
			t.Errorf("%d readers, rested %v", d.Readers(), time.Duration(d.pace.rested.Load()))
		}
	})
}

// quiet is a device of a machine without pressure.
func quiet(l Limits) *Device {
	return newDevice("sda", l, &pressure{now: time.Now})
}
