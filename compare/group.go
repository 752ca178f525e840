package compare

import "mailsync/manifest"

// How tells by what the copies of a group were found to be one message.
type How uint8

// The ways of matching, the strongest first.
const (
	Alone      How = iota // no second copy was found
	ByName                // the same unique name in the same folder
	ByContent             // the same content under another name, in the same folder
	Elsewhere             // the same content in another folder of the mailbox: it was moved
	ByIdentity            // the same canonical identity, though the bytes differ
)

// Basis is what a verdict on a group's content rests on, the strongest first.
type Basis uint8

// The grounds of a verdict. A weaker one never outvotes a stronger.
const (
	Undecided Basis = iota // nothing proves which copy is good
	Equal                  // all contents that are known are the same, and nothing speaks against them
	Record                 // a digest that was recorded while the message was sound
	Proof                  // the copies' own sizes, line counts and checksums
	DKIM                   // exactly one content agrees with its signature's body hash
	Agreement              // independent replicas agree
)

// Gone is an absence that a side's record holds and that may concern a group.
type Gone struct {
	Side   int
	ByName bool // the same folder and unique name; otherwise the same content elsewhere in the mailbox
	manifest.Absence
}

// Group is all copies of one message in one mailbox, at most one a side.
type Group struct {
	Mailbox  string
	Copies   []Copy // one a side, in the order of the sides
	How      How
	Absences []Gone // of all sides

	// Whole tells for each side that the copy is absent because its whole
	// folder or mailbox is.
	Whole []bool
	// UIDValidity of the folder in which each copy lies; 0 unknown. UIDs are
	// compared only where it is the same.
	UIDValidity []uint32
	// One numbers the physical copies: sides with the same number hold one
	// file (hard link), or lie in one failure domain, and are one witness.
	// -1 where there is no copy.
	One []int

	named []uint32 // for each copy, the sides that have its name for another message too
	Verdict
	Differences []Difference // its lines; none where only Absences or Whole make it a group of interest
}

// Verdict says which copies' content is good, and why.
type Verdict struct {
	Basis   Basis
	Good    []int // sides whose copy is good; empty where undecided
	Damaged []int // sides whose copy is proven damaged
	Reason  string
	// Incomparable: contents could not be compared (unread, or digests of
	// different algorithms); why is in Reason.
	Incomparable bool
	Opaque       bool // contents differ, and the server encrypts at least one
}

// First returns the first copy that is there and its side, or nil and -1.
func (g *Group) First() (*manifest.Entry, int) {
	for i := range g.Copies {
		if e := g.Copies[i].Entry; e != nil {
			return e, i
		}
	}
	return nil, -1
}
