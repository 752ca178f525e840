// Package remote reaches a store on another host, over any pipe that leads to
// a mailsync there: the standard input and output of "ssh HOST mailsync serve
// --stdio". Both ends are here. docs/protocol.md describes what passes between
// them.
//
// The calling end (Connect) makes a store of the other host one more
// implementation of what compare and restore use already: compare.Source,
// compare.Witness, restore.Source. The serving end (Serve) answers with the
// same implementations that its own host's commands use. There is no second
// scanner, comparer or restorer, and this package starts no process and knows
// nothing of ssh.
//
// Each side treats the other as hostile: every length is checked before
// anything is allocated for it, every manifest passes the checks of a manifest
// file, the bytes of messages are hashed at both ends, and restore hashes them
// once more against its plan. What a peer can do is to lie about its own store,
// or to say nothing; it cannot read or write anything that the other side's
// Host does not hand out.
//
// A connection that breaks is ErrLost wherever it is noticed. What was asked
// for is unknown then: never missing, never clean.
package remote
