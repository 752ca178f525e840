package budget

import (
	"testing"
	"time"
)

// answering is a device whose reads all took as long.
func answering(name string, each time.Duration, n int) *Device {
	d := newDevice(name, Limits{}, &pressure{now: time.Now})
	for range n {
		d.hist.add(each)
	}
	return d
}

func TestJudge(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name string
		each []time.Duration
		slow int // index; -1 = none
	}{
		{"one device has no peers", []time.Duration{80 * ms}, -1},
		{"two alike", []time.Duration{2 * ms, 3 * ms}, -1},
		{"one of two", []time.Duration{2 * ms, 80 * ms}, 1},
		{"one of three", []time.Duration{80 * ms, 2 * ms, 3 * ms}, 0},
		{"one of five", []time.Duration{3 * ms, 4 * ms, 100 * ms, 3 * ms, 5 * ms}, 2},
		{"peers that differ themselves", []time.Duration{1 * ms, 20 * ms, 40 * ms, 60 * ms}, -1},
		{"four times nearly nothing", []time.Duration{20 * time.Microsecond, 200 * time.Microsecond}, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var list []*Device
			for i, each := range c.each {
				list = append(list, answering(string(rune('a'+i)), each, enough))
			}
			for i, h := range Judge(list) {
				if h.Slow != (i == c.slow) {
					t.Errorf("%s with %v: slow is %v", h.Device, c.each[i], h.Slow)
				}
			}
		})
	}
}

func TestJudgeNeedsEnoughReads(t *testing.T) {
	h := Judge([]*Device{answering("b", time.Millisecond, enough), answering("a", time.Second, enough-1)})
	if h[0].Device != "a" || h[0].Slow {
		t.Errorf("%+v", h[0])
	}
}
