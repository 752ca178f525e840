package link

import "time"

// parcel is what is on its way, and when it arrives.
type parcel struct {
	p  []byte
	at time.Time
}

// slack is how much of a line's time may be made up for: a sleep that was too
// long.
const slack = 2 * time.Millisecond

// pace keeps a line from carrying more than it can.
type pace struct {
	free time.Time // when it can take the next byte
}

// take has the line carry n bytes, and tells when they are through.
func (p *pace) take(now time.Time, n int, rate int64) time.Time {
	if late := now.Add(-slack); p.free.Before(late) {
		p.free = late
	}
	if rate > 0 {
		p.free = p.free.Add(time.Duration(int64(n) * int64(time.Second) / rate))
	}
	if p.free.Before(now) {
		return now
	}
	return p.free
}

// ahead is how many bytes wait for the line.
func (p *pace) ahead(now time.Time, rate int64) int64 {
	if rate <= 0 || p.free.Before(now) {
		return 0
	}
	return int64(p.free.Sub(now).Seconds() * float64(rate))
}
