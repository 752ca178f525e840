package message

import (
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// source is what decoders read from: bytes one by one and in pieces.
type source interface {
	io.Reader
	io.ByteReader
}

// decoders keeps the decoders that are worth keeping.
type decoders struct {
	gz *gzip.Reader
	zs *zstd.Decoder
	lz lz4Reader
}

// open returns a reader of the content of src, which is compressed as enc. The
// reader is valid until open is called again. The stream is read to its very end, all
// members, frames and checksums included.
func (d *decoders) open(enc Encoding, src source, l Limits) (io.Reader, error) {
	switch enc {
	case Gzip:
		if d.gz == nil {
			d.gz = new(gzip.Reader)
		}
		if err := d.gz.Reset(src); err != nil {
			return nil, err
		}
		return d.gz, nil
	case Bzip2:
		return bzip2.NewReader(src), nil
	case XZ:
		return OpenXZ(src, l.MaxWindow)
	case Zstd:
		if d.zs == nil {
			// one goroutine: the examiner's; nothing is left running after a cut stream
			zs, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxMemory(uint64(l.MaxPlain)), zstd.WithDecoderMaxWindow(uint64(l.MaxWindow)))
			if err != nil {
				return nil, err
			}
			d.zs = zs
		}
		if err := d.zs.Reset(src); err != nil {
			return nil, err
		}
		return d.zs, nil
	case LZ4:
		d.lz.reset(src)
		return &d.lz, nil
	}
	return nil, fmt.Errorf("%w: no decoder for %v", errors.ErrUnsupported, enc)
}

func (d *decoders) close() {
	if d.zs != nil {
		d.zs.Close()
	}
	*d = decoders{}
}

// streamError turns a decoder's error into one of this package's: its text names what
// is wrong with the stream and never holds content.
func streamError(enc Encoding, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrLimit), errors.Is(err, ErrTruncated), errors.Is(err, ErrCorrupt):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%v: %w", enc, ErrTruncated)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("%v: %w: %v", enc, ErrLimit, err)
	}
	var read readError
	if errors.As(err, &read) {
		return read.error // the caller's reader failed: nothing is said about the stream
	}
	return fmt.Errorf("%v: %w: %v", enc, ErrCorrupt, err)
}

// readError marks an error of the reader below a decoder.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

// marked passes a reader's errors on marked, so that they are told apart from
// those of the stream.
type marked struct{ r io.Reader }

func (m marked) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !isStreamError(err) {
		err = readError{err}
	}
	return n, err
}

func isStreamError(err error) bool {
	return errors.Is(err, ErrLimit) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrCorrupt)
}

// lz4Reader reads Dovecot's LZ4 container: the magic, the largest size of a
// decompressed chunk, then chunks, each behind its compressed size; all numbers 32
// bits big-endian (src/lib-compression/iostream-lz4.h). It has no checksum.
type lz4Reader struct {
	src     io.Reader
	started bool
	max     int
	in, out []byte
	have    []byte // decompressed, not yet read
	err     error
}

// maxLZ4Chunk is more than any Dovecot accepts (64 KiB).
const maxLZ4Chunk = 1 << 20

func (r *lz4Reader) reset(src io.Reader) {
	*r = lz4Reader{src: src, in: r.in, out: r.out}
}

func (r *lz4Reader) Read(p []byte) (int, error) {
	for len(r.have) == 0 {
		if r.err == nil {
			r.err = r.chunk()
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.have)
	r.have = r.have[n:]
	return n, nil
}

func (r *lz4Reader) chunk() error {
	var head [len(magicLZ4) + 4]byte
	if !r.started {
		if _, err := io.ReadFull(r.src, head[:]); err != nil {
			return unexpected(err)
		}
		r.started = true
		n := binary.BigEndian.Uint32(head[len(magicLZ4):])
		if n == 0 || n > maxLZ4Chunk {
			return fmt.Errorf("lz4: %w: chunk size %d", ErrCorrupt, n)
		}
		r.max = int(n)
	}
	if _, err := io.ReadFull(r.src, head[:4]); err != nil {
		return err // io.EOF is the end of the stream
	}
	n := int(binary.BigEndian.Uint32(head[:4]))
	if n == 0 || n > lz4.CompressBlockBound(r.max) {
		return fmt.Errorf("lz4: %w: compressed chunk of %d bytes", ErrCorrupt, uint32(n))
	}
	r.in = grow(r.in, n)
	if _, err := io.ReadFull(r.src, r.in); err != nil {
		return unexpected(err)
	}
	r.out = grow(r.out, r.max)
	k, err := lz4.UncompressBlock(r.in, r.out)
	if err != nil {
		return fmt.Errorf("lz4: %w: %v", ErrCorrupt, err)
	}
	r.have = r.out[:k]
	return nil
}

func grow(p []byte, n int) []byte {
	if cap(p) < n {
		return make([]byte, n)
	}
	return p[:n]
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
