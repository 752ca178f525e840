package restore

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/restore/place"
	"mailsync/scan/beneath"
)

// QuarantineDir is the directory, at a store's root or a file system's mount
// point, that holds what was moved aside, one directory a run below
// "quarantine". It is never a mailbox.
const QuarantineDir = ".mailsync"

// quarantineIndex is the file in a run's quarantine that says what each file
// was: one JSON object a line.
const quarantineIndex = "INDEX"

// fromQuarantine is Action.From of what undo brings back.
const fromQuarantine = QuarantineDir

// ErrQuarantine: the quarantine is not a private directory of ours.
var errQuarantine = errors.New("the quarantine is not a private directory of this user")

// shelf is one run's quarantine on one file system.
type shelf struct {
	dir   *beneath.Dir
	index int // descriptor, -1 while nothing was written
}

// quarantine is one run's quarantine, a shelf for each file system.
type quarantine struct {
	open *opener
	run  string
	mu   sync.Mutex
	m    map[uint64]*shelf
	next int
}

func newQuarantine(o *opener, run string) *quarantine {
	return &quarantine{open: o, run: run, m: map[uint64]*shelf{}}
}

// private opens a directory that must be ours alone, making it where needed.
func (o *opener) private(parent *beneath.Dir, name string, make bool) (*beneath.Dir, error) {
	if make {
		d, made, err := o.ops.MakeDir(parent, name, place.Owner{UID: -1, Mode: 0o600})
		if err != nil {
			return nil, err
		}
		if made {
			_ = o.ops.Chmod(d.Fd(), name, 0o700)
			if err := o.ops.Fsync(parent.Fd(), parent.Path()); err != nil {
				_ = d.Close()
				return nil, err
			}
			return d, nil
		}
		_ = d.Close()
	}
	d, err := parent.OpenDir(name)
	if err != nil {
		return nil, err
	}
	st, err := d.Self()
	if err == nil && int(st.Owner) != os.Geteuid() {
		err = fmt.Errorf("%w: %q belongs to user %d", errQuarantine, d.Path(), st.Owner)
	}
	if err == nil && st.Mode&0o077 != 0 {
		// somebody has opened it with a recursive chmod: it is ours to close
		err = o.ops.Chmod(d.Fd(), name, 0o700)
	}
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// mountPoint climbs from a directory to the root of its file system. ".." of
// a directory that is held leads to its real parent, never through a link.
func (o *opener) mountPoint(d *beneath.Dir) (*beneath.Dir, error) {
	here, err := d.OpenDir(".")
	if err != nil {
		return nil, err
	}
	st, err := here.Self()
	if err != nil {
		_ = here.Close()
		return nil, err
	}
	for range 4096 {
		fd, err := o.ops.Calls().OpenParent(here.Fd())
		if err != nil {
			_ = here.Close()
			return nil, &place.Error{Op: "open", Name: here.Path() + "/..", Err: err}
		}
		up, err := here.Root("/proc/self/fd/" + strconv.Itoa(fd))
		_ = o.ops.Close(fd)
		if err != nil {
			_ = here.Close()
			return nil, err
		}
		parent, err := up.Self()
		if err != nil || parent.Dev != st.Dev || parent.Inode == st.Inode {
			_ = up.Close()
			return here, err
		}
		_ = here.Close()
		here, st = up, parent
	}
	_ = here.Close()
	return nil, &place.Error{Op: "climb from", Name: d.Path(), Err: unix.ELOOP}
}

// home opens the directory that holds the quarantine for files of a mailbox:
// the store's root, or the mount point where the mailbox lies on another file system.
func (o *opener) home(m *mbox) (*beneath.Dir, error) {
	st, err := o.store.Self()
	if err != nil {
		return nil, err
	}
	if st.Dev == m.disk.Dev {
		return o.store.OpenDir(".")
	}
	return o.mountPoint(m.root)
}

// at opens the quarantine of a run for files of a mailbox.
func (o *opener) at(m *mbox, run string, make bool) (*beneath.Dir, error) {
	home, err := o.home(m)
	if err != nil {
		return nil, err
	}
	d := home
	for _, name := range []string{QuarantineDir, "quarantine", run} {
		sub, err := o.private(d, name, make)
		_ = d.Close()
		if err != nil {
			return nil, err
		}
		d = sub
	}
	return d, nil
}

func (q *quarantine) shelf(m *mbox) (*shelf, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s := q.m[m.disk.Dev]; s != nil {
		return s, nil
	}
	d, err := q.open.at(m, q.run, true)
	if err != nil {
		return nil, err
	}
	s := &shelf{dir: d, index: -1}
	q.m[m.disk.Dev] = s
	return s, nil
}

// name returns the next name in the quarantine.
func (q *quarantine) name() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next++
	return fmt.Sprintf("%08d", q.next)
}

