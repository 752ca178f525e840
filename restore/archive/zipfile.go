package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/flate"
)

// zip (PKWARE APPNOTE): read from the front by its local headers, member by
// member, so that nested and cut files need neither a spool nor memory for the
// directory at the end. Checksums are verified before a message is used.

var (
	zipLocal      = []byte("PK\x03\x04")
	zipCentral    = []byte("PK\x01\x02")
	zipEnd        = []byte("PK\x05\x06")
	zipEnd64      = []byte("PK\x06\x06")
	zipDescriptor = []byte("PK\x07\x08")
	zipExtra      = []byte("PK\x06\x08") // archive extra data
)

func matchZip(_ *input, head []byte) bool {
	return bytes.HasPrefix(head, zipLocal) || bytes.HasPrefix(head, zipEnd)
}

func readZip(p *pass, in *input) error {
	if in.depth >= p.a.opts.MaxNesting {
		return p.refuse(in.pos, "archives nested too deep")
	}
	w := in.w
	for {
		b := w.peek(30)
		switch {
		case len(b) < 4:
			if err := w.broken(); err != nil {
				return p.brokenStream(in.pos, "zip", err)
			}
			return p.truncated(in.pos, "zip ends before its directory")
		case bytes.HasPrefix(b, zipCentral), bytes.HasPrefix(b, zipEnd), bytes.HasPrefix(b, zipEnd64), bytes.HasPrefix(b, zipExtra):
			return nil
		case !bytes.HasPrefix(b, zipLocal):
			return p.refuse(in.pos, "zip: damaged between members")
		case len(b) < 30:
			return p.truncated(in.pos, "zip ends inside a member's header")
		}
		h := zipHeader{
			flags: binary.LittleEndian.Uint16(b[6:]), method: binary.LittleEndian.Uint16(b[8:]),
			clock: binary.LittleEndian.Uint16(b[10:]), date: binary.LittleEndian.Uint16(b[12:]),
			crc: binary.LittleEndian.Uint32(b[14:]), packed: uint64(binary.LittleEndian.Uint32(b[18:])),
			size: uint64(binary.LittleEndian.Uint32(b[22:])),
		}
		names, extra := int(binary.LittleEndian.Uint16(b[26:])), int(binary.LittleEndian.Uint16(b[28:]))
		b = w.peek(30 + names + extra)
		if len(b) < 30+names+extra {
			return p.truncated(in.pos, "zip ends inside a member's header")
		}
		h.name = string(b[30 : 30+names])
		h.extra(b[30+names : 30+names+extra])
		w.skip(30 + names + extra)
		if err := p.zipMember(in, &h); err != nil || h.last {
			return err
		}
	}
}

type zipHeader struct {
	flags, method, clock, date uint16
	crc                        uint32
	packed, size               uint64
	name                       string
	mtime                      time.Time
	zip64                      bool
	last                       bool // nothing behind this member can be found
}

// extra reads the 64-bit sizes and the UNIX time.
func (h *zipHeader) extra(b []byte) {
	for len(b) >= 4 {
		id, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			return
		}
		v := b[4 : 4+n]
		switch id {
		case 1:
			h.zip64 = true
			if h.size == 0xffffffff && len(v) >= 8 {
				h.size, v = binary.LittleEndian.Uint64(v), v[8:]
			}
			if h.packed == 0xffffffff && len(v) >= 8 {
				h.packed = binary.LittleEndian.Uint64(v)
			}
		case 0x5455:
			if len(v) >= 5 && v[0]&1 != 0 {
				h.mtime = time.Unix(int64(int32(binary.LittleEndian.Uint32(v[1:]))), 0)
			}
		}
		b = b[4+n:]
	}
}

