package maildir

import (
	"strconv"
	"strings"
)

// Names of files that servers keep in a mailbox.
const (
	UIDListFile       = "dovecot-uidlist"
	UIDListLock       = "dovecot-uidlist.lock"
	KeywordsFile      = "dovecot-keywords"
	ACLFile           = "dovecot-acl"
	SubscriptionsFile = "subscriptions"
	UIDValidityFile   = "dovecot-uidvalidity"
	IndexFile         = "dovecot.index"
	IndexLogFile      = "dovecot.index.log"
	IndexLogOldFile   = "dovecot.index.log.2"
	IndexCacheFile    = "dovecot.index.cache"
	QuotaFile         = "maildirsize"
	FolderFile        = "maildirfolder"

	CourierUIDDB      = "courierimapuiddb"
	CourierKeywordDir = "courierimapkeywords"
	CourierSubscribed = "courierimapsubscribed"
	CourierACLFile    = "courierimapacl"
)

// Derived tells whether a file of a mailbox' root or folder can be rebuilt by
// its server from the rest, or lives for a moment only: it need not be kept
// and its differences mean nothing.
func Derived(name string) bool {
	switch name {
	case QuotaFile, UIDListLock, "dovecot-uidlist.tmp", "dovecot-keywords.lock", "dovecot.mailbox.log", "dovecot-acl-list", "..DOVECOT-TRASHED":
		return true
	}
	return strings.HasPrefix(name, "dovecot.index") || strings.HasPrefix(name, "dovecot.list.index") || strings.HasPrefix(name, "temp.")
}

// ParseUIDValidity reads the content of dovecot-uidvalidity: 8 hexadecimal
// digits, the last UIDVALIDITY that was given out. ok is false for anything else.
func ParseUIDValidity(content string) (v uint32, ok bool) {
	content = strings.TrimRight(content, "\n")
	if len(content) != 8 {
		return 0, false
	}
	n, err := strconv.ParseUint(content, 16, 32)
	return uint32(n), err == nil
}

// UIDValidityMarker reads the name of the empty file beside it,
// "dovecot-uidvalidity.<8 hexadecimal digits>", which is renamed at each allocation
// and outlives a torn write of the other.
func UIDValidityMarker(file string) (v uint32, ok bool) {
	digits, ok := strings.CutPrefix(file, UIDValidityFile+".")
	if !ok {
		return 0, false
	}
	return ParseUIDValidity(digits)
}
