package manifest

import (
	"io"
	"strconv"
)

// Version is the newest version of manifest files that this program reads, and
// the one it writes.
const Version = 1

// Writer writes the manifest file of one mailbox, as docs/manifest-format.md
// describes it. Its methods are called by one goroutine at a time.
type Writer struct {
	mb      *Mailbox
	body    *body
	headers int
	err     error
}

// NewWriter begins a manifest on w. mb is its header: all but its sums
// (Messages, Bytes, Content, State) counts, and is written at once. Errors:
// ErrAlg, ErrLimit, ErrOrder, ErrInvalid, and those of w.
func NewWriter(w io.Writer, mb *Mailbox) (*Writer, error) {
	var x Extra
	if err := checkMailbox(mb, &x); err != nil {
		return nil, err
	}
	salt := newSalt()
	sink := func(b []byte) error {
		_, err := w.Write(b)
		return err
	}
	if err := sink(appendPreamble(nil, kindMailbox, Version, salt)); err != nil {
		return nil, err
	}
	s := sealer{salt: salt}
	n, err := writeHeader(&s, appendHeader(nil, mb, &x, nil), sink)
	if err != nil {
		return nil, err
	}
	return &Writer{mb: mb, body: newBody(mb.Alg, salt, sink), headers: n}, nil
}

// writeHeader writes an encoded header as blocks, and returns their number.
func writeHeader(s *sealer, header []byte, sink func([]byte) error) (int, error) {
	if len(header) > MaxHeader {
		return 0, ErrLimit
	}
	n := 0
	for more := true; more; n++ {
		part := header[:min(len(header), MaxBlock)]
		header = header[len(part):]
		more = len(header) > 0
		// items tells how many header blocks are still to come.
		if err := sink(s.seal(blockHeader, n, (len(header)+MaxBlock-1)/MaxBlock, part, nil)); err != nil {
			return n, err
		}
	}
	return n, nil
}

// Add appends an entry. Entries come strictly ascending by Entry.Compare
// (ErrOrder). The writer keeps nothing of e. After an error the writer is of
// no more use.
func (w *Writer) Add(e *Entry) error {
	if w.err != nil {
		return w.err
	}
	w.err = w.body.add(e)
	return w.err
}

// Absent appends an absence, after the last Add, ascending like entries.
func (w *Writer) Absent(a *Absence) error {
	if w.err != nil {
		return w.err
	}
	w.err = w.body.absent(a)
	return w.err
}

// Close writes what is left and the end mark, and fills the sums of the
// Mailbox given to NewWriter. It does not close the underlying writer.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if w.err = w.body.finish(w.mb); w.err != nil {
		return w.err
	}
	if w.err = w.body.end(w.headers); w.err != nil {
		return w.err
	}
	w.body.release()
	w.body, w.err = nil, ErrEnded
	return nil
}

// quote makes a name safe for an error message.
func quote(s string) string { return strconv.QuoteToASCII(s) }
