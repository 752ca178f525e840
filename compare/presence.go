package compare

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"mailsync/manifest"
)

// presence decides of each side that has no copy whether that is proven, by
// what was looked for again.
func (b *body) presence(ctx context.Context, g *Group, r *recheck) error {
	for i := range g.Copies {
		c, s := &g.Copies[i], &b.sides[i]
		if !c.Absent() {
			continue
		}
		if why := b.hidden(g, i); why != "" {
			c.Unknown, g.Whole[i] = why, false
			s.doubt(why, 1)
		} else if g.Whole[i] && !s.Absent {
			if err := b.lookFolder(ctx, g, i); err != nil {
				return err
			}
		}
	}
	absent := false
	seen := g.sightings()
	for _, i := range b.lacking(g) {
		c := &g.Copies[i]
		switch p, why := r.again(b, i, seen); p {
		case Present:
			c.Unknown = "it was moved or delivered while the stores were compared"
		case UnknownPresence:
			c.Unknown = unsure(why)
			b.sides[i].doubt(because("messages could not be looked for again", why), 1)
		case Absent:
			absent = true
		}
	}
	if !absent {
		return nil
	}
	// What went on the other side meanwhile is not missing here.
	for k := range seen {
		n := &seen[k]
		if !b.sides[n.side].live {
			continue
		}
		if p, _ := r.holding.answer(n.spot, n.unique); p == Absent {
			g.Copies[n.side] = Copy{Base: g.Copies[n.side].Base}
			g.One[n.side] = -1
		}
	}
	return nil
}

// lacking returns the sides that seem to lack a message which they would show
// if they had it, by itself and not with its whole folder or mailbox.
func (b *body) lacking(g *Group) (sides []int) {
	for i := range g.Copies {
		if g.Copies[i].Absent() && !b.sides[i].Absent && !g.Whole[i] && b.hidden(g, i) == "" {
			sides = append(sides, i)
		}
	}
	return sides
}

// hidden tells why a copy that a side does not show may be there all the same.
func (b *body) hidden(g *Group, side int) string {
	s := &b.sides[side]
	for k := range g.Absences {
		if a := &g.Absences[k]; a.Side == side && a.ByName && a.Evidence == manifest.MassDisappearing && !b.c.o.Groups {
			if s.tripped != "" {
				return s.tripped
			}
			return "gone with most of its mailbox at once, without evidence of deletion"
		}
	}
	if len(s.blind) > 0 {
		return s.hides()
	}
	if len(s.loose) == 0 {
		return ""
	}
	for i := range g.Copies {
		e := g.Copies[i].Entry
		if e == nil {
			continue
		}
		if s.loose[e.Size] > 0 || s.packed || !e.Plain.IsZero() {
			return "it may be one of the messages that could not be read"
		}
	}
	return ""
}

// hides says where a message may be that a side does not show.
func (s *sideState) hides() string {
	folder := slices.Sorted(maps.Keys(s.blind))[0]
	if folder == "" {
		return "part of the mailbox could not be looked into: " + s.blind[folder]
	}
	return fmt.Sprintf("folder %q could not be looked into: %s", folder, s.blind[folder])
}

// lookFolder looks again for a folder that a side lacks, once, by one of its messages.
func (b *body) lookFolder(ctx context.Context, g *Group, side int) error {
	s := &b.sides[side]
	if !s.live {
		return nil
	}
	e, _ := g.First()
	f := &b.folders[b.folder[e.Folder]]
	if f.asked&(1<<side) == 0 {
		f.asked |= 1 << side
		p, why, err := b.lookup(ctx, spot{side, e.Folder}, []string{e.Unique})
		if err != nil {
			return err
		}
		switch {
		case len(p) == 1 && p[0] == Absent:
		case len(p) == 1 && p[0] == Present:
			f.hide(side, "it came while the stores were compared")
		default:
			f.hide(side, unsure(why))
			s.doubt(because("folders could not be looked for again", why), f.most())
		}
	}
	if why := f.hidden[side]; why != "" {
		g.Copies[side].Unknown, g.Whole[side] = "its folder: "+why, false
	}
	return nil
}

// because adds the reason, where there is one.
func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

// unsure says that a second look was of no help.
func unsure(why string) string {
	if why == "" {
		return "it could not be looked for again"
	}
	return "it could not be looked for again: " + why
}
