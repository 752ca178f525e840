package main

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"mailsync/restore/remote"
)

// servePipe joins standard input and output. What waits in a read or a write of
// a file that this process was born with is not woken when the file is closed;
// so that serve ends when it is told to, or when the other end has fallen
// silent, it uses descriptors of its own that do not block. done undoes what
// others who hold the same files would notice.
func servePipe(in io.Reader, out io.Writer) (pipe *remote.Pipe, done func(), err error) {
	fin, ok1 := in.(*os.File)
	fout, ok2 := out.(*os.File)
	if !ok1 || !ok2 {
		return &remote.Pipe{Reader: in, Writer: out, Closer: func() error { return nil }}, func() {}, nil
	}
	r, undoIn, err := unblocked(fin)
	if err != nil {
		return nil, nil, err
	}
	w, undoOut, err := unblocked(fout)
	if err != nil {
		_ = r.Close()
		undoIn()
		return nil, nil, err
	}
	pipe = &remote.Pipe{Reader: r, Writer: w, Closer: func() error { return errors.Join(r.Close(), w.Close()) }}
	return pipe, func() { undoOut(); undoIn() }, nil // it may be one socket: the flags as they were before both
}

// unblocked returns a descriptor of the same file whose reads and writes end
// when it is closed.
func unblocked(f *os.File) (own *os.File, undo func(), err error) {
	fd := int(f.Fd())
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(dup, true); err != nil {
		_ = unix.Close(dup)
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(dup), f.Name()), func() { _ = unix.SetNonblock(fd, flags&unix.O_NONBLOCK != 0) }, nil
}
