// Package maildir is what Maildir, Maildir++, Dovecot and Courier mean on
// disk: file names, flags, keywords, UID lists, folders, subscriptions, quota
// files, the server's transaction log, and the paths of a configured layout.
//
// It is knowledge without policy. It takes strings, bytes and readers, opens no
// file and prints nothing. Every parser is bounded and takes hostile input: it
// returns what is valid before the damage, and an error that says where the
// damage is; it never panics and never allocates by an untrusted length.
//
// File and directory names are raw bytes held in strings. They need not be
// UTF-8 and are never normalised.
//
// Sources: the Maildir page of D. J. Bernstein and maildir(5) for names; the
// courier-libs documentation (README.maildirquota, README.imapkeywords) for
// Maildir++ and Courier; dovecot/core, src/lib-storage/index/maildir,
// src/lib-storage/list and src/lib-index, for Dovecot.
package maildir
