package compare

import (
	"math/bits"
	"time"

	"mailsync/manifest"
	"mailsync/manifest/pack"
)

// body is what is kept of one mailbox while it is compared: the copies that
// are not plainly the same everywhere, encoded, and what was concluded.
type body struct {
	c    *Comparison
	name string
	arena
	cells   chunked[cell]
	gones   []goneCell
	folders []folderState
	folder  map[string]int
	names   []string // of folders
	out     []outCell
	top     []Difference // of the mailbox and its folders, sorted

	part   uint32 // sides that take part: their mailbox is being looked at
	absent uint32 // sides proven not to have the mailbox
	sides  []sideState
	buf    []byte
}

// cell is the copies under one name in one folder.
type cell struct {
	copies place  // their record
	mask   uint32 // sides with a copy in this cell
	named  uint32 // sides with a copy of this name, in this cell or another
	all    uint32 // of a head: sides with a copy in the whole group
	head   int32  // the cell that stands for the group; itself where it does
	next   int32  // the next cell of the group, or -1
	folder int32
	gone   int32 // of a head: its first absence, or -1
	how    How
	bare   bool // has a copy whose content is not known
}

// goneCell is an absence that concerns a group.
type goneCell struct {
	absence place
	next    int32
}

// outCell is a group of interest, in the order of output.
type outCell struct {
	head    int32
	key     uint32 // folder's rank and sub-directory
	verdict place
}

// folderState is what is known of one folder on every side.
type folderState struct {
	info      []*manifest.Folder // nil where the side has no such folder
	messages  []int64
	elsewhere []int64        // messages that lie in other folders on a side which has no such folder
	asked     uint32         // sides whose missing folder was looked for again
	hidden    map[int]string // … and may be there: why that is not known
}

func (f *folderState) hide(side int, why string) {
	if f.hidden == nil {
		f.hidden = make(map[int]string)
	}
	f.hidden[side] = why
}

// sideState is one side's mailbox.
type sideState struct {
	MailboxSide
	live     bool // somebody can look again
	messages int64
	missing  int64
	linked   int64
	unread   int64            // copies whose content could not be read
	why      string           // of one of them
	loose    map[int64]int64  // sizes of unread copies that match no name
	packed   bool             // holds compressed messages
	gone     int64            // found gone by this look, without evidence of deletion or loss
	goneFrom map[string]bool  // their folders
	doubts   map[string]int64 // reasons, with the number of messages
	tripped  string
	blind    map[string]string // folders that could not be looked into
	gaps     []Gap
}

func (s *sideState) doubt(reason string, n int64) {
	if s.doubts == nil {
		s.doubts = make(map[string]int64)
	}
	s.doubts[reason] += n
}

// chunked is a growing list whose elements never move.
type chunked[T any] struct {
	parts [][]T
	n     int
}

const chunkLen = 1024

func (l *chunked[T]) len() int { return l.n }

func (l *chunked[T]) at(i int32) *T { return &l.parts[i/chunkLen][i%chunkLen] }

func (l *chunked[T]) add(v T) int32 {
	if l.n%chunkLen == 0 {
		size := chunkLen
		if l.n == 0 {
			size = 16 // most mailboxes differ little
		}
		l.parts = append(l.parts, make([]T, 0, size))
	}
	k := len(l.parts) - 1
	l.parts[k] = append(l.parts[k], v)
	l.n++
	return int32(l.n - 1)
}

func (b *body) folderIndex(name string) int {
	if i, ok := b.folder[name]; ok {
		return i
	}
	i := len(b.folders)
	n := len(b.sides)
	b.folders = append(b.folders, folderState{info: make([]*manifest.Folder, n), messages: make([]int64, n), elsewhere: make([]int64, n)})
	b.names = append(b.names, name)
	b.folder[name] = i
	return i
}

// tagged is one copy on its way into a cell.
type tagged struct {
	side int
	base bool
	e    *manifest.Entry
}

const baseTag = 0x80

