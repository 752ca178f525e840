package restore

import (
	"path/filepath"

	"mailsync/scan/beneath"
)

// Space is what applying a plan takes of one file system of the target, and
// what is free there.
type Space struct {
	Path   string `json:"path"` // of the store's root, or of a mailbox that lies on it
	Need   int64  `json:"need"` // bytes; a file wastes half a block
	Free   int64  `json:"free"`
	Files  int64  `json:"files"`
	Inodes int64  `json:"inodes"` // free; -1: as many as there is room for
}

// Fits tells whether there is room. A file system that compresses may hold
// what does not fit by this.
func (s *Space) Fits() bool { return s.Need <= s.Free && (s.Inodes < 0 || s.Files <= s.Inodes) }

// maxSpaces bounds how many file systems are told.
const maxSpaces = 100

// spaces finds the file systems of a target.
type spaces struct {
	at    map[uint64]int // by device: its place in list
	list  []Space
	block []int64
}

// room takes up what a mailbox needs. A file system that cannot be asked is
// left out: what does not fit is found while applying, and costs nothing.
func (p *planner) room(b *planBoxer) {
	if p.open == nil || b.need.files+b.need.dirs == 0 {
		return
	}
	path := b.place.Root
	if path == "" {
		path = p.o.Site.Path
	}
	d, err := p.open.nearest(path)
	if err != nil {
		return
	}
	defer d.Close()
	st, err := d.Self()
	if err != nil {
		return
	}
	i, known := p.spaces.at[st.Dev]
	if !known {
		if len(p.spaces.list) == maxSpaces {
			return
		}
		f, err := d.FileSystem()
		if err != nil {
			return
		}
		if top, err := p.open.store.Self(); err == nil && top.Dev == st.Dev {
			path = p.o.Site.Path
		}
		if p.spaces.at == nil {
			p.spaces.at = map[uint64]int{}
		}
		i = len(p.spaces.list)
		p.spaces.at[st.Dev] = i
		p.spaces.block = append(p.spaces.block, f.Block)
		p.spaces.list = append(p.spaces.list, Space{Path: path, Free: f.Free, Inodes: f.Inodes})
	}
	s := &p.spaces.list[i]
	block := p.spaces.block[i]
	s.Need += b.need.bytes + b.need.files*block/2 + b.need.dirs*block
	s.Files += b.need.files + b.need.dirs
}

// nearest opens a directory, or the nearest above it that is there.
func (o *opener) nearest(path string) (*beneath.Dir, error) {
	for {
		d, err := o.openDir(path)
		if err == nil || path == o.site.Path || len(path) <= 1 {
			return d, err
		}
		path = filepath.Dir(path)
	}
}

// need is what the actions of a mailbox take of its file system.
type need struct{ bytes, files, dirs int64 }

// take counts a planned action.
func (n *need) take(a *Action) {
	switch {
	case a.State != Planned:
	case a.Op == Add || a.Op == Replace:
		n.files++
		n.bytes += a.Post.Size
	case a.Op == Mkdir && a.Path+a.Dir != "":
		n.dirs += 4 // its own, tmp, new and cur
	}
}
