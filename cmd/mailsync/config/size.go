package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ErrValue is wrapped by every error about a size, share, time or pattern.
var ErrValue = errors.New("not understood")

// Size is a number of bytes, or with "/s" of bytes a second: "200M/s",
// "64Mi", "1.5G". M is 10^6 and Mi is 2^20; a trailing B is allowed.
type Size int64

var units = map[string]float64{
	"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
	"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
}

// ParseSize reads a Size.
func ParseSize(s string) (Size, error) {
	t := strings.TrimSpace(s)
	t = strings.TrimSuffix(t, "/s")
	t = strings.TrimSuffix(t, "B")
	i := 0
	for i < len(t) && (t[i] >= '0' && t[i] <= '9' || t[i] == '.') {
		i++
	}
	number, unit := t[:i], strings.TrimSpace(t[i:])
	factor, ok := units[unit]
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !ok || err != nil || v*factor > math.MaxInt64/2 {
		return 0, fmt.Errorf("size %q %w: write a number and k, M, G or Ki, Mi, Gi, as in 200M/s", s, ErrValue)
	}
	return Size(v * factor), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (z *Size) UnmarshalText(text []byte) error {
	v, err := ParseSize(string(text))
	*z = v
	return err
}

// String, Set and Type make a *Size a flag (pflag.Value).
func (z *Size) String() string {
	if *z == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*z), 10)
}

// Set implements pflag.Value.
func (z *Size) Set(s string) error { return z.UnmarshalText([]byte(s)) }

// Type implements pflag.Value.
func (*Size) Type() string { return "SIZE" }

// Share is a part of a whole between 0 and 1, written as "1/30", "1%" or "0.05".
type Share float64

// ParseShare reads a Share. Zero is refused: it would mean "nothing, ever".
func ParseShare(s string) (Share, error) {
	bad := fmt.Errorf("share %q %w: write 1/30, 3%% or 0.03", s, ErrValue)
	t := strings.TrimSpace(s)
	div := 1.0
	if a, b, ok := strings.Cut(t, "/"); ok {
		d, err := strconv.ParseFloat(strings.TrimSpace(b), 64)
		if err != nil || !(d > 0) || math.IsInf(d, 0) {
			return 0, bad
		}
		t, div = strings.TrimSpace(a), d
	} else if strings.HasSuffix(t, "%") {
		t, div = strings.TrimSpace(strings.TrimSuffix(t, "%")), 100
	}
	v, err := strconv.ParseFloat(t, 64)
	if err != nil || math.IsNaN(v) || v <= 0 || v/div > 1 {
		return 0, bad
	}
	return Share(v / div), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Share) UnmarshalText(text []byte) error {
	v, err := ParseShare(string(text))
	*h = v
	return err
}

// String implements pflag.Value.
func (h *Share) String() string {
	if *h == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(*h), 'g', -1, 64)
}

// Set implements pflag.Value.
func (h *Share) Set(s string) error { return h.UnmarshalText([]byte(s)) }

// Type implements pflag.Value.
func (*Share) Type() string { return "SHARE" }
