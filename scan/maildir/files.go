package maildir

// Names of files and directories that servers keep in a mailbox.
const (
	UIDListFile       = "dovecot-uidlist"
	UIDListLock       = "dovecot-uidlist.lock"
	KeywordsFile      = "dovecot-keywords"
	ACLFile           = "dovecot-acl"
	SubscriptionsFile = "subscriptions"
	IndexFile         = "dovecot.index"
	IndexLogFile      = "dovecot.index.log"
	IndexLogOldFile   = "dovecot.index.log.2" // what the log was before its last rotation
	QuotaFile         = "maildirsize"
	FolderFile        = "maildirfolder" // marks a folder of Maildir++

	CourierUIDDB      = "courierimapuiddb"
	CourierKeywordDir = "courierimapkeywords"
	CourierSubscribed = "courierimapsubscribed"
	CourierACLFile    = "courierimapacl"
)
