package budget

import (
	"slices"
	"strings"
	"time"
)

// Health is how a device has answered, for a summary.
type Health struct {
	Device    string
	Reads     int64         // that went to the device
	Median    time.Duration // of one read, exact to a factor of two
	Slowest   time.Duration // below which 99 of 100 reads lie, exact to a factor of two
	BackedOff int64         // how often it was read less hard
	Rested    time.Duration // how long a last single reader rested
	// Slow: it answers far later than its peers, which take Peers.
	Slow  bool
	Peers time.Duration
}

const (
	// enough reads for a median that means something
	enough = 64
	// far is how many times as long as its peers a device takes, at the least,
	// before it is called slow: histograms are exact to a factor of two.
	far = 4
	// noticeable is what a slow device takes at the least.
	noticeable = time.Millisecond
)

// Judge compares devices with each other. A device is slow when its median lies
// beyond Tukey's fence of the others (their upper quartile and one and a half
// times the distance between their quartiles; Tukey, Exploratory Data Analysis,
// 1977) and is at least four times their median. The device itself is left out
// of the fence: among three, one sick disk would widen it until it fits in.
func Judge(devices []*Device) []Health {
	out := make([]Health, 0, len(devices))
	for _, d := range devices {
		out = append(out, Health{
			Device: d.name, Reads: d.hist.Count(), Median: d.hist.Quantile(0.5), Slowest: d.hist.Quantile(0.99),
			BackedOff: d.pace.lowered.Load(), Rested: time.Duration(d.pace.rested.Load()),
		})
	}
	slices.SortFunc(out, func(a, b Health) int { return strings.Compare(a.Device, b.Device) })
	for i := range out {
		out[i].judge(slices.Concat(out[:i], out[i+1:]))
	}
	return out
}

func (h *Health) judge(others []Health) {
	var medians []time.Duration
	for _, o := range others {
		if o.Reads >= enough {
			medians = append(medians, o.Median)
		}
	}
	if h.Reads < enough || len(medians) == 0 {
		return
	}
	slices.Sort(medians)
	low, middle, high := quantile(medians, 0.25), quantile(medians, 0.5), quantile(medians, 0.75)
	h.Peers = middle
	h.Slow = h.Median > high+(high-low)*3/2 && h.Median >= far*middle && h.Median >= noticeable
}

// quantile interpolates between the values of a sorted list.
func quantile(sorted []time.Duration, q float64) time.Duration {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + time.Duration((at-float64(i))*float64(sorted[i+1]-sorted[i]))
}
