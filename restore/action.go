package restore

import (
	"time"

	"mailsync/manifest"
)

// Op is what an action does to the target.
type Op string

// The operations.
const (
	Add        Op = "add"        // a message that the target lacks
	Replace    Op = "replace"    // a message proven damaged, by a good copy under the same base name
	Flags      Op = "flags"      // rename to other flags
	Keywords   Op = "keywords"   // rename to other keyword letters, after the folder's table knows the names
	Date       Op = "date"       // set INTERNALDATE (mtime)
	Mkdir      Op = "mkdir"      // create a mailbox or a folder
	Subscribe  Op = "subscribe"  // add a folder to the subscriptions
	UID        Op = "uid"        // restore the uidlist, or raise the next UID
	Quarantine Op = "quarantine" // move aside (damaged original; undo of an add)
	Remove     Op = "remove"     // undo of a mkdir: only a directory that is empty and ours
)

// State is how far an action has come.
type State string

// The states. Done is said only of what would survive a power cut.
const (
	Planned State = "planned"
	Done    State = "done"
	Already State = "already" // the target is as the action wants it
	Skipped State = "skipped" // left alone, Detail says why (undecided, deleted by its owner …)
	Refused State = "refused" // the ground has moved since the plan
	Failed  State = "failed"
)

// Why classes what is left alone, for counts and exit codes.
type Why string

// The reasons for leaving something alone.
const (
	WhyDeleted   Why = "deleted"         // its owner deleted it: settled
	WhyUndecided Why = "undecided"       // neither loss nor deletion is evidenced: open
	WhyConflict  Why = "conflict"        // contents or flags differ and nothing proves which is right: open
	WhyNoCopy    Why = "no_good_copy"    // proven damaged, and no proven good copy: open
	WhyUnknown   Why = "unknown_mailbox" // the userdb does not know the mailbox, and nobody named it: settled
	WhyUnseen    Why = "cannot_look"     // a side could not be looked at: the run is partial
	WhyLayout    Why = "layout"          // the target's layout cannot hold it: open
	WhyFlags     Why = "flags_differ"    // no record shows which side has changed them: reported
	WhyVersion   Why = "other_version"   // the target has the same message with other bytes (transport headers …): settled
	WhyGone      Why = "gone"            // undo: what the run did is not there any more: settled
)

// Ground is the exact state of a file that apply and undo check again. The
// zero value means "nothing there".
type Ground struct {
	Sub    manifest.Sub
	Name   []byte // exact file name, raw bytes
	Size   int64
	Inode  uint64
	MTime  int64 // nanoseconds since 1970; 0 = not checked
	Digest manifest.Digest
}

// UIDLine is one message of a UID list that is restored.
type UIDLine struct {
	UID  uint32
	Base []byte // as in maildir.UIDRecord, raw bytes
}

// UIDs is what an action of op UID writes into a folder's UID list. With
// Lines the whole list is written; without, only its next UID is raised.
type UIDs struct {
	Validity uint32
	Next     uint32 // never lowered: the higher of it and what the list says is written
	GUID     string
	Lines    []UIDLine // ascending
}

// Action is one step of a plan: pure data, written to plans and journals.
type Action struct {
	Op       Op
	Ref      manifest.Ref // Store is the target
	Dir      string       // folder's directory relative to the mailbox' root, raw bytes
	Pre      Ground       // what must be there now
	Post     Ground       // what will be there
	Date     time.Time    // INTERNALDATE to set; zero = leave
	Flags    string       // system flags of Post
	Keywords []string     // by name; letters are chosen under the target's lock
	From     string       // name of the source store, or archive, NUL and position
	FromName []byte       // exact file name at the source, with FromSub
	FromSub  manifest.Sub
	FromDir  string // folder's directory at the source
	State    State
	Why      Why    // with Skipped
	Detail   string // for a person

	Owner, Group uint32 // Mkdir of a mailbox' root: its owner where nothing at the target says it
	Mode         uint32 // Mkdir: permission bits where nothing at the target says them; 0 = 0700
	Path         string // Mkdir of a mailbox' root: where it lies in the source, relative to the store's root
	ACL          bool   // Mkdir: the source's folder has an ACL, without which it must not appear
	Whole        bool   // Mkdir of a mailbox' root, or of nothing: everything of the mailbox is restored
	UIDs         *UIDs  // UID
}

// Open tells whether an action that was left alone leaves something to decide.
func (a *Action) Open() bool {
	if a.State != Skipped {
		return false
	}
	switch a.Why {
	case WhyDeleted, WhyUnknown, WhyFlags, WhyVersion, WhyGone:
		return false
	}
	return true
}
