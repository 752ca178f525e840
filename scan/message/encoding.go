package message

import "bytes"

// Encoding is how a message is stored, recognised by its first bytes.
type Encoding uint8

// The encodings that a Maildir file may have.
const (
	Plain     Encoding = iota
	Gzip               // RFC 1952, possibly several members
	Bzip2              // possibly several streams
	XZ                 // .xz; read by Dovecot up to 2.3
	Zstd               // RFC 8878, possibly several frames
	LZ4                // Dovecot's own container, not the LZ4 frame format
	MailCrypt          // Dovecot mail_crypt: opaque without its keys
)

// String returns the encoding's name.
func (e Encoding) String() string {
	switch e {
	case Plain:
		return "plain"
	case Gzip:
		return "gzip"
	case Bzip2:
		return "bzip2"
	case XZ:
		return "xz"
	case Zstd:
		return "zstd"
	case LZ4:
		return "dovecot-lz4"
	case MailCrypt:
		return "mail_crypt"
	}
	return "?"
}

// Compressed tells whether the encoding hides the message behind a stream that
// can be undone.
func (e Encoding) Compressed() bool { return e >= Gzip && e <= LZ4 }

// MagicSize is the number of bytes that Detect wants to see.
const MagicSize = 16

const (
	magicLZ4   = "Dovecot-LZ4\x0d\x2a\x9b\xc5"
	magicCrypt = "CRYPTED\x03\x07"
)

// Detect tells the encoding from the first bytes of a file; fewer than
// MagicSize are enough where the file is shorter. No valid header begins so.
//
// Sources: RFC 1952, RFC 8878, the xz file format, dovecot/core
// src/lib-compression/istream-lz4.c and src/lib-dcrypt/dcrypt-iostream.h.
func Detect(p []byte) Encoding {
	if len(p) < 2 || p[0] >= 'a' && p[0] <= 'z' {
		return Plain
	}
	switch p[0] {
	case 0x1f:
		if p[1] == 0x8b {
			return Gzip
		}
	case 'B':
		if len(p) >= 4 && p[1] == 'Z' && p[2] == 'h' && p[3] >= '1' && p[3] <= '9' && (len(p) < 10 || bzip2Block(p[4:10])) {
			return Bzip2
		}
	case 0xfd:
		if bytes.HasPrefix(p, []byte("\xfd7zXZ\x00")) {
			return XZ
		}
	case 0x28:
		if bytes.HasPrefix(p, []byte("\x28\xb5\x2f\xfd")) {
			return Zstd
		}
	case 0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x5b, 0x5c, 0x5d, 0x5e, 0x5f:
		// a zstd skippable frame may come first; by itself it holds nothing
		if len(p) >= 4 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18 {
			return Zstd
		}
	case 'D':
		if bytes.HasPrefix(p, []byte(magicLZ4)) {
			return LZ4
		}
	case 'C':
		if bytes.HasPrefix(p, []byte(magicCrypt)) {
			return MailCrypt
		}
	}
	return Plain
}

// bzip2Block tells whether p begins a block or ends the stream: "BZh1" alone
// could begin a text.
func bzip2Block(p []byte) bool {
	return bytes.Equal(p, []byte("1AY&SY")) || bytes.Equal(p, []byte("\x17\x72\x45\x38\x50\x90"))
}
