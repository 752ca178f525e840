package message

import "mailsync/manifest"

// Lines counts line ends.
type Lines struct {
	LF   int64 // all LFs
	CRLF int64 // LFs that stand behind a CR
}

// Bare returns the number of LFs that do not stand behind a CR: what a
// message grows by when it is sent with CRLF.
func (l Lines) Bare() int64 { return l.LF - l.CRLF }

// Header says what the first HeaderWindow bytes of a message prove about its
// header.
type Header struct {
	Field   bool // the first line is a header field
	Ended   bool // an empty line ends the header
	Cut     bool // no empty line was found, and the message goes on beyond the window
	Torn    bool // the message ends without an empty line, in the middle of a line
	FromTop bool // an mbox "From " line or a byte order mark stands before the header
}

// HeaderWindow is how far the header of a message is looked at.
const HeaderWindow = 64 << 10

// Broken tells whether there is no header that a mail reader could use: the
// message does not begin with a field, or ends in the middle of its header. A
// message that is all header is valid (RFC 5322 §3.5), and one whose header goes
// on beyond the window is not judged.
func (h Header) Broken() bool { return !h.Field || h.Torn }

// Content is what was counted over a run of bytes: the file as stored, or
// the message that its compressed stream yields.
type Content struct {
	Size   int64
	Digest manifest.Digest
	Lines  Lines
	// NULRun is the length of the longest run of NULs of at least MinNULRun
	// bytes that was found, the tail included; 0 where there is none.
	NULRun  int64
	NULTail int64 // NULs that end the content
}

// MinNULRun is the shortest run of NULs that counts as one. Real mail hardly
// ever holds 512 NULs in a row.
const MinNULRun = 512

const page = 4096

// AllNUL tells whether the content is nothing but NULs.
func (c *Content) AllNUL() bool { return c.Size > 0 && c.NULTail == c.Size }

// TailDamaged tells whether the content ends in NULs as power loss leaves them: at
// least MinNULRun of them, or NULs to the end from a page boundary.
func (c *Content) TailDamaged() bool {
	if c.NULTail == 0 {
		return false
	}
	return c.NULTail >= MinNULRun || (c.Size-c.NULTail)%page == 0
}

// Facts is what an Examiner found out about one message. It holds no message
// text and is valid after the Examiner is used again.
type Facts struct {
	Stored   Content  // the file's bytes
	Encoding Encoding // of the file's bytes
	// Message is the message itself: Stored where the file is plain, the
	// decompressed content otherwise. With a StreamErr it covers what came
	// before the error. For MailCrypt it is empty.
	Message  Content
	Header   Header
	HeaderID manifest.HeaderID
	// Converted is the digest of a plain file with the other line ends (CRLF
	// for LF or LF for CRLF, as its first line has them), where the
	// Examiner was asked for it; else zero.
	Converted manifest.Digest
	// StreamErr says why a compressed stream could not be read to its
	// end: ErrTruncated or ErrCorrupt prove damage; ErrLimit says only that
	// it was not looked at whole.
	StreamErr error
}

// Opaque tells whether the content cannot be compared across stores.
func (f *Facts) Opaque() bool { return f.Encoding == MailCrypt }

// Plain returns the digest of the decompressed message where the file is
// compressed and its stream is whole; the zero digest otherwise. It is what
// belongs into manifest.Entry.Plain.
func (f *Facts) Plain() manifest.Digest {
	if f.Encoding.Compressed() && f.StreamErr == nil {
		return f.Message.Digest
	}
	return manifest.Digest{}
}
