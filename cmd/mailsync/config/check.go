package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

var nameRE = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// ValidName tells whether s can be the name of a store or an archive.
func ValidName(s string) bool { return nameRE.MatchString(s) }

func checkName(s string) error {
	if !ValidName(s) {
		return errors.New("a name is made of a-z, 0-9, '.', '_', '-' and begins with a letter or digit")
	}
	return nil
}

func (s *Store) check() error {
	if err := checkName(s.Name); err != nil {
		return err
	}
	if IsRemote(s.Path) {
		if _, _, err := SplitHost(s.Path); err != nil {
			return fmt.Errorf("path %w", err)
		}
	}
	switch {
	case s.Path == "":
		return errors.New("path is missing")
	case IsRemote(s.Path) && len(s.UsersAsGiven) > 0:
		return errors.New("users of a store on another host belong into the configuration of that host")
	case !filepath.IsAbs(s.Path) && !IsRemote(s.Path):
		return fmt.Errorf("path %q must be absolute", s.Path)
	case s.Layout != "" && len(s.UsersAsGiven) > 0:
		return errors.New("layout and users exclude each other")
	case len(s.UsersAsGiven) > 0 && strings.TrimSpace(s.UsersAsGiven[0]) == "":
		return errors.New("users is empty")
	case s.Readers < 0:
		return errors.New("readers must not be negative")
	case s.LimitRate < 0:
		return errors.New("limit_rate must not be negative")
	case s.Breaker < 0 || s.Breaker > 1:
		return errors.New("breaker must lie between 0 and 1")
	case s.FilesPerSec < 0:
		return errors.New("files_per_second must not be negative")
	}
	return nil
}

func (a *Archive) check() error {
	if err := checkName(a.Name); err != nil {
		return err
	}
	if a.Path == "" {
		return errors.New("path is missing")
	}
	if !filepath.IsAbs(a.Path) && !IsRemote(a.Path) {
		return fmt.Errorf("path %q must be absolute", a.Path)
	}
	if IsRemote(a.Path) {
		if _, _, err := SplitHost(a.Path); err != nil {
			return fmt.Errorf("path %w", err)
		}
	}
	if a.Timezone != "" {
		if _, err := time.LoadLocation(a.Timezone); err != nil {
			return fmt.Errorf("timezone %q: %w", a.Timezone, err)
		}
	}
	return nil
}

// Zone is the zone of "From " lines that name none; nil where nothing is configured.
func (a *Archive) Zone() (*time.Location, error) {
	if a.Timezone == "" {
		return nil, nil
	}
	loc, err := time.LoadLocation(a.Timezone)
	if err != nil {
		return nil, fmt.Errorf("%w: archives.%s: timezone %q: %w", ErrConfig, a.Name, a.Timezone, err)
	}
	return loc, nil
}
