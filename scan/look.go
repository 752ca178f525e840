package scan

import (
	"time"

	"mailsync/compare"
	"mailsync/manifest"
)

// Choice is what is done with one file that a listing shows.
type Choice uint8

// The choices.
const (
	// Reuse takes digest and status from the record. It is offered only where
	// there is a recorded entry of the same unique name.
	Reuse Choice = iota
	// Read reads and examines the file.
	Read
	// Leave neither reads nor trusts: the entry comes with Status Unread and
	// the recorded digest, if any.
	Leave
)

// LookOptions say how one mailbox is looked at. The zero value is how a scan
// looks: digests are used again where stamps prove that nothing changed, and
// everything else is read.
type LookOptions struct {
	// Record is the mailbox as recorded; nil means that Options.Recorded is
	// asked. The View closes it.
	Record compare.View
	// NoRecord looks as if nothing were recorded.
	NoRecord bool
	// Decide chooses for each file. seen holds what the listing and stat(2)
	// tell; old is nil where nothing is recorded under its unique name; same
	// tells whether the stamps of the recorded entry are those of the file. Nil
	// means DecideByStamp, or DecideRead after a crash.
	Decide func(seen, old *manifest.Entry, same bool) Choice
	// OpenFirst says that Decide reads most files: it is asked with the state of
	// the open file, which saves a stat(2) of each name.
	OpenFirst bool
	// Finding receives what is wrong, in the order of entries, before the
	// entry is yielded. Nil drops it.
	Finding func(manifest.Finding)
	// alone: the mailbox is looked at by itself, and nobody adds up what is gone
	// from the store: the Scanner does that before it calls anything ordinary.
	alone bool
	// Progress is added to as messages are looked at. Nil: nobody watches.
	Progress *Progress
	// NoDisorder leaves out what is wrong with the structure (tmp, uidlist,
	// names, quota), where another look has told it already.
	NoDisorder bool
	// Accept takes changed content as the new truth and reports each case to
	// Accepted.
	Accept   bool
	Accepted func(Acceptance)
	// Crashed: a crash may lie between the record and now; no stamp is
	// trusted, and an absence proves no deletion.
	Crashed bool
	// Keep: the look is recorded. UIDs and keyword names of files that are lost,
	// broken or cannot be read are those of the record; without, they are none.
	Keep bool
	// Adopted: the record is of another file system, on purpose. Its digests
	// are compared with what is read; no absence is derived from it.
	Adopted bool
	// CrashAt, LastGood bound the crash window, where known.
	CrashAt, LastGood time.Time
}

// Acceptance is one change of content that the operator has accepted.
type Acceptance struct {
	Ref      manifest.Ref
	File     string // as in manifest.Finding
	Old, New manifest.Digest
}

// DecideByStamp reads what is new, changed, suspicious or was never read.
func DecideByStamp(seen, old *manifest.Entry, same bool) Choice {
	if old == nil || !same || old.Status != manifest.Sound || old.Digest.IsZero() {
		return Read
	}
	return Reuse
}

// DecideRead reads everything.
func DecideRead(_, _ *manifest.Entry, _ bool) Choice { return Read }
