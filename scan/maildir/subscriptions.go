package maildir

import "io"

// Subscriptions is a list of subscribed folders.
type Subscriptions struct {
	Version int      // 2, 1 (Dovecot), 0 (Courier)
	Folders []string // names as in manifest.Folder, sorted, without repetition
	Invalid int      // lines that name no folder
}

// ParseSubscriptions reads a Dovecot subscriptions file of version 1 or 2.
func ParseSubscriptions(r io.Reader, f FolderNames) (Subscriptions, error) {
	return Subscriptions{}, nil
}

// FormatSubscriptions returns a subscriptions file of version 2. The error
// wraps ErrFolderName where a name cannot be stored.
func FormatSubscriptions(folders []string, f FolderNames) ([]byte, error) { return nil, nil }

// ParseCourierSubscribed reads courierimapsubscribed: one "INBOX.Folder.Sub" a line.
func ParseCourierSubscribed(r io.Reader, f FolderNames) (Subscriptions, error) {
	return Subscriptions{}, nil
}
