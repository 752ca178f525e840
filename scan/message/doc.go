// Package message turns the bytes of one message into facts: sizes, line
// counts, runs of NULs, what its header and its compressed stream prove,
// digests, and the identities under which two copies are the same message.
//
// It opens no files and holds no policy: bytes or an io.Reader in, values out.
// An Examiner works at memory speed and re-uses everything, so that checking
// a message costs little more than hashing it. Damage then compares the facts
// with what the file's name, the server and the record claim.
//
// Everything is bounded: header size and field count, the size and ratio of
// decompressed content. Hostile input costs bounded time and memory and never
// panics.
//
// Message text never appears in what this package says for people (details,
// errors). Identities are digests; the few header fields that replay needs are
// returned as fields and are the caller's to guard.
package message
