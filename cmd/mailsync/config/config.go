package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// DefaultFile is read when neither a flag nor the environment names another.
const DefaultFile = "/etc/mailsync/mailsync.toml"

// ErrConfig is wrapped by every error about the configuration file.
var ErrConfig = errors.New("configuration")

// Config is mailsync.toml as written. docs/configuration.md explains each key.
type Config struct {
	State       string              `toml:"state"`
	StateCopies []string            `toml:"state_copies"`
	Digest      Alg                 `toml:"digest"`
	Readers     int                 `toml:"readers"`
	LimitRate   Size                `toml:"limit_rate"`
	SSH         Words               `toml:"ssh_command"`   // reaches other hosts
	Network     Size                `toml:"limit_network"` // bytes a second to and from each of them
	Breaker     Share               `toml:"breaker"`
	Absences    Duration            `toml:"keep_absences"`
	Stores      map[string]*Store   `toml:"stores"`
	Archives    map[string]*Archive `toml:"archives"`
	Recipients  Recipients          `toml:"recipients"`
	Signing     Signing             `toml:"signing"`

	// File is where it was read; "" when there is none.
	File string `toml:"-"`

	lines map[string]int // on which line each key stands
}

// Store is one [stores.NAME].
type Store struct {
	Path          string   `toml:"path"`
	Layout        string   `toml:"layout"`  // template of a mailbox' path, with Dovecot's variables
	UsersAsGiven  Words    `toml:"users"`   // a list (string) or a command (string or array), instead of layout
	Control       string   `toml:"control"` // template of the tree with uidlists and keywords
	Index         string   `toml:"index"`   // template of the tree with dovecot.index*
	Folders       Folders  `toml:"folders"` // maildir++ or fs
	UTF8          bool     `toml:"utf8"`    // folder names on disk are UTF-8
	Symlinks      bool     `toml:"symlinks"`
	Role          Role     `toml:"role"`
	FailureDomain string   `toml:"failure_domain"`
	Digest        Alg      `toml:"digest"`
	Readers       int      `toml:"readers"`
	LimitRate     Size     `toml:"limit_rate"`
	FilesPerSec   int      `toml:"files_per_second"`
	Latency       Duration `toml:"latency_target"`
	Idle          bool     `toml:"idle"` // read in the idle IO class
	Breaker       Share    `toml:"breaker"`
	Absences      Duration `toml:"keep_absences"`

	Name string `toml:"-"`
}

// Archive is one [archives.NAME].
type Archive struct {
	Path       string  `toml:"path"`
	Timezone   string  `toml:"timezone"`    // of mbox "From " dates without a zone
	Header     Words   `toml:"header"`      // fields that carry the envelope's recipients
	Sender     Words   `toml:"sender"`      // fields that carry the envelope's sender
	ReceivedBy Words   `toml:"received_by"` // hosts whose "Received ... for" is an envelope
	Own        Words   `toml:"own"`         // the archive's own addresses, in no envelope
	Pattern    string  `toml:"pattern"`     // recipient and date in a file's path
	Variant    string  `toml:"variant"`     // of the mbox files: mboxo, mboxrd, mboxcl, mboxcl2
	Altered    Altered `toml:"altered"`     // what a copy with another body means

	Name string `toml:"-"`
}

// Recipients says how an envelope's recipient becomes a mailbox.
type Recipients struct {
	Delimiter   string `toml:"delimiter"`
	CaseFold    *bool  `toml:"case_fold"`
	Virtual     Words  `toml:"virtual"`
	Aliases     Words  `toml:"aliases"`
	Mailboxes   Words  `toml:"virtual_mailbox"`
	MailboxBase string `toml:"virtual_mailbox_base"`
	PasswdFiles Words  `toml:"passwd_files"`
	Domains     Words  `toml:"domains"`
	Command     Words  `toml:"resolve_command"`
	AsOf        string `toml:"as_of"`           // directory that holds the files above as they were then
	Doveadm     Words  `toml:"doveadm"`         // starts doveadm, to ask Dovecot for its users
	HomeMaildir string `toml:"doveadm_maildir"` // below the home directory that it names
	SQL         *SQL   `toml:"sql"`
}

// SQL is [recipients.sql]: a database of aliases and mailboxes.
type SQL struct {
	Driver       string `toml:"driver"`
	DSN          string `toml:"dsn"`
	Aliases      string `toml:"aliases"`
	AliasDomains string `toml:"alias_domains"`
	Mailboxes    string `toml:"mailboxes"`
	Base         string `toml:"maildir_base"`
}

