package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Errors of a STORE or ARCHIVE on the command line.
var (
	// ErrNoName: no store or archive has this name.
	ErrNoName = errors.New("not in the configuration")
	// ErrEmptyName: the argument is empty.
	ErrEmptyName = errors.New("empty name")
)

// IsPath tells whether arg is a path rather than a name: it has a '/', or is
// "." or "..".
func IsPath(arg string) bool {
	return strings.Contains(arg, "/") || arg == "." || arg == ".."
}

// Store resolves a STORE: a name from the configuration, or a path, here or on
// another host, that needs none. The Name of a store by path is the path as
// given.
func (c *Config) Store(arg string) (*Store, error) {
	switch {
	case arg == "":
		return nil, fmt.Errorf("store: %w", ErrEmptyName)
	case IsRemote(arg):
		if _, _, err := SplitHost(arg); err != nil {
			return nil, fmt.Errorf("store %w", err)
		}
		return &Store{Name: arg, Path: arg}, nil
	case IsPath(arg):
		abs, err := filepath.Abs(arg)
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", arg, err)
		}
		return &Store{Name: arg, Path: abs}, nil
	}
	s := c.Stores[arg]
	if s == nil {
		return nil, fmt.Errorf("store %s: %w", arg, ErrNoName)
	}
	return s, nil
}

// Archive resolves an ARCHIVE as Store does a STORE.
func (c *Config) Archive(arg string) (*Archive, error) {
	switch {
	case arg == "":
		return nil, fmt.Errorf("archive: %w", ErrEmptyName)
	case IsRemote(arg):
		if _, _, err := SplitHost(arg); err != nil {
			return nil, fmt.Errorf("archive %w", err)
		}
		return &Archive{Name: arg, Path: arg}, nil
	case IsPath(arg):
		abs, err := filepath.Abs(arg)
		if err != nil {
			return nil, fmt.Errorf("archive %s: %w", arg, err)
		}
		return &Archive{Name: arg, Path: abs}, nil
	}
	a := c.Archives[arg]
	if a == nil {
		return nil, fmt.Errorf("archive %s: %w", arg, ErrNoName)
	}
	return a, nil
}

// StoreNames lists the configured stores, sorted.
func (c *Config) StoreNames() []string { return sortedKeys(c.Stores) }

// ArchiveNames lists the configured archives, sorted.
func (c *Config) ArchiveNames() []string { return sortedKeys(c.Archives) }

// WithRole lists the stores of one role, sorted by name.
func (c *Config) WithRole(r Role) []*Store {
	var list []*Store
	for _, s := range c.Stores {
		if s.Role == r {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *Store) int { return strings.Compare(a.Name, b.Name) })
	return list
}
