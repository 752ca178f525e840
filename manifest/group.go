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
		if err := s.repo.fs.Rename(d.temp(), d.final()); err != nil {
			return err
		}
		dirs[d.dir()] = struct{}{}
	}
	if err := s.syncNames(dirs); err != nil {
		return err
	}
	for _, d := range group {
		sh, err := s.open(d.shard)
		if err != nil {
			return err
		}
		s.mu.Lock()
		old, had := sh.put(d.row)
		if had {
			sh.obsolete = append(sh.obsolete, filepath.Join(d.dir(), manifestName(mailboxHash(d.name), old.serial)))
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

// open returns a shard for changing; flushing is held, and its rows are
// changed under mu.
func (s *Session) open(no int) (*shard, error) {
	s.mu.Lock()
	sh := s.shards[no]
	_, had := s.rec.shard(no)
	s.mu.Unlock()
	if sh != nil {
		return sh, nil
	}
	if had {
		var err error
		if sh, err = s.view.loadDisk(no); err != nil {
			return nil, err
		}
	} else {
		sh = &shard{no: no, alg: s.rec.Alg, generation: s.rec.Generation}
	}
	s.mu.Lock()
	s.shards[no] = sh
	s.loaded += len(sh.rows)
	s.mu.Unlock()
	return sh, nil
}

// peek returns a copy of a shard that has changed, or nil.
func (s *Session) peek(no int) *shard {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shards[no]
	if sh == nil {
		return nil
	}
	c := *sh
	c.rows = append([]row(nil), sh.rows...)
	return &c
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

// writeIndexes makes the indexes of changed shards durable and forgets the
// shards. flushing is held. Manifests that are replaced by then are removed.
//
//	write index.tmp of each       (elsewhere than with syncfs: fsync)
//	syncfs
//	rename each to index
//	syncfs                        (elsewhere: fsync each directory, with a probe)
//	unlink replaced manifests
//	syncfs                        (elsewhere: fsync each directory, with a probe)
func (s *Session) writeIndexes() error {
	s.mu.Lock()
	var list []*shard
	for _, sh := range s.shards {
		if sh.dirty {
			list = append(list, sh)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b *shard) int { return a.no - b.no })
	if err := s.replaceIndexes(list); err != nil {
		return err
	}
	s.mu.Lock()
	for _, sh := range list {
		s.rec.setShard(sh.sum())
	}
	clear(s.shards)
	s.loaded = 0
	s.mu.Unlock()
	var obsolete []string
	for _, sh := range list {
		obsolete = append(obsolete, sh.obsolete...)
	}
	return s.remove(obsolete)
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

func (s *Session) replaceIndexes(list []*shard) error {
	if len(list) == 0 {
		return nil
	}
	for _, sh := range list {
		if err := s.writeTemp(filepath.Join(s.view.shardDir(sh.no), indexName+durable.TempSuffix), sh.encode()); err != nil {
			return err
		}
	}
	if s.batch {
		if err := s.syncer.SyncFS(); err != nil {
			return err
		}
	}
	dirs := map[string]struct{}{}
	for _, sh := range list {
		dir := s.view.shardDir(sh.no)
		path := filepath.Join(dir, indexName)
		if err := s.repo.fs.Rename(path+durable.TempSuffix, path); err != nil {
			return err
		}
		dirs[dir] = struct{}{}
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