// keep stores copies under one name as a new cell.
func (b *body) keep(folder int, copies []tagged) (int32, error) {
	c := cell{next: -1, gone: -1, folder: int32(folder)}
	b.buf = append(b.buf[:0], byte(len(copies)))
	for _, t := range copies {
		tag := byte(t.side)
		if t.base {
			tag |= baseTag
		} else {
			c.mask |= 1 << t.side
			if _, ok := trusted(t.e); !ok {
				c.bare = true
			}
		}
		b.buf = appendEntry(append(b.buf, tag), t.e, folder)
	}
	c.all = c.mask
	if bits.OnesCount32(c.mask) > 1 {
		c.how = ByName
	}
	var err error
	if c.copies, err = b.put(b.buf); err != nil {
		return 0, err
	}
	i := b.cells.add(c)
	b.cells.at(i).head = i
	return i, nil
}

// copies decodes a cell.
func (b *body) copies(i int32, yield func(t tagged)) error {
	rec, err := b.get(b.cells.at(i).copies)
	if err != nil {
		return err
	}
	d := decoderOver(rec)
	n := d.Take(1)
	if n == nil {
		return errCodec
	}
	for range n[0] {
		tag := d.Take(1)
		if tag == nil {
			return errCodec
		}
		e := d.entry(b.names)
		if d.Bad {
			return errCodec
		}
		yield(tagged{side: int(tag[0] &^ baseTag), base: tag[0]&baseTag != 0, e: e})
	}
	return nil
}

// join makes the group of cell d part of the group of cell h. Both are heads.
func (b *body) join(h, d int32, how How) {
	x, y := b.cells.at(h), b.cells.at(d)
	last := x
	for last.next >= 0 { // a group has at most one cell a side
		last = b.cells.at(last.next)
	}
	last.next = d
	x.all |= y.all
	x.how = max(x.how, y.how, how)
	for i := d; i >= 0; i = b.cells.at(i).next {
		b.cells.at(i).head = h
	}
}

// unpaired counts the groups that some side lacks: as many lines there are at
// least, mostly. Lists of that length grow to no more.
func (b *body) unpaired() (n int) {
	for i := int32(0); int(i) < b.cells.len(); i++ {
		if b.isHead(i) && b.cells.at(i).all != b.part {
			n++
		}
	}
	return n
}

// isHead tells whether a cell stands for its group.
func (b *body) isHead(i int32) bool { return b.cells.at(i).head == i }

const maxGone = 64 // absences of one group that are kept

// attach keeps an absence with the group of cell i.
func (b *body) attach(i int32, side int, byName bool, a *manifest.Absence) error {
	h := b.cells.at(b.cells.at(i).head)
	link, n := &h.gone, 0
	for *link >= 0 {
		link = &b.gones[*link].next
		if n++; n >= maxGone {
			return nil
		}
	}
	f := byte(0)
	if byName {
		f = 1
	}
	b.buf = append(b.buf[:0], byte(side), f, byte(a.Evidence))
	b.buf = pack.Int(b.buf, unixNano(a.LastSeen))
	b.buf = pack.Int(b.buf, unixNano(a.FirstAbsent))
	b.buf = pack.Uint(b.buf, uint64(a.UIDValidity))
	b.buf = appendEntry(b.buf, &a.Entry, b.folderIndex(a.Entry.Folder))
	p, err := b.put(b.buf)
	if err != nil {
		return err
	}
	*link = int32(len(b.gones))
	b.gones = append(b.gones, goneCell{absence: p, next: -1})
	return nil
}

const noTime = -1 << 63

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	return t.UnixNano()
}

