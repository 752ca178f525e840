package sample

import (
	"math/rand/v2"
	"slices"
	"time"

	"mailsync/manifest"
)

// The kinds of differences that Replica can make, named as `mailsync diff`
// names them. Extra is reported as missing, from the other side.
const (
	DiffMissing        = "missing"
	DiffExtra          = "extra"
	DiffContent        = "content"
	DiffFlags          = "flags"
	DiffKeywords       = "keywords"
	DiffDate           = "date"
	DiffUID            = "uid"
	DiffMoved          = "moved"
	DiffUIDValidity    = "uidvalidity"
	DiffFolderMissing  = "folder_missing"
	DiffMailboxMissing = "mailbox_missing"
	DiffSubscriptions  = "subscriptions"
)

// DiffKinds are all of them, widest first, so that a narrow change never lies
// inside a wide one.
var DiffKinds = []string{
	DiffMailboxMissing, DiffFolderMissing, DiffUIDValidity, DiffSubscriptions, DiffMissing, DiffExtra,
	DiffContent, DiffFlags, DiffKeywords, DiffDate, DiffUID, DiffMoved,
}

// Change is one difference between an estate and its replica.
type Change struct {
	Kind     string
	Mailbox  string // address
	ByPath   string
	Folder   string
	Message  *Message // in the original; in the replica for DiffExtra
	Messages int      // DiffFolderMissing, DiffMailboxMissing: how many went
	To       string   // DiffMoved: the folder in the replica
}

// Replica returns a copy of the estate that differs once in each of the given
// ways (all when none is given), and what differs. Its keyword letters are
// others than the original's, which is no difference. A way for which the
// estate is too small is left out.
func (e *Estate) Replica(seed uint64, kinds ...string) (*Estate, []Change) {
	if len(kinds) == 0 {
		kinds = DiffKinds
	}
	c := &copier{
		e:    e.clone(),
		of:   map[*Message]*Message{},
		r:    rand.New(rand.NewPCG(seed, 0x7265706c)),
		used: map[any]bool{},
	}
	originals := slices.Collect(e.Messages())
	for i, m := range slices.Collect(c.e.Messages()) {
		c.of[m] = originals[i]
	}
	for _, kind := range DiffKinds { // widest first, whatever the caller's order
		for _, k := range kinds {
			if k == kind {
				c.change(k)
			}
		}
	}
	return c.e, c.changes
}

type copier struct {
	e       *Estate
	of      map[*Message]*Message // copy -> original
	r       *rand.Rand
	used    map[any]bool
	changes []Change
}

// clone copies the description and turns every folder's keyword letters.
func (e *Estate) clone() *Estate {
	n := &Estate{Options: e.Options}
	for _, b := range e.Boxes {
		nb := *b
		nb.Subscribed = slices.Clone(b.Subscribed)
		nb.Folders = nil
		for _, f := range b.Folders {
			nf := *f
			nf.Keywords = append(slices.Clone(f.Keywords[1:]), f.Keywords[0])
			nf.Messages = nil
			for _, m := range f.Messages {
				nm := *m
				nm.box, nm.folder = &nb, &nf
				nf.Messages = append(nf.Messages, &nm)
			}
			nb.Folders = append(nb.Folders, &nf)
		}
		n.Boxes = append(n.Boxes, &nb)
	}
	return n
}

func (c *copier) change(kind string) {
	switch kind {
	case DiffMailboxMissing:
		c.dropBox()
	case DiffFolderMissing, DiffUIDValidity:
		c.changeFolder(kind)
	case DiffSubscriptions:
		c.unsubscribe()
	default:
		c.changeMessage(kind)
	}
}

func (c *copier) dropBox() {
	n := len(c.e.Boxes) - 1
	if n < 1 {
		return
	}
	b := c.e.Boxes[n]
	count := 0
	for _, f := range b.Folders {
		count += len(f.Messages)
	}
	c.e.Boxes = c.e.Boxes[:n]
	c.changes = append(c.changes, Change{Kind: DiffMailboxMissing, Mailbox: b.Address, ByPath: b.ByPath, Messages: count})
}

