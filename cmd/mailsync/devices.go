package main

import (
	"math"
	"time"

	"mailsync/cmd/mailsync/ui"
	"mailsync/scan/budget"
)

// deviceLine is how one device has answered, in JSON.
type deviceLine struct {
	ui.Head
	Device    string  `json:"device"`
	Reads     int64   `json:"reads"`
	Median    float64 `json:"median_ms"`
	Slowest   float64 `json:"p99_ms"`
	Slow      bool    `json:"slow"`
	Peers     float64 `json:"peers_ms,omitempty"`
	BackedOff int64   `json:"backed_off"`
	Rested    float64 `json:"rested_seconds"`
}

// tellDevices says how the devices of the run have answered: in JSON each that
// was read from, for people those that are far slower than their peers, or that
// were spared.
func (a *app) tellDevices() {
	if a.set == nil {
		return
	}
	for _, h := range budget.Judge(a.set.Devices()) {
		if h.Reads == 0 {
			continue // everything came from the page cache
		}
		a.out.Record(deviceLine{
			Head: ui.Head{V: 1, Type: "device"}, Device: h.Device, Reads: h.Reads, Median: ms(h.Median), Slowest: ms(h.Slowest),
			Slow: h.Slow, Peers: ms(h.Peers), BackedOff: h.BackedOff, Rested: h.Rested.Round(time.Millisecond).Seconds(),
		})
		name := a.out.Style.Bold("device " + ui.Name(h.Device))
		if h.Slow {
			a.out.Say("%s answers a read in %s, its peers in %s: look at its health before you load it further.", name, h.Median, h.Peers)
		}
		if h.BackedOff > 0 {
			a.out.Say("%s was spared: %s fewer readers or longer rests, %s of rest in all.", name, ui.Plural(h.BackedOff, "time"), ui.Duration(h.Rested))
		}
		a.out.Detail("%s: %s, half of them within %s, 99 of 100 within %s", name, ui.Plural(h.Reads, "read"), h.Median, h.Slowest)
	}
}

// ms is a time in milliseconds, for JSON.
func ms(d time.Duration) float64 { return math.Round(float64(d.Microseconds())) / 1000 }