func fromNano(n int64) time.Time {
	if n == noTime {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// absences decodes the absences of a group.
func (b *body) absences(head int32) ([]Gone, error) {
	var list []Gone
	for k := b.cells.at(head).gone; k >= 0; k = b.gones[k].next {
		rec, err := b.get(b.gones[k].absence)
		if err != nil {
			return nil, err
		}
		d := decoderOver(rec)
		h := d.Take(3)
		if h == nil {
			return nil, errCodec
		}
		g := Gone{Side: int(h[0]), ByName: h[1] != 0}
		g.Evidence = manifest.Evidence(h[2])
		g.LastSeen, g.FirstAbsent = fromNano(d.Int()), fromNano(d.Int())
		g.UIDValidity = uint32(d.Uint())
		g.Entry = *d.entry(b.names)
		if d.Bad {
			return nil, errCodec
		}
		if s := &b.sides[g.Side]; s.tripped != "" && b.thisLook(g.Side, &g.Absence) {
			switch g.Evidence {
			case manifest.NoEvidence, manifest.OrdinaryAbsence:
				g.Evidence = manifest.MassDisappearing
			}
		}
		list = append(list, g)
	}
	return list, nil
}

// thisLook tells whether an absence was found by the look at hand, and not
// recorded by an earlier one.
func (b *body) thisLook(side int, a *manifest.Absence) bool {
	s := &b.sides[side]
	return b.c.infos[side].Recorded.IsZero() && s.Mailbox != nil && !a.FirstAbsent.Before(s.Mailbox.Began)
}

// group decodes all copies of a group, before anything is judged.
func (b *body) group(head int32) (*Group, error) {
	n := len(b.sides)
	g := &Group{
		Mailbox: b.name, Copies: make([]Copy, n), How: b.cells.at(head).how,
		Whole: make([]bool, n), UIDValidity: make([]uint32, n), One: make([]int, n), named: make([]uint32, n),
	}
	for i := head; i >= 0; i = b.cells.at(i).next {
		err := b.copies(i, func(t tagged) {
			c := &g.Copies[t.side]
			if t.base {
				c.Base = t.e
				return
			}
			c.Entry = t.e
			g.named[t.side] = b.cells.at(i).named
		})
		if err != nil {
			return nil, err
		}
	}
	for i := range g.Copies {
		s := &b.sides[i]
		e := g.Copies[i].Entry
		switch {
		case e != nil:
			if f := b.folders[b.folder[e.Folder]].info[i]; f != nil {
				g.UIDValidity[i] = f.Validity()
			}
		case s.Unknown != "":
			g.Copies[i].Unknown = s.Unknown
		case s.Absent:
			g.Whole[i] = true
		default:
			g.Whole[i] = b.wholeFolder(g, i)
		}
	}
	b.witnesses(g)
	var err error
	g.Absences, err = b.absences(head)
	return g, err
}

// wholeFolder tells whether a side lacks a message because it lacks every
// folder in which the others have it.
func (b *body) wholeFolder(g *Group, side int) bool {
	for i := range g.Copies {
		e := g.Copies[i].Entry
		if e != nil && b.folders[b.folder[e.Folder]].info[side] != nil {
			return false
		}
	}
	return true
}

// witnesses numbers the copies that can speak for themselves: hard links of
// one file and replicas of one failure domain share a number.
func (b *body) witnesses(g *Group) {
	for i := range g.Copies {
		g.One[i] = -1
		if g.Copies[i].Entry == nil {
			continue
		}
		g.One[i] = i
		for j := range i {
			if g.One[j] >= 0 && (b.oneDomain(i, j) || b.oneFile(g.Copies[i].Entry, i, g.Copies[j].Entry, j)) {
				g.One[i] = g.One[j]
				break
			}
		}
	}
}

func (b *body) oneDomain(i, j int) bool {
	d := b.c.infos[i].FailureDomain
	return d != "" && d == b.c.infos[j].FailureDomain
}

// oneFile tells whether two copies are hard links of one file.
func (b *body) oneFile(x *manifest.Entry, i int, y *manifest.Entry, j int) bool {
	m, o := b.sides[i].Mailbox, b.sides[j].Mailbox
	return x.Inode != 0 && x.Inode == y.Inode && m != nil && o != nil && m.Device != 0 && m.Device == o.Device &&
		m.FSID == o.FSID && x.Size == y.Size && x.MTime == y.MTime
}

// trusted returns the content by which a copy can be recognised; ok is false
// where what it held is not known.
func trusted(e *manifest.Entry) (manifest.Digest, bool) {
	if e.Status == manifest.Unread || e.Status == manifest.Damaged && !e.Good {
		return manifest.Digest{}, false
	}
	d := e.Content()
	return d, !d.IsZero()
}
