package scan

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// maxDoors bounds the folders that are held open for single questions.
const maxDoors = 64

// door is one folder whose directories are open.
type door struct {
	key  string
	root *beneath.Dir // of the mailbox
	dir  string
	dirs folderDirs
	uses int
	dead bool
	// listing is held while the directories are listed: a descriptor has one
	// position.
	listing sync.Mutex
	margin  time.Duration // how old a stamp must be to be trusted
	// What the last listings showed: shown answers whether a message is there,
	// names under which name. Both answer for as long as the directories'
	// stamps do not move.
	shown *shown
	names *listing
}

func (o *door) close() {
	o.dirs.close()
	_ = o.root.Close()
}

// current tells whether the directories that lie under the folder's name now
// are in the state that a listing found.
func (o *door) current(newStamp, curStamp manifest.DirStamp) bool {
	same := func(sub string, rec manifest.DirStamp) bool {
		name := sub
		if o.dir != "" {
			name = o.dir + "/" + sub
		}
		st, err := o.root.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return rec.IsZero()
		}
		now := stampOf(&st)
		now.Safe = rec.Safe
		return err == nil && now == rec
	}
	return same("new", newStamp) && same("cur", curStamp)
}

// doors keeps the folders open that were asked for last, so that a question
// about one message costs no walk through the tree.
type doors struct {
	mu   sync.Mutex
	byID map[string]*list.Element
	lru  list.List
}

// enterFolder is enter by the folder's name. The directory is the one that the
// configured layout gives it, or the other layout: below a mailbox' root every
// Maildir is a folder.
func (s *Scanner) enterFolder(ctx context.Context, mailbox, folder string) (*door, error) {
	key := mailbox + "\x00/" + folder
	if o := s.doors.known(key); o != nil {
		return o, nil
	}
	place, err := s.Place(ctx, mailbox)
	if err != nil {
		return nil, err
	}
	first := place.Folders()
	other := first
	other.Layout = maildir.FS
	if first.Layout == maildir.FS {
		other.Layout = maildir.PlusPlus
	}
	none := error(nil)
	for _, names := range [2]maildir.FolderNames{first, other} {
		dir, err := names.Dir(folder)
		if err != nil {
			continue
		}
		o, err := s.enterAt(key, place, dir)
		if !errors.Is(err, fs.ErrNotExist) {
			return o, err
		}
		none = err
	}
	if none == nil {
		none = fmt.Errorf("folder %q: %w", folder, compare.ErrUnknown)
	}
	return nil, none
}

// enter returns the folder's directories, which the caller gives back.
func (s *Scanner) enter(ctx context.Context, mailbox, dir string) (*door, error) {
	key := mailbox + "\x00" + dir
	if o := s.doors.known(key); o != nil {
		return o, nil
	}
	place, err := s.Place(ctx, mailbox)
	if err != nil {
		return nil, err
	}
	return s.enterAt(key, place, dir)
}

// known returns a door that is open already.
func (d *doors) known(key string) *door {
	d.mu.Lock()
	defer d.mu.Unlock()
	el := d.byID[key]
	if el == nil {
		return nil
	}
	o := el.Value.(*door)
	o.uses++
	d.lru.MoveToFront(el)
	return o
}

func (s *Scanner) enterAt(key string, place maildir.Place, dir string) (*door, error) {
	d := &s.doors
	root, err := s.openAt(place.Root)
	if err != nil {
		return nil, err
	}
	o := &door{key: key, root: root, dir: dir, uses: 1, margin: coarseMargin}
	if f, err := root.FileSystem(); err == nil {
		o.margin = raceMargin(f, s.multi)
	}
	at, err := root.OpenDir(dir)
	if err != nil {
		o.close()
		return nil, err
	}
	defer at.Close()
	if o.dirs.new, err = openIfThere(at, "new"); err != nil {
		o.close()
		return nil, err
	}
	if o.dirs.cur, err = openIfThere(at, "cur"); err != nil {
		o.close()
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byID == nil {
		d.byID = make(map[string]*list.Element)
	}
	if el := d.byID[key]; el != nil { // somebody was faster
		o.close()
		o = el.Value.(*door)
		o.uses++
		return o, nil
	}
	d.byID[key] = d.lru.PushFront(o)
	for d.lru.Len() > maxDoors {
		d.drop(d.lru.Back())
	}
	return o, nil
}

// drop takes a door out of the cache; it closes when nobody uses it. The
// caller holds the lock.
func (d *doors) drop(el *list.Element) {
	o := el.Value.(*door)
	d.lru.Remove(el)
	delete(d.byID, o.key)
	o.dead = true
	if o.uses == 0 {
		o.close()
	}
}

// leave gives a door back. With stale it is opened anew next time: its
// directories may have been replaced by others of the same name.
func (d *doors) leave(o *door, stale bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o.uses--
	if el := d.byID[o.key]; stale && el != nil && el.Value.(*door) == o {
		d.drop(el)
		return
	}
	if o.dead && o.uses == 0 {
		o.close()
	}
}

func (d *doors) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.lru.Len() > 0 {
		d.drop(d.lru.Back())
	}
}

