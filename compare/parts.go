package compare

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"github.com/zeebo/blake3"
	"golang.org/x/sync/errgroup"

	"mailsync/manifest"
)

// Run is a run of a store's parts (manifest.ShardOf): From up to, not
// including, To.
type Run struct{ From, To int }

// Sum is what a source says of a run of its parts at once.
type Sum struct {
	// ID is half of a digest over the names, state roots and numbers of messages
	// of the run's mailboxes. Two sums that are Known and have equal IDs speak of
	// equal mailboxes: both halves of a digest would not make that surer, and
	// they travel.
	ID [16]byte
	// Known: the roots of all mailboxes of the run are known, and none of them
	// holds damage.
	Known               bool
	Mailboxes, Messages int64
}

// Summed is a Source that sums up runs of its parts, so that what is equal
// need not even be listed. It is worth the trouble where listing is dear: over
// a wire.
type Summed interface {
	Source
	// Sums returns the sum of each run. It fails where the listing is not
	// complete.
	Sums(ctx context.Context, runs []Run) ([]Sum, error)
	// Parts yields the mailboxes of the runs, which ascend and do not overlap,
	// in the order of manifest.CompareMailboxes.
	Parts(ctx context.Context, runs []Run) iter.Seq2[Head, error]
}

// Listing is a Source whose mailboxes were listed once: it is Summed. It keeps
// the heads in a Spill, and a few bytes a part in memory.
type Listing struct {
	Source
	spill Spill
	at    [manifest.Shards + 1]int64 // where the heads of a part begin
	sums  [manifest.Shards]Sum
	cut   error // the listing broke, here
}

// List lists the mailboxes of a source. A listing that breaks is no error:
// what was found is kept, and the end of the Listing's own streams tells.
func List(ctx context.Context, s Source, spill func() (Spill, error)) (*Listing, error) {
	f, err := spill()
	if err != nil {
		return nil, err
	}
	l := &Listing{Source: s, spill: f}
	if err := l.fill(ctx, s); err != nil {
		_ = f.Close()
		return nil, err
	}
	return l, nil
}

// Close gives back the Spill.
func (l *Listing) Close() error { return l.spill.Close() }

func (l *Listing) fill(ctx context.Context, s Source) error {
	w := bufio.NewWriterSize(l.spill, 64<<10)
	h := blake3.New()
	var buf []byte
	part, offset := 0, int64(0)
	var last string
	move := func(next int) { // on to the part of that number
		if l.sums[part].Mailboxes > 0 {
			copy(l.sums[part].ID[:], h.Sum(nil))
			h.Reset()
		}
		for part < next {
			part++
			l.at[part] = offset
		}
	}
	for head, err := range s.Mailboxes(ctx) {
		if err == nil && last != "" && manifest.CompareMailboxes(last, head.Name) >= 0 {
			err = fmt.Errorf("mailboxes come out of order: %q after %q", head.Name, last)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			l.cut = err
			break
		}
		last = head.Name
		if no := manifest.ShardOf(head.Name); no != part {
			move(no)
		}
		sum := &l.sums[part]
		sum.Known = sum.Known || sum.Mailboxes == 0
		sum.Mailboxes++
		sum.Messages += max(head.Messages, 0)
		sum.Known = sum.Known && !head.State.IsZero() && head.Damaged == 0 && head.Messages >= 0
		buf = appendHead(buf[:0], &head)
		_, _ = h.Write(buf)
		if _, err := w.Write(buf); err != nil {
			return err
		}
		offset += int64(len(buf))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if l.sums[part].Mailboxes > 0 {
		copy(l.sums[part].ID[:], h.Sum(nil))
	}
	for part < manifest.Shards {
		part++
		l.at[part] = offset
	}
	return w.Flush()
}

// Sums implements Summed.
func (l *Listing) Sums(_ context.Context, runs []Run) ([]Sum, error) {
	if l.cut != nil {
		return nil, l.cut
	}
	if err := CheckRuns(runs); err != nil {
		return nil, err
	}
	out := make([]Sum, len(runs))
	for i, r := range runs {
		out[i] = l.sum(r)
	}
	return out, nil
}

func (l *Listing) sum(r Run) Sum {
	h := blake3.New()
	_, _ = h.Write([]byte("mailsync parts 1\n"))
	all := Sum{Known: true}
	for no := r.From; no < r.To; no++ {
		s := &l.sums[no]
		if s.Mailboxes == 0 {
			continue
		}
		var b [18]byte
		binary.LittleEndian.PutUint16(b[:], uint16(no))
		copy(b[2:], s.ID[:])
		_, _ = h.Write(b[:])
		all.Known = all.Known && s.Known
		all.Mailboxes += s.Mailboxes
		all.Messages += s.Messages
	}
	copy(all.ID[:], h.Sum(nil))
	return all
}

// Mailboxes implements Source.
func (l *Listing) Mailboxes(ctx context.Context) iter.Seq2[Head, error] {
	return l.Parts(ctx, []Run{{0, manifest.Shards}})
}

// Parts implements Summed.
func (l *Listing) Parts(ctx context.Context, runs []Run) iter.Seq2[Head, error] {
	return func(yield func(Head, error) bool) {
		if err := CheckRuns(runs); err != nil {
			yield(Head{}, err)
			return
		}
		for _, r := range runs {
			from, to := l.at[r.From], l.at[r.To]
			in := bufio.NewReaderSize(io.NewSectionReader(l.spill, from, to-from), 16<<10)
			for {
				h, err := readHead(in)
				if errors.Is(err, io.EOF) {
					break
				}
				if err == nil && ctx.Err() != nil {
					err = context.Cause(ctx)
				}
				if !yield(h, err) || err != nil {
					return
				}
			}
		}
		if l.cut != nil {
			yield(Head{}, l.cut)
		}
	}
}

// CheckRuns refuses runs that do not ascend within a store's parts.
func CheckRuns(runs []Run) error {
	last := 0
	for _, r := range runs {
		if r.From < last || r.To <= r.From || r.To > manifest.Shards {
			return fmt.Errorf("%w: parts %d to %d", ErrUsage, r.From, r.To)
		}
		last = r.To
	}
	return nil
}

func appendHead(b []byte, h *Head) []byte {
	b = binary.AppendUvarint(b, uint64(len(h.Name)))
	b = append(b, h.Name...)
	for _, d := range [2]manifest.Digest{h.State, h.Content} {
		b = append(b, byte(d.Alg))
		if d.Alg != manifest.NoAlg {
			b = append(b, d.Sum[:]...)
		}
	}
	b = binary.AppendVarint(b, h.Messages)
	return binary.AppendVarint(b, h.Damaged)
}

// readHead reads what appendHead wrote: this process' own spill.
func readHead(r *bufio.Reader) (Head, error) {
	var h Head
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return h, err // io.EOF: between two heads
	}
	if n > math.MaxUint16 {
		return h, errSpill
	}
	name := make([]byte, n)
	if _, err := io.ReadFull(r, name); err != nil {
		return h, errSpill
	}
	h.Name = string(name)
	for _, d := range []*manifest.Digest{&h.State, &h.Content} {
		alg, err := r.ReadByte()
		if err != nil {
			return h, errSpill
		}
		if d.Alg = manifest.Alg(alg); d.Alg == manifest.NoAlg {
			continue
		}
		if _, err := io.ReadFull(r, d.Sum[:]); err != nil {
			return h, errSpill
		}
	}
	for _, v := range []*int64{&h.Messages, &h.Damaged} {
		if *v, err = binary.ReadVarint(r); err != nil {
			return h, errSpill
		}
	}
	return h, nil
}

