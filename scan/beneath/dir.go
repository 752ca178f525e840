package beneath

import (
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Dir is an open directory. It is safe for use by several goroutines, except
// that List reads from the one descriptor: one List at a time.
type Dir struct {
	o    *opener
	fd   int
	path string // for messages only
	read bool   // it was listed before
	// quick: what is beneath may be opened and closed without waiting.
	quick bool
	gone  atomic.Bool // it was removed when it was looked at
}

// OpenRoot opens the directory at path, which is the operator's own word:
// symbolic links in it are followed. Everything opened from it lies beneath it.
func OpenRoot(path string, opt Options) (*Dir, error) {
	o := &opener{calls: opt.Calls.withDefaults(), onAtime: opt.OnAtime, real: opt.Calls.none()}
	fd, err := o.openRoot(path)
	if err != nil {
		return nil, &Error{Op: "open", Path: path, Err: err}
	}
	return (&Dir{o: o, fd: fd, path: path}).learn(), nil
}

func (o *opener) openRoot(path string) (int, error) {
	fd, err := o.openat(unix.AT_FDCWD, path, dirFlags&^unix.O_NOFOLLOW|unix.O_NOATIME)
	if err == unix.EPERM {
		fd, err = o.openat(unix.AT_FDCWD, path, dirFlags&^unix.O_NOFOLLOW)
		if err == nil {
			o.noteAtime(fd, path)
		}
	}
	return fd, err
}

// Root opens another directory of the operator's with the same options and
// calls as d: a control or index tree, or a mailbox that a users list places
// outside the store.
func (d *Dir) Root(path string) (*Dir, error) {
	fd, err := d.o.openRoot(path)
	if err != nil {
		return nil, &Error{Op: "open", Path: path, Err: err}
	}
	return (&Dir{o: d.o, fd: fd, path: path}).learn(), nil
}

// Path returns the path for messages. It is not to be opened.
func (d *Dir) Path() string { return d.path }

// Fd returns the descriptor, which stays d's.
func (d *Dir) Fd() int { return d.fd }

// Close releases the descriptor. Closing twice is harmless.
func (d *Dir) Close() error {
	if d == nil || d.fd < 0 {
		return nil
	}
	fd := d.fd
	d.fd = -1
	if d.quick && !d.gone.Load() { // closing the last of a removed directory frees its blocks
		return closeQuick(fd)
	}
	return d.o.calls.Close(fd)
}

// OpenDir opens a directory below d on the same file system. The name may have
// several components; none may be a symbolic link.
func (d *Dir) OpenDir(name string) (*Dir, error) { return d.openDir(name, inside) }

// OpenMounted is OpenDir, except that the way may lead onto another file
// system: mailboxes of one store may lie on several disks.
func (d *Dir) OpenMounted(name string) (*Dir, error) { return d.openDir(name, otherDisk) }

// OpenLinked is OpenMounted, except that symbolic links are followed, also out
// of the store. It is for the roots of mailboxes, where the operator has said
// that links there are the operator's own.
func (d *Dir) OpenLinked(name string) (*Dir, error) { return d.openDir(name, linked) }

func (d *Dir) openDir(name string, r reach) (*Dir, error) {
	if name == "" {
		name = "."
	}
	if len(name) > maxPath {
		return d.openLong(name, r)
	}
	fd, err, known := -1, error(nil), false
	if d.quick && r == inside {
		fd, err, known = openQuick(d.fd, name, dirFlags|unix.O_NOATIME, r)
	}
	if !known {
		fd, err = d.o.open(d.fd, name, dirFlags, r)
	}
	if err != nil {
		return nil, explain("open", d.path, name, err)
	}
	sub := &Dir{o: d.o, fd: fd, path: join(d.path, name)}
	if r != inside {
		return sub.learn(), nil
	}
	sub.quick = d.quick
	return sub, nil
}

// maxPath is the longest path that is given to the kernel at once (PATH_MAX is
// 4,096 with the final NUL).
const maxPath = 4000

// openLong opens a directory whose path is longer than the kernel takes, part
// by part.
func (d *Dir) openLong(name string, r reach) (*Dir, error) {
	at := d
	for {
		part, rest := name, ""
		if len(name) > maxPath {
			cut := strings.LastIndexByte(name[:maxPath], '/')
			if cut <= 0 {
				return nil, explain("open", d.path, name, unix.ENAMETOOLONG)
			}
			part, rest = name[:cut], name[cut+1:]
		}
		next, err := at.openDir(part, r)
		if at != d {
			_ = at.Close()
		}
		if err != nil || rest == "" {
			return next, err
		}
		at, name = next, rest
	}
}

func join(dir, name string) string {
	if name == "." {
		return dir
	}
	return dir + "/" + name
}

// Self returns the state of the directory itself.
func (d *Dir) Self() (Stat, error) {
	var s Stat
	if err := d.self(&s); err != nil {
		return Stat{}, &Error{Op: "stat", Path: d.path, Err: err}
	}
	if s.Links == 0 {
		d.gone.Store(true)
	}
	return s, nil
}

func (d *Dir) self(s *Stat) error {
	if d.quick {
		var st unix.Stat_t // of its own: this one stays on the stack
		err := fstatQuick(d.fd, &st)
		s.fromStat(&st)
		return err
	}
	var st unix.Stat_t
	err := d.o.fstat(d.fd, &st)
	s.fromStat(&st)
	return err
}

func (o *opener) fstat(fd int, st *unix.Stat_t) error {
	for {
		err := o.calls.Fstat(fd, st)
		if err != unix.EINTR {
			return err
		}
	}
}

// Stat returns the state of a name below d without following it. A name of
// several components is resolved by the kernel without the guards of OpenDir:
// it serves to learn that something has not changed (device, inode and times
// prove which thing was seen), not to decide what to read.
func (d *Dir) Stat(name string) (Stat, error) {
	for {
		var s Stat
		err := d.statx(name, &s)
		switch err {
		case nil:
			return s, nil
		case unix.EINTR:
		default:
			return Stat{}, &Error{Op: "stat", Path: join(d.path, name), Err: err}
		}
	}
}

func (d *Dir) statx(name string, s *Stat) error {
	const flags = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if d.o.real {
		var st unix.Statx_t // of its own: this one stays on the stack
		err := unix.Statx(d.fd, name, flags, unix.STATX_BASIC_STATS, &st)
		s.fromStatx(&st)
		return err
	}
	var st unix.Statx_t
	err := d.o.calls.Statx(d.fd, name, flags, unix.STATX_BASIC_STATS, &st)
	s.fromStatx(&st)
	return err
}

// FileSystem returns what is known of the file system that d lies on.
func (d *Dir) FileSystem() (FileSystem, error) {
	var st unix.Statfs_t
	for {
		err := d.o.calls.Fstatfs(d.fd, &st)
		switch err {
		case nil:
			free, inodes := st.Bavail, int64(st.Ffree)
			if unix.Geteuid() == 0 {
				free = st.Bfree
			}
			if st.Files == 0 { // btrfs makes them as they are wanted
				inodes = -1
			}
			return FileSystem{
				ID:       uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32,
				Type:     int64(st.Type),
				ReadOnly: st.Flags&unix.ST_RDONLY != 0,
				NoAtime:  st.Flags&unix.ST_NOATIME != 0,
				Free:     int64(free) * st.Bsize,
				Block:    st.Bsize,
				Inodes:   inodes,
			}, nil
		case unix.EINTR:
		default:
			return FileSystem{}, &Error{Op: "statfs", Path: d.path, Err: err}
		}
	}
}
