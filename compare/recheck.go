package compare

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// maxAsked is about how many names of one mailbox are looked for again in one
// go. The names wait in memory, about 100 bytes each, while the folders are
// listed.
const maxAsked = 1 << 15

// spot is one folder of one side.
type spot struct {
	side   int
	folder string
}

// question is the names that are looked for again in one spot, and the answers.
type question struct {
	names   []string // sorted when asked
	answers []Presence
	why     string // why nothing is known
}

// inquiry is the questions of one stretch of a mailbox. Each spot is asked
// once, whatever the number of names.
type inquiry struct {
	spots map[spot]*question
	n     int // names
}

func (q *inquiry) want(s spot, unique string) {
	if q.spots == nil {
		q.spots = make(map[spot]*question)
	}
	if q.spots[s] == nil {
		q.spots[s] = new(question)
	}
	q.spots[s].names = append(q.spots[s].names, unique)
	q.n++
}

// ask asks the witnesses, spot by spot in a fixed order.
func (q *inquiry) ask(ctx context.Context, b *body) error {
	order := make([]spot, 0, len(q.spots))
	for s := range q.spots {
		order = append(order, s)
	}
	slices.SortFunc(order, func(x, y spot) int {
		return cmp.Or(cmp.Compare(x.side, y.side), strings.Compare(x.folder, y.folder))
	})
	for _, s := range order {
		k := q.spots[s]
		slices.Sort(k.names)
		k.names = slices.Compact(k.names)
		var err error
		if k.answers, k.why, err = b.lookup(ctx, s, k.names); err != nil {
			return err
		}
	}
	return nil
}

// answer tells what a witness said of a name, and why where nothing is known.
func (q *inquiry) answer(s spot, unique string) (Presence, string) {
	k := q.spots[s]
	if k == nil {
		return UnknownPresence, ""
	}
	i, ok := slices.BinarySearch(k.names, unique)
	if !ok || i >= len(k.answers) {
		return UnknownPresence, k.why
	}
	return k.answers[i], k.why
}

// lookup asks one side's Witness. A failure to look is an answer: not known.
func (b *body) lookup(ctx context.Context, s spot, names []string) ([]Presence, string, error) {
	found, err := b.c.sides[s.side].Witness.Lookup(ctx, b.name, s.folder, names)
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	if err != nil {
		return nil, err.Error(), nil
	}
	if len(found) != len(names) {
		return nil, fmt.Sprintf("%d answers to %d questions", len(found), len(names)), nil
	}
	return found, "", nil
}

// recheck is what was looked for again among a stretch of groups: in the sides
// that lack a message, and, where it is not there, in those that have it.
type recheck struct {
	lacking, holding inquiry
}

// sighting is one name under which a side has a message of a group.
type sighting struct {
	spot
	unique string
	named  uint32 // sides that have this name for another of their messages
}

// sightings returns the names under which a group's message is known.
func (g *Group) sightings() []sighting {
	var out []sighting
	for i := range g.Copies {
		if e := g.Copies[i].Entry; e != nil {
			out = append(out, sighting{spot{i, e.Folder}, e.Unique, g.named[i]})
		}
	}
	return out
}

// foreign tells whether a side has the name, too, for another of its messages:
// there it proves nothing.
func (s *sighting) foreign(side int) bool { return s.named&(1<<side) != 0 }

// suspect is a group of the stretch that sides seem to lack.
type suspect struct {
	sides []int
	seen  []sighting
}

// recheck looks again for what seems to be missing among the groups from cell
// from on, for as many as are asked about in one go, and tells where the next
// stretch begins.
func (b *body) recheck(ctx context.Context, from int32) (to int32, r *recheck, err error) {
	r = new(recheck)
	end := int32(b.cells.len())
	if !slices.ContainsFunc(b.sides, func(s sideState) bool { return s.live }) {
		return end, r, nil
	}
	var suspects []suspect
	for to = from; to < end && r.lacking.n < maxAsked && len(suspects) < maxAsked; to++ {
		if !b.isHead(to) || b.cells.at(to).all == b.part {
			continue
		}
		if ctx.Err() != nil {
			return to, nil, context.Cause(ctx)
		}
		g, err := b.group(to)
		if err != nil {
			return to, nil, err
		}
		sides := b.lacking(g)
		if len(sides) == 0 {
			continue
		}
		s := suspect{sides, g.sightings()}
		for _, i := range sides {
			for k := range s.seen {
				if n := &s.seen[k]; b.sides[i].live && !n.foreign(i) {
					r.lacking.want(spot{i, n.folder}, n.unique)
				}
			}
		}
		suspects = append(suspects, s)
	}
	if err := r.lacking.ask(ctx, b); err != nil {
		return to, nil, err
	}
	for _, s := range suspects {
		gone := slices.ContainsFunc(s.sides, func(i int) bool {
			p, _ := r.again(b, i, s.seen)
			return p == Absent
		})
		for k := range s.seen {
			if n := &s.seen[k]; gone && b.sides[n.side].live {
				r.holding.want(n.spot, n.unique)
			}
		}
	}
	return to, r, r.holding.ask(ctx, b)
}

// again tells whether a side has a message after all, under any name that the
// others know it by.
func (r *recheck) again(b *body, side int, seen []sighting) (Presence, string) {
	if !b.sides[side].live {
		return Absent, ""
	}
	for k := range seen {
		n := &seen[k]
		if n.foreign(side) {
			continue
		}
		if p, why := r.lacking.answer(spot{side, n.folder}, n.unique); p != Absent {
			return p, why
		}
	}
	return Absent, ""
}
