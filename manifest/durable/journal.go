package durable

import "iter"

// JournalOptions say what kind of journal a file is.
type JournalOptions struct {
	// FS defaults to System().
	FS FS
	// Kind names what is journalled, at most 16 bytes; a file of another kind is refused.
	Kind string
	// Version is of the records' contents. A file of a newer version is
	// refused with ErrNewer; an older one is read, and continued as it is.
	Version uint16
	// MaxRecord bounds one record; 0 means 1 MiB.
	MaxRecord int
}

// Record is one whole record of a journal.
type Record struct {
	Seq  uint64 // 1 for the first
	Data []byte // valid until the next record is read
}

// Journal is an append-only file of records. Its methods may be called by
// several goroutines at once.
type Journal struct{}

// OpenJournal opens a journal for appending, and creates it durably where
// there is none. A torn tail (what a power cut leaves of records that Sync
// never acknowledged) is cut off; damage before it is ErrCorrupt. The file is
// locked: a second open fails with ErrLocked.
func OpenJournal(path string, o JournalOptions) (*Journal, error) { panic("unfinished") }

// Append adds records in order. They survive a crash of the process when
// Append returns, and a power cut when Sync does.
func (j *Journal) Append(recs ...[]byte) error { panic("unfinished") }

// Sync makes everything that was appended before it was called durable.
// Callers that come together share one fsync(2). An error is final: every
// later call returns it.
func (j *Journal) Sync() error { panic("unfinished") }

// Seq returns the number of the last record appended; 0 for an empty journal.
func (j *Journal) Seq() uint64 { panic("unfinished") }

// Close syncs, seals and closes the journal. A sealed journal in which any
// byte of a record was changed since is ErrCorrupt, not torn.
func (j *Journal) Close() error { panic("unfinished") }

// Tail tells how a journal ended.
type Tail struct {
	Version uint16 // of the records' contents
	Records uint64
	Size    int64 // bytes of the whole part
	Torn    int64 // bytes after it that are no whole record: never acknowledged
	Sealed  bool  // closed cleanly, nothing was appended since
}

// Recover reads a journal without changing it, also while another process
// appends. Records are checked before they are yielded. After the last whole
// record it fills tail (which may be nil); damage in the middle is yielded as
// ErrCorrupt.
func Recover(path string, o JournalOptions, tail *Tail) iter.Seq2[Record, error] { panic("unfinished") }
