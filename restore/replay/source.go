package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"mailsync/restore"
	"mailsync/restore/archive"
)

// FromArchive hands out the messages that the actions of a saved plan name. It
// may be used by several goroutines, which wait for each other. The caller
// closes it after use.
func FromArchive(a *archive.Archive) *ArchiveSource { return &ArchiveSource{a: a, c: a.Cursor()} }

// ArchiveSource implements restore.Source over an archive.
type ArchiveSource struct {
	mu sync.Mutex
	a  *archive.Archive
	c  *archive.Cursor
}

var _ restore.Source = (*ArchiveSource)(nil)

// Open returns the message at the position that Action.From names behind a NUL
// byte. It is read into memory: the archive's stream does not wait for it.
func (s *ArchiveSource) Open(ctx context.Context, a *restore.Action) (io.ReadCloser, error) {
	_, text, ok := strings.Cut(a.From, "\x00")
	if !ok {
		return nil, fmt.Errorf("%w: the action names no position", archive.ErrPosition)
	}
	pos, err := archive.ParsePosition(text)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.c.Get(ctx, pos)
	if err != nil {
		return nil, err
	}
	p, inMemory := m.Bytes()
	if inMemory {
		return io.NopCloser(bytes.NewReader(bytes.Clone(p))), nil
	}
	f, err := restore.TempFile()
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(f, m.Open()); err != nil {
		f.Close()
		return nil, fmt.Errorf("spool: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		f.Close()
		return nil, fmt.Errorf("spool: %w", err)
	}
	return f, nil
}

// Close ends the reading of the archive, and closes it.
func (s *ArchiveSource) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.c.Close(), s.a.Close())
}