// OpenMessage opens the stored bytes of a message. Where its name is gone, it
// is looked for under its unique part, in both directories: flags rename files.
// ErrGone says that it is proven not to be there.
func (s *Scanner) OpenMessage(ctx context.Context, mailbox, folderDir string, sub manifest.Sub, name string) (io.ReadCloser, error) {
	return s.openMessage(ctx, mailbox, sub, name, func() (*door, error) { return s.enter(ctx, mailbox, folderDir) })
}

func (s *Scanner) openMessage(ctx context.Context, mailbox string, sub manifest.Sub, name string, enter func() (*door, error)) (*openMessage, error) {
	o, err := enter()
	if err != nil {
		return nil, err
	}
	if d := o.dirs.of(sub); d != nil && name != "" {
		f, err := openOwn(d, name)
		if err == nil {
			return &openMessage{File: f, s: s, o: o}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			s.doors.leave(o, false)
			return nil, err
		}
	}
	s.doors.leave(o, false)
	unique := maildir.ParseName(name).Unique
	for range hunts {
		p, err := s.lookup(ctx, mailbox, []string{unique}, enter)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil:
			return nil, fmt.Errorf("%w: %q in mailbox %q: %w", compare.ErrUnknown, name, mailbox, err)
		case p[0] == compare.Absent:
			return nil, fmt.Errorf("%w: %q in mailbox %q", ErrGone, name, mailbox)
		case p[0] == compare.UnknownPresence:
			return nil, fmt.Errorf("%w: %q in mailbox %q", compare.ErrUnknown, name, mailbox)
		}
		f, err := s.openRenamed(ctx, unique, enter)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, fmt.Errorf("%w: %q in mailbox %q is renamed faster than it can be opened", compare.ErrUnknown, name, mailbox)
}

// openRenamed opens a message under the name that a listing shows for its
// unique part.
func (s *Scanner) openRenamed(ctx context.Context, unique string, enter func() (*door, error)) (*openMessage, error) {
	o, err := enter()
	if err != nil {
		return nil, err
	}
	l, err := s.namesOf(ctx, o)
	if err != nil {
		s.doors.leave(o, true)
		return nil, err
	}
	err = error(fs.ErrNotExist)
	for _, it := range l.group(unique) {
		if it.odd {
			continue
		}
		var f *beneath.File
		if f, err = openOwn(o.dirs.of(it.sub), it.name); err == nil {
			return &openMessage{File: f, s: s, o: o}, nil
		}
	}
	s.doors.leave(o, false)
	return nil, err
}

// maxNames bounds the names that are kept in listings.
const maxNames = 1 << 18

// namesOf lists a folder, unless it has not moved since it was listed.
func (s *Scanner) namesOf(ctx context.Context, o *door) (*listing, error) {
	d := &s.doors
	d.mu.Lock()
	l := o.names
	d.mu.Unlock()
	if l != nil && o.current(l.newStamp, l.curStamp) {
		return l, nil
	}
	o.listing.Lock()
	l, err := o.dirs.list(ctx, s.opt.Now, o.margin)
	o.listing.Unlock()
	if err != nil {
		return nil, err
	}
	if !l.still {
		return l, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := len(l.items)
	for el := d.lru.Front(); el != nil; el = el.Next() {
		if other := el.Value.(*door); other != o && other.names != nil {
			if kept += len(other.names.items); kept > maxNames {
				other.names = nil
			}
		}
	}
	o.names = l
	return l, nil
}

// openMessage is a file that keeps its folder open.
type openMessage struct {
	*beneath.File
	s *Scanner
	o *door
}

// Close implements io.Closer.
func (m *openMessage) Close() error {
	err := m.File.Close()
	if m.o != nil {
		m.s.doors.leave(m.o, false)
		m.o = nil
	}
	return err
}
