package archive

import (
	"errors"
	"io"
)

// window is a sliding view of a stream: parsers look at bytes that are not yet
// consumed, however far ahead they need to, up to max.
type window struct {
	r    io.Reader
	buf  []byte
	a, b int   // unconsumed bytes are buf[a:b]
	off  int64 // of buf[a] in the stream
	max  int   // the most that may be held
	err  error // sticky, set once the stream ended

	chunk int // the most that the next read asks for, doubled by each; 0 = no bound
}

const windowChunk = 256 << 10

func newWindow(r io.Reader, max int, buf []byte) *window {
	return &window{r: r, buf: buf[:cap(buf)], max: max}
}

// bytes are the bytes in view. They move with the next more or skip.
func (w *window) bytes() []byte { return w.buf[w.a:w.b] }

// eof tells whether nothing can be added to the view.
func (w *window) eof() bool { return w.err != nil }

// broken is the error that ended the stream early; nil at a clean end.
func (w *window) broken() error {
	if w.err == nil || errors.Is(w.err, io.EOF) && !errors.Is(w.err, io.ErrUnexpectedEOF) {
		return nil
	}
	return w.err
}

// more adds bytes to the view. It is false where the stream ended or the view
// is as large as it may be.
func (w *window) more() bool {
	if w.err != nil || w.b-w.a >= w.max {
		return false
	}
	if len(w.buf)-w.b < windowChunk/4 {
		if w.a > 0 {
			copy(w.buf, w.buf[w.a:w.b])
			w.b -= w.a
			w.a = 0
		}
		if len(w.buf)-w.b < windowChunk/4 {
			grown := make([]byte, max(windowChunk, 2*len(w.buf)))
			copy(grown, w.buf[:w.b])
			w.buf = grown
		}
	}
	for range 100 {
		room := w.buf[w.b:]
		if w.chunk > 0 && w.chunk < len(room) {
			room = room[:w.chunk]
			w.chunk *= 2
		}
		n, err := w.r.Read(room)
		w.b += n
		if err != nil {
			w.err = err
		}
		if n > 0 || err != nil {
			return n > 0
		}
	}
	w.err = io.ErrNoProgress
	return false
}

// peek returns at least n bytes, fewer only where the stream ends before.
func (w *window) peek(n int) []byte {
	for w.b-w.a < n && w.more() {
	}
	return w.bytes()
}

// skip consumes n bytes of the view.
func (w *window) skip(n int) {
	w.a += n
	w.off += int64(n)
}

// Read consumes the stream as an io.Reader.
func (w *window) Read(p []byte) (int, error) {
	if w.a == w.b && !w.more() {
		if w.err == nil {
			return 0, io.ErrNoProgress
		}
		return 0, w.err
	}
	n := copy(p, w.bytes())
	w.skip(n)
	return n, nil
}
