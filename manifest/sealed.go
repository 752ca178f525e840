package manifest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/zeebo/blake3"
)

// Every file of the record is a sealed file: a preamble, checked blocks, an end
// mark. docs/manifest-format.md has the same table.
//
//	preamble  0  8 magic    8 4 kind    12 2 version    14 2 zero    16 8 salt    24 8 check
//	block     0  1 type     1 1 flags    2 2 zero    4 4 number within its type
//	          8  4 items   12 4 packed  16 4 unpacked   20 4 raw
//	         24  packed bytes, raw bytes, 16 bytes of check
//
// The check of a block covers the file's salt, so that no block of another file
// fits, and its type and number, so that no block fits in another place. The
// preamble keeps its layout in every version: that is how a newer file is told
// from a broken one.
const (
	magic        = "\x8dMSYNC\r\n"
	preambleSize = 32
	blockHead    = 24
	checkSize    = 16

	// MaxBlock bounds the uncompressed bytes of a block.
	MaxBlock = 64 << 10
)

// Kinds of sealed files.
const (
	kindMailbox = "MBOX"
	kindIndex   = "INDX"
	kindStore   = "STOR"
)

// Types of blocks.
const (
	blockHeader   = 1
	blockEntries  = 2
	blockSums     = 3
	blockAbsences = 4
	blockRows     = 5
	blockRoots    = 6
	blockEnd      = 15
)

const flagZstd = 1

func newSalt() uint64 { return rand.Uint64() }

func appendPreamble(dst []byte, kind string, version uint16, salt uint64) []byte {
	n := len(dst)
	dst = append(dst, magic...)
	dst = append(dst, kind...)
	dst = binary.LittleEndian.AppendUint16(dst, version)
	dst = binary.LittleEndian.AppendUint16(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, salt)
	sum := blake3.Sum256(dst[n:])
	return append(dst, sum[:8]...)
}

// sealer makes blocks. Its buffers are used again for each.
type sealer struct {
	salt uint64
	buf  []byte
}

// seal returns a whole block, valid until the next call. packed is compressed
// where that helps, raw (digests and other noise) is stored as it is.
func (s *sealer) seal(typ byte, number, items int, packed, raw []byte) []byte {
	b := s.buf[:0]
	b = binary.LittleEndian.AppendUint64(b, s.salt)
	b = append(b, typ, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(number))
	b = binary.LittleEndian.AppendUint32(b, uint32(items))
	b = append(b, 0, 0, 0, 0) // packed, set below
	b = binary.LittleEndian.AppendUint32(b, uint32(len(packed)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(raw)))
	const body = 8 + blockHead
	if out := compress(b, packed); len(out)-body < len(packed) {
		b = out
		b[8+1] = flagZstd
	} else {
		b = append(b, packed...)
	}
	binary.LittleEndian.PutUint32(b[8+12:], uint32(len(b)-body))
	b = append(b, raw...)
	sum := blake3.Sum256(b)
	b = append(b, sum[:checkSize]...)
	s.buf = b
	return b[8:]
}

// block is one checked block, valid until the next is read.
type block struct {
	typ    byte
	number int
	items  int
	data   []byte // decompressed
	raw    []byte
}

// unsealer reads a sealed file block by block.
type unsealer struct {
	r       io.Reader
	version uint16
	salt    uint64
	buf     []byte
	data    []byte
	n       int // blocks read
}

// corrupt makes an ErrCorrupt.
func corrupt(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, a...))
}

// readFull is io.ReadFull with an early end told as truncation.
func readFull(r io.Reader, p []byte, what string) error {
	_, err := io.ReadFull(r, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w in its %s", ErrCorrupt, ErrTruncated, what)
	}
	return err
}

