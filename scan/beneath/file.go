package beneath

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// File is a regular file that is open for reading. It is for one goroutine.
type File struct {
	o    *opener
	dir  *Dir
	name string
	fd   int
	off  int64
	st   Stat
	gone bool // its last name was gone when it was looked at
}

// OpenFile opens a regular file below d, on the same file system.
// Anything else is refused with ErrNotRegular or ErrEscape, without waiting.
func (d *Dir) OpenFile(name string) (*File, error) {
	f := new(File)
	if err := d.OpenFileInto(f, name); err != nil {
		return nil, err
	}
	return f, nil
}

// OpenFileInto is OpenFile into a File that is used again, which must be closed.
func (d *Dir) OpenFileInto(f *File, name string) error {
	fd, err, known := -1, error(nil), false
	if d.quick {
		fd, err, known = openQuick(d.fd, name, fileFlags|unix.O_NOATIME, inside)
	}
	if !known {
		fd, err = d.o.open(d.fd, name, fileFlags, inside)
	}
	if err != nil {
		return explain("open", d.path, name, err)
	}
	*f = File{o: d.o, dir: d, name: name, fd: fd}
	f.st, err = f.Stat()
	if err == nil && !f.st.Regular() {
		err = &Error{Op: "open", Path: join(d.path, name), Err: fmt.Errorf("%w: it is a %s", ErrNotRegular, f.st.TypeName())}
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	return nil
}

// Opened returns the state of the file when it was opened.
func (f *File) Opened() *Stat { return &f.st }

// Stat returns the state of the file now.
func (f *File) Stat() (Stat, error) {
	var s Stat
	if err := f.stat(&s); err != nil {
		return Stat{}, f.wrap("stat", err)
	}
	f.gone = s.Links == 0
	return s, nil
}

func (f *File) stat(s *Stat) error {
	if f.dir.quick {
		var st unix.Stat_t // of its own: this one stays on the stack
		err := fstatQuick(f.fd, &st)
		s.fromStat(&st)
		return err
	}
	var st unix.Stat_t
	err := f.o.fstat(f.fd, &st)
	s.fromStat(&st)
	return err
}

func (f *File) wrap(op string, err error) error {
	return &Error{Op: op, Path: join(f.dir.path, f.name), Err: err}
}

// Fd returns the descriptor, which stays f's.
func (f *File) Fd() int { return f.fd }

// Read implements io.Reader from the file's own position.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.off)
	f.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt: a short read means the end of the file.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		m, err := f.o.calls.Pread(f.fd, p[n:], off+int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return n, f.wrap("read", err)
		}
		if m == 0 {
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

// Cached reads at off what is in the page cache, without waiting for the disk.
// ok is false when nothing was, or when the file system cannot tell (known is
// then false too).
func (f *File) Cached(p []byte, off int64) (n int, ok, known bool) {
	for {
		n, err := f.o.calls.PreadNowait(f.fd, p, off)
		switch err {
		case nil:
			return n, true, true
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, false, true
		default:
			return 0, false, false
		}
	}
}

// WillNeed asks the kernel to begin reading the first n bytes.
func (f *File) WillNeed(n int64) { _ = f.o.calls.Fadvise(f.fd, 0, n, unix.FADV_WILLNEED) }

// DontNeed asks the kernel to forget the file's cached bytes.
func (f *File) DontNeed() { _ = f.o.calls.Fadvise(f.fd, 0, 0, unix.FADV_DONTNEED) }

// Close releases the descriptor. Closing twice is harmless.
func (f *File) Close() error {
	if f == nil || f.o == nil || f.fd < 0 {
		return nil
	}
	fd := f.fd
	f.fd = -1
	if f.dir.quick && !f.gone { // closing the last of a deleted file frees its blocks
		return closeQuick(fd)
	}
	return f.o.calls.Close(fd)
}

// Name returns the name under which the file was opened.
func (f *File) Name() string { return f.name }
