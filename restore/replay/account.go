package replay

import (
	"mailsync/manifest"
)

// Outcome is what became of one archived message for one recipient.
type Outcome string

// The outcomes.
const (
	Present       Outcome = "present"        // a sound copy is in the mailbox
	Delivered     Outcome = "delivered"      // delivered by this run, durable
	WouldDeliver  Outcome = "would_deliver"  // missing inside the window; audit or dry run
	Deleted       Outcome = "deleted"        // there is evidence that it was there and was deleted
	Filtered      Outcome = "filtered"       // the archive or a delivery log shows that it was blocked, discarded, forwarded or refused
	Duplicate     Outcome = "duplicate"      // the same message for the same mailbox came before
	NoMailbox     Outcome = "no_mailbox"     // no map knows the recipient
	Ambiguous     Outcome = "ambiguous"      // neither present nor absent: the operator decides
	OutsideWindow Outcome = "outside_window" // not inside the window, and not absent either: another version is there, or it arrived just now
	Failed        Outcome = "failed"         // delivering it failed
	Unexplained   Outcome = "unexplained"    // absent outside the window without evidence, or nothing could be established
)

// Match is how a message was recognised.
type Match string

// The matches, best first.
const (
	Exact     Match = "exact"     // the same bytes
	Canonical Match = "canonical" // the same message, apart from what transport and storage change
	Altered   Match = "altered"   // the same Message-ID, From and Date, another body
	NoMatch   Match = "none"
)

// Delivery is the fate of one archived message for one recipient. Its fields
// are the JSON object of that name.
type Delivery struct {
	Source    string          `json:"source"`     // archive position, see archive.Position
	Recipient string          `json:"recipient"`  // as archived
	Mailbox   string          `json:"mailbox"`    // "" for no_mailbox
	MessageID *string         `json:"message_id"` // as in the header, with its angle brackets; nil when absent
	Digest    manifest.Digest `json:"digest"`     // of the bytes to deliver
	Outcome   Outcome         `json:"outcome"`
	Match     Match           `json:"match"`
	Detail    string          `json:"detail"`

	Folder string `json:"folder,omitempty"` // of the copy that was found or made
	File   string `json:"-"`                // its file, relative to the folder's directory; raw bytes
	Size   int64  `json:"size"`             // bytes to deliver
	Date   string `json:"date,omitempty"`   // arrival, RFC 3339 UTC
}

// Counts are the fields of an account.
type Counts struct {
	Archived     int64 `json:"archived"`
	Present      int64 `json:"present"`
	Delivered    int64 `json:"delivered"`
	WouldDeliver int64 `json:"would_deliver"`
	Deleted      int64 `json:"deleted"`
	Filtered     int64 `json:"filtered"`
	Duplicate    int64 `json:"duplicate"`
	Ambiguous    int64 `json:"ambiguous"`
	Failed       int64 `json:"failed"`
	Unexplained  int64 `json:"unexplained"`
}

// Account is the account of one mailbox. Its fields are the JSON object of
// that name.
type Account struct {
	Mailbox string `json:"mailbox"`
	Counts
	Closed bool `json:"closed"`
}

// Totals are the sums over all mailboxes, with what is in no account.
type Totals struct {
	Counts
	NoMailbox     int64 `json:"no_mailbox"`
	OutsideWindow int64 `json:"outside_window"`
	Bytes         int64 `json:"bytes"` // of the messages delivered, or that would be
}

// Add counts one delivery. Archived stays the sum of the other fields.
func (c *Counts) Add(o Outcome) {
	switch o {
	case Present:
		c.Present++
	case Delivered:
		c.Delivered++
	case WouldDeliver:
		c.WouldDeliver++
	case Deleted:
		c.Deleted++
	case Filtered:
		c.Filtered++
	case Duplicate:
		c.Duplicate++
	case Ambiguous:
		c.Ambiguous++
	case Failed:
		c.Failed++
	case Unexplained:
		c.Unexplained++
	default:
		return // no_mailbox and outside_window are in no account
	}
	c.Archived++
}

// Closed tells whether nothing is open.
func (c *Counts) Closed() bool {
	return c.WouldDeliver == 0 && c.Ambiguous == 0 && c.Failed == 0 && c.Unexplained == 0
}

// Add counts one delivery.
func (t *Totals) Add(d *Delivery) {
	switch d.Outcome {
	case NoMailbox:
		t.NoMailbox++
	case OutsideWindow:
		t.OutsideWindow++
	case Delivered, WouldDeliver:
		t.Bytes += d.Size
	}
	t.Counts.Add(d.Outcome)
}