// sidecar is a line of the index.
type sidecar struct {
	File    string    `json:"file"`
	Run     string    `json:"run"`
	At      time.Time `json:"at"`
	Store   string    `json:"store"`
	Mailbox string    `json:"mailbox"`
	Folder  string    `json:"folder"`
	Path    string    `json:"path,omitempty"`     // relative to the mailbox' root
	PathB64 string    `json:"path_b64,omitempty"` // the same where it is not UTF-8
	Inode   uint64    `json:"inode"`
	Size    int64     `json:"size"`
	MTime   time.Time `json:"mtime"`
	Digest  string    `json:"digest,omitempty"`
	Why     string    `json:"why"`
}

// keep gives a file a second name in quarantine and writes down what it was.
// The link becomes durable with the batch's barrier; durable asks for it at once.
func (q *quarantine) keep(m *mbox, a *Action, dir *beneath.Dir, path, name string, inode uint64, digest manifest.Digest, why string, durable bool) (string, error) {
	s, err := q.shelf(m)
	if err != nil {
		return "", err
	}
	as := q.name()
	ops := q.open.ops
	if err := ops.LinkTemp(dir.Fd(), name, s.dir.Fd(), as); err != nil {
		return "", err
	}
	var st unix.Stat_t
	if err := ops.StatAt(s.dir.Fd(), as, &st); err != nil || st.Ino != inode {
		_ = ops.Unlink(s.dir.Fd(), as)
		if err == nil {
			err = fmt.Errorf("%q was replaced", name)
		}
		return "", err
	}
	line := sidecar{
		File: as, Run: q.run, At: time.Now().UTC(), Store: a.Ref.Store, Mailbox: a.Ref.Mailbox, Folder: a.Ref.Folder, Path: path + name,
		Inode: inode, Size: st.Size, MTime: time.Unix(st.Mtim.Unix()).UTC(), Digest: digest.String(), Why: why,
	}
	if err := q.note(s, &line, durable); err != nil {
		_ = ops.Unlink(s.dir.Fd(), as)
		return "", err
	}
	if durable {
		err = ops.Fsync(s.dir.Fd(), s.dir.Path())
	}
	return as, err
}

// note appends a line to the index.
func (q *quarantine) note(s *shelf, line *sidecar, durable bool) error {
	if !utf8.ValidString(line.Path) {
		line.PathB64, line.Path = base64.StdEncoding.EncodeToString([]byte(line.Path)), ""
	}
	p, err := json.Marshal(line)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	ops := q.open.ops
	if s.index < 0 {
		fd, err := ops.Create(s.dir.Fd(), quarantineIndex, 0o600)
		if errors.Is(err, unix.EEXIST) {
			fd, err = ops.Append(s.dir.Fd(), quarantineIndex)
		}
		if err != nil {
			return err
		}
		s.index = fd
	}
	if err := ops.Write(s.index, quarantineIndex, append(p, '\n')); err != nil {
		return err
	}
	if durable {
		return ops.Fsync(s.index, quarantineIndex)
	}
	return nil
}

func (q *quarantine) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.m {
		if s.index >= 0 {
			_ = q.open.ops.Close(s.index)
		}
		_ = s.dir.Close()
	}
	clear(q.m)
}
