package message

import "bytes"

// transport tells whether a header field, named in lower case, is written by
// transport, filters or stores, and so is no part of tier A. docs/identity.md
// holds the same list.
func transport(name []byte) bool {
	switch string(name) {
	case "return-path", "delivered-to", "x-original-to", "envelope-to", "delivery-date",
		"x-delivered-to", "x-rcpt-to", "received", "x-received", "x-scanned-by", "x-greylist",
		"x-sieve", "authentication-results", "received-spf", "status", "x-status", "x-keywords",
		"x-uid", "x-uidl", "x-imap", "x-imapbase", "content-length", "lines", "x-tuid",
		"old-return-path", "x-beenthere":
		return true
	}
	switch name[0] {
	case 'a':
		return bytes.HasPrefix(name, []byte("arc-"))
	case 'd':
		return bytes.HasPrefix(name, []byte("dkim-signature")) || bytes.HasPrefix(name, []byte("domainkey-"))
	case 'l':
		return bytes.HasPrefix(name, []byte("list-"))
	case 'x':
		for _, prefix := range [...]string{
			"x-envelope-", "x-spam-", "x-virus-", "x-amavis-", "x-quarantine-",
			"x-google-dkim", "x-gm-", "x-gmail-", "x-mozilla-", "x-evolution",
			"x-ms-exchange-", "x-microsoft-antispam", "x-forefront-", "x-getmail-",
			"x-fetchmail-",
		} {
			if len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix {
				return true
			}
		}
	}
	return false
}
