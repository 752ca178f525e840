package maildir

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Namer makes unique names for messages that mailsync itself delivers:
// sec.M<usec>P<pid>Q<n>.host. It may be used by several goroutines at once.
type Namer struct {
	host string
	pid  int
	now  func() time.Time
	n    atomic.Uint64
	last atomic.Int64 // the microsecond of the newest name
}

// NewNamer returns a Namer for this host and process. A nil now means the
// clock. '/' and ':' in the host name are escaped as maildir(5) says.
func NewNamer(host string, pid int, now func() time.Time) *Namer {
	if now == nil {
		now = time.Now
	}
	return &Namer{host: EscapeHost(host), pid: pid, now: now}
}

// EscapeHost makes a host name fit for a file name: '/' becomes \057, ':'
// becomes \072; bytes that a name must not hold, or that would look like a size
// field, become octal escapes too.
func EscapeHost(host string) string {
	if host == "" {
		return "localhost"
	}
	var b strings.Builder
	for i := range len(host) {
		switch c := host[i]; {
		case c == '/' || c == ':' || c == ',' || c <= ' ' || c == 0x7f:
			b.WriteByte('\\')
			o := strconv.FormatUint(uint64(c), 8)
			b.WriteString("000"[len(o):])
			b.WriteString(o)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Next returns a name that this Namer has not returned before, without sizes.
// Add them with Sized once they are known. Names come in byte order: every
// name has a microsecond of its own, written with six digits, so that a
// listing of them is in the order in which they were made.
func (g *Namer) Next() string {
	t := time.UnixMicro(g.tick())
	b := make([]byte, 0, 48+len(g.host))
	b = strconv.AppendInt(b, t.Unix(), 10)
	usec := strconv.Itoa(t.Nanosecond() / 1000)
	b = append(append(append(b, ".M"...), "000000"[len(usec):]...), usec...)
	b = strconv.AppendInt(append(b, 'P'), int64(g.pid), 10)
	b = strconv.AppendUint(append(b, 'Q'), g.n.Add(1), 10)
	b = append(append(b, '.'), g.host...)
	return string(b)
}

// tick returns the time in microseconds, later than every time before.
func (g *Namer) tick() int64 {
	for {
		last := g.last.Load()
		t := max(g.now().UnixMicro(), last+1)
		if g.last.CompareAndSwap(last, t) {
			return t
		}
	}
}
