package manifest

import (
	"errors"

	"mailsync/manifest/durable"
)

// Errors of manifests and repositories. They are wrapped with what, where and why.
var (
	// ErrNewer: the file is whole as far as its beginning tells, and of a
	// version that this program does not know.
	ErrNewer = durable.ErrNewer
	// ErrCorrupt: the file is not what was written: a byte, a length, the
	// order of its blocks. Truncated files are ErrCorrupt too.
	ErrCorrupt = durable.ErrCorrupt
	// ErrTruncated: the file ends before its end mark.
	ErrTruncated = errors.New("truncated")
	// ErrLimit: a value is larger than the format allows.
	ErrLimit = errors.New("over a limit of the format")
	// ErrOrder: entries, absences or folders are not strictly ascending.
	ErrOrder = errors.New("out of order")
	// ErrInvalid: a value that no manifest can hold.
	ErrInvalid = errors.New("not valid in a manifest")
	// ErrNoRecord: nothing is recorded of a store.
	ErrNoRecord = errors.New("no record of this store")
	// ErrNoMailbox: nothing is recorded of a mailbox.
	ErrNoMailbox = errors.New("no record of this mailbox")
	// ErrLocked: another process records this store now.
	ErrLocked = durable.ErrLocked
	// ErrReadOnly: the state directory was opened for reading only.
	ErrReadOnly = errors.New("opened for reading only")
	// ErrOther: another file system lies under the store's path than was recorded.
	ErrOther = errors.New("another file system than was recorded lies under the store's path")
	// ErrEnded: the session, draft or writer has ended or failed before.
	ErrEnded = errors.New("already ended")
)
