package manifest

import (
	"context"
	"iter"
	"time"

	"mailsync/manifest/durable"
)

// Head is the row of one mailbox in its shard's index.
type Head struct {
	Extra
	Name, Path     string
	Content, State Digest // zero when not known
	Messages       int64
	Bytes          int64
	Folders        int64
	Damaged        int64 // entries of that status
	Suspect        int64
	Unread         int64
	Opaque         int64
	Absences       int64
	Began, Ended   time.Time // of the look at the mailbox that made this manifest
	Checked        int64     // oldest Entry.Checked, unix seconds; 0 where one was never read, or there is no entry
	Generation     uint32
	Device, FSID   uint64
	RootInode      uint64
	Gone           time.Time // since when a complete scan did not find the mailbox; zero while it is there. The manifest is kept
	Done           bool      // written by the scan that is not finished yet: it need not be looked at again
}

// Identity is what tells one store from another that appears under its path.
type Identity struct {
	Name      string // in the configuration; "" for a store given by path
	Path      string // absolute
	FSID      uint64 // statfs f_fsid; 0 unknown
	FSType    int64  // statfs f_type
	Device    uint64
	RootInode uint64
	Host      string
	BootID    string
}

// Look is one scan of a whole store.
type Look struct {
	ID           uint64 // 0 = none
	Began, Ended time.Time
	BootID       string
	Place        []byte // where it stopped, opaque; while it is not finished
}

// StoreRecord is what is recorded of a store as a whole.
type StoreRecord struct {
	Identity
	Key            string // directory under STATE/stores
	Generation     uint32
	Generations    []uint32 // all that can still be read
	Alg            Alg
	Complete       Look // the last that saw everything
	Open           Look // the one that is not finished; ID 0 = none
	CleanStop      bool // the last session ended by Finish, or by an operator's word: no crash can lie inside it
	Content, State Digest
	Mailboxes      int64 // at the last checkpoint
	Messages       int64
	Bytes          int64
}

// RepoOptions say how a state directory is opened.
type RepoOptions struct {
	ReadOnly bool       // write nothing, not even directories; a state directory that does not exist is an empty one
	FS       durable.FS // nil = the real one
}

// Repo is a state directory.
type Repo struct{}

// OpenRepo opens a state directory.
func OpenRepo(dir string, o RepoOptions) (*Repo, error) { panic("unfinished") }

// StoreKey returns the directory name of a store: name is from the
// configuration, or "" for a store given by path.
func StoreKey(name, path string) string { panic("unfinished") }

// Stores yields the record of every store, sorted by key; a broken one as an error that names it.
func (r *Repo) Stores() iter.Seq2[StoreRecord, error] { panic("unfinished") }

// Store opens the record of one store; ErrNoRecord where there is none.
func (r *Repo) Store(key string) (*Store, error) { panic("unfinished") }

// Store is the record of one store, for reading. It may be used by several goroutines.
type Store struct{}

// Record returns the store's own record as it was when the store was opened.
func (s *Store) Record() StoreRecord { panic("unfinished") }

// At opens an older generation for reading.
func (s *Store) At(generation uint32) (*Store, error) { panic("unfinished") }

// Heads yields every recorded mailbox in the order of CompareMailboxes, without opening manifests.
func (s *Store) Heads(ctx context.Context) iter.Seq2[Head, error] { panic("unfinished") }

// ShardHeads yields the mailboxes of one shard, sorted by name.
func (s *Store) ShardHeads(ctx context.Context, shard int) iter.Seq2[Head, error] {
	panic("unfinished")
}

// ShardRoots returns the roots of one shard, zero where something in it is
// unknown or damaged; equal, known roots are equal shards.
func (s *Store) ShardRoots(shard int) (content, state Digest, err error) { panic("unfinished") }

// Head returns the row of one mailbox; ErrNoMailbox.
func (s *Store) Head(mailbox string) (Head, error) { panic("unfinished") }

// OpenMailbox opens the manifest of one mailbox; ErrNoMailbox.
func (s *Store) OpenMailbox(mailbox string) (*Opened, error) { panic("unfinished") }

// Opened is a manifest that is open.
type Opened struct {
	*Reader
}

// Close closes the file.
func (o *Opened) Close() error { panic("unfinished") }

