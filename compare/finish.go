package compare

import (
	"context"

	"mailsync/manifest"
)

// conclude judges every group that was kept and puts those of interest into
// the order of output.
func (b *body) conclude(ctx context.Context, row *Row) error {
	b.out = make([]outCell, 0, b.unpaired())
	for from := int32(0); int(from) < b.cells.len(); {
		to, again, err := b.recheck(ctx, from)
		if err != nil {
			return err
		}
		for i := from; i < to; i++ {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !b.isHead(i) {
				continue
			}
			if err := b.settleGroup(ctx, i, again, row); err != nil {
				return err
			}
		}
		from = to
	}
	return b.sortOut()
}

// settleGroup judges the group of one head and keeps it where it is of interest.
func (b *body) settleGroup(ctx context.Context, head int32, again *recheck, row *Row) error {
	g, err := b.group(head)
	if err != nil {
		return err
	}
	row.Messages++
	if err := b.presence(ctx, g, again); err != nil {
		return err
	}
	first, _ := g.First()
	if first == nil {
		return nil // went everywhere while it was compared
	}
	if err := b.judge(ctx, g); err != nil {
		return err
	}
	b.tally(g, row)
	if len(g.Differences) == 0 && !b.c.o.Groups {
		return nil
	}
	b.buf = appendGroup(b.buf[:0], g)
	p, err := b.put(b.buf)
	if err != nil {
		return err
	}
	b.out = append(b.out, outCell{head: head, verdict: p, key: uint32(b.folder[first.Folder])<<1 | subRank(first.Sub)})
	return nil
}

// subRank orders "cur/…" before "new/…".
func subRank(s manifest.Sub) uint32 {
	if s == manifest.Cur {
		return 0
	}
	return 1
}

// judge asks for what Judge needs until it needs nothing more.
func (b *body) judge(ctx context.Context, g *Group) error {
	c := Case{Infos: b.c.infos, Can: b.c.can, Lacks: func(side int, folder string) bool {
		k, ok := b.folder[folder]
		return ok && b.part&(1<<side) != 0 && b.folders[k].info[side] == nil
	}, Dark: func(side int, folder string) bool { return b.sides[side].dark(folder, KeywordTable) }}
	for {
		needs := Judge(g, &c)
		if len(needs) == 0 {
			return nil
		}
		if c.Evidence == nil {
			c.Evidence = make(map[Need]Evidence)
		}
		for _, n := range needs {
			if _, heard := c.Evidence[n]; heard {
				continue
			}
			ev, err := b.ask(ctx, n, g.Copies[n.Side].Entry)
			if err != nil {
				return err
			}
			c.Evidence[n] = ev
		}
	}
}

// tally counts a judged group.
func (b *body) tally(g *Group, row *Row) {
	for _, d := range g.Differences {
		row.count(d.Kind)
		if d.Kind == Missing {
			for i := range d.Copies {
				if d.Copies[i].Absent() && !g.Whole[i] {
					b.sides[i].missing++
				}
			}
		}
	}
	for _, i := range g.Damaged {
		if e := g.Copies[i].Entry; e != nil && e.Status != manifest.Damaged {
			b.sides[i].Damaged++ // proven by comparison only
		}
	}
	if g.Opaque {
		row.Opaque++
	}
	for i := range g.Copies {
		if g.Copies[i].Unknown != "" {
			row.Unknown++
		}
		if g.Whole[i] && !b.sides[i].Absent {
			b.sides[i].missing++
		}
	}
	if g.Incomparable && len(g.Unknowns()) == 0 {
		row.Unknown++
		_, i := g.First()
		b.sides[i].doubt("contents could not be compared: "+g.Reason, 1)
	}
	// A moved folder's messages are not lost with it.
	for i := range g.Copies {
		for k := range g.Copies {
			x, y := g.Copies[i].Entry, g.Copies[k].Entry
			if x == nil || y == nil || x.Folder == y.Folder {
				continue
			}
			if f := &b.folders[b.folder[x.Folder]]; f.info[k] == nil {
				f.elsewhere[k]++
			}
		}
	}
}

// Unknowns returns the sides whose copy could not be looked at.
func (g *Group) Unknowns() (sides []int) {
	for i := range g.Copies {
		c := &g.Copies[i]
		if c.Unknown != "" || c.Entry != nil && c.Entry.Status == manifest.Unread {
			sides = append(sides, i)
		}
	}
	return sides
}
