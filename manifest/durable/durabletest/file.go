package durabletest

import (
	"errors"
	"io"
	"maps"
	"slices"
	"syscall"

	"mailsync/manifest/durable"
)

type file struct {
	d    *Disk
	n    *inode
	name string
	at   int64
}

func (f *file) Read(p []byte) (int, error) {
	err := f.d.enter("read", f.name)
	defer f.d.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if f.at >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[f.at:])
	f.at += int64(n)
	return n, nil
}

// Write fails with half of p written where Fail says so, as a full disk does.
func (f *file) Write(p []byte) (int, error) {
	err := f.d.change("write", f.name)
	defer f.d.mu.Unlock()
	n := len(p)
	if errors.Is(err, syscall.ENOSPC) {
		n /= 2
	} else if err != nil {
		return 0, err
	}
	if need := int(f.at) + n; need > len(f.n.data) {
		f.n.data = append(f.n.data, make([]byte, need-len(f.n.data))...)
	}
	copy(f.n.data[f.at:], p[:n])
	f.at += int64(n)
	return n, err
}

func (f *file) Seek(offset int64, whence int) (int64, error) {
	err := f.d.enter("seek", f.name)
	defer f.d.mu.Unlock()
	if err != nil {
		return 0, err
	}
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += int64(len(f.n.data))
	}
	f.at = offset
	return offset, nil
}

func (f *file) Truncate(size int64) error {
	err := f.d.change("truncate", f.name)
	defer f.d.mu.Unlock()
	if err != nil {
		return err
	}
	if size <= int64(len(f.n.data)) {
		f.n.data = slices.Clone(f.n.data[:size])
	} else {
		f.n.data = append(f.n.data, make([]byte, size-int64(len(f.n.data)))...)
	}
	return nil
}

func (f *file) Sync() error {
	err := f.d.enter("fsync", f.name)
	defer f.d.mu.Unlock()
	switch {
	case err != nil:
		return err
	case f.d.Shut && f.n.dir:
		return nil // the lie that probes are for
	case f.d.Shut:
		return fail("fsync", f.name, syscall.EIO)
	}
	f.n.sync()
	return nil
}

func (n *inode) sync() {
	if n.dir {
		n.durable = maps.Clone(n.names)
	} else {
		n.synced = slices.Clone(n.data)
	}
}

func (f *file) SyncFS() error {
	err := f.d.change("syncfs", f.name)
	defer f.d.mu.Unlock()
	if err != nil {
		return err
	}
	var all func(n *inode)
	all = func(n *inode) {
		n.sync()
		for _, c := range n.names {
			all(c)
		}
	}
	all(f.d.root)
	return nil
}

func (f *file) Type() (int64, error) {
	err := f.d.enter("fstatfs", f.name)
	defer f.d.mu.Unlock()
	return f.d.Kind, err
}

func (f *file) Lock() error {
	err := f.d.enter("flock", f.name)
	defer f.d.mu.Unlock()
	if err != nil {
		return err
	}
	if f.n.locked != nil && f.n.locked != f {
		return fail("flock", f.name, durable.ErrLocked)
	}
	f.n.locked = f
	return nil
}

func (f *file) Size() (int64, error) {
	err := f.d.enter("fstat", f.name)
	defer f.d.mu.Unlock()
	return int64(len(f.n.data)), err
}

// Close releases the lock also where it fails, as close(2) does.
func (f *file) Close() error {
	err := f.d.enter("close", f.name)
	defer f.d.mu.Unlock()
	if f.n.locked == f {
		f.n.locked = nil
	}
	return err
}
