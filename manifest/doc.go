// Package manifest is the record: what a mail store held when it was last
// looked at, message by message, and how that knowledge is kept.
//
// It defines the plain types that the other rooms pass to each other (Ref,
// Digest, Entry, Mailbox, Finding, Absence), the manifest file of one mailbox
// (Writer, Reader) and the repository that holds the manifests of many stores
// (Repo, Store).
//
// It promises that a manifest is either read whole and as written, or refused:
// any prefix of a file and any flipped byte is an error, never a panic and
// never a shorter list of messages. It knows nothing of Maildir on disk, of
// servers or of terminals, and it never opens a mail store.
//
// Message text never enters a manifest.
package manifest
