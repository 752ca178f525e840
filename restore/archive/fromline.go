package archive

import (
	"strings"
	"time"
)

// fromLine is what a "From " line says.
type fromLine struct {
	sender string
	date   time.Time
	zoned  bool
}

// parseFrom reads "From sender date[ more]". It fails where no date follows:
// then the line is text.
func parseFrom(line []byte, loc *time.Location) (fromLine, bool) {
	s, ok := strings.CutPrefix(strings.TrimRight(string(line[:min(len(line), 1024)]), "\r\n \t"), "From ")
	if !ok {
		return fromLine{}, false
	}
	// The date starts at the last weekday's name before the time of day, or at
	// an ISO date; a sender may hold spaces.
	colon := strings.IndexByte(s, ':')
	for colon >= 0 && !clockAt(s, colon) {
		i := strings.IndexByte(s[colon+1:], ':')
		if i < 0 {
			return fromLine{}, false
		}
		colon += 1 + i
	}
	if colon < 0 {
		return fromLine{}, false
	}
	start := -1
	for i := colon; i > 0; i-- {
		if s[i-1] != ' ' && s[i-1] != '\t' {
			continue
		}
		if w := s[i:]; weekday(w) || len(w) > 10 && w[4] == '-' && w[7] == '-' {
			start = i
			break
		}
	}
	if start < 0 {
		if weekday(s) { // "From  Mon Jan …": no sender at all
			start = 0
		} else {
			return fromLine{}, false
		}
	}
	date, _, _ := strings.Cut(s[start:], " remote from ")
	t, zoned, ok := parseDate(date, loc)
	if !ok {
		return fromLine{}, false
	}
	f := fromLine{sender: strings.Trim(s[:start], " \t"), date: t, zoned: zoned}
	if strings.EqualFold(f.sender, "MAILER-DAEMON") {
		f.sender = ""
	}
	return f, true
}

// clockAt tells whether the colon at i stands in a time of day.
func clockAt(s string, i int) bool {
	digit := func(j int) bool { return j >= 0 && j < len(s) && s[j] >= '0' && s[j] <= '9' }
	return digit(i-1) && digit(i+1) && digit(i+2)
}

func weekday(s string) bool {
	if len(s) < 4 || s[3] != ' ' && s[3] != ',' {
		return false
	}
	switch strings.ToLower(s[:3]) {
	case "mon", "tue", "wed", "thu", "fri", "sat", "sun":
		return true
	}
	return false
}
