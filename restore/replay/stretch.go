package replay

import (
	"context"
	"iter"
)

// stretchLimits say how long a stretch of deliveries is: long enough for many
// batches, each of them one sync, and for an archive's file to be read few
// times; short enough for memory.
type stretchLimits struct {
	verdicts, messages int
	bytes              int64
}

// A stretch grows up to so much where the archive must be read from the start of
// a file to reach its messages, as compressed ones must. Beyond Options.Memory its
// bytes lie in an unlinked temporary file.
const (
	maxStretchBytes    = 1 << 30
	maxStretchMessages = 32 << 10
)

// grow lengthens the stretches after one for which most of what was read of the
// archive was not wanted.
func (s *stretchLimits) grow(skipped, wanted int64) {
	if skipped > 4*wanted {
		s.bytes = min(4*s.bytes, maxStretchBytes)
		s.messages = min(4*s.messages, maxStretchMessages)
	}
}

// fetchAll cuts the verdicts into stretches, fetches the bytes of each and hands
// it on. It ends with the verdicts, with a stretch that could not be fetched, or
// with ctx. Two buffers go round, so that one stretch is fetched while the other is
// delivered.
func (r *Run) fetchAll(ctx context.Context, out chan<- *delivering) {
	next, stop := iter.Pull2(r.verdicts.records(ctx))
	defer stop()
	cursor := r.o.Archive.Cursor()
	defer cursor.Close()
	free := make(chan []byte, 2)
	for range cap(free) {
		free <- nil
	}
	made := new(folders)
	limits := stretchLimits{verdicts: 1 << 20, messages: 8 << 10, bytes: r.o.Memory / 2}
	for more := true; more; {
		b := &delivering{r: r, made: made, free: free}
		select {
		case b.buf = <-free:
		case <-ctx.Done():
			return
		}
		more = r.cut(b, next, &limits)
		if b.err == nil {
			before := cursor.Skipped()
			b.err = b.fetch(ctx, cursor)
			limits.grow(cursor.Skipped()-before, int64(len(b.bodies)))
		}
		select {
		case out <- b:
		case <-ctx.Done():
			b.close()
			return
		}
		if b.err != nil {
			return
		}
	}
}

// cut takes the next stretch of the verdicts; false where they end.
func (r *Run) cut(b *delivering, next func() ([]byte, error, bool), limits *stretchLimits) (more bool) {
	for len(b.items) < limits.messages && b.bytes < limits.bytes && b.n < limits.verdicts {
		rec, err, ok := next()
		if err != nil || !ok {
			b.err = err
			return false
		}
		d := newDec(rec)
		v := d.verdict()
		if d.bad {
			b.err = errRecord
			return false
		}
		if _, deliver, into, _ := r.wanted(&v); deliver {
			b.add(b.n, v, into)
		}
		b.n++
	}
	return true
}