// SessionOptions say how a scan is recorded.
type SessionOptions struct {
	Alg    Alg       // 0 = BLAKE3; must be the recorded one unless Adopt
	Adopt  bool      // start a new generation; the old one is kept for reading
	Fresh  bool      // do not go on with an unfinished scan: start a new one
	Began  time.Time // zero = now
	Clock  func() time.Time
	Policy string // of the scan ("rehash"); an unfinished scan of another policy is not continued
}

// Begin starts recording a look at a store. Only one session of a store can
// be open: ErrLocked. ErrOther where id is another file system than recorded.
func (r *Repo) Begin(id Identity, o SessionOptions) (*Session, error) { panic("unfinished") }

// Session records one scan. Its methods may be called by several goroutines.
type Session struct{}

// Store reads what is recorded, as of the session's begin and what it has committed since.
func (s *Session) Store() *Store { panic("unfinished") }

// Look returns the scan that this session is, or continues.
func (s *Session) Look() Look { panic("unfinished") }

// Resumed tells whether the session goes on with an unfinished scan.
func (s *Session) Resumed() bool { panic("unfinished") }

// Create starts the manifest of one mailbox.
func (s *Session) Create(mailbox string) (*Draft, error) { panic("unfinished") }

// Draft is a manifest being written. Nothing of it is visible before Commit.
// Its methods are called by one goroutine at a time.
type Draft struct{}

// Add is as Writer.Add.
func (d *Draft) Add(e *Entry) error { panic("unfinished") }

// Absent is as Writer.Absent.
func (d *Draft) Absent(a *Absence) error { panic("unfinished") }

// Commit hands the manifest to the group that is made durable next, with its
// header, and fills mb's sums. It is durable after Checkpoint or Finish, often before.
func (d *Draft) Commit(mb *Mailbox, x Extra) error { panic("unfinished") }

// Abort drops the draft; the old manifest stays. After Commit it does nothing.
func (d *Draft) Abort() { panic("unfinished") }

// Keep says that a mailbox is as recorded. It costs nothing on disk.
func (s *Session) Keep(mailbox string) error { panic("unfinished") }

// Unknown says that a mailbox could not be looked at; its record is kept and it is not gone.
func (s *Session) Unknown(mailbox string) error { panic("unfinished") }

// Gone says that a mailbox is proven gone; its manifest is kept and its head says since when.
func (s *Session) Gone(mailbox string) error { panic("unfinished") }

// Checkpoint makes everything committed so far durable, and place with it.
func (s *Session) Checkpoint(place []byte) error { panic("unfinished") }

// Finish makes everything durable and ends the session. With complete, every
// mailbox that was neither committed, kept nor unknown in this scan is gone;
// without, the scan stays unfinished and the next session continues it.
func (s *Session) Finish(complete bool) error { panic("unfinished") }

// Close ends a session that was not finished, as a crash would, but without
// waiting for the disk. After Finish it does nothing.
func (s *Session) Close() error { panic("unfinished") }

// Acceptance is one change of content that an operator has accepted.
type Acceptance struct {
	At                            time.Time
	Mailbox, Folder, File, Reason string
	Old, New                      Digest
}

// Accept journals acceptances durably.
func (s *Session) Accept(list ...Acceptance) error { panic("unfinished") }

// Acceptances yields what was accepted, oldest first.
func (s *Store) Acceptances() iter.Seq2[Acceptance, error] { panic("unfinished") }

// Broken is one file of a record that cannot be used.
type Broken struct {
	File    string // relative to the state directory
	Mailbox string // "" where not known
	Err     error
}

// CheckResult is the outcome of Check.
type CheckResult struct{ OK, Broken int64 }

// Check reads every file of a store's record and yields each broken one; it
// goes on after a broken file. An error of the second kind ends it.
func (s *Store) Check(ctx context.Context, result *CheckResult) iter.Seq2[Broken, error] {
	panic("unfinished")
}

// CopyResult is the outcome of CopyTo.
type CopyResult struct{ Files, Bytes, Skipped int64 }

// CopyTo brings another state directory up to this store's record, durably;
// files that it has already are skipped. host:/path is refused.
func (s *Store) CopyTo(ctx context.Context, stateDir string) (CopyResult, error) { panic("unfinished") }

// CarryAbsences yields old absences that are younger than keep at now (keep 0 = 90 days).
func CarryAbsences(old iter.Seq2[Absence, error], now time.Time, keep time.Duration) iter.Seq2[Absence, error] {
	panic("unfinished")
}
