package archive

import (
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"mailsync/scan/message"
)

// errBomb reports data that grows beyond every reason when decompressed.
var errBomb = errors.New("decompresses to far more than mail does: refused")

// bombFloor is what any file may decompress to before its ratio is looked at.
const bombFloor = 64 << 20

// maxRatio is how many times its own size a larger file may decompress to.
const maxRatio = 300

// maxDictionary is what a decoder of xz may allocate.
const maxDictionary = 128 << 20

// compression returns the name of the compression that data starts with, or "".
func compression(head []byte) string {
	switch {
	case len(head) >= 3 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8:
		return "gzip"
	case len(head) >= 4 && head[0] == 0x28 && head[1] == 0xb5 && head[2] == 0x2f && head[3] == 0xfd,
		len(head) >= 4 && head[0]&0xf0 == 0x50 && head[1] == 0x2a && head[2] == 0x4d && head[3] == 0x18: // skippable frame first
		return "zstd"
	case len(head) >= 10 && bytes.HasPrefix(head, []byte("BZh")) && head[3] >= '1' && head[3] <= '9' &&
		(bytes.Equal(head[4:10], []byte{0x31, 0x41, 0x59, 0x26, 0x53, 0x59}) || bytes.Equal(head[4:10], []byte{0x17, 0x72, 0x45, 0x38, 0x50, 0x90})):
		return "bzip2"
	case len(head) >= 6 && bytes.Equal(head[:6], []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return "xz"
	}
	return ""
}

// decompress undoes one layer of compression. Members and frames that follow
// each other are one stream. The closer frees what the decoder holds.
func decompress(kind string, r io.Reader) (io.Reader, func(), error) {
	in := &counter{r: r}
	var out io.Reader
	closer := func() {}
	switch kind {
	case "gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, nil, err
		}
		out = z
	case "zstd":
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			return nil, nil, err
		}
		out, closer = z, z.Close
	case "bzip2":
		out = bzip2.NewReader(in)
	case "xz":
		z, err := message.OpenXZ(in, maxDictionary)
		if err != nil {
			return nil, nil, err
		}
		out = z
	default:
		return nil, nil, fmt.Errorf("no decoder for %q", kind)
	}
	return &guard{r: out, in: in}, closer, nil
}

// counter counts what is read through it.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// guard ends a stream that decompresses beyond reason.
type guard struct {
	r   io.Reader
	in  *counter
	out int64
}

func (g *guard) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	g.out += int64(n)
	if g.out > bombFloor && g.out/maxRatio > g.in.n {
		return 0, errBomb
	}
	return n, err
}
