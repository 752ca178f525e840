package manifest

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"mailsync/manifest/durable"
)

// publish adds a sealed draft to the group, and makes the group durable when
// it is large enough.
func (s *Session) publish(d *Draft) error {
	no, key := nameKey(d.name)
	s.mu.Lock()
	if s.err != nil {
		defer s.mu.Unlock()
		return s.err
	}
	delete(s.drafts, d)
	s.seen[no] = append(s.seen[no], key)
	s.group = append(s.group, d)
	full := len(s.group) >= s.opt.Group
	s.mu.Unlock()
	if !full {
		return nil
	}
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if err := s.failed(); err != nil {
		return err
	}
	s.mu.Lock()
	full = len(s.group) >= s.opt.Group // another may have been faster
	s.mu.Unlock()
	if !full {
		return nil
	}
	if err := s.flush(); err != nil {
		return s.fail(err)
	}
	if err := s.writeIndexesAbove(maxLoaded); err != nil {
		return s.fail(err)
	}
	return nil
}

// flush makes the group durable. flushing is held.
//
//	where syncfs can be believed       elsewhere
//	  syncfs   the bytes                 (each file was synced when it was sealed)
//	  rename each into its place         rename each into its place
//	  syncfs   the names                 fsync each directory, with a probe
//
// The descriptor that syncs was opened before the session wrote anything, so
// that it hears of every failed write-back. After any error nothing of the
// group counts: the session has failed, and the next one reads from the
// directories what is whole.
func (s *Session) flush() error {
	s.mu.Lock()
	group := s.group
	s.group = nil
	s.mu.Unlock()
	if len(group) == 0 {
		return nil
	}
	if s.batch {
		if err := s.syncer.SyncFS(); err != nil {
			return err
		}
	}
	dirs := map[string]struct{}{}
	for _, d := range group {
		// A lost index is made anew from the directory: that must happen before
		// our own manifests lie in it, or they would be taken for older ones.
		if _, err := s.open(d.bundle); err != nil {
			return err
		}
		if err := s.repo.fs.Rename(d.temp(), d.final()); err != nil {
			return err
		}
		dirs[d.dir()] = struct{}{}
	}
	if err := s.syncNames(dirs); err != nil {
		return err
	}
	for _, d := range group {
		b, err := s.open(d.bundle)
		if err != nil {
			return err
		}
		s.mu.Lock()
		if old := b.put(d.row); old != nil {
			b.obsolete = append(b.obsolete, filepath.Join(d.dir(), manifestName(mailboxHash(d.name), old.serial)))
		} else {
			s.loaded++
		}
		s.mu.Unlock()
	}
	return nil
}

func (s *Session) syncNames(dirs map[string]struct{}) error {
	if s.batch {
		return s.syncer.SyncFS()
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		if err := durable.SyncDir(s.repo.fs, dir); err != nil {
			return err
		}
	}
	return nil
}

// open returns a bundle for changing; flushing is held, and it is changed
// under mu.
func (s *Session) open(no int) (*bundle, error) {
	s.mu.Lock()
	b := s.bundles[no]
	had := s.rec.holds(no)
	s.mu.Unlock()
	if b != nil {
		return b, nil
	}
	if had {
		disk, err := s.view.loadDisk(no)
		if err != nil {
			return nil, err
		}
		b = disk
	} else {
		b = &bundle{no: no, alg: s.rec.Alg, generation: s.rec.Generation}
	}
	s.mu.Lock()
	s.bundles[no] = b
	s.loaded += len(b.rows)
	s.mu.Unlock()
	return b, nil
}

// holds tells whether a bundle may have mailboxes.
func (s *Session) holds(no int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bundles[no] != nil || s.rec.holds(no)
}

// peek returns a bundle that was loaded for changes as it is now, or nil.
func (s *Session) peek(no int) *bundle {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bundles[no]
	if b == nil {
		return nil
	}
	return &bundle{no: no, generation: b.generation, alg: b.alg, rows: slices.Clone(b.rows)}
}

func (s *Session) writeIndexesAbove(limit int) error {
	s.mu.Lock()
	many := s.loaded > limit
	s.mu.Unlock()
	if !many {
		return nil
	}
	return s.writeIndexes()
}

// writeIndexes makes the indexes of changed bundles durable and forgets all
// bundles. flushing is held. Manifests that are replaced by then are removed.
//
//	write index.tmp of each       (elsewhere than with syncfs: fsync)
//	syncfs
//	rename each to index
//	syncfs                        (elsewhere: fsync each directory, with a probe)
//	unlink replaced manifests
//	syncfs                        (elsewhere: fsync each directory, with a probe)
func (s *Session) writeIndexes() error {
	s.mu.Lock()
	all := slices.SortedFunc(maps.Values(s.bundles), func(a, b *bundle) int { return a.no - b.no })
	s.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	var changed []*bundle
	var obsolete []string
	for _, b := range all {
		if b.dirty {
			changed = append(changed, b)
		}
		obsolete = append(obsolete, b.obsolete...)
	}
	if len(changed) > 0 {
		if err := s.replaceIndexes(changed); err != nil {
			return err
		}
	}
	s.mu.Lock()
	for _, b := range all {
		for _, t := range b.sums() {
			s.rec.setShard(t)
		}
	}
	clear(s.bundles)
	s.loaded = 0
	s.mu.Unlock()
	s.view.forget()
	return s.remove(obsolete)
}

func (s *Session) replaceIndexes(list []*bundle) error {
	if err := s.markHeld(); err != nil {
		return err
	}
	dirs := map[string]struct{}{}
	for _, b := range list {
		dir := s.view.bundleDir(b.no)
		if err := s.writeTemp(filepath.Join(dir, indexName+durable.TempSuffix), b.encode()); err != nil {
			return err
		}
		dirs[dir] = struct{}{}
	}
	if s.batch {
		if err := s.syncer.SyncFS(); err != nil {
			return err
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		path := filepath.Join(dir, indexName)
		if err := s.repo.fs.Rename(path+durable.TempSuffix, path); err != nil {
			return err
		}
	}
	return s.syncNames(dirs)
}

// remove takes files away that nothing names any more. It is made durable
// because the record is called clean later, and nobody looks for leftovers then.
func (s *Session) remove(files []string) error {
	if len(files) == 0 {
		return nil
	}
	dirs := map[string]struct{}{}
	for _, f := range files {
		if err := s.repo.fs.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		dirs[filepath.Dir(f)] = struct{}{}
	}
	return s.syncNames(dirs)
}

func (s *Session) writeTemp(path string, data []byte) error {
	f, err := s.repo.fs.Open(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil && !s.batch {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
