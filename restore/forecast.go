package restore

import "time"

// UIDCase is what restoring does to the UIDs of a mailbox.
type UIDCase string

// The cases, the mildest first.
const (
	UIDNone     UIDCase = ""         // nothing is added
	UIDKept     UIDCase = "kept"     // the server has not noticed the loss: UIDs stay, its list is not touched
	UIDRestored UIDCase = "restored" // the UID list is lost or torn and is restored first
	UIDNew      UIDCase = "new"      // the server has noticed: what comes back gets new UIDs
	UIDResync   UIDCase = "resync"   // UIDVALIDITY will move: clients fetch the mailbox again
)

var uidRank = map[UIDCase]int{UIDNone: 0, UIDKept: 1, UIDRestored: 2, UIDNew: 3, UIDResync: 4}

func worse(a, b UIDCase) UIDCase {
	if uidRank[b] > uidRank[a] {
		return b
	}
	return a
}

// MailboxForecast is what a plan does to one mailbox.
type MailboxForecast struct {
	Mailbox       string    `json:"mailbox"`
	Messages      int64     `json:"messages"`           // to add or replace
	Replaced      int64     `json:"replaced,omitempty"` // of these: damaged ones that a good copy takes the place of
	Bytes         int64     `json:"bytes"`
	Other         int64     `json:"other"` // actions on flags, dates, folders, UID lists
	Deleted       int64     `json:"deleted,omitempty"`
	Undecided     int64     `json:"undecided,omitempty"`
	Moved         int64     `json:"moved,omitempty"`
	Open          int64     `json:"open,omitempty"`
	Unknown       int64     `json:"unknown,omitempty"`
	Skipped       int64     `json:"skipped,omitempty"`
	UIDs          UIDCase   `json:"uids,omitempty"`
	FetchMessages int64     `json:"fetch_messages"` // what each of the mailbox' clients fetches again
	FetchBytes    int64     `json:"fetch_bytes"`
	UIDValidity   bool      `json:"uidvalidity_moves,omitempty"`
	QuotaLimit    int64     `json:"quota_limit,omitempty"` // bytes; 0 = none known
	QuotaAfter    int64     `json:"quota_after,omitempty"`
	QuotaCommand  string    `json:"quota_command,omitempty"` // that makes the server count anew
	NextUID       []SafeUID `json:"next_uid,omitempty"`
	Note          string    `json:"note,omitempty"` // about the mailbox as a whole, for a person
}

// OverQuota tells whether the mailbox would be over its quota.
func (m *MailboxForecast) OverQuota() bool { return m.QuotaLimit > 0 && m.QuotaAfter > m.QuotaLimit }

// SafeUID is the next UID from which no client can meet a UID again that it
// knows as another message.
type SafeUID struct {
	Folder        string `json:"folder"`
	Now           uint32 `json:"now"`
	Safe          uint32 `json:"safe"`
	HighestModSeq uint64 `json:"highest_modseq,omitempty"`
	// Command raises what the run does not raise itself, to be run before the
	// server opens the store to clients; "" = nothing is left to raise.
	Command string `json:"command"`
}

// Forecast sums up a plan.
type Forecast struct {
	Mailboxes int64         `json:"mailboxes"` // with something to do
	Actions   int64         `json:"actions"`
	Messages  int64         `json:"messages"`
	Replaced  int64         `json:"replaced"` // of these: damaged ones that a good copy takes the place of
	Bytes     int64         `json:"bytes"`
	Skipped   int64         `json:"skipped"`
	Open      int64         `json:"open"`    // left alone and to be decided
	Unknown   int64         `json:"unknown"` // mailboxes or messages that could not be looked at: the plan is partial
	Deleted   int64         `json:"deleted"`
	Undecided int64         `json:"undecided"`
	Moved     int64         `json:"moved"`
	Fetch     int64         `json:"fetch_messages"`
	FetchSize int64         `json:"fetch_bytes"`
	Moves     int64         `json:"uidvalidity_moves"` // mailboxes whose UIDVALIDITY moves
	OverQuota int64         `json:"over_quota"`        // mailboxes that would be over their quota
	UIDNext   int64         `json:"uidnext"`           // folders whose next UID should be raised
	Doubts    []string      `json:"doubts,omitempty"`  // why the plan is partial, a few of them
	Space     []Space       `json:"space,omitempty"`   // what it takes of each of the target's file systems
	ETA       time.Duration `json:"eta"`
}

// Work tells whether applying the plan would write anything.
func (f *Forecast) Work() bool { return f.Actions > 0 }

// Rates of which an estimate is made where nothing was measured: what batches
// of small messages and a stream of large ones reach on one ordinary disk.
const (
	etaMessages = 8000      // a second
	etaBytes    = 100 << 20 // a second
	maxDoubts   = 100
)

// add counts a mailbox.
func (f *Forecast) add(b *MailboxForecast) {
	if b.Messages+b.Other > 0 {
		f.Mailboxes++
	}
	f.Actions += b.Messages + b.Other
	f.Messages += b.Messages
	f.Replaced += b.Replaced
	f.Bytes += b.Bytes
	f.Skipped += b.Skipped
	f.Open += b.Open
	f.Unknown += b.Unknown
	f.Deleted += b.Deleted
	f.Undecided += b.Undecided
	f.Moved += b.Moved
	f.Fetch += b.FetchMessages
	f.FetchSize += b.FetchBytes
	f.UIDNext += int64(len(b.NextUID))
	if b.UIDValidity {
		f.Moves++
	}
	if b.OverQuota() {
		f.OverQuota++
	}
	f.ETA = time.Duration(float64(f.Messages)/etaMessages*float64(time.Second) + float64(f.Bytes)/etaBytes*float64(time.Second))
}

func (f *Forecast) doubt(s string) {
	if len(f.Doubts) < maxDoubts {
		f.Doubts = append(f.Doubts, s)
	}
}

// action counts an action of the mailbox.
func (b *MailboxForecast) action(a *Action) {
	if a.State == Skipped {
		b.Skipped++
		if a.Open() {
			b.Open++
		}
		switch a.Why {
		case WhyDeleted:
			b.Deleted++
		case WhyUndecided:
			b.Undecided++
		case WhyUnseen:
			b.Unknown++
		}
		return
	}
	switch a.Op {
	case Add, Replace:
		b.Messages++
		if a.Op == Replace {
			b.Replaced++
		}
		b.Bytes += a.Post.Size
	default:
		b.Other++
	}
}
