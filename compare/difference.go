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

// Copy is one store's side of a difference. Of Entry and Unknown at most one is
// set; neither means that the store is proven to hold no copy.
type Copy struct {
	Entry   *manifest.Entry
	Unknown string // why it could not be looked at
}

// Difference is one thing that is not the same on all replicas.
type Difference struct {
	Mailbox  string
	Folder   string
	Kind     Kind
	Copies   []Copy // in the order of the sources
	Good     []int  // sources whose copy is good; empty where undecided
	Reason   string // why, for a person
	Messages int64  // folder_missing, mailbox_missing: how many messages went with it
}
