// Package replay fills the gap that a store has against its gateway's archive,
// and draws up the account that must close.
//
// It reads the archive once, turns envelope recipients into mailboxes by the
// operator's own maps, recognises in every mailbox what is already there,
// finds the stretch of time in which archived mail stops being present, and
// gives every archived message and recipient exactly one outcome. Delivering
// what is missing is the work of package restore, through its durable path;
// this package writes no file into a store.
//
// Nothing is delivered on a guess: an address that no map knows, a mailbox that
// cannot be read, a message of which another version is there, and whatever is
// absent outside the window, are listed and left.
package replay
