package manifest

import "time"

// DirStamp is the state of a directory, or of a server's small file, when it
// was listed or read. Equal stamps mean that no name in it has changed since,
// provided that Safe is set.
type DirStamp struct {
	Inode uint64
	MTime int64 // nanoseconds since 1970
	CTime int64
	Size  int64
	Safe  bool // the stamp was old enough when the listing began that a later change must move it
}

// IsZero tells whether the thing did not exist.
func (s DirStamp) IsZero() bool { return s.Inode == 0 }

// Same tells whether s, taken now, proves that nothing changed since rec was
// recorded. A racy recorded stamp proves nothing.
func (s DirStamp) Same(rec DirStamp) bool {
	return rec.Safe && s.Inode == rec.Inode && s.MTime == rec.MTime && s.CTime == rec.CTime && s.Size == rec.Size
}

// keptUnread is the size in the stamp of what could not be read.
const keptUnread = -1

// KeptStamp stands in place of a server's small file whose content the record
// carries on from an earlier look, because the file is lost or broken, or could
// not be read. inode is that of the file then. It proves nothing about now.
func KeptStamp(inode uint64, lost bool) DirStamp {
	s := DirStamp{Inode: inode}
	if !lost {
		s.Size = keptUnread
	}
	return s
}

// Kept tells whether the record carries on what an earlier look has seen: it
// is not what was on disk. No file has a ctime of 0.
func (s DirStamp) Kept() bool { return s.Inode != 0 && s.CTime == 0 && s.MTime == 0 && !s.Safe }

// Lost tells whether a kept file was proven to be gone or broken.
func (s DirStamp) Lost() bool { return s.Kept() && s.Size != keptUnread }

// Folder is what is known of one folder of a mailbox, apart from its messages.
type Folder struct {
	Name          string   // UTF-8, '/'-separated; "INBOX" is the mailbox' root
	Dir           string   // directory relative to the mailbox' root, raw bytes; "" for the root itself
	GUID          string   // the server's folder GUID (dovecot-uidlist G), hexadecimal; "" unknown
	UIDValidity   uint32   // 0 unknown
	UIDNext       uint32   // max(recorded next UID, last UID + 1); 0 unknown
	HighestModSeq uint64   // 0 unknown
	Keywords      []string // index 0 is letter 'a'; "" where a letter has no name
	ACL           bool     // a dovecot-acl or courierimapacl exists

	// Stamps of: the folder's directory itself, new, cur, and the server's uidlist and keyword files.
	SelfStamp, NewStamp, CurStamp, UIDListStamp, KeywordsStamp DirStamp
}

// Validity returns the UIDVALIDITY that the server's list had when the folder
// was looked at: 0 where there was none, even if the record knows an earlier one.
func (f *Folder) Validity() uint32 {
	if f.UIDListStamp.Kept() {
		return 0
	}
	return f.UIDValidity
}

// Mailbox is what is known of one mailbox, apart from its messages.
type Mailbox struct {
	Name          string // as acceptance and operators see it: an address, or a path relative to the store
	Path          string // of the root directory relative to the store's root; absolute where a users list leads outside it
	Generation    uint32 // of the store's record (see Store) in which it was scanned
	Device        uint64 // st_dev of the root
	FSID          uint64 // statfs f_fsid of the root's file system
	RootInode     uint64
	Owner, Group  uint32
	Mode          uint32   // permission bits of the root directory
	Subscriptions []string // folder names, sorted; nil where there is no subscriptions file
	Subscribed    bool     // a subscriptions file exists
	QuotaFile     bool     // maildirsize exists
	QuotaStamp    DirStamp
	SubsStamp     DirStamp
	Folders       []Folder  // sorted by Name
	Began         time.Time // when the look at it began
	Ended         time.Time // when it ended; zero while a scan runs
	Alg           Alg       // of every digest of its entries

	// Sums over the entries; filled by the Writer. The Reader checks the
	// numbers as entries pass; Store.Check recomputes the roots too.
	Messages, Bytes int64
	Content         Digest // content root: multiset of (folder, content digest); zero when an entry is Unread or Damaged
	State           Digest // state root: adds names, flags, keywords, dates, UIDs, UIDVALIDITY, folders, subscriptions; zero when Content is
}

// Folder returns the folder of that name, or nil.
func (m *Mailbox) Folder(name string) *Folder {
	for i := range m.Folders {
		if m.Folders[i].Name == name {
			return &m.Folders[i]
		}
	}
	return nil
}

// Evidence says what is known about why a recorded message is gone.
type Evidence uint8

// Evidence for an absence. The numbers are part of the file format.
const (
	NoEvidence       Evidence = 0 // nothing is known
	ServerExpunge    Evidence = 1 // the server's transaction log shows that a client asked for the expunge
	OwnJournal       Evidence = 2 // an undo of mailsync took back what a run had added: nobody deleted it
	OrdinaryAbsence  Evidence = 3 // gone within an interval of ordinary operation (same generation, no crash, usual share)
	ServerNoticed    Evidence = 4 // the server noticed that the file was gone; nobody asked for an expunge: a loss
	ServerUnaware    Evidence = 5 // the uidlist still lists it and the log shows no expunge: a loss
	InsideCrash      Evidence = 6 // its interval holds a crash: a loss, or not known
	MassDisappearing Evidence = 7 // went with more than the usual share of the mailbox or store: not known
)

// Deleted tells whether the evidence makes an absence a deletion, which
// restore and replay must respect.
func (e Evidence) Deleted() bool {
	return e == ServerExpunge || e == OrdinaryAbsence
}

// Lost tells whether the evidence makes an absence a proven loss.
func (e Evidence) Lost() bool { return e == ServerNoticed || e == ServerUnaware }

// String returns a word for JSON and tables.
func (e Evidence) String() string {
	switch e {
	case ServerExpunge:
		return "server_expunge"
	case OwnJournal:
		return "own_journal"
	case OrdinaryAbsence:
		return "ordinary_absence"
	case ServerNoticed:
		return "server_noticed_loss"
	case ServerUnaware:
		return "server_unaware"
	case InsideCrash:
		return "inside_crash"
	case MassDisappearing:
		return "mass_disappearing"
	}
	return "none"
}

// Absence is what a scan records of a message that it once saw and sees no
// more. It is not a deletion unless its evidence says so.
type Absence struct {
	Entry       Entry // the message as it was last recorded
	LastSeen    time.Time
	FirstAbsent time.Time
	Evidence    Evidence
	UIDValidity uint32 // of its folder when it was last seen
}

// Spans tells whether the message went before or after t as far as is known: it
// was seen last not after t, and missed first not before.
func (a *Absence) Spans(t time.Time) bool { return !a.LastSeen.After(t) && !a.FirstAbsent.Before(t) }
