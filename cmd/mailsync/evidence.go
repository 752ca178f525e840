package main

import (
	"context"
	"io"
	"path/filepath"
	"time"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/doctor"
	"mailsync/cmd/mailsync/ui"
	"mailsync/scan/saved"
)

// How much verify --save-evidence copies at most: bytes, a share of what is free
// where the copies go, and time where --max-duration gives none.
const (
	evidenceBytes = 2 << 30
	evidenceShare = 4
	evidenceTime  = 5 * time.Minute
)

// evidenceDir is where the copies of a store's UID lists, keyword tables and
// index logs lie.
func (a *app) evidenceDir(s *config.Store) (string, error) {
	state, err := a.stateDir()
	return filepath.Join(state, "evidence", key(s)), err
}

// savedLogs reads the copies of a store's index logs.
func (a *app) savedLogs(s *config.Store) (func(mailbox, dir string, since time.Time, add func(io.Reader) error) error, error) {
	dir, err := a.evidenceDir(s)
	if err != nil {
		return nil, err
	}
	return saved.NewLogs(dir).Each, nil
}

// savedLine is what was copied before the first stage, in JSON.
type savedLine struct {
	ui.Head
	Store      string `json:"store"`
	Path       string `json:"path,omitempty"`
	Files      int64  `json:"files"`
	Bytes      int64  `json:"bytes"`
	LeftOut    int64  `json:"left_out,omitempty"`
	Unreadable int64  `json:"unreadable,omitempty"`
	TimeUp     bool   `json:"time_up,omitempty"`
}

// saveEvidence copies what the server knows before it forgets it. Half of the
// time of the whole run is for it. What could not be copied is told, and is no
// reason to look no further: partial is true then.
func (a *app) saveEvidence(ctx context.Context, sd *side, most time.Duration) (partial bool, err error) {
	s := sd.store
	if sd.far != nil {
		a.out.Note("%s lies on another host: copies of what its server knows are made there", ui.Name(s.Name))
		return false, nil
	}
	dir, err := a.evidenceDir(s)
	if err != nil {
		return false, err
	}
	var since time.Time
	if sd.base != nil {
		since = sd.base.Record().Complete.Began
	}
	o := saved.Options{Dir: dir, Now: time.Now, Until: time.Now().Add(evidenceTime), Bytes: evidenceBytes}
	if most > 0 {
		o.Until = time.Now().Add(most / 2)
	}
	warn := func(err error) (bool, error) {
		if cancelled(ctx) != nil {
			return true, context.Cause(ctx)
		}
		a.out.Warn("%s: nothing is saved before the server starts: %s", ui.Name(s.Name), ui.Oneline(err, 500))
		return true, nil
	}
	if since, err = saved.Since(nil, dir, since, a.began); err != nil {
		return warn(err)
	}
	state, err := a.stateDir()
	if err != nil {
		return false, err
	}
	if free, err := doctor.SpaceOf(state); err == nil {
		o.Bytes = min(o.Bytes, free.Free/evidenceShare)
	}
	r, err := saved.Save(ctx, o, sd.scanner.ServerFiles(ctx, since))
	if err != nil {
		return warn(err)
	}
	a.turn.Lock()
	defer a.turn.Unlock()
	a.tellSaved(s, &r)
	return r.TimeUp || r.LeftOut+r.Unreadable > 0, nil
}

func (a *app) tellSaved(s *config.Store, r *saved.Result) {
	a.out.Record(savedLine{
		Head: ui.Head{V: 1, Type: "saved"}, Store: s.Name, Path: r.Path, Files: r.Files, Bytes: r.Bytes,
		LeftOut: r.LeftOut, Unreadable: r.Unreadable, TimeUp: r.TimeUp,
	})
	if r.Files == 0 {
		a.out.Say("%s: no UID list, keyword table or index log has changed since the record or the last copies.", ui.Name(s.Name))
	} else {
		a.out.Say("%s: %s saved (%s) of UID lists, keyword tables and index logs, in %s", ui.Name(s.Name), ui.Plural(r.Files, "file"), ui.Bytes(r.Bytes), ui.Name(r.Path))
	}
	switch {
	case r.TimeUp:
		a.out.Print(a.out.Style.Yellow("not complete: ") + "the time for copies was up; what was left out is not known")
	case r.LeftOut > 0:
		a.out.Print(a.out.Style.Yellow("not complete: ") + ui.Plural(r.LeftOut, "file") + " left out of the copies: there is no room for more")
	}
	if r.Unreadable > 0 {
		a.out.Print(a.out.Style.Yellow("not complete: ") + ui.Plural(r.Unreadable, "file") + " could not be copied: " + ui.Oneline(r.FirstError, 300))
	}
}
