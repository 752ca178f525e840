package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
	"mailsync/manifest/durable"
)

// doubts are the mailboxes of a store in which damage or loss was found. Their
// stamps are trusted by nobody until they are found clean: a file that rots in
// place moves none, so without this list a diff or a restore after verify would
// see what was recorded and not what verify has read.
type doubts struct {
	fs    durable.FS
	file  string
	old   map[string]bool
	found map[string]bool
	since time.Time // when the first of them was found; zero = none is, or not known
}

// maxDoubts bounds the list: a million mailboxes with long names.
const maxDoubts = 256 << 20

// doubtsFile is the list on disk; names are raw bytes.
type doubtsFile struct {
	V         int       `json:"v"`
	Mailboxes [][]byte  `json:"mailboxes"`
	Since     time.Time `json:"since,omitzero"`
}

// doubts reads the list of a store. One that cannot be read is an error: to
// go on without it would be to trust what must not be trusted.
func (a *app) doubts(s *config.Store) (*doubts, error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	d := &doubts{fs: a.std.files, file: filepath.Join(state, "doubts", key(s)+".json"), old: map[string]bool{}, found: map[string]bool{}}
	data, err := durable.ReadFile(d.fs, d.file, maxDoubts)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil && !errors.Is(err, durable.ErrCorrupt) {
		return nil, &ui.Problem{What: "list of doubted mailboxes", Why: err}
	}
	var f doubtsFile
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err == nil && f.V != 1 {
		err = durable.ErrNewer
	}
	if err != nil {
		return nil, &ui.Problem{
			What: "list of doubted mailboxes " + d.file, Why: err, Code: exitData,
			Hint: "remove it, and run " + a.cmdline("verify", s.Name) + " to make it anew",
		}
	}
	for _, m := range f.Mailboxes {
		d.old[string(m)] = true
	}
	d.since = f.Since
	return d, nil
}

// doubted tells whether a mailbox' stamps must not be trusted.
func (d *doubts) doubted(mailbox string) bool { return d.old[mailbox] }

// note takes up a finding.
func (d *doubts) note(f *manifest.Finding) {
	if f.Kind.Class() == manifest.Damage {
		d.found[f.Mailbox] = true
	}
}

// save writes what is doubted now. Mailboxes that read tells of were read
// whole: they stay only if something was found.
func (d *doubts) save(read func(mailbox string) bool) error {
	now := map[string]bool{}
	for m := range d.found {
		now[m] = true
	}
	for m := range d.old {
		if !read(m) {
			now[m] = true
		}
	}
	same := len(now) == len(d.old)
	f := doubtsFile{V: 1, Since: d.since}
	switch {
	case len(now) == 0:
		f.Since = time.Time{}
	case len(d.old) == 0:
		f.Since = time.Now().UTC().Truncate(time.Second)
	}
	for m := range now {
		same = same && d.old[m]
		f.Mailboxes = append(f.Mailboxes, []byte(m))
	}
	if same {
		return nil
	}
	slices.SortFunc(f.Mailboxes, slices.Compare)
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(d.fs, filepath.Dir(d.file), 0o700); err != nil {
		return fmt.Errorf("list of doubted mailboxes: %w", err)
	}
	if err := durable.WriteFile(d.fs, d.file, data, 0o600); err != nil {
		return fmt.Errorf("list of doubted mailboxes: %w", err)
	}
	return nil
}

// saveDoubts saves, and warns where that cannot be done: what was found is
// told all the same.
func (a *app) saveDoubts(d *doubts, read func(mailbox string) bool) {
	if err := d.save(read); err != nil {
		a.out.Warn("%s; until it can be written, diff and restore may trust stamps where they should not", ui.Oneline(err, 500))
	}
}

func none(string) bool { return false }
