package manifest

import (
	"cmp"
	"strings"
	"time"
)

// Ref names one message of one store.
type Ref struct {
	Store   string // name in the configuration, or the path as given
	Mailbox string // name of the mailbox in its store
	Folder  string // "INBOX", "Archive/2026": UTF-8, levels separated by '/'
	Unique  string // file name before ':' without its ,S= and ,W= fields; raw bytes
}

// Sub is the sub-directory of a folder in which a message lies.
type Sub uint8

// The sub-directories that hold messages. The numbers are part of the file format.
const (
	New Sub = 1
	Cur Sub = 2
)

// String returns the directory's name.
func (s Sub) String() string {
	switch s {
	case New:
		return "new"
	case Cur:
		return "cur"
	}
	return "?"
}

// HeaderID nominates candidates for "the same message": half of a digest over
// the Message-ID, or where there is none over Date, From, To and Subject. It
// never proves identity. The zero value means that the message has no usable
// header, or that its header could not be read.
type HeaderID [16]byte

// Status tells how far an entry's digest can be trusted.
type Status uint8

// The states of an entry. The numbers are part of the file format.
const (
	Unread  Status = 0 // listed, its bytes were never read: Digest is zero
	Sound   Status = 1 // read; Digest is what the file holds, and nothing speaks against it
	Suspect Status = 2 // read; a suspicion stands (Damage says which), Digest is what the file holds
	Damaged Status = 3 // read; proven damaged. Digest is the last good one where there was one, else what the file holds
)

// Entry is what is known of one message in one store.
//
// A file name is raw bytes: it need not be UTF-8 and may hold control bytes.
type Entry struct {
	Folder   string   // as in Ref
	Unique   string   // as in Ref
	Sub      Sub      // new or cur
	Name     string   // exact file name
	Flags    string   // system flags as in the name, ASCII-sorted: upper-case letters, unknown ones kept (maildir(5))
	Keywords []string // names, sorted; letters without a name in the folder's table appear as "?a" … "?z"
	Size     int64    // bytes of the file as stored
	MTime    int64    // nanoseconds since 1970: the IMAP INTERNALDATE
	CTime    int64    // nanoseconds since 1970
	Inode    uint64
	UID      uint32 // 0 when the uidlist does not know the message
	Digest   Digest // of the stored bytes; zero when Unread
	Plain    Digest // of the decompressed bytes; zero where they are the stored bytes, or not known
	HeaderID HeaderID
	Opaque   bool // encrypted by the server (mail_crypt): content cannot be compared across stores
	Status   Status
	Damage   Kind   // with Suspect and Damaged: the finding
	Good     bool   // with Damaged: Digest was recorded while the message was sound; without it, Digest is what the damaged file holds
	Checked  int64  // unix seconds of the last complete read; 0 = never
	Held     Digest // never stored: of the bytes that the file holds, where Digest is the recorded one and they were read
	Detail   string // never stored: why Damage was found, for a person; without message text
}

// Content returns the digest that is equal on replicas which hold the same
// message, however it is compressed. It is zero when unknown.
func (e *Entry) Content() Digest {
	if !e.Plain.IsZero() {
		return e.Plain
	}
	return e.Digest
}

// File returns the path relative to the folder's directory ("cur/NAME").
func (e *Entry) File() string { return e.Sub.String() + "/" + e.Name }

// Date returns the INTERNALDATE.
func (e *Entry) Date() time.Time { return time.Unix(0, e.MTime).UTC() }

// SameStamp tells whether the file itself is unchanged since it was recorded,
// as far as stat(2) can tell: the same inode, size, mtime and ctime. It says
// nothing about a file that power loss may have touched.
func (e *Entry) SameStamp(o *Entry) bool {
	return e.Inode == o.Inode && e.Size == o.Size && e.MTime == o.MTime && e.CTime == o.CTime && e.Inode != 0
}

// Compare orders entries as manifests and streams hold them: by folder, then
// unique name, then sub-directory, then file name; all as bytes.
func (e *Entry) Compare(o *Entry) int {
	if c := strings.Compare(e.Folder, o.Folder); c != 0 {
		return c
	}
	if c := strings.Compare(e.Unique, o.Unique); c != 0 {
		return c
	}
	if c := cmp.Compare(e.Sub, o.Sub); c != 0 {
		return c
	}
	return strings.Compare(e.Name, o.Name)
}
