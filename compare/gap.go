package compare

import (
	"fmt"
	"slices"
	"strings"
)

// Aspect is what a server keeps of a mailbox beside the messages.
type Aspect uint8

// The aspects.
const (
	UIDList          Aspect = iota + 1 // UIDVALIDITY and the UIDs of a folder
	KeywordTable                       // the names of a folder's keyword letters
	SubscriptionList                   // the folders that the mailbox' owner has subscribed
)

// Gap is an aspect that a look could not learn.
type Gap struct {
	Folder string
	What   Aspect
	// Lost: it is proven to be gone or broken. Otherwise it could not be read,
	// and what it says is unknown.
	Lost   bool
	Reason string
}

// Patchy is a View that may not learn all aspects of its mailbox.
type Patchy interface {
	// Gaps returns what it could not learn. It is valid after Entries ended
	// without error.
	Gaps() []Gap
}

// gap returns what a side could not learn of a folder, nil where nothing is
// missing.
func (s *sideState) gap(folder string, what Aspect) *Gap {
	i := slices.IndexFunc(s.gaps, func(g Gap) bool { return g.Folder == folder && g.What == what })
	if i < 0 {
		return nil
	}
	return &s.gaps[i]
}

// dark tells whether an aspect is unknown on a side.
func (s *sideState) dark(folder string, what Aspect) bool {
	g := s.gap(folder, what)
	return g != nil && !g.Lost
}

// takeGaps notes what the view of a side could not learn. What a record does
// not know of a list that it has seen was lost or broken when it was made.
func (b *body) takeGaps(side int, v View) {
	s := &b.sides[side]
	if p, ok := v.(Patchy); ok {
		s.gaps = p.Gaps()
	}
	for i := range s.Mailbox.Folders {
		f := &s.Mailbox.Folders[i]
		if !f.UIDListStamp.IsZero() && f.Validity() == 0 && s.gap(f.Name, UIDList) == nil {
			g := Gap{Folder: f.Name, What: UIDList, Lost: true, Reason: "it was gone or broken when it was recorded"}
			if f.UIDListStamp.Kept() && !f.UIDListStamp.Lost() {
				g.Lost, g.Reason = false, "it could not be read when it was recorded"
			}
			s.gaps = append(s.gaps, g)
		}
		if f.KeywordsStamp.Kept() && s.gap(f.Name, KeywordTable) == nil {
			// The entries name keywords by an older table: nothing is known of now.
			s.gaps = append(s.gaps, Gap{Folder: f.Name, What: KeywordTable, Reason: "it was gone, broken or could not be read when it was recorded"})
		}
	}
	for _, g := range s.gaps {
		if !g.Lost {
			s.doubt(g.String(), 0)
		}
	}
}

// String says what is not known, and why.
func (g Gap) String() string {
	switch g.What {
	case UIDList:
		return fmt.Sprintf("UID list of folder %q: %s", g.Folder, g.Reason)
	case KeywordTable:
		return fmt.Sprintf("keyword names of folder %q: %s", g.Folder, g.Reason)
	}
	return "subscriptions: " + g.Reason
}

// uidValidity compares the UIDVALIDITY of a folder on the sides that have it.
// A list that is lost differs from whatever it held: its server will number
// all messages anew, and every client fetches them again.
func (b *body) uidValidity(k int, have []int, copies []Copy, row *Row) {
	f := &b.folders[k]
	d := Difference{Folder: b.names[k], Kind: UIDValidity, Copies: slices.Clone(copies)}
	var value uint32
	differs, lost := false, false
	var known []int
	var parts []string
	for _, i := range have {
		name, v := b.c.infos[i].Name, f.info[i].Validity()
		g := b.sides[i].gap(d.Folder, UIDList)
		switch {
		case v != 0:
			differs = differs || value != 0 && v != value
			value = v
			known = append(known, i)
			parts = append(parts, fmt.Sprintf("%d in %s", v, name))
		case g == nil:
			parts = append(parts, "none in "+name)
		case g.Lost:
			lost = true
			parts = append(parts, fmt.Sprintf("%s has lost its UID list (%s): its server will number all messages anew, and clients fetch them again", name, g.Reason))
		default:
			d.Copies[i] = Copy{Unknown: g.String()}
		}
	}
	if !differs && !lost {
		return
	}
	if !differs {
		d.Good = known
	}
	d.Reason = strings.Join(parts, ", ")
	b.add(row, d)
}
