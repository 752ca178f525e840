package compare

import "time"

// Need is evidence that Judge asks for.
type Need struct {
	Side int
	Kind EvidenceKind
}

// Case is what Judge knows beside the group itself.
type Case struct {
	Infos    []Info
	Can      []bool // sides whose Witness may be asked; nil: none
	Evidence map[Need]Evidence
	CrashAt  time.Time
}

// Judge decides which copies of a group are good and what differs. It is pure:
// where a verdict needs evidence that the case lacks, it returns the needs and
// a verdict that is only preliminary.
//
// The order is fixed: a digest recorded while the message was sound; the
// message's own proofs; a DKIM body hash, where exactly one content agrees with
// it; agreement of independent replicas. What comes later never outvotes what
// comes before.
func Judge(g *Group, c *Case) []Need { return judge(g, c) }
