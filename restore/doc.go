// Package restore is the only room that writes into a mail store.
//
// It makes a Plan (pure: from the streams that compare reads, and the records'
// absences), shows what applying it would do, applies it durably, journals
// every intent and every done, and can undo a run. Nothing is deleted: what is
// replaced or taken back moves to the store's quarantine.
//
// A message is acknowledged (its action is Done) only when it would survive a
// power cut that comes right after; at no moment is half a message visible; no
// file is ever overwritten, except a file proven damaged, which is first kept
// in quarantine.
package restore
