package remote

import (
	"fmt"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
)

// The methods, and what their requests and answers hold. docs/protocol.md
// explains each; a key never changes its meaning.
const (
	methodOpen     = "open"     // Spec → opened
	methodClose    = "close"    // nothing
	methodSums     = "sums"     // runsRequest → sums
	methodHeads    = "heads"    // runsRequest → heads …
	methodRecord   = "record"   // nothing → heads … of the record, gone ones too
	methodView     = "view"     // viewRequest → viewBegin, data … (the entries), viewEnd, data … (the absences; nothing where Same)
	methodLookup   = "lookup"   // lookupRequest → presences
	methodEvidence = "evidence" // evidenceRequest → evidence
	methodMessage  = "message"  // messageRequest → data …, messageEnd
	methodSmall    = "small"    // messageRequest → data …, messageEnd
	methodTask     = "task"     // taskRequest → taskItem …
	methodArchive  = "archive"  // archiveRequest → archiveAbout
	methodWalk     = "walk"     // archiveRequest → archiveFile, and where it is small: data …, messageEnd; …
	methodFile     = "file"     // archiveRequest → archiveFile, data …, messageEnd
	methodPlan     = "plan"     // restoration → planItem …, data … (the plan), planItem
	methodUndo     = "undo"     // Undo → planItem, data … (the plan)
	methodRuns     = "runs"     // nothing → runsItem …
	methodRun      = "run"      // runRequest, then runInput and data … (a plan) → runItem …; see runwire.go
)

// opened tells of an open store.
type opened struct {
	Store    uint64 `cbor:"1,keyasint"`
	Info     info   `cbor:"2,keyasint"`
	Messages bool   `cbor:"3,keyasint,omitempty"` // it hands out messages
	Witness  bool   `cbor:"4,keyasint,omitempty"`
	Record   *about `cbor:"5,keyasint,omitempty"`
	Size     int64  `cbor:"6,keyasint,omitempty"` // recorded messages
	FS       bool   `cbor:"7,keyasint,omitempty"` // of Folders
	UTF8     bool   `cbor:"8,keyasint,omitempty"`
	ReadOnly bool   `cbor:"9,keyasint,omitempty"`
}

type info struct {
	Name          string `cbor:"1,keyasint"`
	Recorded      int64  `cbor:"2,keyasint,omitempty"`
	FailureDomain string `cbor:"3,keyasint,omitempty"`
	Role          string `cbor:"4,keyasint,omitempty"`
	BootID        string `cbor:"5,keyasint,omitempty"`
	CrashAt       int64  `cbor:"6,keyasint,omitempty"`
	LastGood      int64  `cbor:"7,keyasint,omitempty"`
}

func infoOf(i compare.Info) info {
	return info{i.Name, nanos(i.Recorded), i.FailureDomain, i.Role, i.BootID, nanos(i.CrashAt), nanos(i.LastGood)}
}

func (i info) info() compare.Info {
	return compare.Info{
		Name: i.Name, Recorded: when(i.Recorded), FailureDomain: i.FailureDomain, Role: i.Role,
		BootID: i.BootID, CrashAt: when(i.CrashAt), LastGood: when(i.LastGood),
	}
}

// about is a store's record as a whole.
type about struct {
	FSID      uint64 `cbor:"1,keyasint,omitempty"`
	FSType    int64  `cbor:"2,keyasint,omitempty"`
	Device    uint64 `cbor:"3,keyasint,omitempty"`
	RootInode uint64 `cbor:"4,keyasint,omitempty"`
	Host      string `cbor:"5,keyasint,omitempty"`
	BootID    string `cbor:"6,keyasint,omitempty"`
	Alg       uint8  `cbor:"7,keyasint"`
	Began     int64  `cbor:"8,keyasint,omitempty"` // of the last complete look
	Ended     int64  `cbor:"9,keyasint,omitempty"`
	Open      int64  `cbor:"10,keyasint,omitempty"` // when the look that is not finished began
	Messages  int64  `cbor:"11,keyasint,omitempty"`
	Mailboxes int64  `cbor:"12,keyasint,omitempty"`
}

// nanos and when carry a time; 0 is the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func when(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// digest carries a digest: its algorithm and its 32 bytes, or nothing.
type digest []byte

func digestOf(d manifest.Digest) digest {
	if d.IsZero() {
		return nil
	}
	return append([]byte{byte(d.Alg)}, d.Sum[:]...)
}

func (d digest) digest() (manifest.Digest, error) {
	var out manifest.Digest
	if len(d) == 0 {
		return out, nil
	}
	out.Alg = manifest.Alg(d[0])
	if len(d) != 1+len(out.Sum) || !out.Alg.Valid() {
		return manifest.Digest{}, fmt.Errorf("%w: a digest of %d bytes", ErrProtocol, len(d))
	}
	copy(out.Sum[:], d[1:])
	return out, nil
}

type runsRequest struct {
	Runs [][2]int `cbor:"1,keyasint"`
}

