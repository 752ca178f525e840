// Package compare says what differs between replicas of a mail store, which
// copy is good, and why.
//
// It is pure: it reads ordered streams of manifest entries and opens no file.
// Where a verdict needs bytes or a second look, it asks a Witness, which the
// local store, the recorded store and the remote store each implement.
//
// Match groups the copies of one message (by unique name, then content digest,
// then identity, as multisets); Judge turns a group and the evidence at hand
// into a Difference, or names the evidence that it still needs.
package compare
