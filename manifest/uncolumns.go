package manifest

import "slices"

// uncolumns reads the entries of one block.
type uncolumns struct {
	alg    Alg
	left   int // entries not read yet
	first  bool
	col    [numColumns]cursor
	raw    cursor
	folder string
	unique []byte
	name   []byte
	mtime  int64
	inode  uint64
	uid    uint32
	check  int64
	words  [][]string
}

// open begins a block.
func (u *uncolumns) open(b block, alg Alg) error {
	u.alg, u.left, u.first = alg, b.items, true
	u.raw = cursorOver(b.raw)
	u.unique = u.unique[:0]
	u.mtime, u.inode, u.uid, u.check = 0, 0, 0, 0
	u.words = u.words[:0]
	all := cursorOver(b.data)
	for i := range u.col {
		u.col[i] = cursorOver(all.Take(all.Length(len(all.B))))
	}
	if !all.Done() || b.items == 0 || len(u.col[colShape].B) != 3*b.items {
		return corrupt("columns of a block")
	}
	return nil
}

// more tells whether entries are left.
func (u *uncolumns) more() bool { return u.left > 0 }

// next reads one entry. The last one checks that nothing is left over.
func (u *uncolumns) next(e *Entry) error {
	u.left--
	*e = Entry{}
	sh := u.col[colShape].Take(3)
	if len(sh) != 3 {
		return corrupt("shape of an entry")
	}
	s1, s2, s3 := sh[0], sh[1], sh[2]
	misc := &u.col[colMisc]
	if s1&shapeFolder != 0 {
		u.folder = misc.String(MaxFolderName)
		u.unique = u.unique[:0]
	} else if u.first {
		return corrupt("folder of an entry")
	}
	u.first = false
	e.Folder = u.folder
	e.Sub = New
	if s1&shapeCur != 0 {
		e.Sub = Cur
	}

	if !u.uniqueName() {
		return corrupt("unique name of an entry")
	}
	size := u.col[colSize].Uint()
	if size > 1<<63-1 {
		return corrupt("size of an entry")
	}
	e.Size = int64(size)
	if !u.fileName(e, s1) {
		return corrupt("name of an entry")
	}
	if s1&shapeFlags != 0 {
		e.Flags = misc.String(MaxFlags)
	}
	if s1&shapeKeywords != 0 {
		e.Keywords = u.keywords()
	}
	if s1&shapeUID != 0 {
		uid := int64(u.uid) + u.col[colUID].Int()
		if uid <= 0 || uid > 1<<32-1 {
			return corrupt("UID of an entry")
		}
		u.uid = uint32(uid)
		e.UID = u.uid
	}

	e.Status = Status(s2 & shape2Status)
	e.Opaque = s2&shape2Opaque != 0
	e.Good = s3&shape3Good != 0
	if s2&shape2Damage != 0 {
		e.Damage = Kind(misc.Byte())
	}
	if s2&shape2Checked != 0 {
		u.check += u.col[colChecked].Int()
	}
	e.Checked = u.check
	u.times(e, s3)
	u.inode += uint64(u.col[colInode].Int())
	e.Inode = u.inode
	if s2&shape2Digest != 0 {
		e.Digest = u.raw.digest(u.alg)
	}
	if s2&shape2Plain != 0 {
		e.Plain = u.raw.digest(u.alg)
	}
	if s2&shape2HeaderID != 0 {
		copy(e.HeaderID[:], u.raw.Take(len(e.HeaderID)))
	}
	if s3&^shape3Known != 0 || u.bad() || u.left == 0 && !u.done() {
		return corrupt("columns of a block do not fit its entries")
	}
	return nil
}

func (u *uncolumns) bad() bool {
	bad := u.raw.Bad
	for i := range u.col {
		bad = bad || u.col[i].Bad
	}
	return bad
}

func (u *uncolumns) done() bool {
	done := u.raw.Done()
	for i := range u.col {
		done = done && u.col[i].Done()
	}
	return done
}

// uniqueName rebuilds u.unique from that of the entry before.
func (u *uncolumns) uniqueName() bool {
	lens := &u.col[colLens]
	pre, suf, n := lens.Length(MaxFileName), lens.Length(MaxFileName), lens.Length(MaxFileName)
	own := u.col[colText].Take(n)
	if pre+suf > len(u.unique) || pre+suf+n > MaxFileName || lens.Bad || u.col[colText].Bad {
		return false
	}
	at := len(u.unique) - suf
	u.name = append(append(append(u.name[:0], u.unique[:pre]...), own...), u.unique[at:]...)
	u.unique, u.name = u.name, u.unique
	return true
}

// fileName rebuilds Name, and with it Unique and Flags, which mostly are parts of it.
func (u *uncolumns) fileName(e *Entry, shape byte) bool {
	p := nameParts{hasS: shape&shapeS != 0, hasW: shape&shapeW != 0}
	b := u.name[:0]
	if shape&shapeTail != 0 {
		b = append(b, u.unique...)
	}
	base := e.Size
	if p.hasS {
		p.s = base + u.col[colSW].Int()
		base = p.s
	}
	if p.hasW {
		p.w = base + u.col[colSW].Int()
	}
	if p.s < 0 || p.w < 0 {
		return false
	}
	b = appendName(b, &p)
	b = append(b, u.col[colRest].Take(u.col[colRest].Length(MaxFileName))...)
	u.name = b
	if len(b) == 0 || len(b) > MaxFileName {
		return false
	}
	e.Name = string(b)
	if shape&shapeTail != 0 {
		e.Unique = e.Name[:len(u.unique)]
		e.Flags = nameFlags(e.Name[len(u.unique):])
	} else {
		e.Unique = string(u.unique)
		e.Flags = nameFlags(e.Name)
	}
	return true
}

func (u *uncolumns) times(e *Entry, shape byte) {
	guess := leadingNumber(e.Unique)
	if guess == 0 {
		guess = u.mtime
	}
	u.mtime = guess + u.col[colMTime].Int()
	e.MTime = u.mtime * second
	if shape&shape3MNano != 0 {
		e.MTime += int64(u.raw.fixed32())
	}
	e.CTime = e.MTime
	if shape&shape3CTime != 0 {
		e.CTime = (u.mtime + u.col[colCTime].Int()) * second
		if shape&shape3CNano != 0 {
			e.CTime += int64(u.raw.fixed32())
		}
	}
}

func (u *uncolumns) keywords() []string {
	misc := &u.col[colMisc]
	if n := misc.Length(maxWordLists); n > 0 {
		if n > len(u.words) {
			misc.Fail()
			return nil
		}
		return u.words[n-1]
	}
	n := misc.Length(MaxKeywords)
	if n > len(misc.B) {
		misc.Fail()
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, misc.String(MaxKeywordBytes))
	}
	if misc.Bad || n == 0 || !slices.IsSorted(list) {
		misc.Fail()
		return nil
	}
	if len(u.words) < maxWordLists {
		u.words = append(u.words, slices.Clip(list))
	}
	return list
}
