package manifest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"mailsync/manifest/durable"
)

// Store is the record of one store, for reading. It may be used by several
// goroutines, also while a session writes: what it tells of a mailbox is then
// as of some moment since it was opened.
type Store struct {
	repo    *Repo
	dir     string // of the store
	rec     StoreRecord
	session *Session // whose changes are seen; nil outside of a session

	mu   sync.Mutex
	last *shard // that was loaded: neighbours in the order of streams lie in one
}

// Record returns the store's own record as it was when the store was opened.
func (s *Store) Record() StoreRecord {
	if s.session != nil {
		return s.session.record()
	}
	return s.rec
}

// Generations tells which generations can be read, ascending.
func (s *Store) Generations() ([]uint32, error) {
	names, err := s.repo.fs.Names(s.dir)
	if err != nil {
		return nil, err
	}
	list := []uint32{s.rec.Generation}
	for _, n := range names {
		if !strings.HasPrefix(n, "g") {
			continue
		}
		g, err := strconv.ParseUint(n[1:], 10, 32)
		if err == nil && uint32(g) < s.rec.Generation {
			list = append(list, uint32(g))
		}
	}
	slices.Sort(list)
	return list, nil
}

// At opens another generation of the record; ErrNoRecord where it is not kept.
func (s *Store) At(generation uint32) (*Store, error) {
	if generation == s.rec.Generation {
		return &Store{repo: s.repo, dir: s.dir, rec: s.rec, session: s.session}, nil
	}
	rec, err := s.repo.readRecord(filepath.Join(s.dir, generationName(generation)))
	if err != nil {
		return nil, err
	}
	return &Store{repo: s.repo, dir: s.dir, rec: *rec}, nil
}

func (s *Store) shardDir(no int) string {
	return filepath.Join(s.dir, generationName(s.rec.Generation), shardName(no))
}

// load returns a shard as it is now. The caller must not change it.
func (s *Store) load(no int) (*shard, error) {
	if s.session != nil {
		if sh := s.session.peek(no); sh != nil {
			return sh, nil
		}
	} else {
		if _, had := s.rec.shard(no); !had && !s.rec.Dirty {
			return &shard{no: no, alg: s.rec.Alg, generation: s.rec.Generation}, nil
		}
		s.mu.Lock()
		last := s.last
		s.mu.Unlock()
		if last != nil && last.no == no {
			return last, nil
		}
	}
	sh, err := s.loadDisk(no)
	if err != nil {
		return nil, err
	}
	if s.session == nil {
		s.mu.Lock()
		s.last = sh
		s.mu.Unlock()
	}
	return sh, nil
}

// loadDisk reads a shard's index. Where it cannot be used, or a session is or
// was at work, the manifests themselves tell what is newer.
func (s *Store) loadDisk(no int) (*shard, error) {
	sh, err := s.readIndex(no)
	switch {
	case err == nil && (!s.rec.Dirty || s.session != nil):
		return sh, nil
	case err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, ErrCorrupt):
		return nil, err
	}
	rebuilt, err := reconcile(s.repo.fs, s.shardDir(no), no, sh, &s.rec)
	if err != nil {
		return nil, err
	}
	return rebuilt.shard, nil
}

func (s *Store) readIndex(no int) (*shard, error) {
	path := filepath.Join(s.shardDir(no), indexName)
	data, err := durable.ReadFile(s.repo.fs, path, maxIndex)
	if err != nil {
		return nil, err
	}
	sh, err := decodeIndex(data, no)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sh, nil
}

// forget drops what is cached, after a file was not where the index said.
func (s *Store) forget() {
	s.mu.Lock()
	s.last = nil
	s.mu.Unlock()
}

// Heads yields every recorded mailbox in the order of CompareMailboxes. No
// manifest is opened, except where an index is missing or torn.
func (s *Store) Heads(ctx context.Context) iter.Seq2[Head, error] {
	return func(yield func(Head, error) bool) {
		for no := range Shards {
			for h, err := range s.ShardHeads(ctx, no) {
				if !yield(h, err) || err != nil {
					return
				}
			}
		}
	}
}

// ShardHeads yields the mailboxes of one shard, sorted by name.
func (s *Store) ShardHeads(ctx context.Context, no int) iter.Seq2[Head, error] {
	return func(yield func(Head, error) bool) {
		if ctx.Err() != nil {
			yield(Head{}, context.Cause(ctx))
			return
		}
		sh, err := s.load(no)
		if err != nil {
			yield(Head{}, err)
			return
		}
		open := s.Record().Open.ID
		for i := range sh.rows {
			h := sh.rows[i].Head
			h.Done = open != 0 && sh.rows[i].session() >= open
			if !yield(h, nil) {
				return
			}
		}
	}
}

// ShardRoots returns the roots of one shard, from the store's record alone
// where no session is at work. They are zero where a mailbox of the shard is
// gone, damaged or unread; else equal roots mean equal mailboxes.
func (s *Store) ShardRoots(no int) (content, state Digest, err error) {
	if t, had := s.rec.shard(no); had && !s.rec.Dirty && s.session == nil {
		return t.content, t.state, nil
	}
	sh, err := s.load(no)
	if err != nil {
		return Digest{}, Digest{}, err
	}
	t := sh.sum()
	return t.content, t.state, nil
}

// Head returns what is recorded of one mailbox; ErrNoMailbox.
func (s *Store) Head(mailbox string) (Head, error) {
	r, err := s.row(mailbox)
	return r.Head, err
}

func (s *Store) row(mailbox string) (row, error) {
	no := ShardOf(mailbox)
	sh, err := s.load(no)
	if err != nil {
		return row{}, err
	}
	i, had := sh.find(mailbox)
	if !had {
		return row{}, fmt.Errorf("mailbox %s: %w", quote(mailbox), ErrNoMailbox)
	}
	r := sh.rows[i]
	if open := s.Record().Open.ID; open != 0 {
		r.Done = r.session() >= open
	}
	return r, nil
}

// Opened is a manifest that is open.
type Opened struct {
	*Reader
	file durable.File
}

// Close closes the file.
func (o *Opened) Close() error { return o.file.Close() }

// OpenMailbox opens the manifest of one mailbox. Errors: ErrNoMailbox,
// ErrCorrupt, ErrNewer.
func (s *Store) OpenMailbox(mailbox string) (*Opened, error) {
	// A session may replace the manifest between the look at the index and the
	// open; the index tells of the new one then.
	for try := 0; ; try++ {
		r, err := s.row(mailbox)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(s.shardDir(ShardOf(mailbox)), manifestName(mailboxHash(mailbox), r.serial))
		f, err := s.repo.fs.Open(path, os.O_RDONLY, 0)
		if errors.Is(err, os.ErrNotExist) {
			if try < 3 {
				s.forget()
				continue
			}
			return nil, fmt.Errorf("manifest of mailbox %s: %w: %w", quote(mailbox), ErrCorrupt, err)
		}
		if err != nil {
			return nil, err
		}
		rd, err := NewReader(f)
		if err == nil && rd.Mailbox().Name != mailbox {
			err = corrupt("it is the manifest of another mailbox")
		}
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return &Opened{Reader: rd, file: f}, nil
	}
}
