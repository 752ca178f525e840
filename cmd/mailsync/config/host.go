package config

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// ErrHost: what stands for a place on another host makes no sense.
var ErrHost = errors.New("a place on another host is written host:/path or user@host:/path")

// IsRemote tells whether arg means "host:/path": a ':' before any '/'.
func IsRemote(arg string) bool {
	colon := strings.IndexByte(arg, ':')
	slash := strings.IndexByte(arg, '/')
	return colon >= 0 && (slash < 0 || colon < slash)
}

// hostRE is what may be handed to ssh as the name of a host: it cannot be
// taken for an option, or for anything else by a shell.
var hostRE = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9_.-]*@)?([A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?\])$`)

// SplitHost takes "user@host:/path" apart; an IPv6 address stands in brackets,
// which host lacks. The path is absolute and clean.
func SplitHost(arg string) (host, dir string, err error) {
	i := strings.Index(arg, ":/")
	if i < 0 || !hostRE.MatchString(arg[:i]) || strings.ContainsRune(arg, 0) {
		return "", "", fmt.Errorf("%q: %w", arg, ErrHost)
	}
	host = strings.NewReplacer("[", "", "]", "").Replace(arg[:i])
	return host, path.Clean(arg[i+1:]), nil
}

// Host is the host of a store, with the user where one is named, and "" for a
// store of this host.
func (s *Store) Host() string { return hostOf(s.Path) }

// Dir is where the store's root lies on its host.
func (s *Store) Dir() string { return dirOf(s.Path) }

// Host is the host of an archive, as that of a store.
func (a *Archive) Host() string { return hostOf(a.Path) }

// Dir is where the archive lies on its host.
func (a *Archive) Dir() string { return dirOf(a.Path) }

func hostOf(path string) string {
	if !IsRemote(path) {
		return ""
	}
	host, _, _ := SplitHost(path) // checked when it was resolved
	return host
}

func dirOf(path string) string {
	if _, dir, err := SplitHost(path); err == nil && IsRemote(path) {
		return dir
	}
	return path
}
