package maildir

import "io"

// GUID128 is the form in which Dovecot's index log names messages.
type GUID128 [16]byte

// GUID returns the 128-bit GUID of a message from its GUID in the uidlist, or
// from its base name where it has none there.
func GUID(guid, base string) GUID128 { return GUID128{} }

// Gone says what a server's log knows of a message that is gone.
type Gone uint8

// What a log can know.
const (
	NotInLog  Gone = iota
	Noticed        // the server only noticed that the file was gone: a loss
	Requested      // a client asked for the expunge: a deletion
)

// IndexLog is what dovecot.index.log files tell. Its zero value is empty; Read
// adds files, the oldest (.log.2) first.
type IndexLog struct {
	UIDValidity   uint32 // 0 unknown
	NextUID       uint32 // as set by the log, or last appended UID + 1; 0 unknown
	HighestModSeq uint64 // 0 unknown
	IndexID       uint32
	Files         int
}

// Read reads one log file. A torn tail ends it without error; a header or
// record that contradicts the format gives an error that wraps ErrIndexLog,
// and what was read before stays.
func (l *IndexLog) Read(r io.Reader) error { return nil }

// UID tells what the log knows of a message's UID.
func (l *IndexLog) UID(uid uint32) Gone { return NotInLog }

// GUID tells what the log knows of a message's GUID; the surer key, where the
// server wrote it.
func (l *IndexLog) GUID(g GUID128) Gone { return NotInLog }

// Expunges returns the number of UIDs requested and of those only noticed.
func (l *IndexLog) Expunges() (requested, noticed int) { return 0, 0 }

// IndexHeader is what the header of dovecot.index tells.
type IndexHeader struct {
	IndexID       uint32
	UIDValidity   uint32
	NextUID       uint32
	Messages      uint32
	HighestModSeq uint64 // 0 where the header does not hold it
	LogSeq        uint32 // sequence of the log up to which it is valid
	LogHead       uint32 // offset in it
}

// ReadIndexHeader reads the header of a dovecot.index file. The error wraps ErrIndex.
func ReadIndexHeader(r io.Reader) (IndexHeader, error) { return IndexHeader{}, nil }
