package message

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// newPeeker returns a source whose first bytes can be looked at.
func newPeeker(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 32<<10) }

// counting counts what a decoder takes.
type counting struct {
	src source
	n   int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counting) ReadByte() (byte, error) {
	b, err := c.src.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// bounded ends a decompressed stream where it grows beyond the limits.
type bounded struct {
	r      io.Reader
	in     *counting
	limits *Limits
	n      int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	if lerr := b.limits.exceeded(b.n, b.in.n); lerr != nil {
		return n, lerr
	}
	return n, err
}

// Decompress returns the decompressed content of r, recognised by its first
// bytes, undoing up to MaxNested layers, and the outermost encoding. Plain
// and MailCrypt content passes unchanged. The content is read to its end only when
// the caller reads until io.EOF: only then are all checksums verified.
//
// A stream that ends early yields what precedes the cut and then an error that
// wraps ErrTruncated; other errors wrap ErrCorrupt or ErrLimit, or are r's own.
// MaxPlain and MaxRatio bound each layer. Closing does not close r.
func Decompress(r io.Reader, l Limits) (io.ReadCloser, Encoding, error) {
	l = l.withDefaults()
	out := &layers{limits: l}
	src := newPeeker(marked{r})
	outer := Plain
	for depth := 0; ; depth++ {
		first, err := src.Peek(MagicSize)
		if err != nil && !errors.Is(err, io.EOF) {
			// what could be read still comes before the error
			out.r = src
			return out, outer, nil
		}
		enc := Detect(first)
		if depth == 0 {
			outer = enc
		}
		if !enc.Compressed() {
			out.r = src
			return out, outer, nil
		}
		if depth >= l.MaxNested {
			_ = out.Close()
			return nil, outer, fmt.Errorf("%w: compressed more than %d times over", ErrLimit, l.MaxNested)
		}
		d := new(decoders)
		out.dec = append(out.dec, d)
		in := &counting{src: src}
		plain, err := d.open(enc, in, l)
		if err != nil {
			plain = failing{err}
		}
		src = newPeeker(&layer{r: &bounded{r: plain, in: in, limits: &out.limits}, enc: enc})
	}
}

// layer names the encoding in the errors of its stream.
type layer struct {
	r   io.Reader
	enc Encoding
}

func (y *layer) Read(p []byte) (int, error) {
	n, err := y.r.Read(p)
	if err != nil && err != io.EOF {
		if err = streamError(y.enc, err); !isStreamError(err) {
			err = readError{err}
		}
	}
	return n, err
}

// failing fails at the first read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, unexpected(f.err) }

// layers is what Decompress returns.
type layers struct {
	limits Limits
	r      io.Reader
	dec    []*decoders
}

func (l *layers) Read(p []byte) (int, error) {
	if l.r == nil {
		return 0, io.ErrClosedPipe
	}
	n, err := l.r.Read(p)
	var read readError
	if errors.As(err, &read) {
		err = read.error
	}
	return n, err
}

func (l *layers) Close() error {
	for _, d := range l.dec {
		d.close()
	}
	l.r, l.dec = nil, nil
	return nil
}
