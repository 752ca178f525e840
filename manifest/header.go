package manifest

import (
	"fmt"
	"slices"
	"strings"

	"mailsync/manifest/pack"
)

// The limits of a mailbox' header.
const (
	MaxHeader        = 64 << 20 // bytes, uncompressed
	MaxFolders       = 1 << 20
	MaxSubscriptions = 1 << 20
	MaxWatch         = 16 << 10 // bytes of Extra.Watch
)

// Extra is what a scan keeps beside a mailbox, to decide whether to look at it
// again and to sum up a store.
type Extra struct {
	Watch      []byte // opaque, at most MaxWatch bytes; given back in Head.Watch
	Disordered int64  // findings of class Disorder
}

// checkMailbox refuses what a header cannot hold.
func checkMailbox(mb *Mailbox, x *Extra) error {
	switch {
	case !mb.Alg.Valid():
		return fmt.Errorf("%w: %s of mailbox %q", ErrAlg, mb.Alg, mb.Name)
	case mb.Name == "", x.Disordered < 0:
		return fmt.Errorf("%w: name or sums of mailbox %q", ErrInvalid, mb.Name)
	case len(mb.Name) > MaxFolderName, len(mb.Path) > MaxFolderName, len(mb.Folders) > MaxFolders,
		len(mb.Subscriptions) > MaxSubscriptions, len(x.Watch) > MaxWatch:
		return fmt.Errorf("%w: header of mailbox %q", ErrLimit, mb.Name)
	case !slices.IsSorted(mb.Subscriptions):
		return fmt.Errorf("%w: subscriptions of mailbox %q", ErrOrder, mb.Name)
	}
	for i := range mb.Folders {
		f := &mb.Folders[i]
		if len(f.Name) > MaxFolderName || len(f.Dir) > MaxFolderName || len(f.GUID) > 256 || len(f.Keywords) > MaxKeywords {
			return fmt.Errorf("%w: folder %q of mailbox %q", ErrLimit, f.Name, mb.Name)
		}
		if i > 0 && mb.Folders[i-1].Name >= f.Name {
			return fmt.Errorf("%w: folder %q of mailbox %q", ErrOrder, f.Name, mb.Name)
		}
	}
	return nil
}

func appendStamp(b []byte, s DirStamp) []byte {
	if s == (DirStamp{}) {
		return append(b, 0)
	}
	if s.Safe {
		b = append(b, 2)
	} else {
		b = append(b, 1)
	}
	b = pack.Uint(b, s.Inode)
	b = pack.Int(b, s.MTime)
	b = pack.Int(b, s.CTime-s.MTime)
	return pack.Int(b, s.Size)
}

func (c *cursor) stamp() DirStamp {
	var s DirStamp
	switch c.Byte() {
	case 0:
		return s
	case 1:
	case 2:
		s.Safe = true
	default:
		c.Fail()
		return s
	}
	s.Inode = c.Uint()
	s.MTime = c.Int()
	s.CTime = s.MTime + c.Int()
	s.Size = c.Int()
	return s
}

// appendHeader encodes a Mailbox and x. The sums are those of s, where they are
// known before the entries are written (s is not nil).
func appendHeader(b []byte, mb *Mailbox, x *Extra, s *sums) []byte {
	b = pack.Text(b, mb.Alg.String())
	b = pack.Text(b, mb.Name)
	b = pack.Text(b, mb.Path)
	b = pack.Uint(b, uint64(mb.Generation))
	b = pack.Uint(b, mb.Device)
	b = pack.Uint(b, mb.FSID)
	b = pack.Uint(b, mb.RootInode)
	b = pack.Uint(b, uint64(mb.Owner))
	b = pack.Uint(b, uint64(mb.Group))
	b = pack.Uint(b, uint64(mb.Mode))
	b = appendStrings(b, mb.Subscriptions)
	b = pack.Bool(b, mb.Subscribed)
	b = pack.Bool(b, mb.QuotaFile)
	b = appendStamp(b, mb.QuotaStamp)
	b = appendStamp(b, mb.SubsStamp)
	b = appendTime(b, mb.Began)
	b = appendTime(b, mb.Ended)
	b = pack.Uint(b, uint64(len(x.Watch)))
	b = append(b, x.Watch...)
	b = pack.Uint(b, uint64(x.Disordered))
	b = pack.Uint(b, uint64(len(mb.Folders)))
	for i := range mb.Folders {
		b = appendFolder(b, &mb.Folders[i])
	}
	b = pack.Bool(b, s != nil)
	if s != nil {
		b = s.append(b)
		b = pack.Bool(b, !s.content.IsZero())
		b = appendRoots(b, s.content, s.state)
	}
	return b
}

