package archive

import (
	"strconv"
	"strings"
	"time"
)

// ParseDate reads a date of a mail header (RFC 5322 section 3.3, with the
// obsolete forms and the slips of real mail), of a "From " line, or ISO 8601.
// A date without a zone is taken as UTC.
func ParseDate(s string) (time.Time, bool) {
	t, zoned, ok := parseDate(s, time.UTC)
	_ = zoned
	return t, ok
}

// zones are the zone names that mail uses and that mean one offset (RFC 5322
// section 4.3, and the European ones); hours east of UTC.
var zones = map[string]float64{
	"UT": 0, "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 1, "BST": 1,
	"MET": 1, "MEZ": 1, "CET": 1, "MEST": 2, "MESZ": 2, "CEST": 2, "EET": 2, "EEST": 3, "MSK": 3,
	"JST": 9, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
}

var months = [...]string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}

// parseDate reads words in any of the usual orders: a month's name, a time with
// colons, a zone, and of the plain numbers the day before the year. zoned says
// whether the text named its zone; without, the date is in loc.
func parseDate(s string, loc *time.Location) (t time.Time, zoned, ok bool) {
	if i := strings.IndexByte(s, '('); i >= 0 {
		s = s[:i]
	}
	if len(s) > 128 {
		s = s[:128]
	}
	if s = strings.TrimSpace(s); len(s) > 10 && s[4] == '-' && s[7] == '-' {
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			return t, true, true
		}
	}
	day, month, year, hour, minute, second := 0, 0, -1, -1, 0, 0
	zone := loc
	for w := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		switch {
		case strings.Count(w, ":") >= 1 && w[0] >= '0' && w[0] <= '9':
			if hour >= 0 {
				return t, false, false
			}
			part := strings.SplitN(w, ":", 3)
			hour = number(part[0], 0, 23)
			minute = number(part[1], 0, 59)
			if len(part) == 3 {
				sec, _, _ := strings.Cut(part[2], ".")
				second = number(sec, 0, 60)
			}
			if hour < 0 || minute < 0 || second < 0 {
				return t, false, false
			}
		case len(w) == 5 && (w[0] == '+' || w[0] == '-'):
			hh, mm := number(w[1:3], 0, 23), number(w[3:], 0, 59)
			if hh < 0 || mm < 0 {
				continue
			}
			off := hh*3600 + mm*60
			if w[0] == '-' {
				off = -off
			}
			zone, zoned = time.FixedZone("", off), true
		case len(w) == 10 && w[4] == '-' && w[7] == '-':
			year, month, day = number(w[:4], 1, 9999), number(w[5:7], 1, 12), number(w[8:], 1, 31)
		case w[0] >= '0' && w[0] <= '9':
			switch n := number(w, 0, 9999); {
			case n < 0:
				return t, false, false
			case day == 0 && n <= 31 && len(w) <= 2:
				day = n
			case year < 0:
				year = n
				if len(w) <= 2 { // RFC 5322 section 4.3
					if year += 1900; n < 50 {
						year += 100
					}
				} else if len(w) == 3 {
					year += 1900
				}
			}
		default:
			if m := monthOf(w); m > 0 {
				if month == 0 {
					month = m
				}
				continue
			}
			if h, known := zones[strings.ToUpper(w)]; known {
				zone, zoned = time.FixedZone(strings.ToUpper(w), int(h*3600)), true
			}
		}
	}
	if day < 1 || month < 1 || year < 1 || hour < 0 {
		return t, false, false
	}
	t = time.Date(year, time.Month(month), day, hour, minute, second, 0, zone)
	return t, zoned, true
}

func monthOf(w string) int {
	if len(w) < 3 {
		return 0
	}
	for i, m := range months {
		if strings.EqualFold(w[:3], m) {
			return i + 1
		}
	}
	return 0
}

// number reads a decimal number within bounds; -1 where it is none.
func number(s string, low, high int) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high || s[0] == '+' {
		return -1
	}
	return n
}
