package remote

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// packer compresses the data of one message for as long as that pays.
type packer struct {
	z    *zstd.Encoder
	buf  []byte
	idle int // frames that are sent as they are before it is tried again
}

// pays: a frame is sent packed where at least an eighth of it is saved.
func pays(packed, plain int) bool { return packed <= plain-plain/8 }

// worth is the least that is worth packing, in bytes.
const worth = 256

var packers = sync.Pool{New: func() any {
	return &packer{z: must(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false)))}
}}

func newPacker() *packer {
	p := packers.Get().(*packer)
	p.idle = 0
	return p
}

func (p *packer) release() { packers.Put(p) }

// pack returns b packed, valid until the next call, or nil where that does not
// pay.
func (p *packer) pack(b []byte) []byte {
	if p.idle > 0 {
		p.idle--
		return nil
	}
	if len(b) < worth {
		return nil
	}
	p.buf = p.z.EncodeAll(b, p.buf[:0])
	if !pays(len(p.buf), len(b)) {
		p.idle = 16 // an attachment is rarely followed by text
		return nil
	}
	return p.buf
}

var unpackers = sync.Pool{New: func() any {
	return must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxData), zstd.WithDecoderLowmem(true)))
}}

// unpack decompresses a frame into buf. It never makes more than maxData bytes.
func unpack(p, buf []byte) ([]byte, error) {
	z := unpackers.Get().(*zstd.Decoder)
	defer unpackers.Put(z)
	out, err := z.DecodeAll(p, buf[:0])
	if err != nil {
		return nil, fmt.Errorf("%w: a packed frame: %w", ErrProtocol, err)
	}
	if len(out) > maxData {
		return nil, fmt.Errorf("%w: a packed frame of %d bytes", ErrProtocol, len(out))
	}
	return out, nil
}

// buffers keeps buffers of maxData bytes.
var buffers = sync.Pool{New: func() any { b := make([]byte, maxData); return &b }}
