package restore

import (
	"cmp"
	"errors"
	"io"
	"io/fs"

	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// uidState is what the server's files of one folder say.
type uidState struct {
	there   bool
	planted bool // something that is no file lies in the list's place
	broken  error
	header  maildir.UIDHeader
	next    uint32
	index   *maildir.UIDIndex
	inode   uint64
	size    int64
	log     maildir.IndexLog
	hdr     maildir.IndexHeader
	seen    bool // the server has an index: it knows the next UID
}

// state reads the server's files of a folder; nil where the target is not
// looked at or the folder is not there.
func (u *uidPlanner) state(f *folderPlan) (*uidState, error) {
	if !u.opened() {
		return nil, u.err
	}
	if f.there == nil {
		return nil, nil
	}
	if s, ok := u.folders[f.dir]; ok {
		return s, nil
	}
	s, err := u.read(f.dir)
	if err != nil {
		return nil, err
	}
	clear(u.folders) // one folder at a time
	u.folders[f.dir] = s
	return s, nil
}

func (u *uidPlanner) read(dir string) (*uidState, error) {
	o := u.b.p.open
	s := &uidState{}
	c, err := o.control(u.box, dir)
	if err != nil {
		return nil, err
	}
	if c != nil {
		defer c.Close()
		f, err := c.OpenFile(uidlistName)
		switch {
		case err == nil:
			defer f.Close()
			s.there, s.inode, s.size = true, f.Opened().Inode, f.Opened().Size
			if err := s.readList(f); err != nil {
				return nil, err
			}
		case planted(err):
			s.planted = true
			return s, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	d, err := o.indexes(u.box, dir)
	if planted(err) {
		return s, nil
	}
	if err != nil || d == nil {
		return s, err
	}
	defer d.Close()
	for _, name := range []string{maildir.IndexLogOldFile, maildir.IndexLogFile} {
		f, err := d.OpenFile(name)
		if errors.Is(err, fs.ErrNotExist) || planted(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		err = s.log.Read(f)
		_ = f.Close()
		if err != nil && !errors.Is(err, maildir.ErrIndexLog) {
			return nil, err
		}
		s.seen = s.seen || s.log.UIDValidity != 0
	}
	if f, err := d.OpenFile(maildir.IndexFile); err == nil {
		if h, err := maildir.ReadIndexHeader(f); err == nil {
			s.hdr, s.seen = h, true
		}
		_ = f.Close()
	}
	return s, nil
}

// planted tells whether something else than a file of the server's lies in its
// place: the owner of the mailbox may have put it there. It is left alone.
func planted(err error) bool {
	return errors.Is(err, beneath.ErrNotRegular) || errors.Is(err, beneath.ErrEscape)
}

// readList reads the UID list. An error means that it could not be read, which
// says nothing of what is in it.
func (s *uidState) readList(r io.Reader) error {
	l, err := maildir.ReadUIDList(r)
	if err == nil {
		s.header = l.Header()
		s.index, err = maildir.IndexUIDs(l)
		s.next = l.Next()
	}
	if err != nil && !errors.Is(err, maildir.ErrUIDList) && !errors.Is(err, maildir.ErrTooLarge) {
		return err
	}
	s.broken = err
	return nil
}

// validity is what the server takes for the folder's UIDVALIDITY.
func (s *uidState) validity() uint32 {
	return cmp.Or(s.header.UIDValidity, s.log.UIDValidity, s.hdr.UIDValidity)
}

// serverNext is the highest next UID that the server's indexes know.
func (s *uidState) serverNext() uint32 { return max(s.log.NextUID, s.hdr.NextUID) }

// gone tells what the server remembers of a message that is gone.
func (s *uidState) gone(base string) maildir.Gone {
	g := s.log.GUID(maildir.GUID("", base))
	if g == maildir.NotInLog && s.index != nil && s.validity() == s.log.UIDValidity {
		if uid := s.index.UID(base); uid != 0 {
			return s.log.UID(uid)
		}
	}
	return g
}
