package beneath

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"
	"sync"

	"golang.org/x/sys/unix"
)

// Dirent is one name in a directory.
type Dirent struct {
	Name  []byte // valid until the next one
	Inode uint64
	Type  uint8 // DT_REG and so on, unix.DT_UNKNOWN where the file system does not tell
}

// errDirent reports a record of getdents(2) that makes no sense.
var errDirent = errors.New("malformed directory record")

var listBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// List yields every name of the directory except "." and "..", in the order in
// which the file system gives them, from the beginning. Memory does not grow
// with the directory. An error means that the listing is not whole, whatever
// was yielded before.
func (d *Dir) List() iter.Seq2[Dirent, error] {
	return func(yield func(Dirent, error) bool) {
		if d.read {
			if err := d.o.calls.Rewind(d.fd); err != nil {
				yield(Dirent{}, &Error{Op: "list", Path: d.path, Err: err})
				return
			}
		}
		d.read = true
		bp := listBuffers.Get().(*[]byte)
		defer listBuffers.Put(bp)
		for {
			n, err := d.o.calls.Getdents(d.fd, *bp)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				yield(Dirent{}, &Error{Op: "list", Path: d.path, Err: err})
				return
			}
			if n == 0 {
				return
			}
			for b := (*bp)[:n]; len(b) > 0; {
				e, rest, err := parseDirent(b)
				if err != nil {
					yield(Dirent{}, &Error{Op: "list", Path: d.path, Err: err})
					return
				}
				b = rest
				if len(e.Name) == 1 && e.Name[0] == '.' || len(e.Name) == 2 && e.Name[0] == '.' && e.Name[1] == '.' {
					continue
				}
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// parseDirent reads one struct linux_dirent64: u64 inode, s64 offset, u16
// record length, u8 type, NUL-terminated name.
func parseDirent(b []byte) (Dirent, []byte, error) {
	const head = 19
	if len(b) < head+1 {
		return Dirent{}, nil, errDirent
	}
	n := int(binary.NativeEndian.Uint16(b[16:]))
	if n < head+1 || n > len(b) {
		return Dirent{}, nil, errDirent
	}
	name := b[head:n]
	end := bytes.IndexByte(name, 0)
	if end <= 0 {
		return Dirent{}, nil, errDirent
	}
	return Dirent{Name: name[:end:end], Inode: binary.NativeEndian.Uint64(b), Type: b[18]}, b[n:], nil
}