func (c *copier) changeFolder(kind string) {
	for _, b := range c.e.Boxes {
		for i, f := range b.Folders {
			if i == 0 || c.used[f] || len(f.Messages) == 0 {
				continue
			}
			c.used[f] = true
			ch := Change{Kind: kind, Mailbox: b.Address, ByPath: b.ByPath, Folder: f.Name}
			if kind == DiffUIDValidity {
				f.UIDValidity++
			} else {
				ch.Messages = len(f.Messages)
				b.Folders = slices.Delete(b.Folders, i, i+1)
			}
			c.changes = append(c.changes, ch)
			return
		}
	}
}

func (c *copier) unsubscribe() {
	for _, b := range c.e.Boxes {
		if len(b.Subscribed) > 1 && !c.used[b] {
			c.used[b] = true
			b.Subscribed = b.Subscribed[1:]
			c.changes = append(c.changes, Change{Kind: DiffSubscriptions, Mailbox: b.Address, ByPath: b.ByPath})
			return
		}
	}
}

// pick chooses a message that nothing has changed, in a folder that nothing
// has changed.
func (c *copier) pick() *Message {
	var all []*Message
	for m := range c.e.Messages() {
		if !c.used[m] && !c.used[m.folder] && len(m.box.Folders) > 1 {
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return nil
	}
	m := all[c.r.IntN(len(all))]
	c.used[m] = true
	return m
}

func (c *copier) changeMessage(kind string) {
	m := c.pick()
	if m == nil {
		return
	}
	f := m.folder
	ch := Change{Kind: kind, Mailbox: m.Address, ByPath: m.ByPath, Folder: m.Folder, Message: c.of[m]}
	switch kind {
	case DiffMissing:
		f.Messages = slices.DeleteFunc(f.Messages, func(x *Message) bool { return x == m })
	case DiffExtra:
		extra := *m
		extra.Date = m.Date.Add(time.Minute)
		extra.Unique = m.Unique + "x"
		extra.seed[1] ^= 0x5555555555555555
		extra.ID = "<extra." + m.Unique + "@mail1.example.net>"
		extra.UID, extra.s = f.NextUID, 0
		f.NextUID++
		f.Messages = append(f.Messages, &extra)
		c.used[&extra] = true
		ch.Message = &extra
	case DiffContent:
		m.changed++
		m.s = 0
	case DiffFlags:
		m.toggle("F")
	case DiffKeywords:
		m.turnKeyword()
	case DiffDate:
		m.Date = m.Date.Add(-26 * time.Hour)
	case DiffUID:
		m.UID = f.NextUID
		f.NextUID++
	case DiffMoved:
		to := c.elsewhere(m)
		if to == nil {
			return
		}
		c.move(m, to)
		ch.To = to.Name
	}
	c.changes = append(c.changes, ch)
}

func (c *copier) elsewhere(m *Message) *Folder {
	for _, f := range m.box.Folders {
		if f != m.folder && !c.used[f] {
			return f
		}
	}
	return nil
}

func (c *copier) move(m *Message, to *Folder) {
	from := m.folder
	from.Messages = slices.DeleteFunc(from.Messages, func(x *Message) bool { return x == m })
	m.folder, m.Folder = to, to.Name
	m.UID = to.NextUID
	to.NextUID++
	to.Messages = append(to.Messages, m)
}

// toggle sets a flag or takes it away; a message in new moves to cur.
func (m *Message) toggle(flag string) {
	m.Sub = manifest.Cur
	set := []byte(m.Flags)
	if i := slices.Index(set, flag[0]); i >= 0 {
		set = slices.Delete(set, i, i+1)
	} else {
		set = append(set, flag[0])
		slices.Sort(set)
	}
	m.Flags = string(set)
}

func (m *Message) turnKeyword() {
	m.Sub = manifest.Cur
	if len(m.Keywords) > 0 {
		m.Keywords = nil
		return
	}
	m.Keywords = []string{"project-x"}
}
