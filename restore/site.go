package restore

import (
	"mailsync/restore/place"
	"mailsync/scan/budget"
	"mailsync/scan/maildir"
)

// Site says where a store lies on disk: what restore needs to know of the
// operator's configuration to write into it.
type Site struct {
	Store string // name in Refs and JSON
	Path  string // absolute path of the store's root
	// Place tells where a mailbox lies, or would lie if it existed.
	Place func(mailbox string) (maildir.Place, error)
	// Symlinks allows the way to a mailbox' root to lead through symbolic
	// links, on the operator's word. Below the root none is ever followed.
	Symlinks bool
	// Layout tells that the configuration says where every mailbox lies (a
	// layout or a users list). Without it a new mailbox lies where it lies in
	// the source.
	Layout bool
	// Folders is how folders lie in mailboxes that Place does not know yet.
	Folders maildir.FolderNames
	// Disk is the budget of the physical device below a path, within which
	// messages are read; nil = unbounded.
	Disk  func(path string, dev uint64) *budget.Device
	Calls *place.Calls // system calls on the store; nil = the real ones
}
