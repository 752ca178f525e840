//go:build powerfail

package powerfail

import (
	"bytes"
	"errors"
	"io"
	"os"
)

const chunkSize = 64 << 10

// image is a disk's content, held sparsely. Clones share what neither has
// written since.
type image struct {
	size   int64
	chunks map[int64]*chunk
}

type chunk struct {
	p     [chunkSize]byte
	owner *image // only the owner may write to p
}

func newImage(size int64) *image {
	return &image{size: size, chunks: map[int64]*chunk{}}
}

// clone returns a copy. The original must not be written to any more, except
// through further clones.
func (m *image) clone() *image {
	c := newImage(m.size)
	for i, ch := range m.chunks {
		c.chunks[i] = ch
	}
	return c
}

func (m *image) writeAt(p []byte, off int64) {
	for len(p) > 0 {
		i, at := off/chunkSize, off%chunkSize
		n := min(int64(len(p)), chunkSize-at)
		ch := m.chunks[i]
		if ch == nil || ch.owner != m {
			own := &chunk{owner: m}
			if ch != nil {
				own.p = ch.p
			}
			m.chunks[i], ch = own, own
		}
		copy(ch.p[at:], p[:n])
		p, off = p[n:], off+n
	}
}

func (m *image) readAt(p []byte, off int64) int {
	if off >= m.size {
		return 0
	}
	p = p[:min(int64(len(p)), m.size-off)]
	total := len(p)
	for len(p) > 0 {
		i, at := off/chunkSize, off%chunkSize
		n := min(int64(len(p)), chunkSize-at)
		if ch := m.chunks[i]; ch != nil {
			copy(p[:n], ch.p[at:])
		} else {
			clear(p[:n])
		}
		p, off = p[n:], off+n
	}
	return total
}

// save writes the image to a sparse file.
func (m *image) save(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(m.size); err != nil {
		return err
	}
	for i, ch := range m.chunks {
		p := ch.p[:min(chunkSize, m.size-i*chunkSize)]
		if _, err := f.WriteAt(p, i*chunkSize); err != nil {
			return err
		}
	}
	return f.Close()
}

// loadImage reads an image file, leaving out what is zero.
func loadImage(path string) (*image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m := newImage(fi.Size())
	zero := make([]byte, chunkSize)
	buf := make([]byte, chunkSize)
	for off := int64(0); off < m.size; off += chunkSize {
		n, err := f.ReadAt(buf, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if !bytes.Equal(buf[:n], zero[:n]) {
			m.writeAt(buf[:n], off)
		}
	}
	return m, nil
}