func (p *pass) zipMember(in *input, h *zipHeader) error {
	name := strings.TrimSuffix(h.name, "/")
	m := p.member(in, name)
	streamed := h.flags&8 != 0 // sizes follow behind the data
	var raw io.Reader = in.w
	if !streamed {
		raw = io.LimitReader(in.w, int64(min(h.packed, 1<<62)))
	}
	skip := func(detail string) error {
		err := p.refuse(m.pos, detail)
		if streamed && h.method != 8 {
			h.last = true
			return err
		}
		if err == nil {
			if streamed {
				h.last = true
			} else if n, _ := io.Copy(io.Discard, raw); uint64(n) < h.packed {
				h.last = true
				err = p.truncated(m.pos, "zip ends inside a member")
			}
		}
		return err
	}
	if why, ok := safeName(name); !ok {
		m.pos = in.pos
		return skip("zip: " + why)
	}
	if h.flags&1 != 0 || h.flags&0x40 != 0 {
		return skip("zip: an encrypted member")
	}
	in2 := &counter{r: raw}
	var out io.Reader
	switch {
	case h.method == 8:
		left := int64(-1)
		if !streamed {
			left = int64(min(h.packed, 1<<62))
		}
		z := flate.NewReader(&byteReader{counter: in2, w: in.w, left: left})
		defer z.Close()
		out = &guard{r: z, in: in2}
	case h.method == 0 && !streamed:
		out = in2
	default:
		return skip(fmt.Sprintf("zip: a member stored with method %d that cannot be read from the front", h.method))
	}
	m.mtime = h.mtime
	if m.mtime.IsZero() && h.date != 0 {
		m.mtime = time.Date(int(h.date>>9)+1980, time.Month(h.date>>5&0xf), int(h.date&0x1f),
			int(h.clock>>11), int(h.clock>>5&0x3f), int(h.clock&0x1f)*2, 0, p.zone())
	}
	if strings.HasSuffix(h.name, "/") || tmpMember(name) {
		if _, err := io.Copy(io.Discard, out); err != nil {
			h.last = true
			return p.brokenStream(m.pos, "zip", err)
		}
		return p.zipTail(in, h, streamed)
	}
	c := &checked{r: out, sum: crc32.NewIEEE(), h: h, w: in.w, streamed: streamed}
	before := in.w.off
	if err := p.file(m, c); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, c)
	if used := uint64(in.w.off - before); err == nil && !streamed && used < h.packed {
		_, err = io.CopyN(io.Discard, in.w, int64(min(h.packed-used, 1<<62)))
	}
	if err != nil {
		h.last = !errors.Is(err, errZipSum)
		if c.told {
			return nil
		}
		return p.brokenStream(m.pos, "zip", err)
	}
	return nil
}

// zipTail consumes the descriptor behind a member.
func (p *pass) zipTail(in *input, h *zipHeader, streamed bool) error {
	if streamed {
		if _, _, err := descriptor(in.w, h.zip64); err != nil {
			h.last = true
			return p.truncated(in.pos, "zip ends behind a member")
		}
	}
	return nil
}

var errZipSum = errors.New("checksum or size do not fit")

// checked hands on a member's bytes and fails at their end where checksum or
// size are not those of the header, so that no such message is used.
type checked struct {
	r        io.Reader
	sum      hash.Hash32
	n        uint64
	h        *zipHeader
	w        *window
	streamed bool
	done     error
	told     bool // the reader of the member has seen the error
}

func (c *checked) Read(b []byte) (int, error) {
	if c.done != nil {
		return 0, c.done
	}
	n, err := c.r.Read(b)
	c.sum.Write(b[:n])
	c.n += uint64(n)
	if err == nil {
		return n, nil
	}
	c.done = err
	if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		c.told = true
		return n, err
	}
	crc, size := c.h.crc, c.h.size
	if c.streamed {
		if crc, size, err = descriptor(c.w, c.h.zip64); err != nil {
			c.done, c.told = err, true
			return n, err
		}
	}
	if crc != c.sum.Sum32() || size != c.n {
		c.done, c.told = errZipSum, true
		if size > c.n && !c.streamed && c.w.eof() {
			c.done = io.ErrUnexpectedEOF
		}
	}
	return n, c.done
}

// descriptor reads what follows a member whose sizes were not known before.
func descriptor(w *window, zip64 bool) (crc uint32, size uint64, err error) {
	b := w.peek(24)
	sig := 0
	if bytes.HasPrefix(b, zipDescriptor) {
		sig = 4
	}
	n := sig + 12
	if zip64 {
		n = sig + 20
	}
	if len(b) < n {
		return 0, 0, io.ErrUnexpectedEOF
	}
	crc = binary.LittleEndian.Uint32(b[sig:])
	if zip64 {
		size = binary.LittleEndian.Uint64(b[sig+12:])
	} else {
		size = uint64(binary.LittleEndian.Uint32(b[sig+8:]))
	}
	w.skip(n)
	return crc, size, nil
}

// byteReader keeps the inflater from reading beyond its data.
type byteReader struct {
	*counter
	w    *window
	left int64 // of the packed data; negative where its end is not known before
}

// ReadByte reads one byte of the packed data.
func (r *byteReader) ReadByte() (byte, error) {
	if r.left == 0 || r.w.a == r.w.b && !r.w.more() {
		return 0, io.ErrUnexpectedEOF
	}
	c := r.w.buf[r.w.a]
	r.w.skip(1)
	r.n++
	r.left--
	return c, nil
}

// Read reads packed data, for stored blocks.
func (r *byteReader) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if r.left > 0 && int64(len(b)) > r.left {
		b = b[:r.left]
	}
	n, err := r.w.Read(b)
	r.n += int64(n)
	r.left -= int64(n)
	return n, err
}
