package compare

import (
	"context"
	"errors"
	"iter"
	"time"

	"mailsync/manifest"
)

// Errors of a Source. Anything that is neither is a failure to look, and what
// was to be looked at is unknown: never missing, never clean.
var (
	// ErrNoMailbox: the store can be read and has no such mailbox.
	ErrNoMailbox = errors.New("no such mailbox")
	// ErrUnknown: the mailbox cannot be judged (unreadable, another file
	// system than recorded, half gone). Wrap it with the reason.
	ErrUnknown = errors.New("cannot be looked at")
)

// Info says what kind of replica a Source is.
type Info struct {
	Name          string
	Recorded      time.Time // when a recorded source was scanned; zero for a live one
	FailureDomain string    // replicas that share one are one witness; "" = its own
	Role          string    // primary, spare, backup or ""
	BootID        string
	CrashAt       time.Time // a crash lies between the last good scan and this look; zero = none known
	LastGood      time.Time // start of the last complete scan before the crash
}

// Head is what a Source can say of a mailbox without opening it. Two heads
// with equal, known roots hold equal mailboxes.
type Head struct {
	Name           string
	Content, State manifest.Digest // zero when not known
	Messages       int64           // -1 when not known
	Damaged        int64           // recorded damage; a mailbox with damage is always opened. -1 when not known
}

// Source is one replica as an ordered set of mailboxes.
type Source interface {
	Info() Info
	// Mailboxes yields every mailbox in the order of manifest.CompareMailboxes. It fails
	// when the listing is not complete.
	Mailboxes(ctx context.Context) iter.Seq2[Head, error]
	// Open looks at one mailbox. The caller closes the View. It may be called
	// by several goroutines at once, for different mailboxes.
	Open(ctx context.Context, mailbox string) (View, error)
}

// Sharded is a Source that knows the roots of whole parts of itself
// (manifest.ShardOf). Where all sources do, equal parts are not even listed.
type Sharded interface {
	Source
	// ShardRoots returns the roots of one part; zero where not known, or where
	// the part holds damage.
	ShardRoots(shard int) (content, state manifest.Digest, err error)
	// ShardMailboxes yields the mailboxes of one part, sorted by name.
	ShardMailboxes(ctx context.Context, shard int) iter.Seq2[Head, error]
}

// View is one mailbox of a Source while it is being looked at.
//
// Entries and Absences are each consumed once, Entries first. Mailbox is valid
// before, its sums (Messages, Bytes, roots) only after Entries ended without
// error. A consumer that stops early gets no verdict: what it saw is not the
// mailbox.
type View interface {
	Mailbox() *manifest.Mailbox
	Entries(ctx context.Context) iter.Seq2[manifest.Entry, error]
	Absences(ctx context.Context) iter.Seq2[manifest.Absence, error]
	Close() error
}

// Partly is a View that may not see all of its mailbox. What it does not show
// may lie in a folder that it could not look into: it is unknown, not missing.
type Partly interface {
	// Blind returns the folders that could not be listed, with the reasons; ""
	// names the whole mailbox. It is valid after Entries ended without error.
	Blind() map[string]string
}

// Losing is a View that counts what it found gone and nothing explains:
// neither deletion nor a move, proven losses included. It is valid after
// Entries ended without error.
type Losing interface{ Unexplained() int64 }
