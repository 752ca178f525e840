// Package lmtp delivers archived messages through the mail server itself, by
// LMTP (RFC 2033), for operators who want filters, quota and indexes to run.
//
// What it guarantees: each message is sent as one transaction of its own, with
// line ends and leading dots such that no server can take a part of it for the
// end of the message or for another one; what is sent was journalled before,
// and each answer after; nothing is sent again while it is not known what
// became of it. Connections, bytes a second and attempts are bounded.
//
// What it does not: filters, redirects and vacation replies of users run; the
// server chooses folder and date; and when it has accepted a message, that the
// message is durable is the server's word alone.
package lmtp
