package maildir

import (
	"strings"
	"time"
)

// Delivery is what a name says of the time at which it was made: a hint, no
// more. A restored or migrated message keeps its name.
type Delivery struct {
	Seconds int64 // since 1970
	Micros  int32 // of the "M" field; 0 where there is none
}

// Time returns the delivery as a time in UTC.
func (d Delivery) Time() time.Time { return time.Unix(d.Seconds, int64(d.Micros)*1000).UTC() }

// ParseDelivery reads the seconds that begin a base name, and the microseconds
// behind "M" in its second part. ok is false where the name does not begin with
// a plausible number of seconds followed by '.'.
func ParseDelivery(base string) (d Delivery, ok bool) {
	secs, rest := leadingNumber(base)
	if len(rest) == len(base) || rest == "" || rest[0] != '.' || secs >= 1e12 {
		return Delivery{}, false
	}
	d.Seconds = secs
	if m, ok := micros(rest); ok && m < 1e6 {
		d.Micros = int32(m)
	}
	return d, true
}

// leadingNumber returns the decimal number that s begins with, not more than
// 10^18, and what follows it.
func leadingNumber(s string) (n int64, rest string) {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		if n < 1e17 {
			n = n*10 + int64(s[i]-'0')
		}
		i++
	}
	return n, s[i:]
}

// micros returns the number behind the first 'M' of the part that rest, which
// begins with '.', holds up to the next '.'.
func micros(rest string) (n int64, ok bool) {
	if rest == "" || rest[0] != '.' {
		return 0, false
	}
	part := rest[1:]
	if i := strings.IndexByte(part, '.'); i >= 0 {
		part = part[:i]
	}
	i := strings.IndexByte(part, 'M')
	if i < 0 {
		return 0, false
	}
	n, _ = leadingNumber(part[i+1:])
	return n, true
}
