package manifest

import (
	"encoding/binary"
	"fmt"
	"slices"

	"mailsync/manifest/pack"
)

// The limits of an entry. A value beyond them is refused when it is written,
// and taken for damage when it is read.
const (
	MaxFolderName   = 16 << 10 // bytes
	MaxFileName     = 4 << 10  // bytes, of Unique and of Name
	MaxFlags        = 256      // bytes
	MaxKeywords     = 512      // of one message
	MaxKeywordBytes = 8 << 10  // of one message, all together
)

// Entries are stored by column: equal fields of neighbours lie together, which
// compresses well, and digests and nanoseconds, which do not compress, stay
// out of zstd's way in the raw part. Each block stands for itself.
const (
	colShape   = iota // 3 bytes an entry, bits below
	colLens           // unique name: shared prefix, shared suffix, own bytes
	colText           // the unique name's own bytes
	colRest           // what the name has beyond unique name, S and W: length, bytes
	colMisc           // folders, flags, keywords where they are not implied: length, bytes
	colSize           // size
	colSW             // S - size, W - (S or size)
	colMTime          // seconds - those in the unique name, else - those of the entry before
	colCTime          // seconds - those of mtime
	colInode          // - inode of the entry before
	colUID            // - UID of the entry before that had one
	colChecked        // - that of the entry before
	colAbsence        // absences only
	numColumns
)

// Bits of the three shape bytes.
const (
	shapeFolder   = 1 << 0 // another folder than the entry before
	shapeCur      = 1 << 1
	shapeTail     = 1 << 2 // Name begins with Unique
	shapeS        = 1 << 3
	shapeW        = 1 << 4
	shapeFlags    = 1 << 5 // flags are not those of the name: in colMisc
	shapeKeywords = 1 << 6
	shapeUID      = 1 << 7

	shape2Status   = 3 // two bits
	shape2Digest   = 1 << 2
	shape2Plain    = 1 << 3
	shape2HeaderID = 1 << 4
	shape2Opaque   = 1 << 5
	shape2Damage   = 1 << 6
	shape2Checked  = 1 << 7 // another time than the entry before

	shape3MNano = 1 << 0 // mtime has nanoseconds: in the raw part
	shape3CNano = 1 << 1
	shape3CTime = 1 << 2 // ctime is not mtime
	shape3Good  = 1 << 3 // Entry.Good
	shape3Known = shape3MNano | shape3CNano | shape3CTime | shape3Good
)

const second = 1_000_000_000

// floorSecond splits nanoseconds into seconds and what remains, never negative.
func floorSecond(t int64) (sec int64, nano uint32) {
	sec = t / second
	n := t % second
	if n < 0 {
		sec, n = sec-1, n+second
	}
	return sec, uint32(n)
}

// columns collects the entries of one block.
type columns struct {
	alg    Alg
	items  int
	col    [numColumns][]byte
	raw    []byte
	folder []byte // of the entry before
	unique []byte
	mtime  int64 // seconds
	inode  uint64
	uid    uint32
	check  int64
	words  [][]string // keyword lists of this block
}

// reset begins a block.
func (c *columns) reset() {
	for i := range c.col {
		c.col[i] = c.col[i][:0]
	}
	c.raw = c.raw[:0]
	c.items = 0
	c.folder, c.unique = c.folder[:0], c.unique[:0]
	c.mtime, c.inode, c.uid, c.check = 0, 0, 0, 0
	c.words = c.words[:0]
}

func (c *columns) size() int {
	n := len(c.raw)
	for i := range c.col {
		n += len(c.col[i])
	}
	return n
}

// checkEntry refuses what a manifest cannot hold, and returns a bound of its
// encoded size.
func checkEntry(e *Entry, alg Alg) (int, error) {
	words := 0
	for _, k := range e.Keywords {
		words += len(k) + 2
	}
	switch {
	case len(e.Folder) > MaxFolderName, len(e.Unique) > MaxFileName, len(e.Name) > MaxFileName,
		len(e.Flags) > MaxFlags, len(e.Keywords) > MaxKeywords, words > MaxKeywordBytes:
		return 0, fmt.Errorf("%w: names, flags or keywords of an entry", ErrLimit)
	case e.Sub != New && e.Sub != Cur, e.Status > Damaged, e.Size < 0, e.Name == "":
		return 0, fmt.Errorf("%w: sub-directory, status, size or name of an entry", ErrInvalid)
	case !e.Digest.IsZero() && e.Digest.Alg != alg, !e.Plain.IsZero() && e.Plain.Alg != alg:
		return 0, fmt.Errorf("%w: digest is not of the mailbox' algorithm %s", ErrInvalid, alg)
	case len(e.Keywords) > 1 && !slices.IsSorted(e.Keywords):
		return 0, fmt.Errorf("%w: keywords of an entry", ErrOrder)
	}
	return len(e.Folder) + len(e.Unique) + len(e.Name) + len(e.Flags) + words + 240, nil
}

