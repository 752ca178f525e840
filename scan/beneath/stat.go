package beneath

import "golang.org/x/sys/unix"

// Stat is what stat(2) says of a name, or of an open file.
type Stat struct {
	Dev          uint64
	Inode        uint64
	Mode         uint32 // type and permission bits, as st_mode
	Links        uint64
	Owner, Group uint32
	Size         int64
	Blocks       int64 // of 512 bytes
	MTime, CTime int64 // nanoseconds since 1970
}

// Regular tells whether it is a regular file.
func (s *Stat) Regular() bool { return s.Mode&unix.S_IFMT == unix.S_IFREG }

// Directory tells whether it is a directory.
func (s *Stat) Directory() bool { return s.Mode&unix.S_IFMT == unix.S_IFDIR }

// Symlink tells whether it is a symbolic link.
func (s *Stat) Symlink() bool { return s.Mode&unix.S_IFMT == unix.S_IFLNK }

// TypeName names the type for a person.
func (s *Stat) TypeName() string {
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "regular file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "symbolic link"
	case unix.S_IFIFO:
		return "FIFO"
	case unix.S_IFSOCK:
		return "socket"
	case unix.S_IFCHR:
		return "character device"
	case unix.S_IFBLK:
		return "block device"
	}
	return "unknown type"
}

// Same tells whether o is the same file in the same state.
func (s *Stat) Same(o *Stat) bool {
	return s.Dev == o.Dev && s.Inode == o.Inode && s.Size == o.Size && s.MTime == o.MTime && s.CTime == o.CTime
}

func (s *Stat) fromStat(st *unix.Stat_t) {
	*s = Stat{
		Dev: st.Dev, Inode: st.Ino, Mode: st.Mode, Links: uint64(st.Nlink), Owner: st.Uid, Group: st.Gid,
		Size: st.Size, Blocks: st.Blocks, MTime: st.Mtim.Nano(), CTime: st.Ctim.Nano(),
	}
}

func (s *Stat) fromStatx(st *unix.Statx_t) {
	*s = Stat{
		Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Inode: st.Ino, Mode: uint32(st.Mode), Links: uint64(st.Nlink),
		Owner: st.Uid, Group: st.Gid, Size: int64(st.Size), Blocks: int64(st.Blocks),
		MTime: st.Mtime.Sec*1e9 + int64(st.Mtime.Nsec), CTime: st.Ctime.Sec*1e9 + int64(st.Ctime.Nsec),
	}
}

// FileSystem is what statfs(2) says.
type FileSystem struct {
	ID       uint64 // f_fsid
	Type     int64  // magic number, statfs(2)
	ReadOnly bool
	NoAtime  bool
	Free     int64 // bytes that this process may still use
	Block    int64 // bytes that the smallest piece of a file takes
	Inodes   int64 // that are free; -1: as many as there is room for
}

// DirentType returns the type as a directory listing names it (DT_REG …).
func (s *Stat) DirentType() uint8 { return uint8(s.Mode & unix.S_IFMT >> 12) }
