package main

import (
	"context"
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
	"mailsync/restore"
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

	// restored are those of old into which a run has since put back all that it
	// had found. Nobody has looked whether that was everything: they stay doubted.
	restored   map[string]bool
	restoredAt time.Time // when the last such run ended
}

// maxDoubts bounds the list: a million mailboxes with long names.
const maxDoubts = 256 << 20

// doubtsFile is the list on disk; names are raw bytes.
type doubtsFile struct {
	V         int       `json:"v"`
	Mailboxes [][]byte  `json:"mailboxes"`
	Since     time.Time `json:"since,omitzero"`

	Restored   [][]byte  `json:"restored,omitempty"`
	RestoredAt time.Time `json:"restored_at,omitzero"`
}

// doubts reads the list of a store. One that cannot be read is an error: to
// go on without it would be to trust what must not be trusted.
func (a *app) doubts(s *config.Store) (*doubts, error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	d := &doubts{fs: a.std.files, file: filepath.Join(state, "doubts", key(s)+".json"), old: map[string]bool{}, found: map[string]bool{}, restored: map[string]bool{}}
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
	for _, m := range f.Restored {
		d.restored[string(m)] = d.old[string(m)]
	}
	d.since, d.restoredAt = f.Since, f.RestoredAt
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
	for m := range d.restored {
		if d.found[m] {
			delete(d.restored, m) // it was not everything
			same = false
		}
	}
	for m := range now {
		same = same && d.old[m]
	}
	if same {
		return nil
	}
	return d.write(now)
}

// write writes the list with these mailboxes.
func (d *doubts) write(now map[string]bool) error {
	f := doubtsFile{V: 1, Since: d.since}
	switch {
	case len(now) == 0:
		f.Since = time.Time{}
	case len(d.old) == 0:
		f.Since = time.Now().UTC().Truncate(time.Second)
	}
	for m := range now {
		f.Mailboxes = append(f.Mailboxes, []byte(m))
		if d.restored[m] {
			f.Restored, f.RestoredAt = append(f.Restored, []byte(m)), d.restoredAt
		}
	}
	slices.SortFunc(f.Mailboxes, slices.Compare)
	slices.SortFunc(f.Restored, slices.Compare)
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

// noteRestored takes up that a run has put back everything that was planned for
// a store, with nothing left to decide. Where that cannot be written, the list
// is as it was, and monitor as loud as before.
func (a *app) noteRestored(ctx context.Context, s *config.Store, plan *restore.Plan) {
	d, err := a.doubts(s)
	if err == nil && len(d.old) > 0 {
		err = d.putBack(ctx, plan)
	}
	if err != nil {
		a.out.Warn("%s; until %s has looked again, monitor tells what was found before", ui.Oneline(err, 500), a.cmdline("verify", s.Name))
	}
}

// putBack writes that a plan's mailboxes were restored.
func (d *doubts) putBack(ctx context.Context, plan *restore.Plan) error {
	any := false
	for b, err := range plan.Boxes(ctx) {
		if err != nil {
			return err
		}
		if b.Messages > 0 && d.old[b.Mailbox] {
			d.restored[b.Mailbox], any = true, true
		}
	}
	if !any {
		return nil
	}
	d.restoredAt = time.Now().UTC().Truncate(time.Second)
	return d.write(d.old)
}

// forgetRestored takes back what noteRestored has noted: an undo begins, and it
// must not begin where the list would then say too much.
func (a *app) forgetRestored(s *config.Store) error {
	d, err := a.doubts(s)
	if err != nil || len(d.restored) == 0 {
		return err
	}
	d.restored = nil
	return d.write(d.old)
}
