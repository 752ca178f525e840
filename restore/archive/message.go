package archive

import (
	"io"
	"time"

	"mailsync/manifest"
)

// How tells where an envelope recipient was found, best first.
type How uint8

// The places, in the order in which they are believed. Fields of one place
// never mix with fields of another: the first place that names anybody wins.
// Only in a Maildir may a ReceivedFor stand behind an OriginalTo or DeliveredTo:
// it counts where those prove to name nobody but the archive's own mailbox.
const (
	NoEnvelope  How = iota
	Container       // the archive's own record: queue file, batched SMTP, journal
	PathPattern     // the path of the file, by the operator's pattern
	HeaderField     // the header field that the operator named
	EnvelopeTo      // X-Envelope-To, Envelope-To and their like, in the trusted prefix
	OriginalTo      // X-Original-To, in the trusted prefix
	DeliveredTo     // Delivered-To, X-Delivered-To, in the trusted prefix
	ReceivedFor     // the "for" clause of the gateway's own topmost Received
)

// String returns a word for reports.
func (h How) String() string {
	switch h {
	case Container:
		return "container"
	case PathPattern:
		return "path"
	case HeaderField:
		return "header_field"
	case EnvelopeTo:
		return "envelope_to"
	case OriginalTo:
		return "original_to"
	case DeliveredTo:
		return "delivered_to"
	case ReceivedFor:
		return "received_for"
	}
	return "none"
}

// Recipient is one envelope recipient as archived.
type Recipient struct {
	Addr     string // without angle brackets; raw bytes
	Original string // the address before rewriting (ORCPT, a queue file's O record); "" when not known
	How      How
	Done     bool // the container says that it was delivered already; it still counts
	Blocked  bool // the gateway's filter kept the message from this recipient
}

// TimeSource tells where an arrival time was found.
type TimeSource uint8

// The sources, best first.
const (
	NoTime       TimeSource = iota
	ByContainer             // queue record, "From " line, journal
	ByName                  // the file's name or path
	ByMTime                 // modification time of the file or archive member
	ByReceived              // the topmost Received
	ByDateHeader            // the Date field
)

// Message is one archived message. It and its bytes are valid until the stream
// is asked for the next one; Clone-like copying is up to the consumer.
//
// The bytes are those to deliver: the archive's own envelope prefix and the
// quoting of a proven mbox variant are gone, the CRLF of a transport is LF, and
// everything else is as archived.
type Message struct {
	Pos         Position
	Sender      string // envelope sender without angle brackets; "" is the null sender
	SenderKnown bool
	Recipients  []Recipient // empty: the envelope is not known
	Arrival     time.Time   // zero when nothing says it
	ArrivalFrom TimeSource
	Format      string // "mbox", "maildir", "eml", "bsmtp", "postfix", "journal" …

	content content
	direct  bool // its file lies plain on disk and can be entered at its offset
	names   int  // bytes of addresses that add took up
	crowded bool // there were more than are kept: the message is refused
}

// Size is the number of bytes of the message.
func (m *Message) Size() int64 { return m.content.size() }

// Bytes returns the message where it is held in memory. The second value is
// false for a message that lies in the spool: use Open.
func (m *Message) Bytes() ([]byte, bool) { return m.content.bytes() }

// Open returns the message's bytes from the start. It may be called more than
// once, but not after the stream moved on.
func (m *Message) Open() io.Reader { return m.content.open() }

// Field returns the first header field of that name, unfolded; ok is false
// where there is none.
func (m *Message) Field(name string) (value string, ok bool) {
	for f := range fields(m.content.head()) {
		if f.is(name) {
			return f.text(), true
		}
	}
	return "", false
}

// Item is one step of an archive's stream: exactly one of the two is set.
type Item struct {
	Message *Message
	Finding *manifest.Finding
}
