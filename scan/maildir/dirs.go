package maildir

import "path/filepath"

// Folders returns the translation of folder names at this place.
func (p Place) Folders() FolderNames { return FolderNames{Layout: p.Layout, UTF8: p.UTF8} }

// MessageDir returns the absolute path of the directory that holds new, cur
// and tmp of a folder. dir is the folder's directory relative to the root, as in
// manifest.Folder; "" is INBOX.
func (p Place) MessageDir(dir string) string { return filepath.Join(p.Root, dir) }

// ControlDir returns the directory of the folder's dovecot-uidlist,
// dovecot-keywords and dovecot-uidlist.lock. In a tree of its own INBOX lies
// in ".INBOX" (Maildir++) or "INBOX" (LAYOUT=fs), beside the other folders.
func (p Place) ControlDir(dir string) string { return p.apart(p.Control, dir) }

// IndexDir returns the directory of the folder's dovecot.index files.
func (p Place) IndexDir(dir string) string { return p.apart(p.Index, dir) }

// ControlRoot returns the directory of subscriptions and dovecot-uidvalidity.
func (p Place) ControlRoot() string {
	if p.Control == "" {
		return p.Root
	}
	return p.Control
}

// apart follows maildir_list_get_path and fs_list_get_path of dovecot/core
// (src/lib-storage/list).
func (p Place) apart(tree, dir string) string {
	switch {
	case tree == "" || tree == p.Root:
		return p.MessageDir(dir)
	case dir != "":
		return filepath.Join(tree, dir)
	case p.Layout == FS:
		return filepath.Join(tree, "INBOX")
	}
	return filepath.Join(tree, ".INBOX")
}
