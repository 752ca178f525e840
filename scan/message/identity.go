package message

import (
	"io"
	"time"

	"mailsync/manifest"
)

// Identity is under what a message is the same as another copy of it. The
// digests are those of docs/identity.md; a zero digest means that the tier
// does not apply (no Message-ID, no Date).
type Identity struct {
	Exact    manifest.Digest // tier A: all canonical header fields but transport's, and the body
	Delivery manifest.Digest // tier B: Message-ID, Date, From, Subject without tags, body
	Body     manifest.Digest // tier C: Message-ID and body
	ID       manifest.Digest // tier D: Message-ID, Date, From; the body may differ
	NoID     manifest.Digest // tier E: without Message-ID: Date, From, To, Subject, body
	HeaderID manifest.HeaderID

	Header   Header
	Size     int64    // of the message, decompressed
	Encoding Encoding // in which it came
	Opaque   bool     // encrypted: no tier applies

	MessageID string    // as in the header with its angle brackets, white space trimmed; "" when absent
	From      string    // address of the first From field, lower-cased; "" when absent
	Date      time.Time // of the first Date field; zero when absent or unreadable
	Subject   string    // decoded (RFC 2047); for a person's list, at most 200 bytes

	// Fields are the fields that carry envelope data or trace, in the order
	// of the header, names lower-cased: return-path, received, delivered-to,
	// x-original-to, x-envelope-to, x-envelope-from, envelope-to … At most
	// 200 of them.
	Fields []Field
}

// Field is one header field that was kept.
type Field struct {
	Name  string // lower-case
	Value string // unfolded, trimmed
	Index int    // position among all fields of the header, from 0
}

// Identify reads one message and returns its identities. Compression is
// undone. The error is the reader's, or wraps ErrLimit, ErrTruncated or
// ErrCorrupt; the identity then holds what was found before, without digests
// over a body that was not read whole.
func Identify(r io.Reader, l Limits) (Identity, error) { return Identity{}, nil }

// Leaves are the identities over decoded MIME leaves, which survive changes
// of transfer encoding, boundaries and folding.
type Leaves struct {
	Delivery manifest.Digest // tier B2
	Body     manifest.Digest // tier C2
}

// IdentifyLeaves computes tiers B2 and C2. It is the expensive one: ask for
// it where the tiers of Identify found no match.
func IdentifyLeaves(r io.Reader, l Limits) (Leaves, error) { return Leaves{}, nil }

// Tri is yes, no or not known.
type Tri uint8

// The three answers.
const (
	Maybe Tri = iota
	Yes
	No
)

// DKIM is what the body hashes of a message's signatures say about its body.
// No key is fetched and no signature verified: a body hash that verifies
// proves that the body is what the signer saw, or that somebody made both up.
type DKIM struct {
	Signatures int // DKIM-Signature fields with a usable bh=
	Whole      int // of them, those that cover the whole body (no l=, or l= the whole)
	Verified   int // of Whole, those whose hash equals the body's
	Holds      Tri // Yes: one over the whole body verifies. No: there are some and none does. Maybe: none is usable
}

// DKIMBody checks the body hashes (RFC 6376 §3.7) of a message.
func DKIMBody(r io.Reader, l Limits) (DKIM, error) { return DKIM{}, nil }

// Decompress returns the decompressed content of r, recognised by its first
// bytes, undoing up to MaxNested layers, and the outermost encoding. Plain
// and MailCrypt content passes unchanged. A stream that ends early yields what
// precedes the cut and then an error that wraps ErrTruncated.
func Decompress(r io.Reader, l Limits) (io.ReadCloser, Encoding, error) {
	return io.NopCloser(r), Plain, nil
}