// add appends an entry that checkEntry has passed.
func (c *columns) add(e *Entry) {
	var s1, s2, s3 byte
	misc := c.col[colMisc]
	if c.items == 0 || string(c.folder) != e.Folder {
		s1 |= shapeFolder
		misc = pack.Text(misc, e.Folder)
		c.folder = append(c.folder[:0], e.Folder...)
		c.unique = c.unique[:0]
	}
	if e.Sub == Cur {
		s1 |= shapeCur
	}

	pre := commonPrefix(c.unique, e.Unique)
	suf := commonSuffix(c.unique[pre:], e.Unique[pre:])
	own := e.Unique[pre : len(e.Unique)-suf]
	lens := pack.Uint(c.col[colLens], uint64(pre))
	lens = pack.Uint(lens, uint64(suf))
	c.col[colLens] = pack.Uint(lens, uint64(len(own)))
	c.col[colText] = append(c.col[colText], own...)
	c.unique = append(c.unique[:0], e.Unique...)

	p := splitName(e.Unique, e.Name)
	if p.tail {
		s1 |= shapeTail
	}
	base := e.Size
	if p.hasS {
		s1 |= shapeS
		c.col[colSW] = pack.Int(c.col[colSW], p.s-base)
		base = p.s
	}
	if p.hasW {
		s1 |= shapeW
		c.col[colSW] = pack.Int(c.col[colSW], p.w-base)
	}
	c.col[colRest] = pack.Text(c.col[colRest], p.rest)
	c.col[colSize] = pack.Uint(c.col[colSize], uint64(e.Size))
	if e.Flags != p.flags {
		s1 |= shapeFlags
		misc = pack.Text(misc, e.Flags)
	}
	if len(e.Keywords) > 0 {
		s1 |= shapeKeywords
		misc = c.addKeywords(misc, e.Keywords)
	}
	if e.UID != 0 {
		s1 |= shapeUID
		c.col[colUID] = pack.Int(c.col[colUID], int64(e.UID)-int64(c.uid))
		c.uid = e.UID
	}

	s2 = byte(e.Status)
	if e.Opaque {
		s2 |= shape2Opaque
	}
	if e.Damage != NoKind {
		s2 |= shape2Damage
		misc = append(misc, byte(e.Damage))
	}
	if e.Good {
		s3 |= shape3Good
	}
	if e.Checked != c.check {
		s2 |= shape2Checked
		c.col[colChecked] = pack.Int(c.col[colChecked], e.Checked-c.check)
		c.check = e.Checked
	}

	sec, nano := floorSecond(e.MTime)
	guess := leadingNumber(e.Unique)
	if guess == 0 {
		guess = c.mtime
	}
	c.col[colMTime] = pack.Int(c.col[colMTime], sec-guess)
	c.mtime = sec
	if nano != 0 {
		s3 |= shape3MNano
		c.raw = binary.LittleEndian.AppendUint32(c.raw, nano)
	}
	if e.CTime != e.MTime {
		s3 |= shape3CTime
		csec, nano := floorSecond(e.CTime)
		c.col[colCTime] = pack.Int(c.col[colCTime], csec-sec)
		if nano != 0 {
			s3 |= shape3CNano
			c.raw = binary.LittleEndian.AppendUint32(c.raw, nano)
		}
	}
	c.col[colInode] = pack.Int(c.col[colInode], int64(e.Inode-c.inode))
	c.inode = e.Inode

	if !e.Digest.IsZero() {
		s2 |= shape2Digest
		c.raw = append(c.raw, e.Digest.Sum[:]...)
	}
	if !e.Plain.IsZero() {
		s2 |= shape2Plain
		c.raw = append(c.raw, e.Plain.Sum[:]...)
	}
	if e.HeaderID != (HeaderID{}) {
		s2 |= shape2HeaderID
		c.raw = append(c.raw, e.HeaderID[:]...)
	}
	c.col[colMisc] = misc
	c.col[colShape] = append(c.col[colShape], s1, s2, s3)
	c.items++
}

// addKeywords writes a list that the block has seen by its number, and any
// other in full after a 0.
func (c *columns) addKeywords(misc []byte, list []string) []byte {
	for i, w := range c.words {
		if slices.Equal(w, list) {
			return pack.Uint(misc, uint64(i)+1)
		}
	}
	if len(c.words) < maxWordLists {
		c.words = append(c.words, slices.Clone(list))
	}
	misc = append(misc, 0)
	misc = pack.Uint(misc, uint64(len(list)))
	for _, k := range list {
		misc = pack.Text(misc, k)
	}
	return misc
}

// maxWordLists bounds the keyword lists that a block refers back to.
const maxWordLists = 64

// pack joins the columns, each after its length.
func (c *columns) pack(b []byte) []byte {
	b = b[:0]
	for i := range c.col {
		b = pack.Uint(b, uint64(len(c.col[i])))
		b = append(b, c.col[i]...)
	}
	return b
}
