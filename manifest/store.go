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
	last *bundle // that was loaded: neighbours in the order of streams lie in one
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

func (s *Store) generationDir() string {
	return filepath.Join(s.dir, generationName(s.rec.Generation))
}

func (s *Store) bundleDir(no int) string { return filepath.Join(s.generationDir(), bundleName(no)) }

// holds tells whether a bundle may have mailboxes, as far as that is known
// without a look at the disk.
func (s *Store) holds(no int) bool {
	if s.session != nil {
		return s.session.holds(no)
	}
	return s.rec.Dirty || s.rec.holds(no)
}

// load returns a bundle as it is now. The caller must not change it.
func (s *Store) load(no int) (*bundle, error) {
	if !s.holds(no) {
		return &bundle{no: no, alg: s.rec.Alg, generation: s.rec.Generation}, nil
	}
	if s.session != nil {
		if b := s.session.peek(no); b != nil {
			return b, nil
		}
	}
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last != nil && last.no == no {
		return last, nil
	}
	b, err := s.loadDisk(no)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.last = b
	s.mu.Unlock()
	return b, nil
}

// loadDisk reads a bundle's index. Where it cannot be used, or a session is or
// was at work, the manifests themselves tell what is newer.
func (s *Store) loadDisk(no int) (*bundle, error) {
	b, err := s.readIndex(no)
	switch {
	case err == nil && (!s.rec.Dirty || s.session != nil):
		return b, nil
	case err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, ErrCorrupt):
		return nil, err
	}
	rebuilt, err := reconcile(s.repo.fs, s.bundleDir(no), no, b, &s.rec)
	if err != nil {
		return nil, err
	}
	return rebuilt.bundle, nil
}

func (s *Store) readIndex(no int) (*bundle, error) {
	path := filepath.Join(s.bundleDir(no), indexName)
	data, err := durable.ReadFile(s.repo.fs, path, maxIndex)
	if err != nil {
		return nil, err
	}
	b, err := decodeIndex(data, no)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// forget drops what is cached, after a file was not where the index said, or
// a session has written an index.
func (s *Store) forget() {
	s.mu.Lock()
	s.last = nil
	s.mu.Unlock()
}

// Heads yields every recorded mailbox in the order of CompareMailboxes. No
// manifest is opened, except where an index is missing or torn.
func (s *Store) Heads(ctx context.Context) iter.Seq2[Head, error] {
	return func(yield func(Head, error) bool) {
		open := s.Record().Open.ID
		for no := range bundles {
			if ctx.Err() != nil {
				yield(Head{}, context.Cause(ctx))
				return
			}
			b, err := s.load(no)
			if err != nil {
				yield(Head{}, err)
				return
			}
			for _, r := range b.rows {
				if !yield(r.head(open), nil) {
					return
				}
			}
		}
	}
}

// ShardHeads yields the mailboxes of one shard, sorted by name.
func (s *Store) ShardHeads(ctx context.Context, shard int) iter.Seq2[Head, error] {
	return func(yield func(Head, error) bool) {
		if ctx.Err() != nil {
			yield(Head{}, context.Cause(ctx))
			return
		}
		b, err := s.load(bundleOf(shard))
		if err != nil {
			yield(Head{}, err)
			return
		}
		open := s.Record().Open.ID
		for _, r := range b.ofShard(shard) {
			if !yield(r.head(open), nil) {
				return
			}
		}
	}
}

// ShardRoots returns the roots of one shard, from the store's record alone
// where no session is at work. They are zero where a mailbox of the shard is
// gone, damaged or unread; else equal roots mean equal mailboxes.
func (s *Store) ShardRoots(shard int) (content, state Digest, err error) {
	if s.rec.Dirty || s.session != nil {
		b, err := s.load(bundleOf(shard))
		if err != nil {
			return Digest{}, Digest{}, err
		}
		if rows := b.ofShard(shard); len(rows) > 0 {
			t := sumShard(b.alg, shard, rows)
			return t.content, t.state, nil
		}
	} else if t, had := s.rec.shard(shard); had {
		return t.content, t.state, nil
	}
	content, state = emptyShard(s.rec.Alg)
	return content, state, nil
}

// Head returns what is recorded of one mailbox; ErrNoMailbox.
func (s *Store) Head(mailbox string) (Head, error) {
	r, err := s.row(mailbox)
	if err != nil {
		return Head{}, err
	}
	return r.head(s.Record().Open.ID), nil
}

func (s *Store) row(mailbox string) (*row, error) {
	b, err := s.load(bundleOf(ShardOf(mailbox)))
	if err != nil {
		return nil, err
	}
	if r := b.get(mailbox); r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("mailbox %s: %w", quote(mailbox), ErrNoMailbox)
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
		path := filepath.Join(s.bundleDir(bundleOf(r.shard)), manifestName(mailboxHash(mailbox), r.serial))
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
