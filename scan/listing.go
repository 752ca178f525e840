package scan

import (
	"context"
	"errors"
	"hash/maphash"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// item is one message file in a listing. There may be a million: it is small.
type item struct {
	name  string // exact file name
	inode uint64
	ulen  uint16 // length of the unique name where that begins the name; else scattered
	sub   manifest.Sub
	odd   bool // the listing says that it is no regular file
}

// scattered marks an item whose unique name does not begin its file name:
// sizes stand before other fields.
const scattered = 0xffff

func newItem(name string, inode uint64, sub manifest.Sub, odd bool) item {
	it := item{name: name, inode: inode, ulen: scattered, sub: sub, odd: odd}
	if u := maildir.ParseName(name).Unique; strings.HasPrefix(name, u) && len(u) < scattered {
		it.ulen = uint16(len(u))
	}
	return it
}

func (it *item) unique() string {
	if it.ulen == scattered {
		return maildir.ParseName(it.name).Unique
	}
	return it.name[:it.ulen]
}

// oddName is a name in new or cur that is no message.
type oddName struct {
	name   string
	sub    manifest.Sub
	reason string
}

// listing is what new and cur of one folder held.
type listing struct {
	items []item    // sorted by unique name, sub-directory, name
	bad   []oddName // names that no server takes for a message
	// new and cur as they were when the listing began.
	newStamp, curStamp manifest.DirStamp
	// calm tells that neither directory moved while it was listed, so that no
	// name can have been skipped (readdir may skip names during renames); still,
	// that in addition both stamps were old enough for a move to show.
	calm, still bool
	// sum is the sum of the hashes of all names, in any order.
	sum uint64
}

// folderDirs holds a folder's directories while it is looked at. Either may be
// nil: it is not there.
type folderDirs struct {
	new, cur *beneath.Dir
}

func (f *folderDirs) of(s manifest.Sub) *beneath.Dir {
	if s == manifest.New {
		return f.new
	}
	return f.cur
}

func (f *folderDirs) close() {
	_ = f.new.Close()
	_ = f.cur.Close()
}

// openIfThere opens a directory and returns nil where there is none.
func openIfThere(d *beneath.Dir, name string) (*beneath.Dir, error) {
	sub, err := d.OpenDir(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return sub, err
}

// stamp returns the state of an open directory; the zero stamp where it is not there.
func stamp(d *beneath.Dir) (manifest.DirStamp, error) {
	if d == nil {
		return manifest.DirStamp{}, nil
	}
	st, err := d.Self()
	if err != nil {
		return manifest.DirStamp{}, err
	}
	return stampOf(&st), nil
}

func stampOf(st *beneath.Stat) manifest.DirStamp {
	return manifest.DirStamp{Inode: st.Inode, MTime: st.MTime, CTime: st.CTime, Size: st.Size}
}

// settled marks a stamp as safe when it is older than margin at the time when
// the look began, so that a change after the look must move it.
func settled(s manifest.DirStamp, began time.Time, margin time.Duration) manifest.DirStamp {
	limit := began.Add(-margin).UnixNano()
	s.Safe = s.MTime < limit && s.CTime < limit
	return s
}

// list lists new, then cur: a server moves messages from new to cur, so that
// one which moves meanwhile is seen twice rather than not at all.
func (f *folderDirs) list(ctx context.Context, now func() time.Time, margin time.Duration) (*listing, error) {
	l := new(listing)
	var err error
	if l.newStamp, err = stamp(f.new); err != nil {
		return nil, err
	}
	if l.curStamp, err = stamp(f.cur); err != nil {
		return nil, err
	}
	began := now()
	var names arena
	if err := l.read(ctx, f.new, manifest.New, &names); err != nil {
		return nil, err
	}
	if err := l.read(ctx, f.cur, manifest.Cur, &names); err != nil {
		return nil, err
	}
	newAfter, err := stamp(f.new)
	if err != nil {
		return nil, err
	}
	curAfter, err := stamp(f.cur)
	if err != nil {
		return nil, err
	}
	newOld, curOld := settled(l.newStamp, began, margin), settled(l.curStamp, began, margin)
	sameNew, sameCur := newAfter == l.newStamp, curAfter == l.curStamp
	l.calm = sameNew && sameCur
	// A stamp that was looked at before the listing differs after any change
	// that came since, where stamps are multigrain; elsewhere only a stamp that
	// was old by then proves it.
	l.still = l.calm && (margin <= fineMargin || (f.new == nil || newOld.Safe) && (f.cur == nil || curOld.Safe))
	l.newStamp.Safe, l.curStamp.Safe = sameNew && newOld.Safe, sameCur && curOld.Safe
	slices.SortFunc(l.items, compareItems)
	return l, nil
}

func compareItems(a, b item) int {
	if c := strings.Compare(a.unique(), b.unique()); c != 0 {
		return c
	}
	if a.sub != b.sub {
		return int(a.sub) - int(b.sub)
	}
	return strings.Compare(a.name, b.name)
}

func (l *listing) read(ctx context.Context, d *beneath.Dir, sub manifest.Sub, names *arena) error {
	return eachName(ctx, d, func(e beneath.Dirent) {
		name := names.add(e.Name)
		l.sum += hashName(sub, e.Name)
		if standing, reason := maildir.Judge(name); standing != maildir.Message {
			if standing == maildir.Bad {
				l.bad = append(l.bad, oddName{name: name, sub: sub, reason: reason})
			}
			return
		}
		l.items = append(l.items, newItem(name, e.Inode, sub, e.Type != unix.DT_REG && e.Type != unix.DT_UNKNOWN))
	})
}

// eachName goes through the names of a directory that readers do not skip.
func eachName(ctx context.Context, d *beneath.Dir, visit func(beneath.Dirent)) error {
	if d == nil {
		return nil
	}
	n := 0
	for e, err := range d.List() {
		if err != nil {
			return err
		}
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if e.Name[0] != '.' {
			visit(e)
		}
	}
	return nil
}

func hashName(sub manifest.Sub, name []byte) uint64 {
	return maphash.Bytes(hashSeed, name) * (2*uint64(sub) + 1)
}

// confirm lists again and tells whether everything is as it was: the same
// names, and stamps that did not move. It keeps no names.
func (f *folderDirs) confirm(ctx context.Context, l *listing) (bool, error) {
	sum := uint64(0)
	for _, s := range [2]manifest.Sub{manifest.New, manifest.Cur} {
		if err := eachName(ctx, f.of(s), func(e beneath.Dirent) { sum += hashName(s, e.Name) }); err != nil {
			return false, err
		}
	}
	for _, s := range [2]manifest.Sub{manifest.New, manifest.Cur} {
		now, err := stamp(f.of(s))
		if err != nil {
			return false, err
		}
		was := l.newStamp
		if s == manifest.Cur {
			was = l.curStamp
		}
		now.Safe = was.Safe
		if now != was {
			return false, nil
		}
	}
	return sum == l.sum, nil
}

// group returns the items of one unique name.
func (l *listing) group(unique string) []item {
	from, ok := slices.BinarySearchFunc(l.items, unique, func(it item, u string) int { return strings.Compare(it.unique(), u) })
	if !ok {
		return nil
	}
	to := from + 1
	for to < len(l.items) && l.items[to].unique() == unique {
		to++
	}
	return l.items[from:to]
}
