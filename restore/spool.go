package restore

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
)

// spool holds the records of a plan that was made in this process: in memory,
// past a limit in a file without a name. Mailboxes are given in any order and
// come back sorted.
type spool struct {
	limit int
	mem   []byte
	file  *os.File
	w     *bufio.Writer
	size  int64
	boxes []spoolBox
}

// spoolBox says where the records of a mailbox lie.
type spoolBox struct {
	order int
	name  string
	parts []extent // in the order in which they are read
}

type extent struct{ from, to int64 }

const spoolMemory = 32 << 20

func newSpool() *spool { return &spool{limit: spoolMemory} }

// add appends a record, which ends at size.
func (s *spool) add(rec *planRecord) error {
	p, err := encodePlan(rec)
	if err != nil {
		return err
	}
	var n [binary.MaxVarintLen64]byte
	if err := s.write(n[:binary.PutUvarint(n[:], uint64(len(p)))]); err != nil {
		return err
	}
	return s.write(p)
}

func (s *spool) write(p []byte) error {
	s.size += int64(len(p))
	if s.file == nil && len(s.mem)+len(p) <= s.limit {
		s.mem = append(s.mem, p...)
		return nil
	}
	if s.file == nil {
		f, err := TempFile()
		if err != nil {
			return err
		}
		s.file, s.w = f, bufio.NewWriterSize(f, 256<<10)
	}
	if _, err := s.w.Write(p); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// box records a mailbox.
func (s *spool) box(order int, name string, parts []extent) {
	b := spoolBox{order: order, name: name}
	for _, p := range parts {
		if p.from < p.to {
			b.parts = append(b.parts, p)
		}
	}
	if len(b.parts) > 0 {
		s.boxes = append(s.boxes, b)
	}
}

// settle sorts the mailboxes and ends writing.
func (s *spool) settle(compare func(a, b string) int) error {
	slices.SortStableFunc(s.boxes, func(a, b spoolBox) int {
		if a.order != b.order {
			return a.order - b.order
		}
		return compare(a.name, b.name)
	})
	if s.w != nil {
		if err := s.w.Flush(); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
	}
	return nil
}

func (s *spool) close() error {
	if s.file != nil {
		return s.file.Close()
	}
	return nil
}

// at reads the part of an extent that lies in memory, then that in the file.
func (s *spool) at(e extent) io.Reader {
	mem := int64(len(s.mem))
	var parts []io.Reader
	if e.from < mem {
		parts = append(parts, bytesReader(s.mem[e.from:min(e.to, mem)]))
	}
	if e.to > mem {
		from := max(e.from, mem)
		parts = append(parts, io.NewSectionReader(s.file, from-mem, e.to-from))
	}
	return io.MultiReader(parts...)
}

func (s *spool) records(ctx context.Context) iter.Seq2[*planRecord, error] {
	return func(yield func(*planRecord, error) bool) {
		var buf []byte
		r := bufio.NewReaderSize(nil, 64<<10)
		for i := range s.boxes {
			for _, e := range s.boxes[i].parts {
				r.Reset(s.at(e))
				for left := e.to - e.from; left > 0; {
					if ctx.Err() != nil {
						yield(nil, context.Cause(ctx))
						return
					}
					n, err := binary.ReadUvarint(r)
					if err == nil && int64(n) > left {
						err = io.ErrUnexpectedEOF
					}
					if err != nil {
						yield(nil, fmt.Errorf("spool: %w", err))
						return
					}
					buf = slices.Grow(buf[:0], int(n))[:n]
					if _, err := io.ReadFull(r, buf); err != nil {
						yield(nil, fmt.Errorf("spool: %w", err))
						return
					}
					left -= int64(n) + int64(uvarintLen(n))
					rec, err := decodePlan(buf)
					if err != nil {
						yield(nil, fmt.Errorf("spool: %w", err))
						return
					}
					if !yield(rec, nil) {
						return
					}
				}
			}
		}
	}
}

func uvarintLen(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}