var errSpill = errors.New("a temporary file does not hold what was written into it")

// summed returns the sides as Summed, where all of them are, and where the
// comparison is of whole stores: a pattern needs the names.
func (c *Comparison) summed() []Summed {
	if c.o.Mailbox != nil || len(c.sides) < 2 {
		return nil
	}
	out := make([]Summed, len(c.sides))
	for i, s := range c.sides {
		p, ok := s.Source.(Summed)
		if !ok {
			return nil
		}
		out[i] = p
	}
	return out
}

// allSums asks all sides at once.
func allSums(ctx context.Context, sides []Summed, runs []Run) ([][]Sum, error) {
	out := make([][]Sum, len(sides))
	g, ctx := errgroup.WithContext(ctx)
	for i, s := range sides {
		g.Go(func() (err error) {
			if out[i], err = s.Sums(ctx, runs); err == nil && len(out[i]) != len(runs) {
				err = fmt.Errorf("%w: %d sums of %d runs", ErrUsage, len(out[i]), len(runs))
			}
			return err
		})
	}
	return out, g.Wait()
}

// fan is into how many runs a run is divided where sums differ: three rounds
// lead from a store to its parts.
const fan = 16

// unequal finds the parts in which the sides are not plainly the same, and
// counts the rest.
func (c *Comparison) unequal(ctx context.Context, sides []Summed) ([]Run, error) {
	runs := []Run{{0, manifest.Shards}}
	var same Sum
	for width := manifest.Shards / fan; width >= 1; width /= fan {
		var ask []Run
		for _, r := range runs {
			for from := r.From; from < r.To; from += width {
				ask = append(ask, Run{from, from + width})
			}
		}
		sums, err := allSums(ctx, sides, ask)
		if err != nil {
			return nil, err
		}
		runs = runs[:0]
		for i, r := range ask {
			if first := sums[0][i]; equalSums(sums, i) {
				same.Mailboxes += first.Mailboxes
				same.Messages += first.Messages
				continue
			}
			runs = append(runs, r)
		}
		if len(runs) == 0 {
			break
		}
	}
	c.state.sameMany(same.Mailboxes, same.Messages)
	return joined(runs), nil
}

func equalSums(sums [][]Sum, i int) bool {
	first := sums[0][i]
	for _, s := range sums {
		if !s[i].Known || s[i] != first {
			return false
		}
	}
	return true
}

// joined makes one run of those that touch.
func joined(runs []Run) []Run {
	var out []Run
	for _, r := range runs {
		if n := len(out); n > 0 && out[n-1].To == r.From {
			out[n-1].To = r.To
			continue
		}
		out = append(out, r)
	}
	return slices.Clip(out)
}
