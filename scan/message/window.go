package message

import "mailsync/manifest"

// header collects the first HeaderWindow bytes of a message until its header is
// understood. In the usual case the first piece holds all of it and nothing is
// kept.
type header struct {
	buf  []byte
	seen int // length of buf when it was last looked at
	done bool
	h    Header
	id   manifest.HeaderID
	ids  []byte
	size int64
}

func (w *header) reset() {
	w.buf, w.seen, w.done, w.size = w.buf[:0], 0, false, 0
	w.h, w.id = Header{}, manifest.HeaderID{}
}

// write takes the next piece of the message.
func (w *header) write(p []byte) {
	w.size += int64(len(p))
	if w.done || len(p) == 0 {
		return
	}
	if len(w.buf) == 0 {
		if w.look(p, false); w.done {
			return
		}
	}
	w.buf = append(w.buf, p[:min(len(p), HeaderWindow-len(w.buf))]...)
	// looking again only at twice the size keeps tiny pieces linear
	if len(w.buf) >= 2*w.seen || len(w.buf) == HeaderWindow {
		w.look(w.buf, false)
	}
}

// whole takes a message that comes in one piece.
func (w *header) whole(p []byte) {
	w.size = int64(len(p))
	w.look(p, true)
}

func (w *header) look(p []byte, eof bool) {
	w.seen = len(p)
	h, f, done := scanHeader(p, eof)
	if !done {
		return
	}
	w.done, w.h = true, h
	w.id, w.ids = f.headerID(w.ids)
}

// finish returns what the header proves.
func (w *header) finish() (Header, manifest.HeaderID) {
	if !w.done {
		// a window that is exactly full may be the whole message
		w.look(w.buf, w.size == int64(len(w.buf)))
	}
	return w.h, w.id
}
