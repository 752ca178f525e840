package ui

import (
	"errors"
	"slices"
	"strings"
)

// Problem is an error for the operator: what happened and where, why, and what
// to do next.
type Problem struct {
	What string // what could not be done, with the place
	Why  error  // the cause; nil where What says it all
	Hint string // what to do next; printed on a line of its own
	Code int    // exit code, 0 = as the cause says
	Told bool   // it has been printed already
}

// Error implements error: "what: why".
func (p *Problem) Error() string {
	switch {
	case p.Why == nil:
		return p.What
	case p.What == "":
		return p.Why.Error()
	}
	return p.What + ": " + p.Why.Error()
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Why }

// Hint returns the hint that err carries, or "".
func Hint(err error) string {
	var p *Problem
	if errors.As(err, &p) {
		return p.Hint
	}
	return ""
}

// Oneline makes an error's text one safe line, at most limit bytes of it: a
// cause that quotes a whole file must not fill the screen. Joined errors, which
// stand on lines of their own, are parted by semicolons; what one of them has
// said already is not said again.
func Oneline(err error, limit int) string {
	var parts []string
	for line := range strings.Lines(err.Error()) {
		part := strings.Join(strings.Fields(line), " ")
		if part != "" && !slices.ContainsFunc(parts, func(said string) bool { return strings.HasSuffix(said, part) }) {
			parts = append(parts, part)
		}
	}
	s := Escape(strings.Join(parts, "; "))
	s = strings.ReplaceAll(s, `\\`, `\`)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + " …"
	}
	return s
}
