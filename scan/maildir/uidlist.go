package maildir

import (
	"io"
	"iter"
)

// UIDHeader is the first line of a dovecot-uidlist or courierimapuiddb.
type UIDHeader struct {
	Version     int // 3 Dovecot, 1 Courier
	UIDValidity uint32
	NextUID     uint32 // as written; it may lag behind the records
	GUID        string // of the mailbox: 32 hexadecimal digits, or ""
	Extra       []UIDKey
}

// UIDKey is a key of a header or record that is kept as it was.
type UIDKey struct {
	Key   byte
	Value string
}

// UIDRecord is one message's line.
type UIDRecord struct {
	UID  uint32
	Base string // base name: all before the first ':'
	GUID string // "" means: the base name is the GUID
	S, W int64  // sizes that are not in the name; valid where HasS, HasW
	HasS bool
	HasW bool
	Keys []UIDKey // all keys as written, in order, S, W and G included
}

// UIDList reads a UID list as a stream. Damage does not hide what precedes it.
type UIDList struct {
	header UIDHeader
}

// ReadUIDList reads the header. The error wraps ErrUIDList where the file is not a
// UID list (empty, NULs, unknown version, UIDVALIDITY 0), else it is the reader's.
func ReadUIDList(r io.Reader) (*UIDList, error) { return &UIDList{}, nil }

// Header returns the first line.
func (l *UIDList) Header() UIDHeader { return l.header }

// Records yields the records in the file's order, once. It ends with an error
// that wraps ErrUIDList at the first line that a server would not accept: torn
// tail, NULs, UID not ascending or out of range, missing ':'. Lines of version
// 1 need not ascend (Courier accepts them); a UID given twice is an error.
func (l *UIDList) Records() iter.Seq2[UIDRecord, error] {
	return func(yield func(UIDRecord, error) bool) {}
}

// Next returns the UID that the server will give next: max(N, last UID + 1)
// over what was read so far.
func (l *UIDList) Next() uint32 { return 0 }

// UIDIndex finds the UID of a base name. It needs 16 bytes a message.
type UIDIndex struct{}

// UIDDuplicate is a base name that a UID list holds twice. A server lets the
// later line win.
type UIDDuplicate struct{ Lost, Kept uint32 }

// IndexUIDs reads all records. On a broken list it returns the index of the
// valid prefix together with the error.
func IndexUIDs(l *UIDList) (*UIDIndex, error) { return &UIDIndex{}, nil }

// UID returns the UID of a base name (Name.ServerBase), 0 when the list does
// not hold it.
func (x *UIDIndex) UID(base string) uint32 { return 0 }

// Len returns the number of base names.
func (x *UIDIndex) Len() int { return 0 }

// Duplicates returns the base names that stand in the list twice.
func (x *UIDIndex) Duplicates() []UIDDuplicate { return nil }

// WriteUIDList writes a list that Dovecot (version 3) or Courier (version 1)
// accepts. Records must ascend strictly by UID. Unknown keys are kept. N is
// written as max(NextUID, last UID + 1): so it needs the last UID first, which is why
// records come as a slice-like sequence that can be walked twice.
func WriteUIDList(w io.Writer, h UIDHeader, records iter.Seq2[UIDRecord, error]) error { return nil }
