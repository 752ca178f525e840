package replay

import (
	"context"
	"errors"
	"iter"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/archive"
)

// Errors of a replay as a whole.
var (
	// ErrNoEnvelopes: the archive does not say for whom its messages were.
	// See NoEnvelopesError for what would help.
	ErrNoEnvelopes = errors.New("the archive holds no envelopes")
	// ErrNoGap: archived mail is absent, but there is no clear stretch in which
	// it stops being present; see NoGapError for the timeline.
	ErrNoGap = errors.New("no clear gap")
	// ErrResolver: the operator's maps or command cannot be asked.
	ErrResolver = errors.New("recipients cannot be resolved")
	// ErrOptions: options contradict each other.
	ErrOptions = errors.New("bad replay options")
)

// Decision is what to do with ambiguous messages.
type Decision uint8

// The decisions.
const (
	Skip     Decision = iota // list them, deliver nowhere (default)
	Deliver                  // into INBOX
	InFolder                 // into Options.AmbiguousFolder
)

// Resolver turns envelope recipients into the names of mailboxes of the
// target store.
type Resolver interface {
	// Resolve answers for many addresses at once: the result has one answer an
	// address, in order. An answer without mailboxes says that nothing knows the
	// address; it is never a guess.
	Resolve(ctx context.Context, addrs []string) ([]Answer, error)
}

// Answer is what a Resolver says of one address.
type Answer struct {
	Mailboxes []string // sorted, no name twice
	Unknown   []string // addresses that it leads to, and that nothing knows
	Detail    string   // why there is none, or what is worth knowing
	Elsewhere bool     // a map sends the address only to addresses or programs outside the store
}

// Deliverer makes messages durable in the target store. Package restore
// implements it.
type Deliverer interface {
	// Deliver carries out actions and yields each as it ends, in any order,
	// with State Done only when it would survive a power cut. Bytes come from
	// src. The error says that it cannot go on.
	Deliver(ctx context.Context, actions []restore.Action, src restore.Source) iter.Seq2[restore.Action, error]
}

// Options say what to replay, and where. Archive, Target, Witness and Resolver
// are needed.
type Options struct {
	Archive  *archive.Archive
	Target   compare.Source   // the store that receives
	Witness  compare.Witness  // of the target: reads the bodies of candidates
	Others   []compare.Source // stores whose absences count as evidence too
	Resolver Resolver

	Since, Until    time.Time              // the window; zero Since: find the gap
	All             bool                   // the window is the whole archive
	Mailbox         func(name string) bool // nil: all mailboxes
	Order           func(name string) int  // mailboxes with a lower number first; nil: all alike
	Multiset        bool                   // count copies instead of asking for one an identity
	Altered         bool                   // the operator says that mail is altered behind the archive: altered is present
	Undelete        bool                   // what was deleted is delivered all the same
	CrashAt         time.Time              // an absence that may be of the crash, and that nobody asked for, is no deletion; zero: none
	Ambiguous       Decision
	AmbiguousFolder string // UTF-8, levels separated by '/'
	// FolderDir gives the directory, relative to the mailbox' root, of a folder
	// that the mailbox does not have yet; an error says that it can have none.
	// nil: as Maildir++ names folders.
	FolderDir func(mailbox, folder string) (string, error)

	Log     *DeliveryLog // nil: none
	Ledger  *Ledger      // nil: none kept
	Keyword string       // set on delivered messages; "" = none
	Alg     manifest.Alg // of digests; default BLAKE3

	Memory   int64     // for sorting and batches, bytes; default 64 MiB
	Progress *Progress // may be nil
	Workers  int       // default: the number of processors
	Now      time.Time // default: time.Now

	// Waits is told how long Prepare waits, before it does, for a server that may
	// still be at work on what a killed run sent; nil: nobody is told.
	Waits func(time.Duration)
}

// Event is one step of the account: exactly one field is set. The deliveries
// of a mailbox come together, its Account after them.
type Event struct {
	Delivery *Delivery
	Account  *Account
	Finding  *manifest.Finding
	Action   *restore.Action
}
