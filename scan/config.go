package scan

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/budget"
	"mailsync/scan/maildir"
)

// Config describes one store as the operator sees it.
type Config struct {
	Name string // in findings, refs and the record: the name in the configuration, or the path as given
	Path string // of the store's root; absolute
	// Known is the store's name in the configuration, "" for a store by path.
	Known string

	// Layout is a template of a mailbox' path relative to Path, with Dovecot's
	// variables ("%d/%n/Maildir"). Users is the path of a list, one
	// "address<TAB>path" a line, and UsersCommand a command that prints one. At
	// most one of the three is set; with none mailboxes are found by looking.
	Layout       string
	Users        string
	UsersCommand []string

	// Control and Index are templates like Layout, absolute or relative to
	// Path, of the trees that hold uidlists and keywords, and indexes.
	Control, Index string

	Folders maildir.Layout
	UTF8    bool // folder names on disk are UTF-8, not modified UTF-7
	// Symlinks allows the way to a mailbox' root to lead through symbolic
	// links. Below the root none is ever followed.
	Symlinks bool

	Alg           manifest.Alg // of digests; NoAlg means BLAKE3
	FailureDomain string
	Role          string // primary, spare, backup or ""

	Limits budget.Limits // of the devices that hold the store; zero values ask for nothing

	// Breaker is the share of a store's recorded messages that may be gone at
	// once without evidence of deletion before the record is kept and nothing
	// is concluded. 0 means one in a hundred.
	Breaker float64
	// KeepAbsences is how long an absence is carried. 0 means 90 days.
	KeepAbsences time.Duration
}

// Errors of a scan. They are wrapped with what, where and why.
var (
	// ErrNoStore: the root of the store cannot be opened.
	ErrNoStore = errors.New("store cannot be opened")
	// ErrOtherFilesystem: what lies at the store's path is not what was
	// recorded: another file system, or another root directory. Adopt accepts it.
	ErrOtherFilesystem = errors.New("another file system than recorded")
	// ErrHalfGone: the store looks empty, or too much of what was recorded is
	// gone at once without evidence of deletion. Nothing is concluded from it.
	ErrHalfGone = errors.New("too much of the store is gone at once")
	// ErrGone: a message that was asked for is proven not to be there.
	ErrGone = errors.New("no such message")
	// ErrConfig: the description of the store makes no sense.
	ErrConfig = errors.New("store configuration")
)

// Options are the surroundings of a Scanner, apart from the store's own
// description. The zero value is useful.
type Options struct {
	Calls   beneath.Calls // system calls on the store; for fault injection
	Budgets *budget.Set   // shared by all stores; nil makes one
	Now     func() time.Time
	BootID  string // "" = the kernel's
	BootAt  time.Time
	// OnAtime is called once when the store's access times cannot be spared.
	OnAtime func(path string)
	// Doubted tells of a mailbox in which no stamp is to be trusted, because
	// damage was found that stamps do not show: everything in it is read. Nil:
	// there is none.
	Doubted func(mailbox string) bool
	// TakenBack tells of a message that an undo of mailsync itself has moved
	// away since the given time: its absence is no deletion. base is its file
	// name up to the flags. An error says that this is not known. Nil: there is
	// none.
	TakenBack func(mailbox, folder, base string, since time.Time) (bool, error)
	// SavedLogs calls add for each saved copy of a folder's index log that was
	// written to since the given time, the oldest first: evidence that the server
	// has thrown away since. dir is the folder's directory in the mailbox. Nil:
	// there is none.
	SavedLogs func(mailbox, dir string, since time.Time, add func(io.Reader) error) error
	// Stat makes each file be looked at by its own stamps. Without it a directory
	// that did not move answers for its files, which a change in place does not
	// disturb.
	Stat bool
	// Record is what is recorded of the store: it gives Recorded, Heads and the
	// knowledge of a crash where those are not given.
	Record *manifest.Store
	// Heads yields the recorded mailboxes in the order of
	// manifest.CompareMailboxes; Mailboxes then knows the roots of those that
	// stamps prove untouched.
	Heads func(ctx context.Context) iter.Seq2[manifest.Head, error]
	// Recorded opens the record of a mailbox, whose digests are used again
	// where stamps prove that nothing changed. It fails with
	// compare.ErrNoMailbox where there is none. Nil means that there is no record.
	Recorded func(ctx context.Context, mailbox string) (compare.View, error)
}