func runsOf(runs []compare.Run) runsRequest {
	r := runsRequest{Runs: make([][2]int, len(runs))}
	for i, x := range runs {
		r.Runs[i] = [2]int{x.From, x.To}
	}
	return r
}

func (r runsRequest) runs() []compare.Run {
	out := make([]compare.Run, len(r.Runs))
	for i, x := range r.Runs {
		out[i] = compare.Run{From: x[0], To: x[1]}
	}
	return out
}

// sum is an array: 4,096 of them may travel at once.
type sum struct {
	_         struct{} `cbor:",toarray"`
	ID        []byte
	Known     bool
	Mailboxes int64
	Messages  int64
}

// head is a mailbox of a listing. What is recorded of it has Ended.
type head struct {
	_                 struct{} `cbor:",toarray"`
	Name              string
	State, Content    digest
	Messages, Damaged int64
	Ended             int64
	Absences          int64
}

type heads struct {
	Heads []head `cbor:"1,keyasint"`
}

// headsAFrame is how many heads one frame carries at most; they need not be
// full, but each of them is bounded.
const headsAFrame = 64

type viewRequest struct {
	Mailbox string `cbor:"1,keyasint"`
	Record  bool   `cbor:"2,keyasint,omitempty"` // as recorded, not as it is
}

// viewBegin comes before the first manifest of a view.
type viewBegin struct {
	Losing bool `cbor:"1,keyasint,omitempty"` // Unexplained will be known
}

// viewEnd follows the entries of a view.
type viewEnd struct {
	Blind       [][2]string `cbor:"1,keyasint,omitempty"` // folders that could not be listed, each with the reason
	Unexplained int64       `cbor:"2,keyasint,omitempty"`
	Gaps        []gap       `cbor:"3,keyasint,omitempty"`
	Same        bool        `cbor:"4,keyasint,omitempty"` // the mailbox is as the first manifest says, and has no absences: no second one follows
}

// gap is a compare.Gap.
type gap struct {
	Folder string         `cbor:"1,keyasint,omitempty"`
	What   compare.Aspect `cbor:"2,keyasint"`
	Lost   bool           `cbor:"3,keyasint,omitempty"`
	Reason string         `cbor:"4,keyasint,omitempty"`
}

// maxBlind is how many blind folders a view tells of; the rest stand for the
// whole mailbox. It is how many gaps it tells of, too.
const maxBlind = 1000

type lookupRequest struct {
	Mailbox string   `cbor:"1,keyasint"`
	Folder  string   `cbor:"2,keyasint"`
	Unique  []string `cbor:"3,keyasint"`
}

// maxAsked and maxAskedBytes bound the names of one lookup.
const (
	maxAsked      = 2000
	maxAskedBytes = 128 << 10
)

type presences struct {
	Presences []byte `cbor:"1,keyasint"` // compare.Presence, one a name
}

type evidenceRequest struct {
	Mailbox string `cbor:"1,keyasint"`
	Folder  string `cbor:"2,keyasint"`
	Unique  string `cbor:"3,keyasint"`
	Sub     uint8  `cbor:"4,keyasint"`
	Name    string `cbor:"5,keyasint"`
	Size    int64  `cbor:"6,keyasint"`
	Inode   uint64 `cbor:"7,keyasint,omitempty"`
	Digest  digest `cbor:"8,keyasint,omitempty"`
	Kind    uint8  `cbor:"9,keyasint"`
}

type evidence struct {
	Known    bool   `cbor:"1,keyasint,omitempty"`
	Holds    uint8  `cbor:"2,keyasint,omitempty"`
	Finding  uint8  `cbor:"3,keyasint,omitempty"`
	Exact    digest `cbor:"4,keyasint,omitempty"`
	Delivery digest `cbor:"5,keyasint,omitempty"`
	Body     digest `cbor:"6,keyasint,omitempty"`
	ID       digest `cbor:"7,keyasint,omitempty"`
	NoID     digest `cbor:"8,keyasint,omitempty"`
	Detail   string `cbor:"9,keyasint,omitempty"`
}

type messageRequest struct {
	Mailbox string `cbor:"1,keyasint"`
	Dir     string `cbor:"2,keyasint,omitempty"` // folder's directory
	Sub     uint8  `cbor:"3,keyasint,omitempty"`
	Name    []byte `cbor:"4,keyasint,omitempty"`
	From    string `cbor:"5,keyasint,omitempty"` // as Action.From
	Small   string `cbor:"6,keyasint,omitempty"` // of methodSmall: which file
}

// messageEnd follows the bytes of a message.
type messageEnd struct {
	Size   int64  `cbor:"1,keyasint"`
	Digest digest `cbor:"2,keyasint"` // BLAKE3 of what was read
}

type taskRequest struct {
	Name string `cbor:"1,keyasint"`
	Body []byte `cbor:"2,keyasint,omitempty"`
}

// taskItem is an event, or the result, which comes last.
type taskItem struct {
	Event  []byte `cbor:"1,keyasint,omitempty"`
	Result []byte `cbor:"2,keyasint,omitempty"`
}
