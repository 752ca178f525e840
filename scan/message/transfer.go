package message

import (
	"bytes"
	"encoding/base64"
)

// maxHeld bounds what a decoder holds back of a line.
const maxHeld = 4096

// decoder undoes a content transfer encoding (RFC 2045 §6), tolerant: what is
// not valid passes as it is, so that equal bytes stay equal.
type decoder struct {
	kind byte   // 'b' base64, 'q' quoted-printable, 0 none
	quad []byte // base64 digits not yet decoded
	out  []byte
	soft bool // the line ended with '=': it goes on
	done bool // base64 padding was seen
	held []byte
}

func (d *decoder) reset(encoding string) {
	d.kind, d.quad, d.soft, d.done, d.held = 0, d.quad[:0], false, false, d.held[:0]
	switch encoding {
	case "base64":
		d.kind = 'b'
	case "quoted-printable":
		d.kind = 'q'
	}
}

// write decodes a line or a part of one, given without its line end.
func (d *decoder) write(w *leaf, p []byte) {
	switch d.kind {
	case 'b':
		d.base64(w, p)
	case 'q':
		d.quoted(w, p)
	default:
		_, _ = w.Write(p)
	}
}

// lineEnd takes the end of a line that another line follows.
func (d *decoder) lineEnd(w *leaf) {
	switch d.kind {
	case 'b':
		return
	case 'q':
		d.flushHeld(w, true)
		if d.soft {
			d.soft = false
			return
		}
	}
	_, _ = w.Write(lf)
}

func (d *decoder) finish(w *leaf) {
	switch d.kind {
	case 'b':
		if n := len(d.quad); n > 1 {
			d.out = d.out[:0]
			out := make([]byte, base64.RawStdEncoding.DecodedLen(n))
			k, _ := base64.RawStdEncoding.Decode(out, d.quad)
			_, _ = w.Write(out[:k])
		}
	case 'q':
		d.flushHeld(w, true)
	}
}

func (d *decoder) base64(w *leaf, p []byte) {
	for _, c := range p {
		switch {
		case c == '=':
			d.done = true
		case d.done:
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
			d.quad = append(d.quad, c)
		}
	}
	n := len(d.quad) &^ 3
	if n == 0 {
		return
	}
	if cap(d.out) < n {
		d.out = make([]byte, n)
	}
	k, _ := base64.StdEncoding.Decode(d.out[:n], d.quad[:n])
	_, _ = w.Write(d.out[:k])
	d.quad = append(d.quad[:0], d.quad[n:]...)
}

// quoted decodes quoted-printable. Trailing white space and an escape at the end
// of a piece are held back until what follows is known.
func (d *decoder) quoted(w *leaf, p []byte) {
	d.held = append(d.held, p...)
	d.flushHeld(w, false)
}

func (d *decoder) flushHeld(w *leaf, end bool) {
	p := d.held
	d.out = d.out[:0]
	white := len(p) - len(bytes.TrimRight(p, " \t")) // that ends it, looked for once
	for len(p) > 0 {
		i := bytes.IndexByte(p, '=')
		if i < 0 {
			i = len(p)
		}
		d.out = append(d.out, p[:i]...)
		p = p[i:]
		if len(p) == 0 {
			break
		}
		if len(p) >= 3 {
			hi, lo := unhex(p[1]), unhex(p[2])
			if hi >= 0 && lo >= 0 {
				d.out = append(d.out, byte(hi<<4|lo))
				p = p[3:]
				continue
			}
		}
		last := len(p)-1 <= white // nothing but white space follows
		switch {
		case last && end:
			d.soft, p = true, nil
		case !end && len(p) < maxHeld && (len(p) < 3 || last):
			d.held = append(d.held[:0], p...)
			_, _ = w.Write(d.out)
			return
		default:
			d.out = append(d.out, '=')
			p = p[1:]
		}
	}
	_, _ = w.Write(d.out)
	d.held = d.held[:0]
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
