// Package saved keeps copies of the small files in which a mail server says what
// it knows (UID lists, keyword tables, index logs), made after a crash and before
// the server starts: a server that starts notices what is gone, forgets its UIDs,
// throws away an index that is torn, and removes logs that are two days old.
//
// A directory, one a store, holds the copies:
//
//	20261122T013000.000Z/    when they were made (UTC)
//	  00.tar ... ff.tar      by the upper 8 bits of a mailbox' shard, GNU tar,
//	                         not compressed: MAILBOX/FOLDER-DIR/FILE, with the
//	                         file's own times, owner and mode 0600
//
// A directory gets its name only when everything in it is durable; one that ends
// in ".tmp" was being made when the power went.
//
// Copies are taken only of what changed since the record was made, and since the
// copies that are there: what did not is in those. So a machine that crashes
// again and again fills no disk and pushes out no older copy.
//
// Not guaranteed: that everything is there. Time and bytes are bounded, and what
// is left out is counted. What the copies do not say, they do not deny.
package saved
