package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSize(t *testing.T) {
	for in, want := range map[string]Size{
		"0": 0, "1": 1, "200M/s": 200_000_000, "200 M": 200_000_000, "1.5G": 1_500_000_000,
		"64Mi": 64 << 20, "10k": 10_000, "10K": 10_000, "1Ki": 1024, "3MB": 3_000_000, "2MiB/s": 2 << 20, "1T": 1e12,
	} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "M", "-1", "1X", "1m", "ten", "1e3", "1/s/s", "NaN", "1.2.3", "99999999999T"} {
		if got, err := ParseSize(in); !errors.Is(err, ErrValue) {
			t.Errorf("ParseSize(%q) = %d, %v; want an error", in, got, err)
		}
	}
}

func TestShare(t *testing.T) {
	for in, want := range map[string]Share{"1/30": 1.0 / 30, "1%": 0.01, "0.05": 0.05, "1": 1, "100%": 1, " 1 / 4 ": 0.25} {
		if got, err := ParseShare(in); err != nil || got != want {
			t.Errorf("ParseShare(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0", "0/3", "2", "1/0", "-1/3", "31/30", "101%", "x", "NaN", "1/NaN"} {
		if got, err := ParseShare(in); !errors.Is(err, ErrValue) {
			t.Errorf("ParseShare(%q) = %v, %v; want an error", in, got, err)
		}
	}
}

// A crash is placed at the end of the second or minute that is named, and not
// later than now.
func TestCrash(t *testing.T) {
	for in, want := range map[string]string{
		"2026-11-22T01:30:00Z":     "2026-11-22T01:30:00.999999999Z",
		"2026-11-22T01:30:00.5Z":   "2026-11-22T01:30:00.5Z",
		"2026-11-22 01:30:15":      "2026-11-22T01:30:15.999999999Z",
		"2026-11-22 01:30":         "2026-11-22T01:30:59.999999999Z",
		" 2026-11-22T01:30 ":       "2026-11-22T01:30:59.999999999Z",
		"2026-11-22":               "2026-11-22T00:00:00Z",
		"2999-01-01T00:00:00Z":     "2999-01-01T00:00:00Z",
		"2026-11-22 01:30:00Z":     "2026-11-22T01:30:00.999999999Z",
		"2026-11-22T01:30:00.000Z": "2026-11-22T01:30:00.999999999Z",
	} {
		want, err := time.Parse(time.RFC3339Nano, want)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(in, "Z") {
			_, offset := want.In(time.Local).Zone()
			want = want.Add(-time.Duration(offset) * time.Second)
		}
		var c Crash
		if err := c.Set(in); err != nil || !c.Equal(want) {
			t.Errorf("%q = %v, %v; want %v", in, c.UTC(), err, want)
		}
		said := c.String() // as a hint repeats it
		if err := c.Set(said); err != nil || c.String() != said {
			t.Errorf("%q again = %v, %v", said, c.String(), err)
		}
	}
	before := time.Now()
	var c Crash
	if err := c.Set(before.Format(time.RFC3339)); err != nil || c.Before(before) || c.After(time.Now()) {
		t.Errorf("this second = %v, %v; want one between %v and now", c, err, before)
	}
	if err := c.Set("yesterday"); !errors.Is(err, ErrValue) {
		t.Errorf("yesterday: %v", err)
	}
}

func TestWhen(t *testing.T) {
	loc := time.FixedZone("there", 3600)
	for in, want := range map[string]string{
		"2026-11-22T01:30:00Z":      "2026-11-22T01:30:00Z",
		"2026-11-22T01:30:00+02:00": "2026-11-21T23:30:00Z",
		"2026-11-22 01:30:00+02:00": "2026-11-21T23:30:00Z",
		"2026-11-22 01:30":          "2026-11-22T00:30:00Z",
		"2026-11-22T01:30":          "2026-11-22T00:30:00Z",
		"2026-11-22 01:30:15":       "2026-11-22T00:30:15Z",
		"2026-11-22":                "2026-11-21T23:00:00Z",
	} {
		got, err := ParseWhen(in, loc)
		if err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("ParseWhen(%q) = %v, %v; want %s", in, got.UTC(), err, want)
		}
	}
	for _, in := range []string{"", "yesterday", "22.11.2026", "2026-13-01", "01:30"} {
		if _, err := ParseWhen(in, loc); !errors.Is(err, ErrValue) {
			t.Errorf("ParseWhen(%q): %v, want an error", in, err)
		}
	}
}

func TestDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"2h": 2 * time.Hour, "90m": 90 * time.Minute, "1h30m": 90 * time.Minute, "90d": 90 * 24 * time.Hour, "1d12h": 36 * time.Hour,
	} {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0", "0s", "-1h", "2", "2 hours", "d", "1.5d", "-1d"} {
		if got, err := ParseDuration(in); !errors.Is(err, ErrValue) {
			t.Errorf("ParseDuration(%q) = %v, %v; want an error", in, got, err)
		}
	}
}

func TestGlobs(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "example.org/alice", true},
		{"a*", "alice@example.org", true},
		{"a*", "bob", false},
		{"*@example.org", "alice@example.org", true},
		{"example.org/*", "example.org/a/b", true},
		{"[a-m]*", "karl", true},
		{"[a-m]*", "zoe", false},
		{"?", "/", true},
		{`\*`, "*", true},
		{"alice", "alice2", false},
		{"a*", "a\xff\nb", true},
	} {
		var g Globs
		if err := g.Set(c.pattern); err != nil {
			t.Fatal(err)
		}
		if got := g.Match(c.name); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.name, got)
		}
	}
	if !(Globs{}).Match("anything") {
		t.Error("no pattern must match all")
	}
	var g Globs
	for _, bad := range []string{"", "[a", `a\`} {
		if err := g.Set(bad); !errors.Is(err, ErrValue) {
			t.Errorf("pattern %q was accepted: %v", bad, err)
		}
	}
}

// A plain name, written as a pattern, matches itself and nothing longer.
func TestGlobPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z0-9@./_-]{1,20}`).Draw(t, "name")
		g := Globs{name}
		if !g.Match(name) || g.Match(name+"x") {
			t.Fatalf("%q", name)
		}
	})
}

func FuzzValues(f *testing.F) {
	for _, s := range []string{"200M/s", "1/30", "2h", "2026-11-22 01:30", "90d", "[a-", "1e309"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseSize(s); err == nil && v < 0 {
			t.Errorf("size %d", v)
		}
		if v, err := ParseShare(s); err == nil && !(v > 0 && v <= 1) {
			t.Errorf("share %v", v)
		}
		if v, err := ParseDuration(s); err == nil && v <= 0 {
			t.Errorf("duration %v", v)
		}
		if CheckGlob(s) == nil {
			Globs{s}.Match("name/" + s)
		}
		_, _ = ParseWhen(s, time.UTC)
	})
}
