package faulty

import (
	"io"
	"os"

	"mailsync/manifest/durable"
)

// State returns a file system through which fsys is reached, and of which one
// call may fail. Syncs are not passed on. Interruptions and short writes are
// not seen here: durable.System deals with them below.
func (j *Injector) State(fsys durable.FS) durable.FS { return &state{j, fsys} }

type state struct {
	j *Injector
	durable.FS
}

// The ways at this level.
var (
	stateLooks  = []Way{EIO, EACCES}
	stateReads  = []Way{EIO, Short}
	stateWrites = []Way{EIO, ENOSPC, EDQUOT} // of fsync and syncfs, too
)

func (s *state) do(op, name string, ways []Way, call func() error) error {
	err := s.j.do("state "+op, name, ways, call)
	return wrap(op, name, err)
}

// wrap gives an error the form that durable.FS promises.
func wrap(op, name string, err error) error {
	switch err.(type) {
	case nil, *os.PathError, *os.LinkError:
		return err
	}
	return &os.PathError{Op: op, Path: name, Err: err}
}

func (s *state) Open(name string, flag int, perm os.FileMode) (f durable.File, err error) {
	op, ways := "open", stateLooks
	if flag&os.O_CREATE != 0 {
		op, ways = "create", creates
	}
	err = s.do(op, name, ways, func() (err error) {
		f, err = s.FS.Open(name, flag, perm)
		return err
	})
	if err != nil {
		if f != nil { // denied late
			_ = f.Close()
		}
		return nil, err
	}
	return &file{s.j, f, name}, nil
}

func (s *state) Mkdir(name string, perm os.FileMode) error {
	return s.do("mkdir", name, creates, func() error { return s.FS.Mkdir(name, perm) })
}

func (s *state) Rename(oldname, newname string) error {
	return s.do("rename", newname, creates, func() error { return s.FS.Rename(oldname, newname) })
}

func (s *state) Link(oldname, newname string) error {
	return s.do("link", newname, creates, func() error { return s.FS.Link(oldname, newname) })
}

func (s *state) Remove(name string) error {
	return s.do("unlink", name, removes, func() error { return s.FS.Remove(name) })
}

func (s *state) Names(name string) (list []string, err error) {
	err = s.do("getdents64", name, stateLooks, func() (err error) {
		list, err = s.FS.Names(name)
		return err
	})
	return list, err
}

func (s *state) Stat(name string) (info durable.Info, err error) {
	err = s.do("lstat", name, stateLooks, func() (err error) {
		info, err = s.FS.Stat(name)
		return err
	})
	return info, err
}

type file struct {
	j *Injector
	durable.File
	name string
}

func (f *file) do(op string, ways []Way, call func() error) error {
	return wrap(op, f.name, f.j.do("state "+op, f.name, ways, call))
}

func (f *file) Read(p []byte) (int, error) {
	switch w := f.j.now("state read", f.name, stateReads); w {
	case "":
		return f.File.Read(p)
	case Short:
		return f.File.Read(p[:(len(p)+1)/2])
	default:
		return 0, wrap("read", f.name, w.errno())
	}
}

// Write leaves half of p behind where the disk is full, as disks do.
func (f *file) Write(p []byte) (int, error) {
	switch w := f.j.now("state write", f.name, stateWrites); w {
	case "":
		return f.File.Write(p)
	case EIO:
		return 0, wrap("write", f.name, w.errno())
	default:
		n, err := f.File.Write(p[:len(p)/2])
		if err == nil {
			err = wrap("write", f.name, w.errno())
		}
		return n, err
	}
}

func (f *file) Seek(offset int64, whence int) (at int64, err error) {
	err = f.do("lseek", rests, func() (err error) {
		at, err = f.File.Seek(offset, whence)
		return err
	})
	return at, err
}

func (f *file) Truncate(size int64) error {
	return f.do("ftruncate", changes, func() error { return f.File.Truncate(size) })
}

func (f *file) Sync() error   { return f.do("fsync", stateWrites, func() error { return nil }) }
func (f *file) SyncFS() error { return f.do("syncfs", stateWrites, func() error { return nil }) }

func (f *file) Type() (t int64, err error) {
	err = f.do("fstatfs", stateLooks, func() (err error) {
		t, err = f.File.Type()
		return err
	})
	return t, err
}

func (f *file) Lock() error { return f.do("flock", rests, f.File.Lock) }

func (f *file) Size() (n int64, err error) {
	err = f.do("fstat", stateLooks, func() (err error) {
		n, err = f.File.Size()
		return err
	})
	return n, err
}

func (f *file) Close() error {
	return wrap("close", f.name, f.j.after("state close", f.File.Close))
}

var _ io.Seeker = (*file)(nil)
