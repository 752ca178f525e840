// Package archive reads the archives that mail gateways keep: a stream of
// messages, each with its envelope, the time it arrived, its bytes and a
// position at which an operator, or a later run, finds it again.
//
// The format of a file is recognised by its content, never by its name alone;
// a tree may mix formats, and compression is undone at any depth: mbox in its
// four variants, Maildir and .eml trees, tar, zip, batched SMTP, Postfix queue
// files, Exim spool files, Exchange journal reports, quarantines, .emlx and the
// export of piler. Each format is one file of this package behind one small
// interface.
//
// Nothing is executed, nothing is unpacked to disk beyond a bounded spool,
// links and names that lead outside are refused, and memory does not grow with
// the archive. What is cut or refused is a finding in the stream; the complete
// messages before it are used.
//
// Envelopes are believed only where the archive itself wrote them: in the
// container, in the block of fields that the archive put in front of the
// message, or in the top Received fields of the gateway that the operator
// named. Nothing is ever taken from To or Cc.
package archive
