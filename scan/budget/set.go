package budget

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Limits of one device. Zero means no limit, except for Readers.
type Limits struct {
	Readers     int           // concurrent readers; 0 means DefaultReaders
	BytesPerSec int64         // of message bytes
	FilesPerSec int64         // opened files
	Target      time.Duration // back off while a tenth of reads takes longer, or others wait for the disks; 0 = never
}

// DefaultReaders is how many files are read at once where nothing is said: more
// than this machine has cores is right for disks, which answer many requests
// at once.
const DefaultReaders = 16

// Set is the budgets of one process. The zero value is not usable; see NewSet.
type Set struct {
	mu      sync.Mutex
	find    Finder
	devices map[string]*Device
	limits  Limits
	press   *pressure
	onDisk  func() // nil: nobody asks
}

// NewSet makes a set in which every device has the same limits until Limit
// says otherwise. find tells which device a path lies on; nil means the
// kernel's word (sysfs and mountinfo).
func NewSet(limits Limits, find Finder) *Set {
	if find == nil {
		find = new(Kernel)
	}
	return &Set{
		find: find, limits: limits, devices: make(map[string]*Device),
		press: &pressure{file: "/proc/pressure/io", now: time.Now},
	}
}

// OnDisk makes f be called once, when reads go to a disk: busyReads of them
// within a second. A few strays of a store that is cached do not count. OnDisk
// is called before For.
func (s *Set) OnDisk(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onDisk = sync.OnceFunc(f)
}

const busyReads = 64

// busy counts the reads of a second.
type busy struct {
	mu   sync.Mutex
	from time.Time
	n    int
}

// reads notes a read and tells whether this second has had busyReads of them.
func (b *busy) reads(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.from) > time.Second {
		b.from, b.n = now, 0
	}
	b.n++
	return b.n >= busyReads
}

// For returns the budget of the device that holds the path, whose stat(2)
// says dev. Equal devices share one.
func (s *Set) For(path string, dev uint64) *Device {
	name := s.find.Device(path, dev)
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[name]
	if d == nil {
		d = newDevice(name, s.limits, s.press)
		d.onDisk = s.onDisk
		s.devices[name] = d
	}
	return d
}

// Devices returns every device that was asked for.
func (s *Set) Devices() []*Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Device, 0, len(s.devices))
	for _, d := range s.devices {
		out = append(out, d)
	}
	return out
}

// Device is the budget of one physical device. It is safe for use by several
// goroutines.
type Device struct {
	name   string
	mu     sync.Mutex
	limits Limits
	asked  bool // a store has named a number of readers
	gate   gate
	bytes  atomic.Pointer[rate.Limiter]
	files  atomic.Pointer[rate.Limiter]
	hist   Histogram
	pace   pace
	press  *pressure // of the machine: shared by all devices
	onDisk func()
	busy   busy
}

func newDevice(name string, l Limits, p *pressure) *Device {
	d := &Device{name: name, press: p}
	d.Limit(l)
	return d
}

// Limit replaces the limits.
func (d *Device) Limit(l Limits) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limit(l)
}

func (d *Device) limit(l Limits) {
	if l.Readers <= 0 {
		l.Readers = DefaultReaders
	}
	d.limits = l
	d.gate.setMax(l.Readers)
	d.pace.set(l.Target, l.Readers)
	d.bytes.Store(limiter(l.BytesPerSec))
	d.files.Store(limiter(l.FilesPerSec))
}

// Tighten lowers the limits to those of l that are stricter: what two stores
// on one device each ask for holds for both. Readers of 0 asks for nothing.
func (d *Device) Tighten(l Limits) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.limits
	if l.Readers > 0 && (!d.asked || l.Readers < now.Readers) {
		now.Readers, d.asked = l.Readers, true
	}
	now.BytesPerSec = stricter(now.BytesPerSec, l.BytesPerSec)
	now.FilesPerSec = stricter(now.FilesPerSec, l.FilesPerSec)
	now.Target = stricter(now.Target, l.Target)
	if now != d.limits {
		d.limit(now)
	}
}

func stricter[T int64 | time.Duration](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func limiter(perSec int64) *rate.Limiter {
	if perSec <= 0 {
		return nil
	}
	// A tenth of a second may be used at once: enough to be smooth, little
	// enough that a reader beside us does not starve.
	return rate.NewLimiter(rate.Limit(perSec), int(min(max(perSec/10, 1), 1<<30)))
}

// Name returns the device's name for people: "sda", "nvme0n1", "zfs:tank".
func (d *Device) Name() string { return d.name }

// Readers returns how many readers may run now: the limit, less what the
// back-off has taken.
func (d *Device) Readers() int { return d.gate.limit() }

// Acquire waits for a free reader. Each success is paid back by one Release.
func (d *Device) Acquire(ctx context.Context) error { return d.gate.acquire(ctx) }

// Release gives a reader back.
func (d *Device) Release() { d.gate.release() }

// File waits until one more file may be opened.
func (d *Device) File(ctx context.Context) error { return wait(ctx, d.files.Load(), 1) }

// Bytes waits until n more bytes may be read.
func (d *Device) Bytes(ctx context.Context, n int64) error { return wait(ctx, d.bytes.Load(), n) }

func wait(ctx context.Context, l *rate.Limiter, n int64) error {
	if l == nil {
		return nil
	}
	burst := int64(l.Burst())
	for n > 0 {
		step := min(n, burst)
		if err := l.WaitN(ctx, int(step)); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
		n -= step
	}
	return nil
}

// Timed runs one read that goes to the disk, records how long it took, adapts
// how hard the device is read, and rests afterwards where that is due. A rest
// ends early with ctx, which the caller sees at its next step.
func (d *Device) Timed(ctx context.Context, read func() (int, error)) (int, error) {
	d.press.begin()
	began := d.press.now()
	if d.onDisk != nil && d.busy.reads(began) {
		d.onDisk()
	}
	n, err := read()
	took := d.press.now().Sub(began)
	d.press.end()
	d.hist.add(took)
	rest, readers := d.pace.observe(took, d.press.crowded)
	if readers > 0 {
		d.gate.setLimit(readers)
	}
	if rest > 0 {
		t := time.NewTimer(rest)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return n, err
}