// openSealed reads the preamble of a file of the given kind.
func openSealed(r io.Reader, kind string, newest uint16) (*unsealer, error) {
	var p [preambleSize]byte
	if err := readFull(r, p[:], "preamble"); err != nil {
		return nil, err
	}
	sum := blake3.Sum256(p[:24])
	switch {
	case string(p[:8]) != magic:
		return nil, corrupt("no file of mailsync's record (wrong magic)")
	case !bytes.Equal(sum[:8], p[24:]):
		return nil, corrupt("checksum of the preamble")
	case string(p[8:12]) != kind:
		return nil, corrupt("a file of kind %q where %q belongs", p[8:12], kind)
	}
	v := binary.LittleEndian.Uint16(p[12:])
	switch {
	case v > newest:
		return nil, fmt.Errorf("%w: version %d, known up to %d", ErrNewer, v, newest)
	case v == 0, p[14] != 0, p[15] != 0:
		return nil, corrupt("preamble of version %d", v)
	}
	return &unsealer{r: r, version: v, salt: binary.LittleEndian.Uint64(p[16:])}, nil
}

// next reads and checks one block. Its sizes are bounded before anything is
// allocated for them.
func (u *unsealer) next() (block, error) {
	var h [8 + blockHead]byte
	binary.LittleEndian.PutUint64(h[:], u.salt)
	if err := readFull(u.r, h[8:], "block head"); err != nil {
		return block{}, err
	}
	b := block{
		typ:    h[8],
		number: int(binary.LittleEndian.Uint32(h[8+4:])),
		items:  int(binary.LittleEndian.Uint32(h[8+8:])),
	}
	packed := uint64(binary.LittleEndian.Uint32(h[8+12:]))
	unpacked := uint64(binary.LittleEndian.Uint32(h[8+16:]))
	raw := uint64(binary.LittleEndian.Uint32(h[8+20:]))
	if unpacked+raw > MaxBlock || packed > unpacked || h[8+1] > flagZstd || h[8+2] != 0 || h[8+3] != 0 {
		return block{}, corrupt("head of block %d", u.n)
	}
	n := int(packed + raw)
	if need := len(h) + n + checkSize; cap(u.buf) < need {
		u.buf = make([]byte, need, min(need+need/4, len(h)+MaxBlock+checkSize))
	}
	u.buf = u.buf[:len(h)+n+checkSize]
	copy(u.buf, h[:])
	if err := readFull(u.r, u.buf[len(h):], "block"); err != nil {
		return block{}, err
	}
	sum := blake3.Sum256(u.buf[:len(h)+n])
	if !bytes.Equal(sum[:checkSize], u.buf[len(h)+n:]) {
		return block{}, corrupt("checksum of block %d", u.n)
	}
	b.data = u.buf[len(h) : len(h)+int(packed)]
	b.raw = u.buf[len(h)+int(packed) : len(h)+n]
	if h[8+1] == flagZstd {
		if cap(u.data) < int(unpacked) {
			u.data = make([]byte, 0, unpacked)
		}
		out, err := decompress(u.data[:0:unpacked], b.data)
		if err != nil {
			return block{}, corrupt("compression of block %d", u.n)
		}
		b.data = out
	}
	if uint64(len(b.data)) != unpacked {
		return block{}, corrupt("length of block %d", u.n)
	}
	u.n++
	return b, nil
}

// expect refuses a block that is not of this type and number.
func (u *unsealer) expect(b block, typ byte, number int) error {
	if b.typ != typ || b.number != number {
		return corrupt("block %d is of type %d number %d where type %d number %d belongs", u.n-1, b.typ, b.number, typ, number)
	}
	return nil
}

// end checks the end mark, which tells the number of blocks, and that nothing follows.
func (u *unsealer) end(b block) error {
	if err := u.expect(b, blockEnd, 0); err != nil {
		return err
	}
	if b.items != u.n-1 {
		return corrupt("end mark counts %d blocks, %d were read", b.items, u.n-1)
	}
	var one [1]byte
	if _, err := io.ReadFull(u.r, one[:]); err == nil {
		return corrupt("bytes after the end mark")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
