package place

import (
	"golang.org/x/sys/unix"
)

// Temp is a message that is being written under a temporary name.
type Temp struct {
	o    *Ops
	dir  int
	Name string
	fd   int
	Stat unix.Stat_t // after Finish
}

// NewTemp creates a file in a tmp directory.
func (o *Ops) NewTemp(dirfd int, name string, mode uint32) (Temp, error) {
	fd, err := o.Create(dirfd, name, mode)
	if err != nil {
		_ = o.Unlink(dirfd, name) // the call may have taken effect; the name is ours alone
	}
	return Temp{o: o, dir: dirfd, Name: name, fd: fd}, err
}

// Write appends to the file.
func (t *Temp) Write(p []byte) error { return t.o.Write(t.fd, t.Name, p) }

// Finish sets owner, mode and mtime (nanoseconds since 1970, 0 leaves it),
// syncs the file where wanted, and closes it. On failure the file is removed.
func (t *Temp) Finish(own Owner, mtime int64, sync bool) error {
	err := t.o.give(t.fd, t.Name, own, own.Mode, &t.Stat)
	if err == nil && mtime != 0 {
		err = t.o.SetTimes(t.fd, t.Name, mtime)
	}
	if err == nil && sync {
		err = t.o.Fsync(t.fd, t.Name)
	}
	if e := t.o.Close(t.fd); err == nil {
		err = e
	}
	t.fd = -1
	if err != nil {
		_ = t.o.Unlink(t.dir, t.Name)
	}
	return err
}

// Abort removes the file.
func (t *Temp) Abort() {
	if t.fd >= 0 {
		_ = t.o.Close(t.fd)
		t.fd = -1
	}
	_ = t.o.Unlink(t.dir, t.Name)
}
