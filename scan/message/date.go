package message

import (
	"strings"
	"time"
)

// ParseDate reads the date of a Date or Received field as mail has them: RFC
// 5322 §3.3 and §4.3 with two-digit years and zone names, asctime order, missing
// seconds, comments. A date without zone is taken as UTC. ok is false where day,
// month, year or time of day is missing or out of range.
func ParseDate(value []byte) (t time.Time, ok bool) {
	if len(value) > maxToken {
		value = value[:maxToken]
	}
	var day, year, hour, minute, second int
	month := time.Month(0)
	zone, hasDay, hasYear, hasTime := 0, false, false, false
	for _, w := range strings.FieldsFunc(string(dropComments(value)), func(r rune) bool {
		return r <= ' ' || r == ','
	}) {
		switch {
		case strings.IndexByte(w, ':') > 0 && !hasTime:
			if hour, minute, second, ok = parseClock(w); !ok {
				return time.Time{}, false
			}
			hasTime = true
		case (w[0] == '+' || w[0] == '-') && hasTime:
			if zone, ok = parseOffset(w); !ok {
				return time.Time{}, false
			}
		case isDigits(w):
			n := number(w)
			switch {
			case !hasDay && len(w) <= 2:
				day, hasDay = n, true
			case !hasYear:
				year, hasYear = fullYear(n, len(w)), true
			}
		case month == 0 && monthOf(w) != 0:
			month = monthOf(w)
		case hasTime:
			if z, known := zoneOf(w); known {
				zone = z
			}
		}
	}
	if !hasDay || !hasYear || !hasTime || month == 0 || day < 1 || day > 31 || year < 1 || year > 9999 {
		return time.Time{}, false
	}
	t = time.Date(year, month, day, hour, minute, second, 0, time.UTC)
	if t.Day() != day {
		return time.Time{}, false // the 31st of a shorter month
	}
	return t.Add(-time.Duration(zone) * time.Minute), true
}

func dropComments(p []byte) []byte {
	out := make([]byte, 0, len(p))
	depth := 0
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '\\' && depth > 0:
			i++
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
			out = append(out, ' ')
		case depth == 0:
			out = append(out, c)
		}
	}
	return out
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 4
}

func number(s string) int {
	n := 0
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}

func fullYear(n, digits int) int {
	switch {
	case digits == 2 && n < 50:
		return 2000 + n
	case digits <= 3:
		return 1900 + n
	}
	return n
}

func parseClock(w string) (hour, minute, second int, ok bool) {
	parts := strings.Split(w, ":")
	if len(parts) > 3 {
		return 0, 0, 0, false
	}
	var v [3]int
	for i, p := range parts {
		if i == 2 {
			p, _, _ = strings.Cut(p, ".")
		}
		if !isDigits(p) || len(p) > 2 {
			return 0, 0, 0, false
		}
		v[i] = number(p)
	}
	if v[2] == 60 {
		v[2] = 59 // a leap second
	}
	return v[0], v[1], v[2], v[0] < 24 && v[1] < 60 && v[2] < 60
}

// parseOffset returns minutes east of UTC.
func parseOffset(w string) (int, bool) {
	d := strings.ReplaceAll(w[1:], ":", "")
	if len(d) != 4 || !isDigits(d) {
		return 0, false
	}
	n := number(d)
	m := n/100*60 + n%100
	if w[0] == '-' {
		m = -m
	}
	return m, true
}

func monthOf(w string) time.Month {
	if len(w) < 3 {
		return 0
	}
	i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(w[:3]))
	if i < 0 || i%3 != 0 {
		return 0
	}
	return time.Month(i/3 + 1)
}

func zoneOf(w string) (minutes int, known bool) {
	switch strings.ToUpper(w) {
	case "UT", "UTC", "GMT", "Z":
		return 0, true
	case "EDT":
		return -4 * 60, true
	case "EST", "CDT":
		return -5 * 60, true
	case "CST", "MDT":
		return -6 * 60, true
	case "MST", "PDT":
		return -7 * 60, true
	case "PST":
		return -8 * 60, true
	case "CET", "MET":
		return 60, true
	case "CEST", "MEST":
		return 120, true
	}
	return 0, false
}
