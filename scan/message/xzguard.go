package message

import (
	"fmt"
	"io"

	"github.com/ulikunitz/xz"
)

// OpenXZ decompresses an xz stream none of whose blocks asks for a larger dictionary
// than so many bytes: the decoder allocates whatever a block header asks for. The
// error at one that does wraps ErrLimit.
func OpenXZ(src io.Reader, maxDictionary int64) (io.Reader, error) {
	return xz.ReaderConfig{DictCap: 1 << 16}.NewReader(&xzGuard{src: src, limit: maxDictionary, want: xzHeaderLen})
}

const xzHeaderLen = 12

// xzGuard passes an xz stream through and follows its structure, so that it
// sees every block header before the decoder does. It checks nothing else: what
// it cannot follow, the decoder will refuse.
//
//	stream header   12 bytes, the check's type in byte 7
//	block header    (first byte + 1) * 4 bytes, dictionary size in the LZMA2 filter
//	LZMA2 chunks    control byte 0: end; 1, 2: stored, 2 bytes size - 1;
//	                from 0x80: 2 bytes, 2 bytes compressed size - 1, from 0xc0 one more
//	padding, check  to a multiple of 4; 0, 4, 8 … 64 bytes
//	index           byte 0, count, 2 * count numbers, padding, 4 bytes; footer 12 bytes
//
// Source: the .xz file format, version 1.0.4, sections 2 to 5.
type xzGuard struct {
	src   io.Reader
	limit int64

	state xzState
	buf   []byte // of the header being collected
	want  int    // bytes it needs
	skip  int64  // bytes to pass unseen before the next state
	data  int64  // LZMA2 bytes of this block
	check int64  // size of the check
	index int64  // bytes of this index
	left  uint64 // numbers left in this index
	num   uint64 // number being read
	shift uint
}

type xzState uint8

const (
	xzStream xzState = iota
	xzBlock          // first byte of a block header, or of an index
	xzBlockHeader
	xzControl
	xzChunkHeader
	xzCount
	xzRecords
	xzLost // cannot be followed any more
)

func (g *xzGuard) Read(p []byte) (int, error) {
	n, err := g.src.Read(p)
	if bad := g.follow(p[:n]); bad != nil {
		return 0, bad
	}
	if err == io.EOF && n == 0 && g.state != xzLost && (g.state != xzStream || g.skip > 0 || len(g.buf) > 0) {
		return 0, io.ErrUnexpectedEOF // the decoder takes some cuts for the end
	}
	return n, err
}

func (g *xzGuard) follow(p []byte) error {
	for len(p) > 0 {
		if g.skip > 0 {
			k := min(g.skip, int64(len(p)))
			g.skip -= k
			p = p[k:]
			continue
		}
		switch g.state {
		case xzStream, xzBlockHeader, xzChunkHeader:
			k := min(g.want-len(g.buf), len(p))
			g.buf = append(g.buf, p[:k]...)
			p = p[k:]
			if g.state == xzStream && len(g.buf) >= 4 && g.buf[0] == 0 {
				g.buf = append(g.buf[:0], g.buf[4:]...) // stream padding
				continue
			}
			if len(g.buf) < g.want {
				continue
			}
			if err := g.header(); err != nil {
				return err
			}
			g.buf = g.buf[:0]
		case xzLost:
			return nil
		default:
			g.byte(p[0])
			p = p[1:]
		}
	}
	return nil
}

// header takes in a complete header.
func (g *xzGuard) header() error {
	switch g.state {
	case xzStream:
		g.check = [16]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[g.buf[7]&15]
		g.state = xzBlock
	case xzBlockHeader:
		if size := xzDictionary(g.buf); size > g.limit {
			return fmt.Errorf("xz: %w: a dictionary of %d bytes", ErrLimit, size)
		}
		g.state, g.data = xzControl, 0
	case xzChunkHeader:
		n := len(g.buf)
		c := g.buf
		if c[0] >= 0xc0 {
			c = c[:n-1]
		}
		g.skip = int64(c[len(c)-2])<<8 | int64(c[len(c)-1]) + 1
		g.data += int64(n) + g.skip
		g.state = xzControl
	}
	return nil
}

// byte takes in one byte of the states that decide by one.
func (g *xzGuard) byte(c byte) {
	switch g.state {
	case xzBlock:
		if c == 0 {
			g.state, g.index, g.num, g.shift = xzCount, 1, 0, 0
			return
		}
		g.state, g.want = xzBlockHeader, (int(c)+1)*4-1
		g.buf = g.buf[:0]
	case xzControl:
		switch {
		case c == 0:
			g.data++
			g.skip = (4-g.data%4)%4 + g.check
			g.state = xzBlock
		case c == 1 || c == 2:
			g.state, g.want = xzChunkHeader, 3
		case c >= 0xc0:
			g.state, g.want = xzChunkHeader, 6
		case c >= 0x80:
			g.state, g.want = xzChunkHeader, 5
		default:
			g.state = xzLost
		}
		g.buf = append(g.buf[:0], c)
	case xzCount, xzRecords:
		g.index++
		if g.shift > 56 {
			g.state = xzLost
			return
		}
		g.num |= uint64(c&0x7f) << g.shift
		g.shift += 7
		if c&0x80 != 0 {
			return
		}
		if g.state == xzCount {
			g.state, g.left = xzRecords, 2*g.num
		} else {
			g.left--
		}
		g.num, g.shift = 0, 0
		if g.left == 0 {
			g.skip = (4-g.index%4)%4 + 4 + xzHeaderLen
			g.state, g.want, g.buf = xzStream, xzHeaderLen, g.buf[:0]
		}
	}
}

// xzDictionary returns the dictionary size that a block header (without its
// first byte) asks for, 0 where it has no LZMA2 filter that can be read.
func xzDictionary(p []byte) int64 {
	if len(p) < 1 {
		return 0
	}
	flags, p := p[0], p[1:]
	number := func() uint64 {
		v, shift := uint64(0), uint(0)
		for len(p) > 0 && shift < 63 {
			c := p[0]
			p = p[1:]
			v |= uint64(c&0x7f) << shift
			if c&0x80 == 0 {
				break
			}
			shift += 7
		}
		return v
	}
	if flags&0x40 != 0 {
		number()
	}
	if flags&0x80 != 0 {
		number()
	}
	for range int(flags&3) + 1 {
		id, size := number(), number()
		if size > uint64(len(p)) {
			return 0
		}
		if id == 0x21 && size == 1 {
			bits := p[0] & 0x3f
			if bits >= 40 {
				return 1<<32 - 1
			}
			return (2 | int64(bits&1)) << (bits/2 + 11)
		}
		p = p[size:]
	}
	return 0
}
