package scan

import (
	"context"
	"errors"
	"hash/maphash"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// shown is what one listing of a folder showed, for questions about any number
// of its messages: the hashes of their unique names. A million cost 8 MB.
type shown struct {
	hashes []uint64 // sorted
	// new and cur as they were when the listing began.
	newStamp, curStamp manifest.DirStamp
	calm               bool // nothing moved meanwhile
	lasting            bool // the stamps were old by then: whatever moves later moves them
	twice              bool // a second listing, on its own way, said the same
}

func (n *shown) has(hash uint64) bool {
	_, ok := slices.BinarySearch(n.hashes, hash)
	return ok
}

// show lists new, then cur: a message that a server moves meanwhile is seen
// twice rather than not at all.
func (o *door) show(ctx context.Context, now func() time.Time) (*shown, error) {
	o.listing.Lock()
	defer o.listing.Unlock()
	n := new(shown)
	var err error
	if n.newStamp, err = stamp(o.dirs.new); err != nil {
		return nil, err
	}
	if n.curStamp, err = stamp(o.dirs.cur); err != nil {
		return nil, err
	}
	began := now()
	for _, s := range [2]manifest.Sub{manifest.New, manifest.Cur} {
		err := eachName(ctx, o.dirs.of(s), func(e beneath.Dirent) {
			if e.Type != unix.DT_REG && e.Type != unix.DT_UNKNOWN {
				return
			}
			if name := string(e.Name); isMessage(name) {
				n.hashes = append(n.hashes, hashUnique(maildir.ParseName(name).Unique))
			}
		})
		if err != nil {
			return nil, err
		}
	}
	newAfter, err := stamp(o.dirs.new)
	if err != nil {
		return nil, err
	}
	curAfter, err := stamp(o.dirs.cur)
	if err != nil {
		return nil, err
	}
	n.calm = newAfter == n.newStamp && curAfter == n.curStamp
	n.lasting = n.calm && lasting(o.dirs.new, n.newStamp, began, o.margin) && lasting(o.dirs.cur, n.curStamp, began, o.margin)
	slices.Sort(n.hashes)
	return n, nil
}

func hashUnique(unique string) uint64 { return maphash.String(hashSeed, unique) }

func isMessage(name string) bool {
	standing, _ := maildir.Judge(name)
	return standing == maildir.Message
}

// Lookup implements compare.Witness. Absent is answered when the folder was
// listed twice, nothing moved during either listing, and neither shows the
// name; or when the folder itself is not there in a mailbox that is. A folder
// that has not moved since it was listed is not listed again.
func (s *Scanner) Lookup(ctx context.Context, mailbox, folder string, unique []string) ([]compare.Presence, error) {
	return s.lookup(ctx, mailbox, unique, func() (*door, error) { return s.enterFolder(ctx, mailbox, folder) })
}

// lookup answers for all names with as few listings as one would cost. enter
// opens the folder.
func (s *Scanner) lookup(ctx context.Context, mailbox string, unique []string, enter func() (*door, error)) ([]compare.Presence, error) {
	out := make([]compare.Presence, len(unique))
	calm := false // so was the listing before, by another way
	for try := range stillTries {
		o, err := enter()
		if errors.Is(err, fs.ErrNotExist) {
			if err := s.there(ctx, mailbox); err != nil {
				return nil, orCancelled(ctx, err)
			}
			rest(out, compare.Absent)
			return out, nil
		}
		if err != nil {
			return nil, orCancelled(ctx, err)
		}
		n := s.doors.shownBy(o)
		kept := n != nil && o.current(n.newStamp, n.curStamp)
		if !kept {
			if n, err = o.show(ctx, s.opt.Now); err != nil {
				s.doors.leave(o, true)
				return nil, orCancelled(ctx, err)
			}
		}
		open := n.answer(unique, out)
		proven := kept && n.twice || calm && n.calm && o.current(n.newStamp, n.curStamp)
		if open == 0 || proven {
			s.doors.keepShown(o, n, proven)
			s.doors.leave(o, false)
			rest(out, compare.Absent)
			return out, nil
		}
		// The second look takes its own way to the directories, and on a clock
		// with a coarse grain its own tick.
		lasting := n.lasting
		s.doors.leave(o, true)
		if calm = n.calm; !calm || !lasting {
			if err := pause(ctx, time.Duration(try+1)*fineMargin); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// answer notes which of the names were shown, and counts those that no listing
// has shown yet.
func (n *shown) answer(unique []string, out []compare.Presence) (open int) {
	for i, u := range unique {
		switch {
		case out[i] == compare.Present:
		case n.has(hashUnique(u)):
			out[i] = compare.Present
		default:
			open++
		}
	}
	return open
}

// rest answers for what was not seen.
func rest(out []compare.Presence, p compare.Presence) {
	for i := range out {
		if out[i] != compare.Present {
			out[i] = p
		}
	}
}

// there fails where a mailbox is not there or cannot be opened: then the lack of
// a folder's directory proves nothing.
func (s *Scanner) there(ctx context.Context, mailbox string) error {
	place, err := s.Place(ctx, mailbox)
	if err != nil {
		return err
	}
	d, err := s.openAt(place.Root)
	if err != nil {
		return err
	}
	return d.Close()
}

// orCancelled returns the cause of a cancelled look, else what failed.
func orCancelled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// maxShown bounds the hashes that are kept of what listings showed: 16 MB a
// store, unless one folder alone holds more.
const maxShown = 2 << 20

func (d *doors) shownBy(o *door) *shown {
	d.mu.Lock()
	defer d.mu.Unlock()
	return o.shown
}

// keepShown keeps a listing that will answer for as long as the directories'
// stamps do not move. proven tells that a second one agreed with it.
func (d *doors) keepShown(o *door, n *shown, proven bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !n.lasting {
		return
	}
	if proven && !n.twice { // others may be reading n: what was shown is not changed, but replaced
		agreed := *n
		agreed.twice = true
		n = &agreed
	}
	kept := len(n.hashes)
	for el := d.lru.Front(); el != nil; el = el.Next() {
		if other := el.Value.(*door); other != o && other.shown != nil {
			if kept += len(other.shown.hashes); kept > maxShown {
				other.shown = nil
			}
		}
	}
	o.shown = n
}
