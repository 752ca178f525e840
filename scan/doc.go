// Package scan turns a mail store on disk into an ordered stream of entries
// and findings. It only reads, and leaves no trace: no file is written, no
// access time moves.
//
// A Scanner finds the mailboxes of a store and looks at each of them with
// bounded IO, re-using what the record knows where stamps prove that nothing
// changed. It implements compare's Source and Witness, so that a live store
// and a recorded one look alike to their consumers.
//
// Knowledge of the formats lives below: scan/maildir (names, flags, uidlists,
// folders), scan/message (what a message's bytes prove), scan/beneath (opening
// things where users own the tree), scan/budget (bounded IO).
package scan
