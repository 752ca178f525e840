// Package e2e runs mailsync beside real mail servers.
//
// A private Dovecot is started on the loopback address with everything it owns
// below one temporary directory. Mail comes in by LMTP and IMAP APPEND, real
// clients change flags, move and expunge, and the built program scans,
// verifies, compares, restores and replays. What counts is what an IMAP client
// sees before and after: UIDVALIDITY, UIDs, flags, keywords, dates, bodies.
//
// The tests need root and dovecot (Debian: dovecot-core dovecot-imapd
// dovecot-lmtpd; nothing is installed by the tests), and have the build tag e2e:
//
//	go build -o bin/mailsync ./cmd/mailsync
//	go test -tags e2e ./cmd/internal/e2e
//
// The server is stopped by its own process id and nothing else is signalled.
package e2e
