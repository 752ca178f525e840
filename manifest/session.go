package manifest

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"mailsync/manifest/durable"
)

// SessionOptions say how a look at a store is recorded.
type SessionOptions struct {
	// Alg is the algorithm of all digests; 0 means the recorded one, or BLAKE3.
	// Another than the recorded one needs Adopt.
	Alg Alg
	// Adopt starts a new generation: the record of the old one is kept for
	// reading (Store.At), and nothing of it counts for the new.
	Adopt bool
	// Fresh starts a new look even where an unfinished one could be continued.
	Fresh bool
	// Policy names what the look does ("rehash"). Only an unfinished look of
	// the same policy is continued.
	Policy string
	// Unbroken: no crash lies between what is recorded and this boot, whose
	// looks the recorded ones are taken for. A clean stop is taken back anyway.
	Unbroken bool
	// Now replaces the clock in tests.
	Now func() time.Time
	// Group is how many manifests are made durable together; 0 means 1,024.
	Group int
}

// maxLoaded is how many rows of changed shards are held before their indexes are written.
const maxLoaded = 1 << 15

// Session records a look at a store. Its methods may be called by several
// goroutines at once. What it has committed survives its end at any moment;
// an error of the disk ends it, and is returned by every later call.
type Session struct {
	repo    *Repo
	dir     string
	opt     SessionOptions
	view    *Store
	lock    durable.File
	syncer  durable.File // of the file system; opened before anything was written
	batch   bool         // one syncfs for many files can be believed
	resumed bool

	flushing sync.Mutex // held while shards change
	mu       sync.Mutex
	rec      StoreRecord
	counter  uint32
	group    []*Draft // sealed and handed over, not durable yet
	drafts   map[*Draft]struct{}
	marked   bool            // the record on disk says that a session is at work
	bundles  map[int]*bundle // loaded for changes, since indexes were last written
	loaded   int             // rows in bundles
	seen     [Shards][]uint64
	unknown  [Shards][]uint64
	err      error
}

// writeRecord makes the store's record durable.
func (s *Session) writeRecord() error {
	s.mu.Lock()
	rec := s.rec
	rec.shards = slices.Clone(rec.shards)
	s.mu.Unlock()
	return durable.WriteFile(s.repo.fs, filepath.Join(s.dir, recordName), rec.encode(), fileMode)
}

func (s *Session) unlock() {
	for _, f := range []durable.File{s.syncer, s.lock} {
		if f != nil {
			_ = f.Close()
		}
	}
	s.syncer, s.lock = nil, nil
}

func (s *Session) record() StoreRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rec
}

// Store reads what is recorded: what was there when the session began, and
// what it has made durable since.
func (s *Session) Store() *Store { return s.view }

// Look returns the look that this session records.
func (s *Session) Look() Look { return s.record().Open }

// Resumed tells whether the session goes on with an unfinished look.
func (s *Session) Resumed() bool { return s.resumed }

// nameKey tells mailboxes of one shard apart; a collision would make a mailbox
// that is gone look kept.
func nameKey(mailbox string) (no int, key uint64) {
	sum := blake3.Sum256([]byte(mailbox))
	return int(binary.BigEndian.Uint16(sum[:2]) >> 4), binary.BigEndian.Uint64(sum[2:])
}

func (s *Session) visit(set *[Shards][]uint64, mailbox string) error {
	no, key := nameKey(mailbox)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	set[no] = append(set[no], key)
	return nil
}

// Keep says that a mailbox is as recorded. Nothing is written for it; after an
// interruption a mailbox that was only kept is looked at again.
func (s *Session) Keep(mailbox string) error { return s.visit(&s.seen, mailbox) }

// Unknown says that a mailbox could not be looked at: its record stays as it
// is, and it is not gone.
func (s *Session) Unknown(mailbox string) error { return s.visit(&s.unknown, mailbox) }

// Gone says that a mailbox is proven gone. Its manifest is kept, and its Head
// says since when.
func (s *Session) Gone(mailbox string) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if err := s.failed(); err != nil {
		return err
	}
	shard := ShardOf(mailbox)
	b, err := s.open(bundleOf(shard))
	if err != nil {
		return s.fail(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, had := b.find(shard, mailbox)
	if !had {
		return fmt.Errorf("mailbox %s: %w", quote(mailbox), ErrNoMailbox)
	}
	if b.rows[i].Gone.IsZero() {
		b.setGone(i, s.opt.Now().UTC())
	}
	return nil
}

func (s *Session) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// fail ends the session with an error.
func (s *Session) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	return s.err
}

// Checkpoint makes everything durable that was committed before it was called,
// and place with it (at most MaxPlace bytes), which Look returns to the
// session that goes on with this look.
func (s *Session) Checkpoint(place []byte) error {
	if len(place) > MaxPlace {
		return fmt.Errorf("%w: place of %d bytes", ErrLimit, len(place))
	}
	if err := s.settle(); err != nil {
		return err
	}
	s.mu.Lock()
	s.rec.Open.Place = slices.Clone(place)
	s.mu.Unlock()
	if err := s.writeRecord(); err != nil {
		return s.fail(err)
	}
	return nil
}

// settle flushes the group and writes the indexes.
func (s *Session) settle() error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if err := s.failed(); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return s.fail(err)
	}
	if err := s.writeIndexes(); err != nil {
		return s.fail(err)
	}
	s.mu.Lock()
	s.rec.sumShards()
	s.mu.Unlock()
	return nil
}

// Finish makes everything durable and ends the session. With complete, the
// look has seen all of the store: a mailbox that was neither committed, kept
// nor called unknown, by this session or one that it continues, is gone.
// Without, the look stays unfinished, nothing is concluded from what it has not
// visited, and the next session goes on with it.
func (s *Session) Finish(complete bool) error {
	if err := s.settle(); err != nil {
		return err
	}
	s.flushing.Lock()
	err := s.conclude(complete)
	if err == nil {
		err = s.writeIndexes()
	}
	s.flushing.Unlock()
	if err != nil {
		return s.fail(err)
	}
	s.mu.Lock()
	if complete {
		s.rec.Complete = s.rec.Open
		s.rec.Complete.Ended = s.opt.Now().UTC()
		s.rec.Complete.Place = nil
		s.rec.Open = Look{}
	}
	s.rec.Dirty = false
	s.rec.sumShards()
	drafts := s.drafts
	s.drafts = map[*Draft]struct{}{}
	s.mu.Unlock()
	for d := range drafts {
		d.discard()
	}
	if err := s.writeRecord(); err != nil {
		return s.fail(err)
	}
	_ = s.fail(ErrEnded)
	s.unlock()
	return nil
}

// Close ends a session that was not finished, as a kill would: what was made
// durable stays, the rest is dropped. After Finish it does nothing.
func (s *Session) Close() error {
	_ = s.fail(ErrEnded)
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.unlock()
	return nil
}
