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

// Ground is the exact state of a file that apply and undo check again. The
// zero value means "nothing there".
type Ground struct {
	Sub    manifest.Sub    `json:"sub,omitempty"`
	Name   []byte          `json:"name,omitempty"` // exact file name, raw bytes
	Size   int64           `json:"size,omitempty"`
	Inode  uint64          `json:"inode,omitempty"`
	Digest manifest.Digest `json:"digest,omitzero"`
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
	From     string       // name of the source store, or archive and position
	FromName []byte       // exact file name at the source, with FromSub
	FromSub  manifest.Sub
	FromDir  string // folder's directory at the source
	State    State
	Detail   string // for a person
}
