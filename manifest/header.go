package manifest

import (
	"fmt"
	"slices"
	"strings"
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
	b = appendUvarint(b, s.Inode)
	b = appendVarint(b, s.MTime)
	b = appendVarint(b, s.CTime-s.MTime)
	return appendVarint(b, s.Size)
}

func (c *cursor) stamp() DirStamp {
	var s DirStamp
	switch c.byte() {
	case 0:
		return s
	case 1:
	case 2:
		s.Safe = true
	default:
		c.fail()
		return s
	}
	s.Inode = c.uvarint()
	s.MTime = c.varint()
	s.CTime = s.MTime + c.varint()
	s.Size = c.varint()
	return s
}

// appendHeader encodes a Mailbox and x. The sums are those of s, where they are
// known before the entries are written (s is not nil).
func appendHeader(b []byte, mb *Mailbox, x *Extra, s *sums) []byte {
	b = appendString(b, mb.Alg.String())
	b = appendString(b, mb.Name)
	b = appendString(b, mb.Path)
	b = appendUvarint(b, uint64(mb.Generation))
	b = appendUvarint(b, mb.Device)
	b = appendUvarint(b, mb.FSID)
	b = appendUvarint(b, mb.RootInode)
	b = appendUvarint(b, uint64(mb.Owner))
	b = appendUvarint(b, uint64(mb.Group))
	b = appendUvarint(b, uint64(mb.Mode))
	b = appendStrings(b, mb.Subscriptions)
	b = appendBool(b, mb.Subscribed)
	b = appendBool(b, mb.QuotaFile)
	b = appendStamp(b, mb.QuotaStamp)
	b = appendStamp(b, mb.SubsStamp)
	b = appendTime(b, mb.Began)
	b = appendTime(b, mb.Ended)
	b = appendUvarint(b, uint64(len(x.Watch)))
	b = append(b, x.Watch...)
	b = appendUvarint(b, uint64(x.Disordered))
	b = appendUvarint(b, uint64(len(mb.Folders)))
	for i := range mb.Folders {
		b = appendFolder(b, &mb.Folders[i])
	}
	b = appendBool(b, s != nil)
	if s != nil {
		b = s.append(b)
		b = appendBool(b, !s.content.IsZero())
		b = appendRoots(b, s.content, s.state)
	}
	return b
}

func appendFolder(b []byte, f *Folder) []byte {
	b = appendString(b, f.Name)
	b = appendString(b, f.Dir)
	b = appendString(b, f.GUID)
	b = appendUvarint(b, uint64(f.UIDValidity))
	b = appendUvarint(b, uint64(f.UIDNext))
	b = appendUvarint(b, f.HighestModSeq)
	b = appendStrings(b, f.Keywords)
	b = appendBool(b, f.ACL)
	for _, s := range [...]DirStamp{f.SelfStamp, f.NewStamp, f.CurStamp, f.UIDListStamp, f.KeywordsStamp} {
		b = appendStamp(b, s)
	}
	return b
}

// minFolder is the least that a folder takes.
const minFolder = 13

func (c *cursor) header() (*Mailbox, *Extra, *sums, error) {
	alg, err := ParseAlg(c.string(64))
	if err != nil {
		if c.bad {
			return nil, nil, nil, corrupt("header of a mailbox")
		}
		return nil, nil, nil, err
	}
	mb, x := &Mailbox{Alg: alg}, &Extra{}
	mb.Name = c.string(MaxFolderName)
	mb.Path = c.string(MaxFolderName)
	mb.Generation = c.uint32()
	mb.Device = c.uvarint()
	mb.FSID = c.uvarint()
	mb.RootInode = c.uvarint()
	mb.Owner, mb.Group, mb.Mode = c.uint32(), c.uint32(), c.uint32()
	mb.Subscriptions = c.strings(MaxSubscriptions, MaxFolderName)
	mb.Subscribed = c.bool()
	mb.QuotaFile = c.bool()
	mb.QuotaStamp = c.stamp()
	mb.SubsStamp = c.stamp()
	mb.Began, mb.Ended = c.time(), c.time()
	if w := c.take(c.length(MaxWatch)); len(w) > 0 {
		x.Watch = slices.Clone(w)
	}
	x.Disordered = int64(c.uvarint())
	n := c.length(MaxFolders)
	if n > len(c.b)/minFolder {
		c.fail()
		n = 0
	}
	if n > 0 {
		mb.Folders = make([]Folder, n)
	}
	for i := range mb.Folders {
		c.folder(&mb.Folders[i])
		if c.bad {
			break
		}
	}
	var s *sums
	if c.bool() {
		s = &sums{}
		c.sums(s)
		if c.bool() {
			s.content, s.state = c.digest(alg), c.digest(alg)
		}
		mb.Messages, mb.Bytes, mb.Content, mb.State = s.messages, s.bytes, s.content, s.state
	}
	if !c.done() {
		return nil, nil, nil, corrupt("header of a mailbox")
	}
	if err := checkMailbox(mb, x); err != nil {
		return nil, nil, nil, corrupt("header of a mailbox: %v", err)
	}
	return mb, x, s, nil
}

func (c *cursor) folder(f *Folder) {
	f.Name = c.string(MaxFolderName)
	f.Dir = c.string(MaxFolderName)
	if strings.HasPrefix(f.Name, f.Dir) && f.Dir != "" {
		f.Dir = f.Name[:len(f.Dir)] // one string in place of two
	}
	f.GUID = c.string(256)
	f.UIDValidity, f.UIDNext = c.uint32(), c.uint32()
	f.HighestModSeq = c.uvarint()
	f.Keywords = c.strings(MaxKeywords, MaxKeywordBytes)
	f.ACL = c.bool()
	for _, s := range [...]*DirStamp{&f.SelfStamp, &f.NewStamp, &f.CurStamp, &f.UIDListStamp, &f.KeywordsStamp} {
		*s = c.stamp()
	}
}
