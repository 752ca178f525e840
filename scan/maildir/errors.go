package maildir

import (
	"errors"
	"fmt"
)

// Errors of this package's parsers; a *Broken wraps one of them.
var (
	ErrUIDList    = errors.New("broken UID list")
	ErrKeywords   = errors.New("broken keyword table")
	ErrSubs       = errors.New("broken subscriptions")
	ErrQuota      = errors.New("broken maildirsize")
	ErrIndexLog   = errors.New("broken index log")
	ErrIndex      = errors.New("broken index header")
	ErrFolderName = errors.New("folder name cannot be stored")
	ErrTemplate   = errors.New("unsupported path template")
	ErrUsers      = errors.New("broken users list")
	ErrTooLarge   = errors.New("larger than the limit")
)

// Broken says where a file contradicts its format. What came before it is
// valid and was returned.
type Broken struct {
	Err    error  // the class, one of the errors above
	Line   int    // from 1; 0 where lines mean nothing
	Offset int64  // of the line or record, from the beginning of the file
	Reason string // for a person; never content of the file
}

// Error implements error.
func (b *Broken) Error() string {
	if b.Line > 0 {
		return fmt.Sprintf("%v: line %d: %s", b.Err, b.Line, b.Reason)
	}
	return fmt.Sprintf("%v: offset %d: %s", b.Err, b.Offset, b.Reason)
}

// Unwrap returns the class.
func (b *Broken) Unwrap() error { return b.Err }
