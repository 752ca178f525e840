package archive

import (
	"errors"
	"os"

	"mailsync/restore"
)

// errTooLarge reports a message beyond the limit.
var errTooLarge = errors.New("message is larger than the limit")

// errLongLine reports a line that does not fit into memory.
var errLongLine = errors.New("a message with a line longer than what is held in memory")

// spool is where a message goes that is too large for memory: one temporary
// file without a name, used again for each such message.
type spool struct {
	max int64
	f   *os.File
	n   int64
}

// reset empties the spool for the next message.
func (s *spool) reset() error {
	s.n = 0
	if s.f == nil {
		var err error
		s.f, err = restore.TempFile()
		return err
	}
	return s.f.Truncate(0)
}

// Write appends to the message.
func (s *spool) Write(p []byte) (int, error) {
	if s.n+int64(len(p)) > s.max {
		return 0, errTooLarge
	}
	n, err := s.f.WriteAt(p, s.n)
	s.n += int64(n)
	return n, err
}

func (s *spool) close() {
	if s.f != nil {
		s.f.Close()
		s.f = nil
	}
}