func appendFolder(b []byte, f *Folder) []byte {
	b = pack.Text(b, f.Name)
	b = pack.Text(b, f.Dir)
	b = pack.Text(b, f.GUID)
	b = pack.Uint(b, uint64(f.UIDValidity))
	b = pack.Uint(b, uint64(f.UIDNext))
	b = pack.Uint(b, f.HighestModSeq)
	b = appendStrings(b, f.Keywords)
	b = pack.Bool(b, f.ACL)
	for _, s := range [...]DirStamp{f.SelfStamp, f.NewStamp, f.CurStamp, f.UIDListStamp, f.KeywordsStamp} {
		b = appendStamp(b, s)
	}
	return b
}

// minFolder is the least that a folder takes.
const minFolder = 13

func (c *cursor) header() (*Mailbox, *Extra, *sums, error) {
	alg, err := ParseAlg(c.String(64))
	if err != nil {
		if c.Bad {
			return nil, nil, nil, corrupt("header of a mailbox")
		}
		return nil, nil, nil, err
	}
	mb, x := &Mailbox{Alg: alg}, &Extra{}
	mb.Name = c.String(MaxFolderName)
	mb.Path = c.String(MaxFolderName)
	mb.Generation = c.U32()
	mb.Device = c.Uint()
	mb.FSID = c.Uint()
	mb.RootInode = c.Uint()
	mb.Owner, mb.Group, mb.Mode = c.U32(), c.U32(), c.U32()
	mb.Subscriptions = c.strings(MaxSubscriptions, MaxFolderName)
	mb.Subscribed = c.Bool()
	mb.QuotaFile = c.Bool()
	mb.QuotaStamp = c.stamp()
	mb.SubsStamp = c.stamp()
	mb.Began, mb.Ended = c.time(), c.time()
	if w := c.Take(c.Length(MaxWatch)); len(w) > 0 {
		x.Watch = slices.Clone(w)
	}
	x.Disordered = int64(c.Uint())
	n := c.Length(MaxFolders)
	if n > len(c.B)/minFolder {
		c.Fail()
		n = 0
	}
	if n > 0 {
		mb.Folders = make([]Folder, n)
	}
	for i := range mb.Folders {
		c.folder(&mb.Folders[i])
		if c.Bad {
			break
		}
	}
	var s *sums
	if c.Bool() {
		s = &sums{}
		c.sums(s)
		if c.Bool() {
			s.content, s.state = c.digest(alg), c.digest(alg)
		}
		mb.Messages, mb.Bytes, mb.Content, mb.State = s.messages, s.bytes, s.content, s.state
	}
	if !c.Done() {
		return nil, nil, nil, corrupt("header of a mailbox")
	}
	if err := checkMailbox(mb, x); err != nil {
		return nil, nil, nil, corrupt("header of a mailbox: %v", err)
	}
	return mb, x, s, nil
}

func (c *cursor) folder(f *Folder) {
	f.Name = c.String(MaxFolderName)
	f.Dir = c.String(MaxFolderName)
	if strings.HasPrefix(f.Name, f.Dir) && f.Dir != "" {
		f.Dir = f.Name[:len(f.Dir)] // one string in place of two
	}
	f.GUID = c.String(256)
	f.UIDValidity, f.UIDNext = c.U32(), c.U32()
	f.HighestModSeq = c.Uint()
	f.Keywords = c.strings(MaxKeywords, MaxKeywordBytes)
	f.ACL = c.Bool()
	for _, s := range [...]*DirStamp{&f.SelfStamp, &f.NewStamp, &f.CurStamp, &f.UIDListStamp, &f.KeywordsStamp} {
		*s = c.stamp()
	}
}
