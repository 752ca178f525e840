package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mailsync/manifest/durable"
)

// Begin starts to record a look at the store that id names, or goes on with an
// unfinished one. Errors: ErrLocked where another session records the store,
// ErrOther where id is not the store that was recorded and Adopt is not set,
// ErrAlg, ErrReadOnly.
func (r *Repo) Begin(id Identity, o SessionOptions) (*Session, error) {
	if r.readOnly {
		return nil, ErrReadOnly
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Group <= 0 {
		o.Group = 1024
	}
	if len(id.Name) > 1024 || len(id.Path) > MaxFolderName || len(id.Host) > 1024 || len(id.BootID) > 256 || len(o.Policy) > 256 {
		return nil, fmt.Errorf("%w: identity of store %s", ErrLimit, quote(id.Name))
	}
	key := StoreKey(id.Name, id.Path)
	s := &Session{
		repo: r, dir: r.storeDir(key), opt: o,
		drafts: map[*Draft]struct{}{}, bundles: map[int]*bundle{},
	}
	if err := s.begin(key, id); err != nil {
		s.unlock()
		return nil, fmt.Errorf("record of store %s: %w", key, err)
	}
	return s, nil
}

// begin: lock, read, decide, clean up after a killed session. The store's
// record says that a session is at work before it writes anything: see mark.
func (s *Session) begin(key string, id Identity) error {
	fsys := s.repo.fs
	if err := durable.MkdirAll(fsys, s.dir, dirMode); err != nil {
		return err
	}
	var err error
	if s.lock, err = fsys.Open(filepath.Join(s.dir, lockName), os.O_RDWR|os.O_CREATE, fileMode); err != nil {
		return err
	}
	if err := s.lock.Lock(); err != nil {
		return err
	}
	if s.syncer, err = fsys.Open(s.dir, os.O_RDONLY, 0); err != nil {
		return err
	}
	if s.batch, err = durable.Batches(s.syncer); err != nil {
		return err
	}
	old, err := s.repo.readRecord(s.dir)
	if err != nil && !errors.Is(err, ErrNoRecord) {
		return err
	}
	if err := s.decide(key, id, old); err != nil {
		return err
	}
	gen := filepath.Join(s.dir, generationName(s.rec.Generation))
	if err := durable.MkdirAll(fsys, gen, dirMode); err != nil {
		return err
	}
	for _, dir := range []string{s.dir, gen} {
		if err := removeTemps(fsys, dir); err != nil {
			return err
		}
	}
	s.view = &Store{repo: s.repo, dir: s.dir, rec: s.rec, session: s}
	if old != nil && old.Dirty && old.Generation == s.rec.Generation {
		s.marked = true // by the session that was killed
		if err := s.recover(gen); err != nil {
			return err
		}
		s.marked = false
	}
	s.rec.session++
	s.rec.Dirty = false
	if s.rec.Open.ID == 0 {
		s.rec.Open = Look{ID: s.rec.session, Began: s.opt.Now().UTC(), BootID: id.BootID, Policy: s.opt.Policy}
	}
	s.view.rec = s.rec
	if old == nil || s.opt.Adopt {
		return s.mark()
	}
	return nil
}

// mark says in the store's record that a session is at work, before the first
// file of the session is made. A look that finds nothing new never comes here.
func (s *Session) mark() error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	return s.markHeld()
}

// markHeld is mark where flushing is held.
func (s *Session) markHeld() error {
	s.mu.Lock()
	marked := s.marked
	s.rec.Dirty = s.rec.Dirty || !marked
	s.mu.Unlock()
	if marked {
		return nil
	}
	if err := s.writeRecord(); err != nil {
		return s.fail(err)
	}
	s.mu.Lock()
	s.marked = true
	s.mu.Unlock()
	return nil
}

// removeTemps removes what a killed session has left in a directory.
func removeTemps(fsys durable.FS, dir string) error {
	names, err := fsys.Names(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if !strings.HasSuffix(n, durable.TempSuffix) {
			continue
		}
		if err := fsys.Remove(filepath.Join(dir, n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// decide makes the record that the session starts from.
func (s *Session) decide(key string, id Identity, old *StoreRecord) error {
	alg := s.opt.Alg
	if old == nil {
		if alg == NoAlg {
			alg = BLAKE3
		}
		if !alg.Valid() {
			return fmt.Errorf("%w: %s", ErrAlg, alg)
		}
		s.rec = StoreRecord{Identity: id, Key: key, Generation: 1, Alg: alg}
		return nil
	}
	if alg == NoAlg {
		alg = old.Alg
	}
	if !alg.Valid() {
		return fmt.Errorf("%w: %s", ErrAlg, alg)
	}
	if s.opt.Adopt {
		// The old record moves beside its manifests before the new one takes its place.
		path := filepath.Join(s.dir, generationName(old.Generation), recordName)
		if err := durable.WriteFile(s.repo.fs, path, old.encode(), fileMode); err != nil {
			return err
		}
		s.rec = StoreRecord{Identity: id, Key: key, Generation: old.Generation + 1, Alg: alg, session: old.session}
		return nil
	}
	if why := old.Differs(&id); why != "" {
		return fmt.Errorf("%w: %s", ErrOther, why)
	}
	if alg != old.Alg {
		return fmt.Errorf("%w: recorded with %s, %s was asked for", ErrAlg, old.Alg, alg)
	}
	s.rec = *old
	s.rec.Identity = id
	s.rec.started(id.BootID, s.opt.Unbroken)
	if s.rec.Open.ID != 0 && (s.opt.Fresh || s.rec.Open.Policy != s.opt.Policy) {
		s.rec.Open = Look{}
	}
	s.resumed = s.rec.Open.ID != 0
	return nil
}

// recover brings the indexes up to date after a session that was killed, and
// removes what it left behind.
func (s *Session) recover(gen string) error {
	names, err := s.repo.fs.Names(gen)
	if err != nil {
		return err
	}
	var leftover []string
	for _, name := range names {
		no, ok := parseBundleName(name)
		if !ok {
			continue
		}
		dir := filepath.Join(gen, name)
		index, err := s.view.readIndex(no)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, ErrCorrupt) {
			return err
		}
		got, err := reconcile(s.repo.fs, dir, no, index, &s.rec)
		if err != nil {
			return err
		}
		if index == nil {
			got.bundle.dirty = true
		}
		s.bundles[no] = got.bundle
		s.loaded += len(got.bundle.rows)
		for _, f := range got.leftover {
			leftover = append(leftover, filepath.Join(dir, f))
		}
		if err := s.writeIndexesAbove(maxLoaded); err != nil {
			return err
		}
	}
	if err := s.writeIndexes(); err != nil {
		return err
	}
	// Only now does no index tell of a replaced manifest.
	if err := s.remove(leftover); err != nil {
		return err
	}
	s.rec.sumShards()
	return nil
}
