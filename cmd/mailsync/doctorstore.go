package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/doctor"
	"mailsync/cmd/mailsync/ui"
	"mailsync/scan/beneath"
)

// scarce is the free share of a file system below which doctor warns.
const scarce = 0.05

func (p *patient) table(file string, parse func(io.Reader) ([]doctor.Mount, error)) []doctor.Mount {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer f.Close()
		var list []doctor.Mount
		if list, err = parse(f); err == nil {
			return list
		}
	}
	p.unknown("mounts", "%v", err)
	return nil
}

// patientStore looks at a store of this host: its mail, and the trees apart in
// which the server keeps UID lists and indexes.
func (p *patient) patientStore(subject string, s *config.Store) {
	p.tree(subject, s.Path, s.Symlinks)
	p.record(subject, s.Path)
	seen := map[string]bool{s.Path: true}
	for _, t := range []struct{ what, template string }{{"control", s.Control}, {"index", s.Index}} {
		dir := doctor.Tree(s.Path, t.template)
		if t.template == "" || seen[dir] {
			continue
		}
		seen[dir] = true
		p.tree(subject+"."+t.what, dir, s.Symlinks)
		if under(p.state, dir) {
			p.say("error", subject, "the state directory %s lies in its %s tree: name another with state", p.state, t.what)
		}
	}
}

// tree looks at one directory and what lies in it.
func (p *patient) tree(subject, path string, links bool) {
	dir, err := beneath.OpenRoot(path, beneath.Options{})
	switch {
	case errors.Is(err, fs.ErrPermission):
		p.unknown(subject, "%s: %v", path, reason(err))
		return
	case err != nil:
		p.say("error", subject, "%s: %v", path, reason(err))
		p.unmounted(subject, path)
		return
	}
	defer dir.Close()
	p.place(subject, path, false)
	s, err := doctor.SampleOf(dir, time.Now(), links)
	switch {
	case err != nil:
		p.unknown(subject, "%v", err)
	case s.Empty && !p.unmounted(subject, path):
		p.say("warning", subject, "%s is empty: is everything mounted?", path)
	case s.Future > 0:
		p.say("warning", subject, "%s of %s looked at bear a time in the future: was the clock wrong?", ui.Count(int64(s.Future)), ui.Plural(int64(s.Files), "file"))
	}
}

// record looks at whether a store's record would be lost together with it.
func (p *patient) record(subject, path string) {
	if under(p.state, path) {
		p.say("error", subject, "the state directory %s lies on it: name another with state", p.state)
	} else if same, err := sameFilesystem(path, p.state); err == nil && same {
		p.say("warning", subject, "its record (%s) lies on the same file system: what damages one damages the other", p.state)
	}
}

// under tells whether a path, as far as it is there, lies in a directory, by
// whatever symbolic links it is reached.
func under(path, dir string) bool {
	below := func(path, dir string) bool {
		rel, err := filepath.Rel(dir, path)
		return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
	}
	if below(path, dir) {
		return true
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	for {
		at, err := filepath.EvalSymlinks(path)
		if err == nil {
			return below(at, real)
		}
		up := filepath.Dir(path)
		if up == path || !errors.Is(err, fs.ErrNotExist) {
			return false
		}
		path = up
	}
}

// unmounted remarks on what fstab has for a path and nobody has mounted.
func (p *patient) unmounted(subject, path string) bool {
	list := doctor.NotMounted(p.fstab, p.mounts, path)
	for _, m := range list {
		p.say("error", subject, "%s is not mounted; /etc/fstab has %s for it", m.Dir, m.Source)
	}
	return len(list) > 0
}

// place looks at the file system of a path, or of the nearest directory above
// it that is there.
func (p *patient) place(subject, path string, ours bool) {
	at := path
	for {
		real, err := filepath.EvalSymlinks(at)
		if err == nil {
			at = real
			break
		}
		if up := filepath.Dir(at); up != at && errors.Is(err, fs.ErrNotExist) {
			at = up
			continue
		}
		p.unknown(subject, "%s: %v", at, reason(err))
		return
	}
	m, ok := doctor.Of(p.mounts, at)
	if !ok {
		p.unknown(subject, "what %s is mounted from", at)
		return
	}
	s, err := doctor.SpaceOf(at)
	if err != nil {
		p.unknown(subject, "%s: %v", at, err)
		return
	}
	p.say("ok", subject, "%s: %s on %s, mounted at %s, %s free", path, m.Type, m.Source, m.Dir, ui.Bytes(s.Free))
	if s.Bytes < scarce || s.Inodes < scarce {
		p.say("warning", subject, "%s is nearly full: %s (%.0f %%) and %.0f %% of its inodes are free", m.Dir, ui.Bytes(s.Free), 100*s.Bytes, 100*s.Inodes)
	}
	switch {
	case m.Type == "tmpfs" || m.Type == "ramfs":
		p.say("warning", subject, "%s is memory (%s): it is gone with the power", m.Dir, m.Type)
	case m.Has("data=writeback"):
		p.say("warning", subject, "%s is mounted with data=writeback: after a power cut files may hold what was there before, or NULs", m.Dir)
	case !m.Tried():
		p.say("warning", subject, "%s is %s: what is promised of power cuts was tried on ext4, XFS and btrfs only", m.Dir, m.Type)
	case m.Has("nobarrier", "barrier=0"):
		p.say("warning", subject, "%s is mounted without write barriers: what was synced may be lost with the power", m.Dir)
	}
	if m.Has("ro") {
		if ours {
			p.say("error", subject, "%s is mounted read-only", m.Dir)
		} else {
			p.say("warning", subject, "%s is mounted read-only: it can be looked at, and nothing be put back", m.Dir)
		}
	}
}

// write makes the first configuration. It is read back as any other is, before
// it is written.
func (p *patient) write(file, version string, found *doctor.Store) error {
	if found == nil {
		return &ui.Problem{What: "no configuration was written: no store was found", Code: exitNoInput, Hint: "--doveconf names another doveconf; the reasons are above"}
	}
	text := doctor.Sketch(p.state, version, found)
	if _, err := config.Parse(file, []byte(text)); err != nil {
		return &ui.Problem{What: "no configuration was written: what was found makes none", Why: err, Code: exitData}
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.WriteString(text)
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			err = errors.Join(err, os.Remove(file))
		}
	}
	if err != nil {
		return &ui.Problem{What: "the configuration was not written", Why: err, Code: exitCantCreate, Hint: "a file that is there is never written over"}
	}
	return nil
}
