package drill

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mailsync/cmd/internal/sample"
	"mailsync/manifest"
)

// estate is what is true: which mail there was, and where.
type estate struct {
	dir    string
	began  time.Time
	backup time.Time // of which age the backup is
	gap    time.Time // mail from here on reached the gateway only
	all    *sample.Estate
	out    []outgoing
	crash  string // when it happened, as flags take it; set by the incident
}

// How the estate is laid out in time: the last mail arrived a little ago, no
// store has the last hours, the backup lacks more.
const (
	history   = 72 * time.Hour
	settled   = 15 * time.Minute
	gapHours  = 5 * time.Hour
	backupAge = 9 * time.Hour
)

// build writes the stores as they were before the incident.
func build(dir string, gap bool) (*estate, error) {
	now := time.Now().Truncate(time.Second)
	e := &estate{dir: dir, began: now, gap: now}
	if gap {
		e.gap = now.Add(-gapHours)
	}
	e.all = sample.New(sample.Options{
		Seed: 20, Mailboxes: 6, PerMailbox: 70, Folders: []string{"INBOX", "Sent", "Archive/2026"},
		Size: 1500, From: now.Add(-history), Until: now.Add(-settled),
	})
	if err := e.subset(e.gap).Write(e.path("primary")); err != nil {
		return nil, err
	}
	if err := e.subset(e.gap).Write(e.path("spare")); err != nil {
		return nil, err
	}
	e.backup = now.Add(-backupAge)
	if err := e.subset(e.backup).Write(e.path("backup")); err != nil {
		return nil, err
	}
	var mbox bytes.Buffer
	if err := sample.WriteMbox(&mbox, e.all.Gateway(nil)); err != nil {
		return nil, err
	}
	if err := os.WriteFile(e.path("gateway.mbox"), mbox.Bytes(), 0o600); err != nil {
		return nil, err
	}
	return e, os.WriteFile(e.path("mailsync.toml"), fmt.Appendf(nil, config, e.path("state"), e.dir, e.dir, e.dir, e.path("gateway.mbox")), 0o600)
}

const config = `# The estate of a drill.
state = %q

[stores.primary]
path   = "%s/primary"
layout = "%%d/%%n/Maildir"
role   = "primary"
failure_domain = "rack-a"

[stores.spare]
path   = "%s/spare"
layout = "%%d/%%n/Maildir"
role   = "spare"
failure_domain = "rack-a"       # behind the same power supply: one witness with the primary

[stores.backup]
path   = "%s/backup"
layout = "%%d/%%n/Maildir"
role   = "backup"
failure_domain = "rack-b"

[archives.gateway]
path = %q
`

func (e *estate) path(name string) string { return filepath.Join(e.dir, name) }

// subset is the estate as of a moment: without what came later.
func (e *estate) subset(until time.Time) *sample.Estate {
	return e.all.Before(until)
}

// vandal breaks messages of a store, the same each time.
func (e *estate) vandal(store string, seed uint64) *sample.Vandal {
	return sample.NewVandal(e.subset(e.gap), e.path(store), seed)
}

// breaks causes n of each kind in a store.
func (e *estate) breaks(store string, seed uint64, n int, kinds ...manifest.Kind) error {
	v := e.vandal(store, seed)
	for range n {
		if _, err := v.BreakEach(kinds...); err != nil {
			return err
		}
	}
	return nil
}

// now notes when the incident happened.
func (e *estate) now() { e.crash = time.Now().UTC().Format(time.RFC3339) }

// Score is what was recovered.
type Score struct {
	Messages int64 `json:"messages"` // that ought to be in the store
	Gone     int64 `json:"gone"`     // not among them: nothing holds them any more
	Whole    int64 `json:"whole"`    // of these: there, byte for byte
	Twice    int64 `json:"twice"`    // there more than once
	Damaged  int64 `json:"damaged"`  // files of the store that are no message of the estate
}

// Won tells whether all is there, once and whole.
func (s Score) Won() bool { return s.Whole == s.Messages && s.Twice == 0 && s.Damaged == 0 }

// score compares a store with what is true: every message of its history, and
// every one that the gateway took in. Delivered copies have other names and
// may have other first lines, so content is compared from its end.
func (e *estate) score(store string, gone func(*estate, *sample.Message) bool) (Score, error) {
	var s Score
	files := map[string][][]byte{}
	err := filepath.WalkDir(e.path(store), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.IsDir() && d.Name() == ".mailsync" {
				return filepath.SkipDir
			}
			return err
		}
		if sub := filepath.Base(filepath.Dir(path)); sub != "cur" && sub != "new" {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(e.path(store), path)
		if err != nil {
			return err
		}
		parts := strings.Split(rel, string(filepath.Separator))
		box := parts[1] + "@" + parts[0]
		files[box] = append(files[box], data)
		return nil
	})
	if err != nil {
		return s, err
	}
	for m := range e.all.Messages() {
		if !m.Incoming && !m.Date.Before(e.gap) {
			continue // written in the gap, on a store that was down: it never was
		}
		if gone != nil && gone(e, m) {
			s.Gone++
			continue
		}
		s.Messages++
		want, archived := m.Stored(), m.Archived()
		n := int64(0)
		for i, data := range files[m.Address] {
			if data != nil && (bytes.Equal(data, want) || bytes.HasSuffix(data, archived)) {
				n++
				files[m.Address][i] = nil
			}
		}
		if n > 0 {
			s.Whole++
			s.Twice += n - 1
		}
	}
	for _, list := range files {
		for _, data := range list {
			if data != nil {
				s.Damaged++
			}
		}
	}
	return s, nil
}

// sound tells whether a store holds what its record says, byte for byte.
func (e *estate) sound(store string) error {
	if bad := e.subset(e.gap).Check(e.path(store)); len(bad) > 0 {
		return fmt.Errorf("%s: %d messages are not as they were, the first: %s", store, len(bad), bad[0])
	}
	return nil
}

// splitBrain delivers what arrived late to one side or the other.
func (e *estate) splitBrain() error {
	sides := []string{"primary", "spare"}
	n := 0
	for m := range e.all.Messages() {
		if !m.Incoming || m.Date.Before(e.gap) {
			continue
		}
		path := m.Path(e.path(sides[n%2]))
		n++
		if err := os.WriteFile(path, m.Stored(), 0o600); err != nil {
			return err
		}
		if err := os.Chtimes(path, m.Date, m.Date); err != nil {
			return err
		}
	}
	return nil
}

func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// loseBox removes what a volume held of some mailboxes.
func (e *estate) loseBox(store string, numbers ...int) error {
	var errs []error
	for _, i := range numbers {
		errs = append(errs, os.RemoveAll(filepath.Join(e.path(store), e.all.Boxes[i].Path)))
	}
	return errors.Join(errs...)
}
