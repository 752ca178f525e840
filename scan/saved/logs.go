package saved

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mailsync/scan/maildir"
)

// Logs reads index logs out of the copies of one store, as evidence of what the
// server's own logs no longer tell. It may be used by several goroutines.
type Logs struct {
	dir string

	mu     sync.Mutex
	sets   []stamp
	listed bool
	// What the archives of one bucket hold: mailboxes are asked for in the order
	// of buckets. Its size is that of a 256th of the store.
	bucket string
	files  map[string][]place
}

// place is where a copy lies.
type place struct {
	archive string
	offset  int64
	size    int64
	mtime   time.Time
}

// NewLogs reads the copies in a directory of Options.Dir. That there is none is
// no error.
func NewLogs(dir string) *Logs { return &Logs{dir: dir} }

// Each calls add for every copy of a folder's log that was written to at or after
// since, the oldest first. dir is the folder's directory. It returns the first
// error, after all copies were tried.
func (l *Logs) Each(mailbox, dir string, since time.Time, add func(io.Reader) error) error {
	var found [2][]place
	l.mu.Lock()
	err := l.load(bucketOf(mailbox))
	for i, name := range [...]string{maildir.IndexLogOldFile, maildir.IndexLogFile} {
		found[i] = l.files[entryName(mailbox, dir, name)]
	}
	l.mu.Unlock()
	// Sets are in order, and in each the rotated log comes before the other.
	var order []place
	for a, b := found[0], found[1]; len(a)+len(b) > 0; {
		if len(a) > 0 && (len(b) == 0 || a[0].archive <= b[0].archive) {
			order, a = append(order, a[0]), a[1:]
		} else {
			order, b = append(order, b[0]), b[1:]
		}
	}
	for _, p := range order {
		if p.mtime.Before(since.Truncate(time.Second)) { // an archive has whole seconds
			continue
		}
		f, oerr := os.Open(p.archive)
		if oerr == nil {
			oerr = errors.Join(add(io.NewSectionReader(f, p.offset, p.size)), f.Close())
		}
		if err == nil {
			err = oerr
		}
	}
	return err
}

// load reads what the archives of a bucket hold. l.mu is held.
func (l *Logs) load(bucket string) error {
	if !l.listed {
		sets, err := stamps(nil, l.dir)
		if err != nil {
			return err
		}
		l.sets, l.listed = sets, true
	}
	if l.bucket == bucket {
		return nil
	}
	l.bucket, l.files = bucket, map[string][]place{}
	var first error
	for _, s := range l.sets {
		err := l.index(filepath.Join(l.dir, s.name, bucket))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && first == nil {
			first = err
		}
	}
	return first
}

// index adds what one archive holds.
func (l *Logs) index(archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	// tar.Reader seeks over what it is not asked for, and reads ahead of nothing.
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("saved copies %s: %w", archive, err)
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		l.files[h.Name] = append(l.files[h.Name], place{archive, at, h.Size, h.ModTime})
	}
}
