package place

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"mailsync/scan/beneath"
)

// ErrNotOurs: what was just created has been replaced by somebody else's.
var ErrNotOurs = errors.New("replaced while it was being made")

// File is a small file that a new Maildir begins with.
type File struct {
	Name string
	Data []byte
}

// subs are the directories of a Maildir in the order in which they appear: a
// server takes a directory with cur for a mailbox.
var subs = [...]string{"tmp", "new", "cur"}

// MakeDir makes one directory with an owner and opens it. An existing one is
// opened as it is; made tells which.
func (o *Ops) MakeDir(parent *beneath.Dir, name string, own Owner) (d *beneath.Dir, made bool, err error) {
	err = o.Mkdir(parent.Fd(), name, 0o700)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, false, err
	}
	made = err == nil
	d, err = parent.OpenDir(name)
	if err != nil {
		if made {
			_ = o.Rmdir(parent.Fd(), name)
		}
		return nil, false, err
	}
	if !made {
		return d, false, nil
	}
	if err := o.giveDir(d, own); err != nil {
		_ = d.Close()
		_ = o.Rmdir(parent.Fd(), name)
		return nil, false, err
	}
	return d, true, nil
}

// giveDir sets owner and mode of a directory that this process has just made.
func (o *Ops) giveDir(d *beneath.Dir, own Owner) error {
	var st unix.Stat_t
	if err := o.Stat(d.Fd(), d.Path(), &st); err != nil {
		return err
	}
	if int(st.Uid) != os.Geteuid() {
		// The owner of the parent has put another directory in its place:
		// changing that one's owner or mode is not ours to do.
		return fmt.Errorf("%w: %q", ErrNotOurs, d.Path())
	}
	return o.give(d.Fd(), d.Path(), own, own.dirMode(), &st)
}

// BuildMaildir makes a Maildir with tmp, new, cur and some small files under a
// temporary name. The caller gives it its name in one step (Ops.Move), so that a
// server never meets a folder that is half made or lacks its ACL. With durable,
// everything is synced; else the caller's Barrier does it. On failure nothing
// is left.
func (o *Ops) BuildMaildir(parent *beneath.Dir, temp string, own Owner, files []File, durable bool) (*beneath.Dir, error) {
	d, made, err := o.MakeDir(parent, temp, own)
	if err != nil {
		_ = o.Rmdir(parent.Fd(), temp) // the name is ours alone
		return nil, err
	}
	if !made {
		_ = d.Close()
		return nil, &Error{Op: "mkdir", Name: temp, Err: unix.EEXIST}
	}
	if err := o.furnish(d, own, files, durable); err != nil {
		o.TearDown(parent, temp, d, files)
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// furnish fills a directory that nobody else knows yet.
func (o *Ops) furnish(d *beneath.Dir, own Owner, files []File, durable bool) error {
	for _, f := range files {
		if _, err := o.WriteFile(d, f.Name, f.Data, own, durable); err != nil {
			return err
		}
	}
	return o.MakeSubs(d, own, durable)
}

// MakeSubs makes what is missing of tmp, new and cur.
func (o *Ops) MakeSubs(d *beneath.Dir, own Owner, durable bool) error {
	for _, name := range subs {
		s, _, err := o.MakeDir(d, name, own)
		if err != nil {
			return err
		}
		if durable {
			err = o.Fsync(s.Fd(), name)
		}
		_ = s.Close()
		if err != nil {
			return err
		}
	}
	if durable {
		return o.Fsync(d.Fd(), d.Path())
	}
	return nil
}

// TearDown removes what BuildMaildir has made under its temporary name.
// Directories that somebody has put something into stay.
func (o *Ops) TearDown(parent *beneath.Dir, temp string, d *beneath.Dir, files []File) {
	for _, f := range files {
		_ = o.Unlink(d.Fd(), f.Name)
	}
	for _, name := range subs {
		_ = o.Rmdir(d.Fd(), name)
	}
	_ = o.Rmdir(parent.Fd(), temp)
}