// Signing names the keys, in minisign's format, that plans and records are
// signed with and checked against.
type Signing struct {
	SecretKey  string `toml:"secret_key"`  // a file
	PublicKeys Words  `toml:"public_keys"` // each the key's text, or a file
}

// Load reads and checks one file.
func Load(file string) (*Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return Parse(file, data)
}

// Parse checks the text of a configuration; file is its name in errors.
func Parse(file string, data []byte) (*Config, error) {
	c := &Config{File: file}
	d := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, positioned(file, err)
	}
	c.lines = linesOf(data)
	for _, name := range sortedKeys(c.Stores) {
		s := c.Stores[name]
		s.Name = name
		if err := s.check(); err != nil {
			return nil, tableError(file, data, "stores", name, err)
		}
	}
	for _, name := range sortedKeys(c.Archives) {
		a := c.Archives[name]
		a.Name = name
		if err := a.check(); err != nil {
			return nil, tableError(file, data, "archives", name, err)
		}
		if c.Stores[name] != nil {
			return nil, tableError(file, data, "archives", name, errors.New("a store has the same name"))
		}
	}
	if p := c.Recipients.AsOf; p != "" && !filepath.IsAbs(p) {
		return nil, fmt.Errorf("%w: %s: recipients: as_of %q must be absolute", ErrConfig, file, p)
	}
	if c.Readers < 0 || c.LimitRate < 0 || c.Network < 0 || c.Breaker < 0 || c.Breaker > 1 {
		return nil, fmt.Errorf("%w: %s: readers, limit_rate and limit_network must not be negative, breaker must lie between 0 and 1", ErrConfig, file)
	}
	return c, nil
}

// positioned puts file, line and column before what the decoder says.
func positioned(file string, err error) error {
	var missing *toml.StrictMissingError
	if errors.As(err, &missing) && len(missing.Errors) > 0 {
		e := &missing.Errors[0]
		row, col := e.Position()
		more := ""
		if n := len(missing.Errors) - 1; n > 0 {
			more = fmt.Sprintf(" (and %d more)", n)
		}
		return &PositionError{File: file, Line: row, Column: col, Msg: fmt.Sprintf("unknown key %q%s", strings.Join(e.Key(), "."), more)}
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		row, col := bad.Position()
		msg := strings.TrimPrefix(bad.Error(), "toml: ")
		if m := wrongType.FindStringSubmatch(msg); m != nil {
			kind, ok := map[string]string{"string": "a text in quotes", "bool": "true or false", "int": "a number", "int64": "a number"}[m[2]]
			if !ok {
				kind = "another kind of value"
			}
			msg = fmt.Sprintf("%s is wanted, and a TOML %s stands there", kind, m[1])
		}
		if k := bad.Key(); len(k) > 0 && !strings.Contains(msg, k[len(k)-1]) {
			msg = fmt.Sprintf("%s: %s", strings.Join(k, "."), msg)
		}
		return &PositionError{File: file, Line: row, Column: col, Msg: msg}
	}
	return fmt.Errorf("%w: %s: %w", ErrConfig, file, err)
}

// wrongType is how the decoder tells of a value of the wrong kind.
var wrongType = regexp.MustCompile(`^cannot decode TOML (.+) into (?:struct field .* of type|a Go value of type) (\S+)$`)

// PositionError is an error at one place of the configuration file. Line and
// Column count from 1; a Column of 0 is not known.
type PositionError struct {
	File         string
	Line, Column int
	Msg          string
}

// Error implements error: "file:line:column: message".
func (e *PositionError) Error() string {
	if e.Column == 0 {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
}

// Unwrap makes a PositionError an ErrConfig.
func (e *PositionError) Unwrap() error { return ErrConfig }

// tableError points at the header of a table, which is where a complaint about
// its keys together belongs.
func tableError(file string, data []byte, kind, name string, err error) error {
	re := regexp.MustCompile(`^\s*\[\s*` + kind + `\s*\.\s*["']?` + regexp.QuoteMeta(name) + `["']?\s*\]`)
	for i, line := range bytes.Split(data, []byte("\n")) {
		if re.Match(line) {
			col := bytes.IndexByte(line, '[') + 1
			return &PositionError{File: file, Line: i + 1, Column: col, Msg: fmt.Sprintf("%s.%s: %v", kind, name, err)}
		}
	}
	return fmt.Errorf("%w: %s: %s.%s: %w", ErrConfig, file, kind, name, err)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
