package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Count writes a number with thin groups: 1,234,567.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if neg {
		return "-" + s
	}
	return s
}

// Plural writes "1 message", "2 messages"; a noun in -y or -x is changed as
// English does ("mailbox" gives "mailboxes").
func Plural(n int64, noun string) string { return Count(n) + " " + plural(n, noun) }

func plural(n int64, noun string) string {
	if n == 1 {
		return noun
	}
	switch {
	case strings.HasSuffix(noun, "copy"), strings.HasSuffix(noun, "delivery"):
		return strings.TrimSuffix(noun, "y") + "ies"
	case strings.HasSuffix(noun, "x"), strings.HasSuffix(noun, "s"):
		return noun + "es"
	}
	return noun + "s"
}

// Bytes writes a size with three digits and a decimal unit: 12.3 MB.
func Bytes(n int64) string {
	if n < 1000 && n > -1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	v := float64(n)
	for _, u := range []string{"kB", "MB", "GB", "TB", "PB"} {
		v /= 1000
		if v < 999.5 && v > -999.5 {
			return digits(v) + " " + u
		}
	}
	return digits(v/1000) + " EB"
}

func digits(v float64) string {
	switch {
	case v < 9.995 && v > -9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95 && v > -99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// Duration writes a length of time for a person: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min, 3 d 4 h.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Duration(-d)
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Round(time.Second).Seconds())) + " s"
	case d < time.Hour:
		d = d.Round(time.Second)
		return two(int(d/time.Minute), "min", int(d%time.Minute/time.Second), "s")
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		return two(int(d/time.Hour), "h", int(d%time.Hour/time.Minute), "min")
	}
	d = d.Round(time.Hour)
	return two(int(d/(24*time.Hour)), "d", int(d%(24*time.Hour)/time.Hour), "h")
}

func two(a int, ua string, b int, ub string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, ua)
	}
	return fmt.Sprintf("%d %s %d %s", a, ua, b, ub)
}

// Age writes how long ago t was, and when: "3 h 2 min ago (2026-11-22 01:30:00)".
func Age(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t).Round(time.Second)
	if d == 0 {
		return "just now (" + Time(t) + ")"
	}
	return Duration(d) + " ago (" + Time(t) + ")"
}

// Time writes a moment in local time, to the second.
func Time(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// List joins words as a sentence does: "a", "a and b", "a, b and c".
func List(words []string, and string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + and + " " + words[len(words)-1]
}
