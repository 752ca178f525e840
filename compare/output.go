package compare

import (
	"bytes"
	"cmp"
	"iter"
	"math/bits"
	"slices"

	"mailsync/manifest/pack"
)

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
	b = pack.Uint(b, uint64(whole))
	b = pack.Uint(b, uint64(gone))
	b = pack.Uint(b, uint64(maskOf(g.Good)))
	b = pack.Uint(b, uint64(maskOf(g.Damaged)))
	b = pack.Text(b, g.Reason)
	for i := range g.Copies {
		b = pack.Text(b, g.Copies[i].Unknown)
	}
	b = append(b, byte(len(g.Differences)))
	for _, d := range g.Differences {
		b = append(b, byte(slices.Index(Kinds[:], d.Kind)))
		b = pack.Uint(b, uint64(maskOf(d.Good)))
		b = pack.Text(b, d.Reason)
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
	d := decoderOver(rec)
	f := d.Take(1)
	if f == nil {
		return nil, errCodec
	}
	whole, gone := uint32(d.Uint()), uint32(d.Uint())
	g.Verdict = Verdict{
		Basis: Basis(f[0] & 0x3f), Incomparable: f[0]&0x40 != 0, Opaque: f[0]&0x80 != 0,
		Good: sidesOf(uint32(d.Uint())), Damaged: sidesOf(uint32(d.Uint())), Reason: string(d.Bytes()),
	}
	for i := range g.Copies {
		g.Copies[i].Unknown = string(d.Bytes())
		g.Whole[i] = whole&(1<<i) != 0
		if gone&(1<<i) != 0 {
			g.Copies[i].Entry = nil
			g.One[i] = -1
		}
	}
	n := d.Take(1)
	if n == nil {
		return nil, errCodec
	}
	j := trial{g: g}
	for range n[0] {
		k := d.Take(1)
		if k == nil || int(k[0]) >= len(Kinds) {
			return nil, errCodec
		}
		l := j.line(Kinds[k[0]])
		l.Good, l.Reason = sidesOf(uint32(d.Uint())), string(d.Bytes())
		g.Differences = append(g.Differences, l)
	}
	if d.Bad {
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
	d := decoderOver(rec)
	d.Take(1)
	d.Uint()
	gone := uint32(d.Uint())
	want := bits.TrailingZeros32(b.cells.at(o.head).all &^ gone)
	for i := o.head; i >= 0; i = b.cells.at(i).next {
		if b.cells.at(i).mask&(1<<want) == 0 {
			continue
		}
		rec, err := b.get(b.cells.at(i).copies)
		if err != nil {
			return nil, err
		}
		d := decoderOver(rec)
		n := d.Take(1)
		for range n[0] {
			tag := d.Take(1)
			e := d
			if len(tag) == 1 && int(tag[0]) == want {
				_, _, name := e.fileOf()
				return name, nil
			}
			d.entry(b.names)
			if d.Bad {
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
