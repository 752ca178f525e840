package manifest

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A zstd encoder costs some hundred kilobytes and its tables have to be
// cleared; one a manifest would dominate the cost of a small one. The pools
// hold one of each for every processor that is at work.
var (
	encoders = sync.Pool{New: func() any {
		e, err := zstd.NewWriter(nil,
			zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithWindowSize(MaxBlock),
			zstd.WithEncoderCRC(false), // blocks have a check of their own
			zstd.WithLowerEncoderMem(true))
		if err != nil {
			return err
		}
		return e
	}}
	decoders = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(MaxBlock),
			zstd.WithDecoderMaxWindow(MaxBlock))
		if err != nil {
			return err
		}
		return d
	}}
)

// tooSmall is where compression cannot win over its own frame.
const tooSmall = 48

// compress appends src compressed to dst; where it cannot, it appends src.
func compress(dst, src []byte) []byte {
	if len(src) < tooSmall {
		return append(dst, src...)
	}
	e, ok := encoders.Get().(*zstd.Encoder)
	if !ok {
		return append(dst, src...)
	}
	defer encoders.Put(e)
	return e.EncodeAll(src, dst)
}

// decompress appends src decompressed to dst, never beyond its capacity by
// more than MaxBlock.
func decompress(dst, src []byte) ([]byte, error) {
	switch d := decoders.Get().(type) {
	case *zstd.Decoder:
		defer decoders.Put(d)
		return d.DecodeAll(src, dst)
	case error:
		return nil, d
	}
	return nil, ErrCorrupt
}
