package durable

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
)

// Record is one whole record of a journal.
type Record struct {
	Seq  uint64 // 1 for the first
	Data []byte // valid until the next record is read
}

// Tail tells how a journal ends.
type Tail struct {
	Version uint16 // of the records' contents
	Records uint64
	Size    int64 // bytes of the whole part
	Torn    int64 // bytes after it that are no whole record; nobody was told that they are durable
	Sealed  bool  // closed in order, and nothing appended since
}

// Recover reads a journal and changes nothing; another process may append to
// it meanwhile. Each record is checked before it is yielded. At the end tail
// (which may be nil) is filled. A torn tail is no error; a damaged record that
// was synced before a later one was written is ErrCorrupt, yielded after the
// whole records before it.
func Recover(path string, o JournalOptions, tail *Tail) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := recoverFile(path, o, tail, yield); err != nil {
			yield(Record{}, fmt.Errorf("journal %s: %w", path, err))
		}
	}
}

func recoverFile(path string, o JournalOptions, tail *Tail, yield func(Record, error) bool) error {
	if err := o.complete(); err != nil {
		return err
	}
	f, err := o.FS.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	s, err := newScanner(f, &o)
	if err != nil {
		return err
	}
	for s.next() {
		if !yield(Record{Seq: s.tail.Records, Data: s.data}, nil) {
			return nil
		}
	}
	if tail != nil {
		*tail = s.tail
	}
	return s.err
}

// scanner reads a journal from its beginning.
type scanner struct {
	f     File
	r     *bufio.Reader
	limit int
	size  int64 // of the file when it was opened: what is appended later is not looked at
	salt  uint64
	head  [frameHead]byte
	data  []byte
	tail  Tail
	err   error
}

func newScanner(f File, o *JournalOptions) (*scanner, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	s := &scanner{f: f, size: size, limit: o.MaxRecord}
	s.r = bufio.NewReaderSize(io.LimitReader(f, size), 64<<10)
	var h [headSize]byte
	n, err := io.ReadFull(s.r, h[:])
	if err != nil && !isEnd(err) {
		return nil, err
	}
	s.tail.Version, s.salt, err = parseHead(h[:n], o)
	s.tail.Size = headSize
	return s, err
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// next reads the next record into data. At the end it fills tail or err.
func (s *scanner) next() bool {
	for s.tail.Size < s.size {
		f, ok, err := s.frame()
		if err != nil {
			s.err = err
			return false
		}
		if !ok {
			s.tail.Torn = s.size - s.tail.Size
			s.err = s.judge()
			return false
		}
		s.tail.Size += frameHead + int64(f.length)
		s.tail.Sealed = f.seal
		if !f.seal {
			s.tail.Records = f.seq
			return true
		}
	}
	return false
}

// frame reads one whole, checked frame that follows the one before.
func (s *scanner) frame() (f frame, ok bool, err error) {
	if _, err := io.ReadFull(s.r, s.head[:]); err != nil {
		if isEnd(err) {
			err = nil
		}
		return f, false, err
	}
	f, ok = parseFrame(s.head[:], s.limit)
	want := s.tail.Records
	if !f.seal {
		want++
	}
	if !ok || f.seq != want || int64(f.length) > s.size-s.tail.Size-frameHead {
		return f, false, nil
	}
	if cap(s.data) < f.length {
		s.data = make([]byte, f.length)
	}
	s.data = s.data[:f.length]
	if _, err := io.ReadFull(s.r, s.data); err != nil {
		if isEnd(err) {
			err = nil
		}
		return f, false, err
	}
	return f, frameCheck(s.salt, s.head[:], s.data) == f.check, nil
}

// judge looks behind a frame that is not whole. A later frame that is whole
// and was written when the broken one was synced proves that the broken one
// was whole once: corruption. Else the tail is torn.
//
// Frames do not overlap, so looking at all that were once written costs no more
// than the tail has bytes. What costs more was made to: no power cut leaves that.
func (s *scanner) judge() error {
	broken := s.tail.Records + 1
	const window = 256 << 10
	buf := make([]byte, window+frameHead)
	var data []byte
	left := s.size - s.tail.Size
	for at := s.tail.Size + 1; at+frameHead <= s.size; at += window {
		n, err := s.readAt(buf, at)
		if err != nil {
			return err
		}
		part := buf[:n]
		for i := 0; i+frameHead <= n && i < window; i++ {
			next := bytes.Index(part[i:], []byte(recordMark[:2]))
			if next < 0 || i+next+frameHead > n || i+next >= window {
				break
			}
			i += next
			f, ok := parseFrame(part[i:], s.limit)
			if !ok || f.synced < broken || at+int64(i)+frameHead+int64(f.length) > s.size {
				continue
			}
			if left -= frameHead + int64(f.length); left < 0 {
				return fmt.Errorf("%w: behind byte %d too much looks like records", ErrCorrupt, s.tail.Size)
			}
			head := [frameHead]byte(part[i:])
			data = slices.Grow(data[:0], f.length)[:f.length]
			if m, err := s.readAt(data, at+int64(i)+frameHead); err != nil {
				return err
			} else if m == len(data) && frameCheck(s.salt, head[:], data) == f.check {
				return fmt.Errorf("%w: record %d at byte %d is damaged, and was whole when record %d was written",
					ErrCorrupt, broken, s.tail.Size, f.seq)
			}
		}
	}
	return nil
}

// readAt reads as much of p as the file has at an offset.
func (s *scanner) readAt(p []byte, at int64) (int, error) {
	if _, err := s.f.Seek(at, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(io.LimitReader(s.f, max(s.size-at, 0)), p)
	if err != nil && !isEnd(err) {
		return n, err
	}
	return n, nil
}
