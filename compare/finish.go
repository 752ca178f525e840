package compare

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"math/bits"
	"slices"

	"mailsync/manifest"
)

// conclude judges every group that was kept and puts those of interest into
// the order of output.
func (b *body) conclude(ctx context.Context, row *Row) error {
	for i := int32(0); int(i) < b.cells.len(); i++ {
		if !b.isHead(i) {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		g, err := b.group(i)
		if err != nil {
			return err
		}
		row.Messages++
		if err := b.presence(ctx, g); err != nil {
			return err
		}
		first, _ := g.First()
		if first == nil {
			continue // went everywhere while it was compared
		}
		if err := b.judge(ctx, g); err != nil {
			return err
		}
		b.tally(g, row)
		if len(g.Differences) == 0 && !b.c.o.Groups {
			continue
		}
		b.buf = appendGroup(b.buf[:0], g)
		p, err := b.put(b.buf)
		if err != nil {
			return err
		}
		b.out = append(b.out, outCell{head: i, verdict: p, key: uint32(b.folder[first.Folder])<<1 | subRank(first.Sub)})
	}
	return b.sortOut()
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
	}}
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
	if s.tripped != "" {
		return s.tripped
	}
	for k := range g.Absences {
		if a := &g.Absences[k]; a.Side == side && a.ByName && a.Evidence == manifest.MassDisappearing {
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

// appendGroup encodes what was concluded of a group; its copies are in the
// cells.
func appendGroup(b []byte, g *Group) []byte {
	var whole, gone uint32
	for i := range g.Copies {
		if g.Whole[i] {
			whole |= 1 << i
		}
		if g.Copies[i].Entry == nil {
			gone |= 1 << i
		}
	}
	f := byte(g.Basis)
	if g.Incomparable {
		f |= 0x40
	}
	if g.Opaque {
		f |= 0x80
	}
	b = append(b, f)
	b = binary.AppendUvarint(b, uint64(whole))
	b = binary.AppendUvarint(b, uint64(gone))
	b = binary.AppendUvarint(b, uint64(maskOf(g.Good)))
	b = binary.AppendUvarint(b, uint64(maskOf(g.Damaged)))
	b = appendString(b, g.Reason)
	for i := range g.Copies {
		b = appendString(b, g.Copies[i].Unknown)
	}
	b = append(b, byte(len(g.Differences)))
	for _, d := range g.Differences {
		b = append(b, byte(slices.Index(Kinds[:], d.Kind)))
		b = binary.AppendUvarint(b, uint64(maskOf(d.Good)))
		b = appendString(b, d.Reason)
	}
	return b
}

func maskOf(sides []int) (m uint32) {
	for _, i := range sides {
		m |= 1 << i
	}
	return m
}

func sidesOf(m uint32) []int {
	var out []int
	for ; m != 0; m &= m - 1 {
		out = append(out, bits.TrailingZeros32(m))
	}
	return out
}

// reload makes a group as it was judged.
func (b *body) reload(o *outCell) (*Group, error) {
	g, err := b.group(o.head)
	if err != nil {
		return nil, err
	}
	rec, err := b.get(o.verdict)
	if err != nil {
		return nil, err
	}
	d := decoder{b: rec}
	f := d.bytes(1)
	if f == nil {
		return nil, errCodec
	}
	whole, gone := uint32(d.uint()), uint32(d.uint())
	g.Verdict = Verdict{
		Basis: Basis(f[0] & 0x3f), Incomparable: f[0]&0x40 != 0, Opaque: f[0]&0x80 != 0,
		Good: sidesOf(uint32(d.uint())), Damaged: sidesOf(uint32(d.uint())), Reason: string(d.text()),
	}
	for i := range g.Copies {
		g.Copies[i].Unknown = string(d.text())
		g.Whole[i] = whole&(1<<i) != 0
		if gone&(1<<i) != 0 {
			g.Copies[i].Entry = nil
			g.One[i] = -1
		}
	}
	n := d.bytes(1)
	if n == nil {
		return nil, errCodec
	}
	j := trial{g: g}
	for range n[0] {
		k := d.bytes(1)
		if k == nil || int(k[0]) >= len(Kinds) {
			return nil, errCodec
		}
		l := j.line(Kinds[k[0]])
		l.Good, l.Reason = sidesOf(uint32(d.uint())), string(d.text())
		g.Differences = append(g.Differences, l)
	}
	if d.bad {
		return nil, errCodec
	}
	return g, nil
}

// sortOut sorts the output by folder and file of the first copy. Cells come by
// folder and unique name, so that mostly nothing is to be done.
func (b *body) sortOut() error {
	ranks := make([]uint32, len(b.names)) // of folders by name
	order := make([]int, len(b.names))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Compare(b.names[x], b.names[y]) })
	for r, i := range order {
		ranks[i] = uint32(r)
	}
	for i := range b.out {
		o := &b.out[i]
		o.key = ranks[o.key>>1]<<1 | o.key&1
	}
	slices.SortStableFunc(b.out, func(x, y outCell) int { return cmp.Compare(x.key, y.key) })
	for from := 0; from < len(b.out); {
		to := from + 1
		for to < len(b.out) && b.out[to].key == b.out[from].key {
			to++
		}
		if err := b.sortRun(b.out[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// sortRun sorts the groups of one directory by file name.
func (b *body) sortRun(run []outCell) error {
	var prev []byte
	sorted := true
	for i := range run {
		name, err := b.fileName(run[i])
		if err != nil {
			return err
		}
		if bytes.Compare(prev, name) > 0 {
			sorted = false
			break
		}
		prev = append(prev[:0], name...)
	}
	if sorted {
		return nil
	}
	var names []byte
	ends := make([]int, 1, len(run)+1)
	for i := range run {
		name, err := b.fileName(run[i])
		if err != nil {
			return err
		}
		names = append(names, name...)
		ends = append(ends, len(names))
	}
	order := make([]int32, len(run))
	for i := range order {
		order[i] = int32(i)
	}
	at := func(i int32) []byte { return names[ends[i]:ends[i+1]] }
	slices.SortStableFunc(order, func(x, y int32) int { return bytes.Compare(at(x), at(y)) })
	was := slices.Clone(run)
	for i, k := range order {
		run[i] = was[k]
	}
	return nil
}

// fileName returns the name of the first copy of a group, valid until the next get.
func (b *body) fileName(o outCell) ([]byte, error) {
	rec, err := b.get(o.verdict)
	if err != nil {
		return nil, err
	}
	d := decoder{b: rec}
	d.bytes(1)
	d.uint()
	gone := uint32(d.uint())
	want := bits.TrailingZeros32(b.cells.at(o.head).all &^ gone)
	for i := o.head; i >= 0; i = b.cells.at(i).next {
		if b.cells.at(i).mask&(1<<want) == 0 {
			continue
		}
		rec, err := b.get(b.cells.at(i).place)
		if err != nil {
			return nil, err
		}
		d := decoder{b: rec}
		n := d.bytes(1)
		for range n[0] {
			tag := d.bytes(1)
			e := d
			if len(tag) == 1 && int(tag[0]) == want {
				_, _, name := e.fileOf()
				return name, nil
			}
			d.entry(b.names)
			if d.bad {
				return nil, errCodec
			}
		}
	}
	return nil, errCodec
}

// lines yields the differences in their order.
func (m *Mailbox) lines() iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		b := m.body
		k := 0
		for i := range b.out {
			g, err := b.reload(&b.out[i])
			if err != nil {
				yield(Difference{}, err)
				return
			}
			first, _ := g.First()
			for ; k < len(b.top) && b.top[k].Folder <= first.Folder; k++ {
				if !yield(b.top[k], nil) {
					return
				}
			}
			for _, d := range g.Differences {
				if !yield(d, nil) {
					return
				}
			}
		}
		for ; k < len(b.top); k++ {
			if !yield(b.top[k], nil) {
				return
			}
		}
	}
}

// groups yields the groups in their order.
func (m *Mailbox) groups() iter.Seq2[Group, error] {
	return func(yield func(Group, error) bool) {
		for i := range m.body.out {
			g, err := m.body.reload(&m.body.out[i])
			if err != nil {
				yield(Group{}, err)
				return
			}
			if !yield(*g, nil) {
				return
			}
		}
	}
}
