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
	v, err := c.StateValue(flag, getenv, uid)
	return v.Text, err
}

// StateValue is StateDir, with where it is from.
func (c *Config) StateValue(flag string, getenv func(string) string, uid int) (Value, error) {
	v := Value{Key: "state", By: "default"}
	xdg, home := getenv("XDG_STATE_HOME"), getenv("HOME")
	switch env := getenv("MAILSYNC_STATE"); {
	case flag != "":
		v.Text, v.By, v.From = flag, "flag", "--state"
	case c.State != "":
		v.Text, v.By, v.From = c.State, "file", fmt.Sprintf("%s:%d", c.File, c.lines["state"])
	case env != "":
		v.Text, v.By, v.From = env, "environment", "$MAILSYNC_STATE"
	case uid == 0:
		v.Text = "/var/lib/mailsync"
	case xdg != "":
		v.Text, v.By, v.From = filepath.Join(xdg, "mailsync"), "environment", "$XDG_STATE_HOME"
	case home != "":
		v.Text, v.By, v.From = filepath.Join(home, ".local", "state", "mailsync"), "environment", "$HOME"
	default:
		return Value{}, fmt.Errorf("%w: no state directory: neither --state nor state nor $HOME is set", ErrConfig)
	}
	abs, err := filepath.Abs(v.Text)
	if err != nil {
		return Value{}, fmt.Errorf("%w: state directory %q: %w", ErrConfig, v.Text, err)
	}
	v.Text = abs
	return v, nil
}

// isFile tells whether path is an existing regular file.
func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
