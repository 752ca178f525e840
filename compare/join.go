package compare

import (
	"bytes"
	"cmp"
	"context"
	"hash/maphash"
	"math/bits"
	"slices"

	"mailsync/manifest"
)

// key says that a cell can be recognised by sum.
type key struct {
	sum  [16]byte
	cell int32
}

func contentKey(d manifest.Digest) (k [16]byte) {
	copy(k[:], d.Sum[:16])
	k[0] ^= byte(d.Alg) // digests of two algorithms are never equal
	return k
}

func sortKeys(keys []key) {
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(bytes.Compare(a.sum[:], b.sum[:]), cmp.Compare(a.cell, b.cell))
	})
}

// joinAll matches what no name matched: by content in the same folder, by
// content in another, by name in another where a content is not known, and by
// canonical identity. It returns the content keys of all cells, sorted.
func (b *body) joinAll(ctx context.Context) ([]key, error) {
	keys := make([]key, 0, b.cells.len())
	bare := false
	for i := int32(0); int(i) < b.cells.len(); i++ {
		err := b.copies(i, func(t tagged) {
			if d, ok := trusted(t.e); ok && !t.base {
				k := key{contentKey(d), i}
				if n := len(keys); n == 0 || keys[n-1] != k {
					keys = append(keys, k)
				}
			}
		})
		if err != nil {
			return nil, err
		}
		bare = bare || b.cells.at(i).bare
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	sortKeys(keys)
	keys = slices.Compact(keys)
	var j joiner
	for _, bucket := range buckets(keys) {
		j.content(b, bucket)
	}
	if bare {
		if err := b.joinBare(); err != nil {
			return nil, err
		}
	}
	return keys, b.joinIdentities(ctx)
}

// buckets yields the runs of keys with the same sum.
func buckets(keys []key) func(yield func(int, []key) bool) {
	return func(yield func(int, []key) bool) {
		for from := 0; from < len(keys); {
			to := from + 1
			for to < len(keys) && keys[to].sum == keys[from].sum {
				to++
			}
			if to-from > 1 && !yield(from, keys[from:to]) {
				return
			}
			from = to
		}
	}
}

// joiner pairs the incomplete groups of one bucket.
type joiner struct {
	list  []int32
	waits map[uint32][]int32 // incomplete groups by the sides that they have
	masks []uint32
}

// content joins groups with the same content: inside a folder first.
func (j *joiner) content(b *body, bucket []key) {
	// The cells of a bucket are in the order of folders.
	for from := 0; from < len(bucket); {
		to := from + 1
		for to < len(bucket) && b.cells.at(bucket[to].cell).folder == b.cells.at(bucket[from].cell).folder {
			to++
		}
		if to-from > 1 {
			j.run(b, bucket[from:to], ByContent)
		}
		from = to
	}
	j.run(b, bucket, Elsewhere)
}

// run joins what it can of the groups of a list: the fullest first, then in
// their order, each with the earliest group of the fullest kind that it fits.
// The result does not depend on the order of the sides.
func (j *joiner) run(b *body, cells []key, how How) {
	j.list = j.list[:0]
	for _, k := range cells {
		if h := b.cells.at(k.cell).head; b.cells.at(h).all != b.part {
			j.list = append(j.list, h)
		}
	}
	if len(j.list) < 2 {
		return
	}
	slices.SortFunc(j.list, func(x, y int32) int {
		return cmp.Or(cmp.Compare(bits.OnesCount32(b.cells.at(y).all), bits.OnesCount32(b.cells.at(x).all)), cmp.Compare(x, y))
	})
	j.list = slices.Compact(j.list)
	if j.waits == nil {
		j.waits = make(map[uint32][]int32)
	}
	clear(j.waits)
	j.masks = j.masks[:0]
	for _, i := range j.list {
		mask := b.cells.at(i).all
		best := -1
		for k, o := range j.masks {
			if o&mask != 0 || len(j.waits[o]) == 0 {
				continue
			}
			if best < 0 || j.before(b, o, j.masks[best]) {
				best = k
			}
		}
		if best < 0 {
			j.wait(mask, i)
			continue
		}
		o := j.masks[best]
		h := j.waits[o][0]
		j.waits[o] = j.waits[o][1:]
		b.join(min(h, i), max(h, i), how)
		if all := mask | o; all != b.part {
			j.wait(all, min(h, i))
		}
	}
}

func (j *joiner) before(b *body, x, y uint32) bool {
	if n, m := bits.OnesCount32(x), bits.OnesCount32(y); n != m {
		return n > m
	}
	return j.waits[x][0] < j.waits[y][0]
}

func (j *joiner) wait(mask uint32, i int32) {
	if _, ok := j.waits[mask]; !ok {
		j.masks = append(j.masks, mask)
	}
	j.waits[mask] = append(j.waits[mask], i)
}

// joinBare matches copies whose content is not known by their unique name in
// other folders: names are unique by construction, so that a damaged message
// that was moved is still the same message.
func (b *body) joinBare() error {
	seed := maphash.MakeSeed()
	wanted := make(map[uint64]bool)
	sum := func(i int32) (s uint64, err error) {
		err = b.copies(i, func(t tagged) {
			if !t.base {
				s = maphash.String(seed, t.e.Unique)
			}
		})
		return s, err
	}
	open := func(i int32) bool { h := b.cells.at(i).head; return b.cells.at(h).all != b.part }
	for i := int32(0); int(i) < b.cells.len(); i++ {
		if !b.cells.at(i).bare || !open(i) {
			continue
		}
		s, err := sum(i)
		if err != nil {
			return err
		}
		wanted[s] = true
	}
	if len(wanted) == 0 {
		return nil
	}
	groups := make(map[uint64][]int32)
	var order []uint64
	for i := int32(0); int(i) < b.cells.len(); i++ {
		if !open(i) {
			continue
		}
		s, err := sum(i)
		if err != nil {
			return err
		}
		if wanted[s] {
			if groups[s] == nil {
				order = append(order, s)
			}
			groups[s] = append(groups[s], i)
		}
	}
	for _, s := range order {
		list := groups[s]
		for x, i := range list {
			for _, k := range list[x+1:] {
				h, d := b.cells.at(i).head, b.cells.at(k).head
				hc, dc := b.cells.at(h), b.cells.at(d)
				if h == d || hc.all&dc.all != 0 || !hc.bare && !dc.bare {
					continue
				}
				b.join(min(h, d), max(h, d), Elsewhere)
			}
		}
	}
	return nil
}

// joinIdentities matches what is left by canonical identity: the same message
// with other transport headers or line ends. The header identity only
// nominates; a Witness reads the copies.
func (b *body) joinIdentities(ctx context.Context) error {
	if !b.c.canAsk() {
		return nil
	}
	keys := make([]key, 0, b.unpaired())
	for i := int32(0); int(i) < b.cells.len(); i++ {
		if h := b.cells.at(i).head; h != i || b.cells.at(h).all == b.part {
			continue
		}
		err := b.copies(i, func(t tagged) {
			if t.base || t.e.HeaderID == (manifest.HeaderID{}) || t.e.Opaque {
				return
			}
			k := key{t.e.HeaderID, i}
			if n := len(keys); n == 0 || keys[n-1] != k {
				keys = append(keys, k)
			}
		})
		if err != nil {
			return err
		}
	}
	sortKeys(keys)
	var j joiner
	for _, bucket := range buckets(slices.Compact(keys)) {
		if !b.complements(bucket) {
			continue
		}
		found, err := b.identities(ctx, bucket)
		if err != nil {
			return err
		}
		for _, of := range [2]func(*Evidence) manifest.Digest{
			func(e *Evidence) manifest.Digest { return e.Exact },
			func(e *Evidence) manifest.Digest { return e.Delivery },
		} {
			var same []key
			for _, f := range found {
				if d := of(&f.Evidence); !d.IsZero() {
					same = append(same, key{contentKey(d), f.head})
				}
			}
			sortKeys(same)
			for _, list := range buckets(same) {
				j.run(b, list, ByIdentity)
			}
		}
	}
	return nil
}

// complements tells whether any two groups of a bucket can be copies of one
// message: not where one side has a copy in each.
func (b *body) complements(bucket []key) bool {
	common := ^uint32(0)
	for _, k := range bucket {
		common &= b.cells.at(b.cells.at(k.cell).head).all
	}
	return common == 0
}

type identity struct {
	head int32
	Evidence
}

// identities asks for the identity of each group of a bucket that is not
// complete yet.
func (b *body) identities(ctx context.Context, bucket []key) ([]identity, error) {
	var out []identity
	for _, k := range bucket {
		h := b.cells.at(k.cell).head
		if h != k.cell || b.cells.at(h).all == b.part {
			continue
		}
		g, err := b.group(h)
		if err != nil {
			return nil, err
		}
		for i := range g.Copies {
			e := g.Copies[i].Entry
			if e == nil || e.Status == manifest.Unread {
				continue
			}
			ev, err := b.ask(ctx, Need{i, BodyIdentity}, e)
			if err != nil {
				return nil, err
			}
			if ev.Known {
				out = append(out, identity{h, ev})
				break
			}
		}
	}
	return out, nil
}

// ask asks a side's Witness. A failure to establish is an answer: not known.
func (b *body) ask(ctx context.Context, n Need, e *manifest.Entry) (Evidence, error) {
	w := b.c.sides[n.Side].Witness
	if w == nil {
		return Evidence{Kind: n.Kind}, nil
	}
	ev, err := w.Evidence(ctx, b.c.infos[n.Side].Name, b.name, e, n.Kind)
	if ctx.Err() != nil {
		return Evidence{}, context.Cause(ctx)
	}
	if err != nil {
		return Evidence{Kind: n.Kind, Detail: err.Error()}, nil
	}
	ev.Kind = n.Kind
	return ev, nil
}

// attachAbsences gives each absence of a side to the group that it concerns:
// that of the same name, else that of the same content.
func (b *body) attachAbsences(ctx context.Context, side int, v View, keys []key) error {
	s := &b.sides[side]
	at := int32(0)
	var folder, unique string
	loaded := int32(-1)
	var n, lost int64
	for a, err := range v.Absences(ctx) {
		if err != nil {
			return &sideError{side, false, err}
		}
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if b.thisLook(side, &a) {
			switch a.Evidence {
			case manifest.NoEvidence, manifest.OrdinaryAbsence, manifest.InsideCrash, manifest.MassDisappearing:
				s.gone++
				if s.goneFrom == nil {
					s.goneFrom = make(map[string]bool)
				}
				s.goneFrom[a.Entry.Folder] = true
			case manifest.ServerNoticed, manifest.ServerUnaware:
				lost++
			}
		}
		found := false
		for int(at) < b.cells.len() {
			if loaded != at {
				err := b.copies(at, func(t tagged) { folder, unique = t.e.Folder, t.e.Unique })
				if err != nil {
					return err
				}
				loaded = at
			}
			c := cmp.Or(cmp.Compare(folder, a.Entry.Folder), cmp.Compare(unique, a.Entry.Unique))
			if c > 0 {
				break
			}
			if c == 0 {
				if b.cells.at(at).mask&(1<<side) == 0 {
					if err := b.attach(at, side, true, &a); err != nil {
						return err
					}
				}
				found = true
				break
			}
			at++
		}
		if found {
			continue
		}
		if err := b.attachContent(side, &a, keys); err != nil {
			return err
		}
	}
	if u, ok := v.(Losing); ok {
		// It knows which of them were moved.
		s.gone = max(u.Unexplained()-lost, 0)
	}
	return nil
}

func (b *body) attachContent(side int, a *manifest.Absence, keys []key) error {
	d, ok := trusted(&a.Entry)
	if !ok {
		return nil
	}
	sum := contentKey(d)
	i, ok := slices.BinarySearchFunc(keys, sum, func(k key, s [16]byte) int { return bytes.Compare(k.sum[:], s[:]) })
	if !ok {
		return nil
	}
	last := int32(-1)
	for ; i < len(keys) && keys[i].sum == sum; i++ {
		h := b.cells.at(keys[i].cell).head
		if h == last || b.cells.at(h).all&(1<<side) != 0 {
			continue
		}
		last = h
		if err := b.attach(h, side, false, a); err != nil {
			return err
		}
	}
	return nil
}
