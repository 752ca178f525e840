package replay

import (
	"bufio"
	"bytes"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"mailsync/restore"
)

// sorter orders any number of records by their bytes in bounded memory: runs
// that fill the memory are sorted and written to one unlinked temporary file,
// and merged when read.
type sorter struct {
	memory int

	buf  []byte   // records of the current run, back to back
	recs [][2]int // start and end of each in buf
	file *os.File
	size int64
	runs [][2]int64 // start and end of each run in file
	n    int64
}

func newSorter(memory int) *sorter { return &sorter{memory: memory} }

// add copies one record.
func (s *sorter) add(rec []byte) error {
	if len(s.buf)+len(rec) > s.memory && len(s.recs) > 0 {
		if err := s.flush(); err != nil {
			return err
		}
	}
	if need := len(s.buf) + len(rec); need > cap(s.buf) && need > 1<<20 && need <= s.memory {
		// Once, instead of by doubling, which would take twice the memory.
		s.buf = append(make([]byte, 0, s.memory), s.buf...)
	}
	start := len(s.buf)
	s.buf = append(s.buf, rec...)
	s.recs = append(s.recs, [2]int{start, len(s.buf)})
	s.n++
	return nil
}

func (s *sorter) sortRun() {
	slices.SortFunc(s.recs, func(a, b [2]int) int {
		return bytes.Compare(s.buf[a[0]:a[1]], s.buf[b[0]:b[1]])
	})
}

// flush writes the current run.
func (s *sorter) flush() error {
	if s.file == nil {
		f, err := restore.TempFile()
		if err != nil {
			return err
		}
		s.file = f
	}
	s.sortRun()
	w := bufio.NewWriterSize(io.NewOffsetWriter(s.file, s.size), 256<<10)
	start := s.size
	for _, r := range s.recs {
		n, err := writeRecord(w, s.buf[r[0]:r[1]])
		if err != nil {
			return fmt.Errorf("spool for sorting: %w", err)
		}
		s.size += n
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("spool for sorting: %w", err)
	}
	s.runs = append(s.runs, [2]int64{start, s.size})
	s.buf, s.recs = s.buf[:0], s.recs[:0]
	return nil
}

// sorted yields the records in order; each is valid until the next. It may be
// called once, after the last add.
func (s *sorter) sorted(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		s.sortRun()
		if len(s.runs) == 0 {
			for i, r := range s.recs {
				if i%1024 == 0 && ctx.Err() != nil {
					yield(nil, context.Cause(ctx))
					return
				}
				if !yield(s.buf[r[0]:r[1]], nil) {
					return
				}
			}
			return
		}
		if len(s.recs) > 0 {
			if err := s.flush(); err != nil {
				yield(nil, err)
				return
			}
		}
		s.buf, s.recs = nil, nil
		var h runHeap
		each := max(16<<10, min(1<<20, s.memory/len(s.runs)))
		for _, r := range s.runs {
			c := &runCursor{r: bufio.NewReaderSize(io.NewSectionReader(s.file, r[0], r[1]-r[0]), each)}
			if ok, err := c.next(); err != nil {
				yield(nil, err)
				return
			} else if ok {
				h = append(h, c)
			}
		}
		heap.Init(&h)
		for i := 0; len(h) > 0; i++ {
			if i%1024 == 0 && ctx.Err() != nil {
				yield(nil, context.Cause(ctx))
				return
			}
			if !yield(h[0].rec, nil) {
				return
			}
			ok, err := h[0].next()
			if err != nil {
				yield(nil, err)
				return
			}
			if ok {
				heap.Fix(&h, 0)
			} else {
				heap.Pop(&h)
			}
		}
	}
}

func (s *sorter) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
	s.buf, s.recs, s.runs = nil, nil, nil
}

// runCursor reads one run.
type runCursor struct {
	r   *bufio.Reader
	rec []byte
}

func (c *runCursor) next() (bool, error) {
	rec, err := readRecord(c.r, c.rec)
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	}
	c.rec = rec
	return err == nil, err
}

type runHeap []*runCursor

func (h runHeap) Len() int           { return len(h) }
func (h runHeap) Less(i, j int) bool { return bytes.Compare(h[i].rec, h[j].rec) < 0 }
func (h runHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)        { *h = append(*h, x.(*runCursor)) }
func (h *runHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// tape is a sequence of records in an unlinked temporary file: written once,
// then read as often as needed.
type tape struct {
	file *os.File
	w    *bufio.Writer
	n    int64
}

func newTape() *tape { return &tape{} }

func (t *tape) add(rec []byte) error {
	if t.file == nil {
		f, err := restore.TempFile()
		if err != nil {
			return err
		}
		t.file, t.w = f, bufio.NewWriterSize(f, 256<<10)
	}
	t.n++
	if _, err := writeRecord(t.w, rec); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// records yields what was added, in order; each is valid until the next.
func (t *tape) records(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if t.file == nil {
			return
		}
		if err := t.w.Flush(); err != nil {
			yield(nil, fmt.Errorf("spool: %w", err))
			return
		}
		r := bufio.NewReaderSize(io.NewSectionReader(t.file, 0, 1<<62), 256<<10)
		var rec []byte
		var err error
		for i := int64(0); i < t.n; i++ {
			if i%1024 == 0 && ctx.Err() != nil {
				yield(nil, context.Cause(ctx))
				return
			}
			if rec, err = readRecord(r, rec); err != nil {
				yield(nil, fmt.Errorf("spool: %w", err))
				return
			}
			if !yield(rec, nil) {
				return
			}
		}
	}
}

func (t *tape) close() {
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
}

func writeRecord(w *bufio.Writer, rec []byte) (int64, error) {
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(len(rec)))
	if _, err := w.Write(head[:n]); err != nil {
		return 0, err
	}
	m, err := w.Write(rec)
	return int64(n + m), err
}

// maxRecord bounds a record, in bytes: positions and addresses, not mail. A
// message can have had very many recipients.
const maxRecord = 64 << 20

func readRecord(r *bufio.Reader, buf []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return buf, err
	}
	if n > maxRecord {
		return buf, fmt.Errorf("record of %d bytes in the spool", n)
	}
	buf = buf[:0]
	for len(buf) < int(n) { // memory grows with what is there, not with what is claimed
		at := len(buf)
		buf = slices.Grow(buf, min(int(n)-at, 256<<10))
		buf = buf[:min(int(n), cap(buf))]
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return buf, err
		}
	}
	return buf, nil
}
