package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// When is a moment: RFC 3339, or local time as "2026-11-22 01:30",
// "2026-11-22 01:30:15", "2026-11-22T01:30" or "2026-11-22".
type When struct{ time.Time }

var whenLayouts = []string{
	"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02",
}

// Crash is the moment of a crash, known as exactly as it is written: the second
// or the minute that is named, taken at its end as far as that has passed. What
// was recorded in that second counts as seen before the crash: a loss is never
// taken for a deletion because a clock was read to the second. A date alone is
// its midnight.
type Crash struct{ When }

// Set implements pflag.Value.
func (c *Crash) Set(s string) error {
	if err := c.When.Set(s); err != nil {
		return err
	}
	end := c.Add(exactness(s, c.Time) - 1)
	if now := time.Now(); end.After(now) {
		end = now
	}
	if end.After(c.Time) {
		c.Time = end
	}
	return nil
}

// exactness tells how long the moment is that s, read as t, names: at least a
// nanosecond.
func exactness(s string, t time.Time) time.Duration {
	s = strings.TrimSpace(s)
	switch {
	case len(s) <= len("2006-01-02") || t.Nanosecond() != 0:
		return 1
	case len(s) == len("2006-01-02 15:04"):
		return time.Minute
	}
	return time.Second
}

// ParseWhen reads a moment; one without a zone is in loc.
func ParseWhen(s string, loc *time.Location) (time.Time, error) {
	t := strings.TrimSpace(s)
	if v, err := time.Parse(time.RFC3339Nano, t); err == nil {
		return v, nil
	}
	if v, err := time.Parse("2006-01-02 15:04:05Z07:00", t); err == nil {
		return v, nil
	}
	for _, layout := range whenLayouts {
		if v, err := time.ParseInLocation(layout, t, loc); err == nil {
			return v, nil
		}
	}
	return time.Time{}, fmt.Errorf("time %q %w: write 2026-11-22T01:30:00Z, or 2026-11-22 01:30 for local time", s, ErrValue)
}

// UnmarshalText implements encoding.TextUnmarshaler; no zone means local time.
func (w *When) UnmarshalText(text []byte) error {
	v, err := ParseWhen(string(text), time.Local)
	w.Time = v
	return err
}

// String implements pflag.Value.
func (w *When) String() string {
	if w.IsZero() {
		return ""
	}
	return w.Format(time.RFC3339)
}

// Set implements pflag.Value.
func (w *When) Set(s string) error { return w.UnmarshalText([]byte(s)) }

// Type implements pflag.Value.
func (*When) Type() string { return "TIME" }

// Duration is a length of time as Go writes it ("2h", "90m", "1h30m"), with
// days allowed in front ("90d", "1d12h").
type Duration struct{ time.Duration }

// ParseDuration reads a Duration that is greater than zero.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("duration %q %w: write 2h, 90m, 1h30m or 90d", s, ErrValue)
	t := strings.TrimSpace(s)
	var days time.Duration
	if d, rest, ok := strings.Cut(t, "d"); ok {
		n, err := strconv.Atoi(d)
		if err != nil || n < 0 || n > 100_000 {
			return 0, bad
		}
		days, t = time.Duration(n)*24*time.Hour, rest
		if t == "" {
			t = "0s"
		}
	}
	v, err := time.ParseDuration(t)
	if err != nil || v < 0 || v+days <= 0 {
		return 0, bad
	}
	return v + days, nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := ParseDuration(string(text))
	d.Duration = v
	return err
}

// String implements pflag.Value.
func (d *Duration) String() string {
	if d.Duration == 0 {
		return ""
	}
	return d.Duration.String()
}

// Set implements pflag.Value.
func (d *Duration) Set(s string) error { return d.UnmarshalText([]byte(s)) }

// Type implements pflag.Value.
func (*Duration) Type() string { return "DURATION" }
