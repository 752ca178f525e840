package compare

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"mailsync/manifest"
)

// presence decides of each side that has no copy whether that is proven.
func (b *body) presence(ctx context.Context, g *Group) error {
	var lack []int
	for i := range g.Copies {
		c := &g.Copies[i]
		if !c.Absent() {
			continue
		}
		s := &b.sides[i]
		if why := b.hidden(g, i); why != "" {
			c.Unknown, g.Whole[i] = why, false
			s.doubt(why, 1)
			continue
		}
		if s.Absent {
			continue
		}
		if g.Whole[i] {
			if err := b.lookFolder(ctx, g, i); err != nil {
				return err
			}
			continue
		}
		lack = append(lack, i)
	}
	absent := false
	for _, i := range lack {
		p, why, err := b.lookAgain(ctx, g, i)
		if err != nil {
			return err
		}
		c := &g.Copies[i]
		switch p {
		case Present:
			c.Unknown = "it was moved or delivered while the stores were compared"
		case UnknownPresence:
			c.Unknown = "it could not be looked for again"
			if why != "" {
				c.Unknown += ": " + why
			}
			b.sides[i].doubt("messages could not be looked for again", 1)
		case Absent:
			absent = true
		}
	}
	if !absent {
		return nil
	}
	// What went on the other side meanwhile is not missing here.
	for i := range g.Copies {
		e := g.Copies[i].Entry
		if e == nil || !b.sides[i].live {
			continue
		}
		p, _, err := b.lookup(ctx, i, e)
		if err != nil {
			return err
		}
		if p == Absent {
			g.Copies[i] = Copy{Base: g.Copies[i].Base}
			g.One[i] = -1
		}
	}
	return nil
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

// lookAgain looks for a message that a side lacks under every name that the
// other sides know it by. A name that the side has for another of its messages
// proves nothing.
func (b *body) lookAgain(ctx context.Context, g *Group, side int) (Presence, string, error) {
	if !b.sides[side].live {
		return Absent, "", nil
	}
	var asked []*manifest.Entry
	for i := range g.Copies {
		e := g.Copies[i].Entry
		if e == nil || g.named[i]&(1<<side) != 0 || slices.ContainsFunc(asked, func(o *manifest.Entry) bool { return o.Folder == e.Folder && o.Unique == e.Unique }) {
			continue
		}
		asked = append(asked, e)
		if p, why, err := b.lookup(ctx, side, e); err != nil || p != Absent {
			return p, why, err
		}
	}
	return Absent, "", nil
}

func (b *body) lookup(ctx context.Context, side int, e *manifest.Entry) (Presence, string, error) {
	ref := manifest.Ref{Store: b.c.infos[side].Name, Mailbox: b.name, Folder: e.Folder, Unique: e.Unique}
	p, err := b.c.sides[side].Witness.Lookup(ctx, ref)
	if ctx.Err() != nil {
		return UnknownPresence, "", context.Cause(ctx)
	}
	if err != nil {
		return UnknownPresence, err.Error(), nil
	}
	return p, "", nil
}

// lookFolder looks again for a folder that a side lacks, once, by one of its messages.
func (b *body) lookFolder(ctx context.Context, g *Group, side int) error {
	if !b.sides[side].live {
		return nil
	}
	e, _ := g.First()
	f := &b.folders[b.folder[e.Folder]]
	if f.asked&(1<<side) == 0 {
		f.asked |= 1 << side
		p, _, err := b.lookup(ctx, side, e)
		if err != nil {
			return err
		}
		if p == Present {
			f.came |= 1 << side
		}
	}
	if f.came&(1<<side) != 0 {
		g.Copies[side].Unknown = "its folder came while the stores were compared"
		g.Whole[side] = false
	}
	return nil
}
