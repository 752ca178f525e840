package scan

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"strings"

	"github.com/zeebo/blake3"

	"mailsync/manifest"
	"mailsync/scan/maildir"
)

// A watch is what is kept beside a mailbox' record so that an unchanged mailbox
// costs a few stat calls and no opened file: a version, a digest over stamps,
// and the directories that they are of.
//
//	byte    version (1)
//	byte[16] first half of the BLAKE3 digest of all stamps, in order
//	for each directory, the root first:
//	  byte    kind: 0 holds folders only, 1 folder, 2 folder with Courier's UID list
//	  uvarint length of its path relative to the root
//	  bytes   the path
const watchVersion = 1

// Kinds of directories in a watch.
const (
	watchPlain   = 0
	watchFolder  = 1
	watchCourier = 2
)

// maxWatch bounds the watch of a mailbox; one with more folders is looked at.
const maxWatch = manifest.MaxWatch

// stamper collects stamps for their digest: some hundred bytes of a usual
// mailbox, some hundred thousand of one with as many folders as a watch holds.
type stamper struct{ buf []byte }

func (s *stamper) add(dev uint64, st manifest.DirStamp) {
	b := s.buf
	b = binary.LittleEndian.AppendUint64(b, dev)
	b = binary.LittleEndian.AppendUint64(b, st.Inode)
	b = binary.LittleEndian.AppendUint64(b, uint64(st.MTime))
	b = binary.LittleEndian.AppendUint64(b, uint64(st.CTime))
	s.buf = binary.LittleEndian.AppendUint64(b, uint64(st.Size))
}

func (s *stamper) sum() [16]byte {
	sum := blake3.Sum256(s.buf)
	return [16]byte(sum[:16])
}

// watch returns the mailbox' watch after a look that ended, or nil where the
// stamps do not prove that what was recorded is all there was, or where
// something stands that the next scan has to tell again.
func (v *View) watch() []byte {
	c := &v.counts
	if !v.ended || v.unsafe || v.unproven > 0 || c.Damaged+c.Suspect+c.Disordered+c.Unreadable > 0 || v.standing {
		return nil
	}
	byDir := make(map[string]*folderLook, len(v.folders))
	for _, fl := range v.folders {
		if fl.missing {
			continue
		}
		byDir[fl.info.Dir] = fl
	}
	var s stamper
	var paths []byte
	ok := func(st manifest.DirStamp) bool { return st.Safe || st.IsZero() }
	for i := range v.tree {
		b := &v.tree[i]
		self := settled(stampOf(&b.stat), v.began, v.margin)
		if !self.Safe || !b.still {
			return nil
		}
		s.add(b.stat.Dev, self)
		kind := byte(watchPlain)
		if fl := byDir[b.dir]; fl != nil {
			f := &fl.info
			if fl.blind != nil || fl.looks > 0 || !ok(f.NewStamp) || !ok(f.CurStamp) || !ok(f.UIDListStamp) {
				return nil
			}
			if fl.branch.files[maildir.CourierKeywordDir] {
				return nil // keywords change there, and no stamp that is watched moves
			}
			kind = watchFolder
			if uidListName(fl.branch.files) != maildir.UIDListFile {
				kind = watchCourier
			}
			s.add(watchDev(f.NewStamp, b.stat.Dev), f.NewStamp)
			s.add(watchDev(f.CurStamp, b.stat.Dev), f.CurStamp)
			s.add(0, f.UIDListStamp)
		} else if b.maildir() {
			return nil
		}
		paths = append(paths, kind)
		paths = binary.AppendUvarint(paths, uint64(len(b.dir)))
		paths = append(paths, b.dir...)
		if len(paths) > maxWatch-32 {
			return nil
		}
	}
	sum := s.sum()
	out := append([]byte{watchVersion}, sum[:]...)
	return append(out, paths...)
}

// watchDev is the device that a stamp counts with: none where nothing is.
func watchDev(s manifest.DirStamp, dev uint64) uint64 {
	if s.IsZero() {
		return 0
	}
	return dev
}

// unchanged tells whether the stamps of a watch are still those on disk.
func (s *Scanner) unchanged(path string, place *maildir.Place, watch []byte) bool {
	if len(watch) < 18 || watch[0] != watchVersion {
		return false
	}
	want, rest := watch[1:17], watch[17:]
	sum := stamper{buf: make([]byte, 0, 1<<10)}
	prefix := ""
	if path != "." {
		prefix = path + "/"
	}
	stat := func(name string, withDev bool) bool {
		st, err := s.root.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			sum.add(0, manifest.DirStamp{})
			return true
		}
		if err != nil {
			return false
		}
		dev := uint64(0)
		if withDev {
			dev = st.Dev
		}
		sum.add(dev, stampOf(&st))
		return true
	}
	for len(rest) > 0 {
		kind := rest[0]
		n, w := binary.Uvarint(rest[1:])
		if w <= 0 || n > uint64(len(rest)-1-w) {
			return false
		}
		dir := string(rest[1+w : 1+w+int(n)])
		rest = rest[1+w+int(n):]
		base := strings.TrimSuffix(prefix+dir, "/")
		if base == "" {
			base = "."
		}
		if !stat(base, true) {
			return false
		}
		if kind == watchPlain {
			continue
		}
		list := maildir.UIDListFile
		if kind == watchCourier {
			list = maildir.CourierUIDDB
		}
		control := base
		if place.Control != "" {
			control = place.ControlDir(dir)
		}
		if !stat(base+"/new", true) || !stat(base+"/cur", true) || !stat(control+"/"+list, false) {
			return false
		}
	}
	return sum.sum() == [16]byte(want)
}
