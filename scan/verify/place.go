package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"mailsync/manifest"
	"mailsync/manifest/durable"
	"mailsync/scan"
)

// placeVersion is the version of saved places; another one is not gone on with.
const placeVersion = 2

// maxPlace bounds the file of a place: one name and a few numbers.
const maxPlace = 1 << 20

// savesEvery is how much work a kill can cost a verification that may end early.
const savesEvery = 5 * time.Second

// place is where an interrupted verification goes on: all mailboxes of the
// stage up to After have been told.
type place struct {
	Version  int       `json:"version"`
	Store    string    `json:"store"` // its key
	Scope    string    `json:"scope"`
	Quick    bool      `json:"quick"`
	CrashAt  time.Time `json:"crash_at"`
	Boot     string    `json:"boot"`
	Stage    StageID   `json:"stage"`
	After    []byte    `json:"after"`   // name of a mailbox, raw bytes
	Checked  int64     `json:"checked"` // its place in the order of the last stage
	Going    bool      `json:"going"`   // After is set
	WindowAt int64     `json:"window_at"`
	Told     told      `json:"told"`

	low   int          // targets before it are told
	ahead map[int]told // told beyond low
	saved time.Time
}

// told is what has been told of the mailboxes up to a place.
type told struct {
	Counts   scan.Counts `json:"counts"`
	Missing  int64       `json:"missing"`
	Partials int64       `json:"partials"`
}

func (t *told) add(o *told) {
	t.Counts.Add(&o.Counts)
	t.Missing += o.Missing
	t.Partials += o.Partials
}

// told returns what the result says so far.
func (r *Result) told() told {
	return told{Counts: r.Counts, Missing: r.Missing, Partials: r.Partials}
}

// since returns what was told after before.
func (r *Result) since(before *told) told {
	return told{Counts: r.Counts.Since(&before.Counts), Missing: r.Missing - before.Missing, Partials: r.Partials - before.Partials}
}

func (v *Verification) placePath() string {
	if v.o.PlaceDir == "" {
		return ""
	}
	return filepath.Join(v.o.PlaceDir, "verify-"+v.key()+".json")
}

func (v *Verification) key() string {
	c := v.s.Config()
	return manifest.StoreKey(c.Known, c.Path)
}

// resume takes up the place of an earlier run that ended early, where it was
// of the same store, scope and boot.
func (v *Verification) resume() {
	fresh := place{
		Version: placeVersion, Store: v.key(), Scope: v.o.Scope, Quick: v.o.Quick, CrashAt: v.o.CrashAt.UTC(),
		Boot: v.s.Identity().BootID, Stage: Structure,
	}
	v.place = fresh
	path := v.placePath()
	if path == "" || v.o.MaxDuration <= 0 {
		return
	}
	data, err := durable.ReadFile(v.o.FS, path, maxPlace)
	if err != nil {
		return
	}
	var p place
	if json.Unmarshal(data, &p) != nil || p.Version != placeVersion || p.Store != fresh.Store || p.Scope != fresh.Scope ||
		p.Quick != fresh.Quick || !p.CrashAt.Equal(fresh.CrashAt) || p.Boot != fresh.Boot || p.Stage < Structure || p.Stage > Rest {
		return
	}
	v.place = p
	v.windowAt = p.WindowAt
	v.result.Resumed = true
	v.result.Counts, v.result.Missing = p.Told.Counts, p.Told.Missing
	if n := p.Told.Partials; n > 0 {
		v.partial(count(n, "thing") + " could not be looked at by the runs before this one, and told then")
		v.result.Partials = n
	}
}

// first returns the target at which a stage begins.
func (v *Verification) first(id StageID) int {
	v.place.Stage = id
	v.place.ahead = make(map[int]told)
	if !v.place.Going {
		return 0
	}
	name := string(v.place.After)
	for i := range v.targets {
		t := &v.targets[i]
		if id == Rest && t.checked != v.place.Checked {
			if t.checked > v.place.Checked {
				return i
			}
			continue
		}
		if manifest.CompareMailboxes(t.name, name) > 0 {
			return i
		}
	}
	return len(v.targets)
}

// passed notes that a mailbox was told, and what, and saves the place now and
// then.
func (v *Verification) passed(id StageID, at int, what told) error {
	p := &v.place
	p.ahead[at] = what
	for {
		what, ok := p.ahead[p.low]
		if !ok && (p.low >= len(v.targets) || !v.targets[p.low].bad) {
			break
		}
		p.Told.add(&what)
		delete(p.ahead, p.low)
		p.low++
	}
	if v.o.MaxDuration <= 0 || v.placePath() == "" {
		return nil
	}
	if now := v.o.Now(); now.Sub(p.saved) >= savesEvery {
		p.saved = now
		return v.save(id, false)
	}
	return nil
}

// save makes the place durable. At the end of a run that is the way on; before
// it, a kill costs little.
func (v *Verification) save(id StageID, end bool) error {
	path := v.placePath()
	if path == "" {
		return nil
	}
	p := v.place
	p.Stage, p.WindowAt = id, v.windowAt
	if p.low > 0 {
		t := &v.targets[p.low-1]
		p.After, p.Checked, p.Going = []byte(t.name), t.checked, true
	}
	if id == Structure && !p.Going {
		p.Told = told{} // all of it is told again
	}
	data, err := json.Marshal(&p)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(v.o.FS, v.o.PlaceDir, 0o700); err != nil {
		return fmt.Errorf("the place where verify stopped: %w", err)
	}
	if err := durable.WriteFile(v.o.FS, path, data, 0o600); err != nil {
		return fmt.Errorf("the place where verify stopped: %w", err)
	}
	return nil
}

// forget removes the place of a verification that came to its end.
func (v *Verification) forget() error {
	path := v.placePath()
	if path == "" || v.o.MaxDuration <= 0 {
		return nil
	}
	if err := v.o.FS.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the place where verify stopped: %w", err)
	}
	return nil
}
