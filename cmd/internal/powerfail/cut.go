//go:build powerfail

package powerfail

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// cutKind says what a power cut leaves of the writes since the last flush.
type cutKind int

const (
	keepAll    cutKind = iota // everything that was written so far
	keepNone                  // nothing
	keepSome                  // each write or not
	keepPieces                // each 4 KiB piece or not: writes are torn
	cutKinds
)

func (k cutKind) String() string {
	return [...]string{"all unflushed writes kept", "unflushed writes lost", "some unflushed writes kept", "unflushed writes torn"}[k]
}

// cut is one moment at which the power goes: before operation at.
type cut struct {
	at   int
	kind cutKind
	seed uint64
}

func (c cut) String() string { return fmt.Sprintf("cut at %d (%s, seed %d)", c.at, c.kind, c.seed) }

// cuts chooses n moments of a log, ascending, every kind in turn. Half of them
// lie within a few operations after an acknowledgement, where a promise has
// just been made; the others anywhere.
func cuts(r *rand.Rand, n, ops int, acks []int) []cut {
	var out []cut
	for i := range n {
		at := 1 + r.IntN(ops)
		if i/int(cutKinds)%2 == 1 && len(acks) > 0 {
			at = min(ops, max(1, acks[r.IntN(len(acks))]+r.IntN(4)))
		}
		out = append(out, cut{at: at, kind: cutKind(i % int(cutKinds)), seed: r.Uint64()})
	}
	slices.SortFunc(out, func(a, b cut) int { return a.at - b.at })
	return out
}

// replayer rebuilds the disk as a cut leaves it. Cuts must come in ascending
// order: the part that is durable only grows.
type replayer struct {
	log     []op
	durable *image // all operations before flushed are in it
	flushed int
}

func newReplayer(start *image, log []op) *replayer {
	return &replayer{log: log, durable: start}
}

// state returns the disk after the cut.
func (p *replayer) state(c cut) *image {
	last := p.flushed
	for i := p.flushed; i < c.at; i++ {
		if p.log[i].data == nil {
			last = i + 1
		}
	}
	if last > p.flushed {
		p.durable = p.durable.clone()
		for _, o := range p.log[p.flushed:last] {
			if o.data != nil {
				p.durable.writeAt(o.data, o.off)
			}
		}
		p.flushed = last
	}
	img := p.durable.clone()
	r := rand.New(rand.NewPCG(c.seed, uint64(c.at)))
	for _, o := range p.log[last:c.at] {
		switch c.kind {
		case keepAll:
			img.writeAt(o.data, o.off)
		case keepSome:
			if r.IntN(2) == 0 {
				img.writeAt(o.data, o.off)
			}
		case keepPieces:
			for at := 0; at < len(o.data); at += 4096 {
				if r.IntN(2) == 0 {
					img.writeAt(o.data[at:min(at+4096, len(o.data))], o.off+int64(at))
				}
			}
		}
	}
	return img
}
