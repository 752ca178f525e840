package manifest

import "fmt"

// Kind is a kind of finding. The zero value means "none".
type Kind uint8

// Class groups kinds by what they mean for an exit code.
type Class uint8

// The classes of findings.
const (
	NoClass  Class = iota
	Damage         // a message is damaged or missing: exit 1
	Disorder       // housekeeping is out of order: exit 1 only when asked to be strict
	Unknown        // something could not be looked at: exit 3
	Trouble        // an archive's own trouble: exit 3
)

// The kinds. The numbers are part of the manifest format: append only.
// Damage kinds are numbered in the order in which the first that applies names
// the finding.
const (
	NoKind Kind = iota
	Empty
	NULFilled
	NULTail
	Truncated
	Grown
	NULRun
	LineCount
	CompressedCorrupt
	ContentChanged
	HeaderBroken
	Missing

	Unreadable

	DuplicateName
	BadName
	WrongSizeName
	StaleTmp
	StrandedTmp
	NotRegular
	UIDListBroken
	UIDDuplicate
	UIDNextLow
	KeywordsBroken
	QuotaStale
	AlternateSeparator

	ArchiveTruncated
	ArchiveRefused
	ArchiveNoRecipients
	kindEnd
)

var kinds = [kindEnd]struct {
	name  string
	class Class
}{
	NoKind:              {"none", NoClass},
	Empty:               {"empty", Damage},
	NULFilled:           {"nul_filled", Damage},
	NULTail:             {"nul_tail", Damage},
	Truncated:           {"truncated", Damage},
	Grown:               {"grown", Damage},
	NULRun:              {"nul_run", Damage},
	LineCount:           {"line_count", Damage},
	CompressedCorrupt:   {"compressed_corrupt", Damage},
	ContentChanged:      {"content_changed", Damage},
	HeaderBroken:        {"header_broken", Damage},
	Missing:             {"missing", Damage},
	Unreadable:          {"unreadable", Unknown},
	DuplicateName:       {"duplicate_name", Disorder},
	BadName:             {"bad_name", Disorder},
	WrongSizeName:       {"wrong_size_name", Disorder},
	StaleTmp:            {"stale_tmp", Disorder},
	StrandedTmp:         {"stranded_tmp", Disorder},
	NotRegular:          {"not_regular", Disorder},
	UIDListBroken:       {"uidlist_broken", Disorder},
	UIDDuplicate:        {"uid_duplicate", Disorder},
	UIDNextLow:          {"uidnext_low", Disorder},
	KeywordsBroken:      {"keywords_broken", Disorder},
	QuotaStale:          {"quota_stale", Disorder},
	AlternateSeparator:  {"alternate_separator", Disorder},
	ArchiveTruncated:    {"archive_truncated", Trouble},
	ArchiveRefused:      {"archive_refused", Trouble},
	ArchiveNoRecipients: {"archive_no_recipients", Trouble},
}

// String returns the kind's name in JSON and tables.
func (k Kind) String() string {
	if k < kindEnd {
		return kinds[k].name
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Class tells what the kind means for an exit code.
func (k Kind) Class() Class {
	if k < kindEnd {
		return kinds[k].class
	}
	return NoClass
}

// Valid tells whether the kind is one this version knows, NoKind included.
func (k Kind) Valid() bool { return k < kindEnd }

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Certainty tells how much a finding proves. Only Proof may drive an
// automatic repair.
type Certainty uint8

// The certainties.
const (
	NotKnown Certainty = iota
	Suspicion
	Proof
)

// String returns the word used in JSON.
func (c Certainty) String() string {
	switch c {
	case Proof:
		return "proof"
	case Suspicion:
		return "suspicion"
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (c Certainty) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Finding is one thing that is wrong, or could not be looked at. Findings are
// data and travel with the stream; an error means that the work cannot go on.
type Finding struct {
	Store     string
	Mailbox   string
	Folder    string
	File      string // relative to the folder's directory, raw bytes; "" where the finding is about the folder or mailbox
	Kind      Kind
	Certainty Certainty
	Detail    string // for a person; never message text
}
