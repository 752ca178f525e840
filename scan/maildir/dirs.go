package maildir

// Folders returns the translation of folder names at this place.
func (p Place) Folders() FolderNames { return FolderNames{Layout: p.Layout, UTF8: p.UTF8} }

// MessageDir returns the absolute path of the directory that holds new, cur
// and tmp of a folder. dir is the folder's directory relative to the root.
func (p Place) MessageDir(dir string) string { return "" }

// ControlDir returns the directory of the folder's dovecot-uidlist,
// dovecot-keywords and dovecot-uidlist.lock.
func (p Place) ControlDir(dir string) string { return "" }

// IndexDir returns the directory of the folder's dovecot.index files.
func (p Place) IndexDir(dir string) string { return "" }

// ControlRoot returns the directory of subscriptions and dovecot-uidvalidity.
func (p Place) ControlRoot() string { return "" }
