package beneath

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Holes is where a file has no data on disk: it reads as NULs there.
type Holes struct {
	Data    int64 // bytes that are there
	Longest int64
	Tail    int64 // the hole that ends the file
}

// maxExtents bounds how many pieces of one file are looked at.
const maxExtents = 1 << 16

// Holes tells where a file has no data (lseek(2), SEEK_HOLE). Where the file
// system cannot tell, or there are too many pieces to look at, all of it is
// data. It moves no offset that a Read follows.
func (f *File) Holes() (Holes, error) {
	var h Holes
	size := f.st.Size
	for off, n := int64(0), 0; off < size; n++ {
		data, err := f.seek(off, unix.SEEK_DATA)
		switch {
		case errors.Is(err, unix.ENXIO):
			data = size // nothing but a hole from here
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP), err == nil && n == maxExtents:
			return Holes{Data: size}, nil
		case err != nil:
			return h, f.wrap("lseek", err)
		}
		data = min(data, size)
		h.Tail = 0
		if data > off {
			h.Longest = max(h.Longest, data-off)
			if data == size {
				h.Tail = data - off
			}
		}
		if off = data; off == size {
			break
		}
		end, err := f.seek(off, unix.SEEK_HOLE)
		if err != nil {
			return h, f.wrap("lseek", err)
		}
		if end <= off {
			return Holes{Data: size}, nil
		}
		end = min(end, size)
		h.Data += end - off
		off = end
	}
	return h, nil
}

func (f *File) seek(off int64, whence int) (int64, error) {
	for {
		at, err := f.o.calls.Seek(f.fd, off, whence)
		if err != unix.EINTR {
			return at, err
		}
	}
}
