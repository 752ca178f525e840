package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Find reads the configuration that applies: the named file, else
// $MAILSYNC_CONFIG, else DefaultFile where it exists, else none. A file that
// was asked for by name must exist.
func Find(named string, getenv func(string) string) (*Config, error) {
	if named == "" {
		named = getenv("MAILSYNC_CONFIG")
	}
	if named != "" {
		return Load(named)
	}
	c, err := Load(DefaultFile)
	if errors.Is(err, fs.ErrNotExist) {
		return &Config{}, nil
	}
	return c, err
}

// StateDir tells where mailsync keeps its own files: the flag, the
// configuration, $MAILSYNC_STATE, /var/lib/mailsync for root,
// $XDG_STATE_HOME/mailsync (~/.local/state/mailsync) for others.
func (c *Config) StateDir(flag string, getenv func(string) string, uid int) (string, error) {
	dir := flag
	if dir == "" {
		dir = c.State
	}
	if dir == "" {
		dir = getenv("MAILSYNC_STATE")
	}
	if dir == "" && uid == 0 {
		dir = "/var/lib/mailsync"
	}
	if dir == "" {
		if xdg := getenv("XDG_STATE_HOME"); xdg != "" {
			dir = filepath.Join(xdg, "mailsync")
		}
	}
	if dir == "" {
		home := getenv("HOME")
		if home == "" {
			return "", fmt.Errorf("%w: no state directory: neither --state nor state nor $HOME is set", ErrConfig)
		}
		dir = filepath.Join(home, ".local", "state", "mailsync")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("%w: state directory %q: %w", ErrConfig, dir, err)
	}
	return abs, nil
}

// isFile tells whether path is an existing regular file.
func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
