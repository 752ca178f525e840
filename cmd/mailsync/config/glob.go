package config

import (
	"fmt"
	"path"
	"strings"
)

// Globs is a list of patterns for mailbox names. In a pattern '*' stands for
// any text, '/' and '@' included: a mailbox' name is a name, not a path. '?'
// stands for one character, [a-m] for one of several, '\' makes the next
// character plain.
type Globs []string

// CheckGlob tells what is wrong with a pattern.
func CheckGlob(pattern string) error {
	if pattern == "" {
		return fmt.Errorf("pattern %q %w: it is empty", pattern, ErrValue)
	}
	if _, err := path.Match(slashless(pattern), ""); err != nil {
		return fmt.Errorf("pattern %q %w: %w", pattern, ErrValue, err)
	}
	return nil
}

// Match tells whether name matches one of the patterns; no pattern matches all.
func (g Globs) Match(name string) bool {
	if len(g) == 0 {
		return true
	}
	n := slashless(name)
	for _, p := range g {
		if ok, err := path.Match(slashless(p), n); ok && err == nil {
			return true
		}
	}
	return false
}

// slashless replaces the one character that path.Match treats as special and
// we do not. NUL occurs in no name.
func slashless(s string) string { return strings.ReplaceAll(s, "/", "\x00") }

// String implements pflag.Value.
func (g *Globs) String() string { return strings.Join(*g, ",") }

// Set implements pflag.Value; each use adds one pattern.
func (g *Globs) Set(s string) error {
	if err := CheckGlob(s); err != nil {
		return err
	}
	*g = append(*g, s)
	return nil
}

// Type implements pflag.Value.
func (*Globs) Type() string { return "GLOB" }

// Rank is the place of the first pattern that name matches: mailboxes are
// worked on in the order in which their patterns were given.
func (g Globs) Rank(name string) int {
	for i := range g {
		if g[i : i+1].Match(name) {
			return i
		}
	}
	return len(g)
}
