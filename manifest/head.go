package manifest

import (
	"time"

	"mailsync/manifest/pack"
)

// Head is what a store's record tells of one mailbox without opening its
// manifest.
type Head struct {
	Extra
	Name, Path     string
	Content, State Digest // roots; zero when not known
	Messages       int64
	Bytes          int64
	Folders        int64
	Damaged        int64 // entries of that status
	Suspect        int64
	Unread         int64
	Opaque         int64
	Absences       int64
	Began, Ended   time.Time // of the look at the mailbox that made its manifest
	Checked        int64     // oldest Entry.Checked, unix seconds; 0 where one was never read, or there is no entry
	Generation     uint32
	Device, FSID   uint64
	RootInode      uint64
	Gone           time.Time // since when looks do not find the mailbox; zero while it is there. Its manifest is kept
	Done           bool      // committed by the look that is not finished: it need not be looked at again
}

// row is a Head as an index holds it.
type row struct {
	Head
	serial uint64 // in the manifest's file name: the session's number and a counter
	shard  int
}

// session returns the number of the session that wrote the manifest.
func (r *row) session() uint64 { return r.serial >> 32 }

// head returns the Head while the look named open (0 for none) is not finished.
func (r *row) head(open uint64) Head {
	h := r.Head
	h.Done = open != 0 && r.session() >= open
	return h
}

func headOf(mb *Mailbox, x *Extra, s *sums) Head {
	return Head{
		Extra: *x, Name: mb.Name, Path: mb.Path,
		Content: s.content, State: s.state, Messages: s.messages, Bytes: s.bytes,
		Folders: int64(len(mb.Folders)), Damaged: s.damaged, Suspect: s.suspect,
		Unread: s.unread, Opaque: s.opaque, Absences: s.absences,
		Began: mb.Began, Ended: mb.Ended, Checked: s.checked, Generation: mb.Generation,
		Device: mb.Device, FSID: mb.FSID, RootInode: mb.RootInode,
	}
}

func (r *row) sums() *sums {
	return &sums{
		messages: r.Messages, bytes: r.Bytes, damaged: r.Damaged, suspect: r.Suspect,
		unread: r.Unread, opaque: r.Opaque, checked: r.Checked, absences: r.Absences,
		content: r.Content, state: r.State,
	}
}

func (h *Head) setSums(s *sums) {
	h.Messages, h.Bytes, h.Damaged, h.Suspect = s.messages, s.bytes, s.damaged, s.suspect
	h.Unread, h.Opaque, h.Checked, h.Absences = s.unread, s.opaque, s.checked, s.absences
	h.Content, h.State = s.content, s.state
}

// appendRow encodes a row after the one before it (nil at the start of a block).
func appendRow(b, raw []byte, r, prev *row) (packed, rawOut []byte) {
	if prev == nil {
		prev = &row{}
	}
	pre := commonPrefix([]byte(prev.Name), r.Name)
	b = pack.Uint(b, uint64(pre))
	b = pack.Text(b, r.Name[pre:])
	pre = commonPrefix([]byte(prev.Path), r.Path)
	b = pack.Uint(b, uint64(pre))
	b = pack.Text(b, r.Path[pre:])
	b = pack.Int(b, int64(r.serial-prev.serial))
	b = pack.Uint(b, uint64(r.Generation))
	b = pack.Int(b, int64(r.Device-prev.Device))
	b = pack.Int(b, int64(r.FSID-prev.FSID))
	b = pack.Int(b, int64(r.RootInode-prev.RootInode))
	b = appendTime(b, r.Began)
	b = appendTime(b, r.Ended)
	b = appendTime(b, r.Gone)
	b = pack.Uint(b, uint64(r.Folders))
	b = pack.Uint(b, uint64(r.Disordered))
	b = r.sums().append(b)
	b = pack.Uint(b, uint64(len(r.Watch)))
	b = pack.Bool(b, !r.Content.IsZero())
	raw = append(raw, r.Watch...)
	return b, appendRoots(raw, r.Content, r.State)
}

func (c *cursor) row(raw *cursor, prev *row, alg Alg) *row {
	r := &row{}
	if prev == nil {
		prev = &row{}
	}
	pre := c.Length(len(prev.Name))
	r.Name = prev.Name[:pre] + c.String(MaxFolderName)
	pre = c.Length(len(prev.Path))
	r.Path = prev.Path[:pre] + c.String(MaxFolderName)
	r.serial = prev.serial + uint64(c.Int())
	r.Generation = c.U32()
	r.Device = prev.Device + uint64(c.Int())
	r.FSID = prev.FSID + uint64(c.Int())
	r.RootInode = prev.RootInode + uint64(c.Int())
	r.Began, r.Ended, r.Gone = c.time(), c.time(), c.time()
	r.Folders = int64(c.Length(MaxFolders))
	r.Disordered = int64(c.Uint())
	var s sums
	c.sums(&s)
	if w := raw.Take(c.Length(MaxWatch)); len(w) > 0 {
		r.Watch = append([]byte(nil), w...)
	}
	if c.Bool() {
		s.content, s.state = raw.digest(alg), raw.digest(alg)
	}
	r.setSums(&s)
	if r.Name == "" || len(r.Name) > MaxFolderName || len(r.Path) > MaxFolderName || raw.Bad {
		c.Fail()
	}
	r.shard = ShardOf(r.Name)
	return r
}
