package maildir

// Layout says how folders lie below a mailbox' root.
type Layout uint8

// The layouts.
const (
	PlusPlus Layout = iota // Maildir++: folders are directories ".A.B" of the root
	FS                     // LAYOUT=fs: folders are nested directories "A/B"
)

// Place says where one mailbox lies on disk. It is knowledge of the operator's
// configuration applied to one name: the only thing that scan and restore need
// to agree on about it.
type Place struct {
	Mailbox string // name, as in manifest.Mailbox
	Store   string // absolute path of the store's root; everything opened lies beneath it, or beneath Root where Root leads elsewhere
	Root    string // absolute path of the mailbox' root
	Control string // absolute path of the tree that holds uidlists, keywords and subscriptions; "" = Root
	Index   string // absolute path of the tree that holds dovecot.index*; "" = Root
	Layout  Layout
	UTF8    bool // folder names on disk are UTF-8, not modified UTF-7
	Known   bool // the userdb (layout's users, users list) knows the mailbox; always true for a store by path
}
