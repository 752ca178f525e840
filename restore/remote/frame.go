package remote

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// A stream carries frames: one byte of kind, four of length, the frame. The
// first is the request; the answer is any number of items and data, and one
// end. What has no end was cut off.
const (
	frameRequest byte = 1 // CBOR: request
	frameItem    byte = 2 // CBOR; what, depends on the method
	frameData    byte = 3 // bytes of a manifest or a message
	framePacked  byte = 4 // the same as one zstd frame
	frameEnd     byte = 5 // CBOR: end
	frameWorking byte = 6 // nothing: the answer takes long
)

const (
	frameHead = 5
	// maxFrame bounds a frame, in bytes.
	maxFrame = 256 << 10
	// maxData is how many bytes of a manifest or message one frame carries,
	// unpacked.
	maxData = 64 << 10
)

// The modes of the encoding. Go strings travel as byte strings, for names of
// mailboxes and files need not be UTF-8.
var (
	encMode = must(cbor.EncOptions{String: cbor.StringToByteString}.EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:          cbor.DupMapKeyEnforcedAPF,
		IndefLength:        cbor.IndefLengthForbidden,
		TagsMd:             cbor.TagsForbidden,
		MaxNestedLevels:    8,
		MaxArrayElements:   16 << 10,
		MaxMapPairs:        256,
		ByteStringToString: cbor.ByteStringToStringAllowed,
		ExtraReturnErrors:  cbor.ExtraDecErrorUnknownField,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // options that contradict themselves: every test would fail
	}
	return v
}

// Encode encodes a value of a task as this package encodes its own.
func Encode(v any) ([]byte, error) { return encMode.Marshal(v) }

// Decode is the inverse of Encode. It refuses duplicate and unknown keys, and
// what is nested deeper, or has more elements, than anything in the protocol.
func Decode(p []byte, v any) error {
	if err := decMode.Unmarshal(p, v); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}

// end ends an answer.
type end struct {
	Err *wireError `cbor:"1,keyasint,omitempty"`
}

// frames reads and writes the frames of one stream.
type frames struct {
	r   *bufio.Reader
	buf []byte

	mu   sync.Mutex // of what follows: a sign of work may come between two frames
	w    *bufio.Writer
	sent int // frames
}

func newFrames(rw io.ReadWriter) *frames {
	return &frames{r: bufio.NewReaderSize(rw, 16<<10), w: bufio.NewWriterSize(rw, 64<<10)}
}

// send writes a frame; it is on its way after flush.
func (f *frames) send(kind byte, p []byte) error {
	if len(p) > maxFrame {
		return fmt.Errorf("%w: a frame of %d bytes", ErrProtocol, len(p))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.write(kind, p)
}

// write writes a frame, with mu held.
func (f *frames) write(kind byte, p []byte) error {
	f.sent++
	var h [frameHead]byte
	h[0] = kind
	binary.BigEndian.PutUint32(h[1:], uint32(len(p)))
	if _, err := f.w.Write(h[:]); err != nil {
		return lost(err)
	}
	if _, err := f.w.Write(p); err != nil {
		return lost(err)
	}
	return nil
}

func (f *frames) sendValue(kind byte, v any) error {
	p, err := encMode.Marshal(v)
	if err != nil {
		return err
	}
	return f.send(kind, p)
}

func (f *frames) flush() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.w.Flush(); err != nil {
		return lost(err)
	}
	return nil
}

// next reads a frame, which is valid until the next call. Its length is checked
// before anything is allocated for it.
func (f *frames) next() (kind byte, p []byte, err error) {
	var h [frameHead]byte
	if _, err := io.ReadFull(f.r, h[:]); err != nil {
		return 0, nil, lost(err)
	}
	n := binary.BigEndian.Uint32(h[1:])
	if n > maxFrame || h[0] < frameRequest || h[0] > frameWorking {
		return 0, nil, fmt.Errorf("%w: a frame of kind %d and %d bytes", ErrProtocol, h[0], n)
	}
	if uint32(cap(f.buf)) < n {
		f.buf = make([]byte, n, max(n, 4<<10))
	}
	f.buf = f.buf[:n]
	if _, err := io.ReadFull(f.r, f.buf); err != nil {
		return 0, nil, lost(err)
	}
	return h[0], f.buf, nil
}

// lost makes an ErrLost of an error of the pipe.
func lost(err error) error {
	if errors.Is(err, ErrLost) {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends in the middle", ErrLost)
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}
