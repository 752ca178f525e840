package manifest

import (
	"bufio"
	"errors"
	"io"
	"iter"
)

// Reader reads the manifest file of one mailbox.
//
// Every block is checked before anything of it is yielded, but what was
// yielded is all of the mailbox only when the iteration has ended without an
// error: Entries proves the entries, Absences the whole file.
type Reader struct {
	u       *unsealer
	mb      *Mailbox
	extra   *Extra
	early   *sums // told by the header
	sums    sums  // counted; roots are those of the end mark
	cols    uncolumns
	headers int
	entries int // blocks read
	gone    int // blocks read
	state   int
	err     error
}

// bufferSize is small because a block is read past the buffer.
const bufferSize = 4 << 10

// NewReader reads and checks the beginning of a manifest. Errors: ErrNewer,
// ErrCorrupt (with ErrTruncated where the file ends too early), ErrAlg, and
// those of r.
func NewReader(r io.Reader) (*Reader, error) {
	u, err := openSealed(bufio.NewReaderSize(r, bufferSize), kindMailbox, Version)
	if err != nil {
		return nil, err
	}
	rd := &Reader{u: u}
	header, n, err := readHeader(u)
	if err != nil {
		return nil, err
	}
	c := cursorOver(header)
	if rd.mb, rd.extra, rd.early, err = c.header(); err != nil {
		return nil, err
	}
	rd.headers = n
	return rd, nil
}

// readHeader joins the header's blocks. The memory it takes follows what has
// been read and checked, not what the file claims.
func readHeader(u *unsealer) (header []byte, n int, err error) {
	for left := 1; left > 0; n++ {
		b, err := u.next()
		if err != nil {
			return nil, n, err
		}
		if err := u.expect(b, blockHeader, n); err != nil {
			return nil, n, err
		}
		if n > 0 && b.items != left-1 || b.items > MaxHeader/MaxBlock || len(b.raw) > 0 {
			return nil, n, corrupt("header of %d blocks", b.items)
		}
		left = b.items
		if n == 0 && left == 0 {
			return b.data, 1, nil
		}
		header = append(header, b.data...)
	}
	return header, n, nil
}

// Mailbox returns the header. Its sums are filled from the start where the
// repository wrote the file, else when Absences has ended; they are proven
// then. The caller must not change it before.
func (r *Reader) Mailbox() *Mailbox { return r.mb }

// Extra returns what the scan kept beside the mailbox.
func (r *Reader) Extra() Extra { return *r.extra }

// Entries yields the entries in order, once. When it has ended without an
// error, all entries of the mailbox were yielded. Keywords may be shared
// between entries and must not be changed.
func (r *Reader) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		r.scan(func(e *Entry) bool { return yield(*e, nil) })
		if r.err != nil && r.err != errStopped {
			yield(Entry{}, r.err)
		}
	}
}

// EachEntry calls f with every entry, as Entries does, but with one Entry that
// is used again and again. It ends early where f returns false.
func (r *Reader) EachEntry(f func(*Entry) bool) error {
	r.scan(f)
	if r.err == errStopped {
		return nil
	}
	return r.err
}

// errStopped is the state of a reader whose consumer left early.
var errStopped = errors.New("reader was left before its end")

// scan reads the entries up to the mark after them.
func (r *Reader) scan(f func(*Entry) bool) {
	if r.err != nil || r.state != inEntries {
		return
	}
	var prev, e Entry
	r.err = r.blocks(blockEntries, blockSums, &r.entries, r.endEntries, func() error {
		if err := r.cols.next(&e); err != nil {
			return err
		}
		if r.sums.messages > 0 && prev.Compare(&e) >= 0 {
			return corrupt("entries out of order")
		}
		r.sums.count(&e)
		prev = e
		if !f(&e) {
			return errStopped
		}
		return nil
	})
}

// blocks reads the blocks of a type, counts them in seen and calls row for each
// row that the columns stand before; the block behind them, of type last, goes
// to end.
func (r *Reader) blocks(typ, last byte, seen *int, end func(block) error, row func() error) error {
	for {
		b, err := r.u.next()
		if err != nil {
			return err
		}
		if b.typ == last {
			return end(b)
		}
		if err := r.u.expect(b, typ, *seen); err != nil {
			return err
		}
		*seen++
		if err := r.cols.open(b, r.mb.Alg); err != nil {
			return err
		}
		for r.cols.more() {
			if err := row(); err != nil {
				return err
			}
		}
	}
}

// endEntries checks the mark after the entries.
func (r *Reader) endEntries(b block) error {
	c := cursorOver(b.data)
	messages, bytes := c.Int(), c.Int()
	if !c.Done() || len(b.raw) > 0 || b.number != 0 || b.items != r.entries || messages != r.sums.messages || bytes != r.sums.bytes {
		return corrupt("the mark after the entries tells of other entries")
	}
	r.state = inAbsences
	return nil
}

// Absences yields the absences in order, once, after Entries; entries that
// were not consumed are read and checked first. When it has ended without an
// error, the whole file is proven.
func (r *Reader) Absences() iter.Seq2[Absence, error] {
	return func(yield func(Absence, error) bool) {
		if r.state == inEntries {
			r.scan(func(*Entry) bool { return true })
		}
		if r.err == nil && r.state == inAbsences {
			r.scanAbsences(func(a *Absence) bool { return yield(*a, nil) })
		}
		if r.err != nil && r.err != errStopped {
			yield(Absence{}, r.err)
		}
	}
}

func (r *Reader) scanAbsences(f func(*Absence) bool) {
	var prev, e Entry
	r.err = r.blocks(blockAbsences, blockEnd, &r.gone, r.endFile, func() error {
		a := Absence{}
		c := &r.cols.col[colAbsence]
		a.Evidence = Evidence(c.Byte())
		a.UIDValidity = c.U32()
		a.LastSeen = c.time()
		a.FirstAbsent = c.time()
		if err := r.cols.next(&e); err != nil {
			return err
		}
		if r.sums.absences > 0 && prev.Compare(&e) >= 0 || a.Evidence > MassDisappearing {
			return corrupt("absences out of order")
		}
		r.sums.absences++
		prev, a.Entry = e, e
		if !f(&a) {
			return errStopped
		}
		return nil
	})
}

// endFile checks the end mark against what was counted and what the header told.
func (r *Reader) endFile(b block) error {
	if err := r.u.end(b); err != nil {
		return err
	}
	s, err := readSums(b, r.mb.Alg)
	if err != nil {
		return err
	}
	r.sums.content, r.sums.state = s.content, s.state
	if r.sums != s || r.early != nil && *r.early != s {
		return corrupt("the end mark tells of another mailbox")
	}
	r.mb.Messages, r.mb.Bytes, r.mb.Content, r.mb.State = s.messages, s.bytes, s.content, s.state
	r.state = ended
	return nil
}
