package budget

import (
	"bytes"
	"math"
	"os"
	"strconv"
	"sync"
	"time"
)

// pressure tells whether others wait for the disks while we do not.
//
// The kernel's pressure stall information counts the time in which some task
// waited for IO (Documentation/accounting/psi.rst), ours included: a reader
// that keeps a disk busy stalls all the time and harms nobody. So the time in
// which one of our own reads was under way is subtracted. What is left is other
// tasks' waiting that we can be sure is not ours; what they waited beside us
// shows in the latency of our own reads.
type pressure struct {
	file string           // "" = none: nothing is ever crowded
	now  func() time.Time // the clock

	mu      sync.Mutex
	reading int       // reads under way
	since   time.Time // when the first of them began
	own     time.Duration

	asked time.Time // the last answer
	total time.Duration
	spent time.Duration // own, then
}

// crowdedShare is the share of the time since the last answer that others may
// have waited.
const crowdedShare = 0.2

func (p *pressure) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reading++; p.reading == 1 {
		p.since = p.now()
	}
}

func (p *pressure) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reading--; p.reading == 0 {
		p.own += p.now().Sub(p.since)
	}
}

// crowded answers for the time since it was last asked.
func (p *pressure) crowded() bool {
	total, ok := p.stalled()
	if !ok {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now, own := p.now(), p.own
	if p.reading > 0 {
		own += now.Sub(p.since)
	}
	others, passed := total-p.total-(own-p.spent), now.Sub(p.asked)
	first := p.asked.IsZero()
	p.asked, p.total, p.spent = now, total, own
	return !first && float64(others) > crowdedShare*float64(passed)
}

// stalled reads the total of the line "some" of /proc/pressure/io.
func (p *pressure) stalled() (time.Duration, bool) {
	if p.file == "" {
		return 0, false
	}
	text, err := os.ReadFile(p.file)
	if err != nil {
		return 0, false // a kernel without it
	}
	return parsePressure(text)
}

func parsePressure(text []byte) (time.Duration, bool) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	line, ok := bytes.CutPrefix(line, []byte("some "))
	if !ok {
		return 0, false
	}
	for field := range bytes.FieldsSeq(line) {
		if v, ok := bytes.CutPrefix(field, []byte("total=")); ok {
			us, err := strconv.ParseInt(string(v), 10, 64)
			return time.Duration(us) * time.Microsecond, err == nil && us >= 0 && us <= math.MaxInt64/1000
		}
	}
	return 0, false
}
