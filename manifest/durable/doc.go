// Package durable writes this program's own files so that they survive a power
// cut: whole files that replace each other (WriteFile), directories
// (MkdirAll), and append-only journals of checked records (Journal).
//
// It promises that what it has acknowledged is there after a power cut that
// comes right after, on ext4 (data=ordered), XFS and btrfs, and that a failed
// call is never acknowledged: fsync(2) of a directory alone is not believed
// (it can answer 0 for a rename that is lost), so every sequence ends in a
// probe, or in a syncfs(2) where that reports errors. It knows nothing of
// mail, and never writes into a mail store.
package durable
