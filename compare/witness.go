package compare

import (
	"context"

	"mailsync/manifest"
)

// Presence is the answer to "is this message there?".
type Presence uint8

// The answers. A Witness that cannot tell says UnknownPresence.
const (
	UnknownPresence Presence = iota
	Present
	Absent
)

// EvidenceKind names what a Witness is asked to establish.
type EvidenceKind uint8

// What Judge may ask for. Each costs a read of the copy.
const (
	// BodyIdentity: digests of the canonical identities of the message (tiers
	// of docs/identity.md).
	BodyIdentity EvidenceKind = iota + 1
	// OwnProofs: what the copy's own sizes, line count, stream checksum say.
	OwnProofs
	// DKIMBody: whether a DKIM body hash (RFC 6376 §3.7) over the whole body verifies.
	DKIMBody
)

// Tri is yes, no or not known.
type Tri uint8

// The three answers.
const (
	Maybe Tri = iota
	Yes
	No
)

// Evidence is what a Witness established about one copy.
type Evidence struct {
	Kind     EvidenceKind
	Known    bool
	Holds    Tri             // OwnProofs, DKIMBody: the copy is sound, is damaged, or this says nothing
	Finding  manifest.Kind   // OwnProofs: what is wrong
	Exact    manifest.Digest // BodyIdentity: of the canonical message (all author's headers and the body)
	Delivery manifest.Digest // BodyIdentity: Message-ID, Date, From, Subject and the body
	Body     manifest.Digest // BodyIdentity: Message-ID and the body, where From or Date were rewritten on the way
	ID       manifest.Digest // BodyIdentity: Message-ID, Date, From without the body; zero without Message-ID
	NoID     manifest.Digest // BodyIdentity: Date, From, To, Subject and the body, for messages whose Message-ID was added later
	Detail   string
}

// Witness looks again at one store.
type Witness interface {
	// Lookup looks for messages of one folder as they are now, all at once: its
	// price is that of the folder, whatever their number. unique holds their
	// unique names; each may be found under another name, flag or sub-directory
	// of the folder. The answers come in the order of the names, one for each.
	// Absent is answered only when it is proven, not from one listing. With an
	// error nothing is known of any of them.
	Lookup(ctx context.Context, mailbox, folder string, unique []string) ([]Presence, error)
	// Evidence establishes one kind of evidence about the copy that entry
	// describes. A witness that cannot answers with Known false.
	Evidence(ctx context.Context, store, mailbox string, entry *manifest.Entry, kind EvidenceKind) (Evidence, error)
}
