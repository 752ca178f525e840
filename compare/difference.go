package compare

import "mailsync/manifest"

// Kind is a kind of difference.
type Kind string

// The kinds of differences.
const (
	Missing        Kind = "missing"
	DamagedCopy    Kind = "damaged" // at least one copy is proven damaged, by itself or by the record
	Content        Kind = "content" // contents differ and nothing proves which is right
	Flags          Kind = "flags"
	Keywords       Kind = "keywords"
	Date           Kind = "date"
	UID            Kind = "uid"
	Moved          Kind = "moved"
	UIDValidity    Kind = "uidvalidity"
	FolderMissing  Kind = "folder_missing"
	MailboxMissing Kind = "mailbox_missing"
	Subscriptions  Kind = "subscriptions"
)

// Copy is one store's side of a difference. At most one of Entry, Folder,
// Mailbox and Unknown is set; none means that the store is proven to hold
// nothing there.
type Copy struct {
	Entry   *manifest.Entry   // a message
	Folder  *manifest.Folder  // uidvalidity, folder_missing: the folder
	Mailbox *manifest.Mailbox // mailbox_missing, subscriptions: the mailbox
	Unknown string            // why it could not be looked at
	// Base is the message as it was recorded of this side before, where a
	// base was given (Side.Base); it says nothing of presence.
	Base *manifest.Entry
}

// Absent tells whether the store is proven to hold nothing there.
func (c *Copy) Absent() bool {
	return c.Entry == nil && c.Folder == nil && c.Mailbox == nil && c.Unknown == ""
}

// Difference is one thing that is not the same on all replicas.
type Difference struct {
	Mailbox  string
	Folder   string
	File     string // of the first copy that is there, relative to its folder, raw bytes; "" where it is about a folder or mailbox
	Kind     Kind
	Copies   []Copy // in the order of the sources
	Good     []int  // sources whose copy is good; empty where undecided
	Reason   string // why, for a person
	Messages int64  // folder_missing, mailbox_missing: how many messages went with it
}

// Kinds lists all kinds, in the order in which the lines of one message come.
var Kinds = [...]Kind{
	MailboxMissing, Subscriptions, FolderMissing, UIDValidity,
	Missing, DamagedCopy, Content, Moved, Flags, Keywords, Date, UID,
}
