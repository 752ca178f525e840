package maildir

import (
	"cmp"
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
// behind "M" in its second part, as Dovecot does when it gives UIDs to unknown
// files. ok is false where the name does not begin with a plausible number of
// seconds followed by '.'.
func ParseDelivery(base string) (d Delivery, ok bool) {
	d, _, ok = parseDelivery(base)
	return d, ok
}

func parseDelivery(base string) (d Delivery, rest string, ok bool) {
	i := 0
	for i < len(base) && isDigit(base[i]) {
		if i >= 12 { // beyond the year 30,000: not seconds
			return Delivery{}, base, false
		}
		d.Seconds = d.Seconds*10 + int64(base[i]-'0')
		i++
	}
	if i == 0 || i == len(base) || base[i] != '.' {
		return Delivery{}, base, false
	}
	rest = base[i+1:]
	part := rest
	if j := strings.IndexByte(part, '.'); j >= 0 {
		part = part[:j]
	}
	// the field may stand behind others: V<dev>I<inode>M<usec>
	for at := 0; at < len(part); at++ {
		if part[at] != 'M' || at+1 == len(part) || !isDigit(part[at+1]) {
			continue
		}
		v, n := int32(0), 0
		for k := at + 1; k < len(part) && isDigit(part[k]) && n < 7; k++ {
			v = v*10 + int32(part[k]-'0')
			n++
		}
		if n <= 6 {
			d.Micros = v
		}
		break
	}
	return d, rest, true
}

// CompareDelivery orders base names as Dovecot gives UIDs to files that it
// does not know: by seconds, then microseconds, then the name's bytes.
func CompareDelivery(a, b string) int {
	da, _, _ := parseDelivery(a)
	db, _, _ := parseDelivery(b)
	return cmp.Or(
		cmp.Compare(da.Seconds, db.Seconds),
		cmp.Compare(da.Micros, db.Micros),
		strings.Compare(a, b),
	)
}
