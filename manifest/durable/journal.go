package durable

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
)

// JournalOptions say what kind of journal a file is.
type JournalOptions struct {
	// FS is the file system; nil is the real one.
	FS FS
	// Kind names what is journalled, in 1 to 16 bytes. A file of another kind
	// is ErrCorrupt.
	Kind string
	// Version is that of the records' contents. A file of a newer version is
	// refused with ErrNewer; an older one is read, and continued as it is.
	Version uint16
	// MaxRecord bounds one record in bytes; 0 means DefaultMaxRecord.
	MaxRecord int
}

func (o *JournalOptions) complete() error {
	if o.Kind == "" || len(o.Kind) > 16 || o.MaxRecord < 0 || o.MaxRecord > MaxRecordLimit {
		return fmt.Errorf("journal options: kind %q, records of up to %d bytes", o.Kind, o.MaxRecord)
	}
	o.FS = fallback(o.FS)
	if o.MaxRecord == 0 {
		o.MaxRecord = DefaultMaxRecord
	}
	return nil
}

// Journal is an append-only file of records, as docs/manifest-format.md
// describes it. Its methods may be called by several goroutines at once.
type Journal struct {
	o       JournalOptions
	path    string
	tail    Tail
	f       File
	salt    uint64
	mu      sync.Mutex
	turn    sync.Cond // of mu: a sync has ended
	syncing bool
	seq     uint64 // appended
	synced  uint64 // durable
	buf     []byte
	err     error // final
}

// OpenJournal opens a journal for appending, and creates it durably where there
// is none; the directory must exist. Records of a torn tail (see Recover) are
// cut off for good. Errors: ErrLocked where another process appends to it,
// ErrCorrupt, ErrNewer, and those of the file system.
func OpenJournal(path string, o JournalOptions) (*Journal, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	f, err := o.FS.Open(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		if err := createJournal(path, &o); err != nil {
			return nil, err
		}
		f, err = o.FS.Open(path, os.O_RDWR, 0)
	}
	if err != nil {
		return nil, err
	}
	j := &Journal{o: o, path: path, f: f}
	j.turn.L = &j.mu
	if err := j.recover(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	return j, nil
}

// createJournal makes an empty journal. The name appears only when the head is
// durable, so a journal without a whole head is corrupt, never new.
//
//	open(path.tmp), flock, write, fsync
//	link(path.tmp, path)              fails where another was first
//	SyncDir, unlink(path.tmp)
func createJournal(path string, o *JournalOptions) error {
	temp := path + TempSuffix
	f, err := o.FS.Open(temp, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := f.Lock(); err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := f.Write(appendHead(nil, o.Kind, o.Version, rand.Uint64())); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := o.FS.Link(temp, path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := SyncDir(o.FS, filepath.Dir(path)); err != nil {
		return err
	}
	return o.FS.Remove(temp)
}

// recover reads the journal to its end and cuts off a torn tail.
func (j *Journal) recover() error {
	if err := j.f.Lock(); err != nil {
		return err
	}
	r, err := newScanner(j.f, &j.o)
	if err != nil {
		return err
	}
	for r.next() {
	}
	if r.err != nil {
		return r.err
	}
	j.tail = r.tail
	j.salt = r.salt
	if r.tail.Torn > 0 {
		if err := j.f.Truncate(r.tail.Size); err != nil {
			return err
		}
	}
	if _, err := j.f.Seek(r.tail.Size, io.SeekStart); err != nil {
		return err
	}
	// What was read may still be on its way to the disk: an earlier process may
	// have died before its sync. It is said to be synced only after this one.
	if err := j.f.Sync(); err != nil {
		return err
	}
	if err := probe(j.o.FS, j.probePath()); err != nil {
		return err
	}
	j.seq, j.synced = r.tail.Records, r.tail.Records
	return nil
}

func (j *Journal) probePath() string { return j.path + ".probe" + TempSuffix }

// Append adds records in order. When it returns they survive the end of the
// process; a power cut only after Sync. A record larger than MaxRecord is
// refused and nothing is written.
func (j *Journal) Append(recs ...[]byte) error {
	for _, rec := range recs {
		if len(rec) > j.o.MaxRecord {
			return fmt.Errorf("journal %s: a record of %d bytes, at most %d", j.path, len(rec), j.o.MaxRecord)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	b := j.buf[:0]
	seq := j.seq
	for _, rec := range recs {
		seq++
		b = appendFrame(b, j.salt, recordMark, seq, j.synced, rec)
	}
	if cap(b) <= 1<<20 {
		j.buf = b
	}
	if _, err := j.f.Write(b); err != nil {
		return j.fail(err) // part of it may be there: the next open cuts it off
	}
	j.seq = seq
	return nil
}

func (j *Journal) fail(err error) error {
	if j.err == nil {
		j.err = fmt.Errorf("journal %s: %w: %w", j.path, ErrFailed, err)
	}
	return j.err
}

// Sync makes everything durable that was appended before it was called.
// Callers that come while one is at work share the next. After an error the
// journal is of no more use: what a failed fsync(2) left behind nobody knows.
//
//	fsync                             the records and the file's size
//	create(path.probe.tmp), unlink    the probe, see SyncDir
func (j *Journal) Sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	want := j.seq
	for j.err == nil && j.synced < want {
		if j.syncing {
			j.turn.Wait()
			continue
		}
		j.syncing = true
		upto := j.seq
		j.mu.Unlock()
		err := j.f.Sync()
		if err == nil {
			err = probe(j.o.FS, j.probePath())
		}
		j.mu.Lock()
		j.syncing = false
		if err != nil {
			_ = j.fail(err)
		} else {
			j.synced = upto
		}
		j.turn.Broadcast()
	}
	return j.err
}

// Seq returns the number of the last record that was appended; 0 for none.
func (j *Journal) Seq() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seq
}

// Close syncs, seals and closes the journal. In a journal that ends with a
// seal, damage of any record is ErrCorrupt, never a torn tail. Close after an
// error returns that error.
func (j *Journal) Close() error {
	err := j.Sync()
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.syncing {
		j.turn.Wait()
	}
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	if err == nil && (j.seq > j.tail.Records || !j.tail.Sealed) {
		_, err = j.f.Write(appendFrame(nil, j.salt, sealMark, j.seq, j.synced, nil))
		if err == nil {
			err = j.f.Sync()
		}
	}
	if cerr := j.f.Close(); err == nil {
		err = cerr
	}
	j.err = fmt.Errorf("journal %s: %w", j.path, os.ErrClosed)
	return err
}
