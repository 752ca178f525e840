// Package durabletest is a disk in memory for tests: every call can be counted,
// made to fail, or be the last one before a power cut, and what a cut leaves is
// what was synced and any part of what was not.
//
// It is harsher than a real file system in one way: names that were changed and
// not synced survive independently of each other, so that a rename may leave
// both names or none. It is kinder in another: it knows no sectors.
package durabletest

import (
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"mailsync/manifest/durable"
)

// Magic numbers for Disk.Kind.
const (
	Ext4  = 0xEF53
	Tmpfs = 0x01021994
)

// ErrCut is what every call answers after the power was cut.
var ErrCut = errors.New("the power is cut")

// Disk is a file system in memory. It implements durable.FS.
type Disk struct {
	// Kind is what File.Type tells.
	Kind int64
	// Fail is asked before each call, numbered from 1; the call is not made
	// where it returns an error.
	Fail func(n int, op, path string) error
	// Shut makes the disk behave like a file system that has shut down:
	// fsync of a directory answers nil and does nothing, other changes fail.
	Shut bool

	mu    sync.Mutex
	calls int
	root  *inode
}

type inode struct {
	dir     bool
	data    []byte // of a file, as a process sees it
	synced  []byte // as it is after a cut
	names   map[string]*inode
	durable map[string]*inode // of a directory, after a cut
	locked  *file
}

func newDir() *inode {
	return &inode{dir: true, names: map[string]*inode{}, durable: map[string]*inode{}}
}

// New returns an empty disk.
func New(kind int64) *Disk { return &Disk{Kind: kind, root: newDir()} }

// Calls returns how many calls were made.
func (d *Disk) Calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// enter counts a call; the caller holds mu then, in any case.
func (d *Disk) enter(op, path string) error {
	d.mu.Lock()
	d.calls++
	if d.Fail != nil {
		if err := d.Fail(d.calls, op, path); err != nil {
			return &os.PathError{Op: op, Path: path, Err: err}
		}
	}
	return nil
}

func (d *Disk) change(op, path string) error {
	if err := d.enter(op, path); err != nil {
		return err
	}
	if d.Shut {
		return &os.PathError{Op: op, Path: path, Err: syscall.EIO}
	}
	return nil
}

func (d *Disk) find(path string) (parent *inode, base string, n *inode) {
	n = d.root
	parts := strings.Split(strings.Trim(filepath.Clean(path), "/"), "/")
	for i, p := range parts {
		if p == "" || p == "." {
			continue
		}
		if n == nil || !n.dir {
			return nil, p, nil
		}
		parent, base = n, p
		n = n.names[p]
		if n == nil && i < len(parts)-1 {
			return nil, p, nil
		}
	}
	return parent, base, n
}

func fail(op, path string, err error) error { return &os.PathError{Op: op, Path: path, Err: err} }

// Open implements durable.FS.
func (d *Disk) Open(name string, flag int, _ os.FileMode) (durable.File, error) {
	err := d.enter("open", name)
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	parent, base, n := d.find(name)
	create := flag&os.O_CREATE != 0
	switch {
	case d.Shut && (create || flag&(os.O_WRONLY|os.O_RDWR) != 0):
		return nil, fail("open", name, syscall.EIO)
	case n == nil && (!create || parent == nil):
		return nil, fail("open", name, os.ErrNotExist)
	case n == nil:
		n = &inode{}
		parent.names[base] = n
	case flag&os.O_EXCL != 0:
		return nil, fail("open", name, os.ErrExist)
	case n.dir && flag&(os.O_WRONLY|os.O_RDWR) != 0:
		return nil, fail("open", name, syscall.EISDIR)
	}
	if flag&os.O_TRUNC != 0 {
		n.data = nil
	}
	return &file{d: d, n: n, name: name}, nil
}

// Mkdir implements durable.FS.
func (d *Disk) Mkdir(name string, _ os.FileMode) error {
	err := d.change("mkdir", name)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	parent, base, n := d.find(name)
	if n != nil {
		return fail("mkdir", name, os.ErrExist)
	}
	if parent == nil {
		return fail("mkdir", name, os.ErrNotExist)
	}
	parent.names[base] = newDir()
	return nil
}

// Rename implements durable.FS.
func (d *Disk) Rename(oldname, newname string) error {
	err := d.change("rename", oldname)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	from, ob, n := d.find(oldname)
	to, nb, _ := d.find(newname)
	if n == nil || to == nil {
		return fail("rename", oldname, os.ErrNotExist)
	}
	delete(from.names, ob)
	to.names[nb] = n
	return nil
}

// Link implements durable.FS.
func (d *Disk) Link(oldname, newname string) error {
	err := d.change("link", oldname)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	_, _, n := d.find(oldname)
	to, nb, there := d.find(newname)
	switch {
	case n == nil || to == nil:
		return fail("link", oldname, os.ErrNotExist)
	case there != nil:
		return fail("link", newname, os.ErrExist)
	}
	to.names[nb] = n
	return nil
}

// Remove implements durable.FS.
func (d *Disk) Remove(name string) error {
	err := d.change("unlink", name)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	parent, base, n := d.find(name)
	if n == nil {
		return fail("unlink", name, os.ErrNotExist)
	}
	delete(parent.names, base)
	return nil
}

// Names implements durable.FS.
func (d *Disk) Names(name string) ([]string, error) {
	err := d.enter("readdir", name)
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	_, _, n := d.find(name)
	if n == nil {
		return nil, fail("readdir", name, os.ErrNotExist)
	}
	return slices.Sorted(maps.Keys(n.names)), nil
}

// Stat implements durable.FS.
func (d *Disk) Stat(name string) (durable.Info, error) {
	err := d.enter("lstat", name)
	defer d.mu.Unlock()
	if err != nil {
		return durable.Info{}, err
	}
	_, _, n := d.find(name)
	if n == nil {
		return durable.Info{}, fail("lstat", name, os.ErrNotExist)
	}
	return durable.Info{Dir: n.dir, Size: int64(len(n.data)), MTime: time.Unix(0, 0)}, nil
}

// Kill returns the disk as the next process sees it after a SIGKILL: nothing is
// lost but locks.
func (d *Disk) Kill() *Disk {
	return d.clone(func(n *inode) []byte { return n.data }, func(n *inode) map[string]*inode { return n.names })
}

// PowerCut returns a disk as it may be after a power cut: what was synced, and
// of everything else what r lets survive. A nil r lets nothing survive.
func (d *Disk) PowerCut(r *rand.Rand) *Disk {
	return d.clone(
		func(n *inode) []byte { return survive(n, r) },
		func(n *inode) map[string]*inode {
			if r == nil {
				return n.durable
			}
			names := map[string]*inode{}
			all := maps.Clone(n.durable)
			maps.Copy(all, n.names)
			for _, name := range slices.Sorted(maps.Keys(all)) {
				c := n.durable[name]
				if r.IntN(2) == 0 {
					c = n.names[name]
				}
				if c != nil {
					names[name] = c
				}
			}
			return names
		})
}

func survive(n *inode, r *rand.Rand) []byte {
	if r == nil || slices.Equal(n.synced, n.data) {
		return n.synced
	}
	// What was synced and not overwritten since is on the disk whatever happens.
	keep := 0
	for keep < len(n.synced) && keep < len(n.data) && n.synced[keep] == n.data[keep] {
		keep++
	}
	out := slices.Clone(n.data)
	switch r.IntN(5) {
	case 0:
		return n.synced
	case 1:
	case 2:
		out = out[:keep+r.IntN(len(out)-keep+1)]
	case 3:
		clear(out[keep:]) // allocated, never written
	case 4:
		for i := keep; i < len(out); i += 64 { // some pages written
			if r.IntN(2) == 0 {
				clear(out[i:min(i+64, len(out))])
			}
		}
	}
	return out
}

func (d *Disk) clone(data func(*inode) []byte, names func(*inode) map[string]*inode) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	done := map[*inode]*inode{}
	var walk func(n *inode) *inode
	walk = func(n *inode) *inode {
		if c := done[n]; c != nil {
			return c
		}
		c := &inode{dir: n.dir}
		done[n] = c
		if n.dir {
			c.names = map[string]*inode{}
			left := names(n)
			for _, name := range slices.Sorted(maps.Keys(left)) {
				c.names[name] = walk(left[name])
			}
		} else {
			c.data = slices.Clone(data(n))
		}
		c.sync()
		return c
	}
	return &Disk{Kind: d.Kind, root: walk(d.root)}
}

// FailAt makes call n fail with err.
func FailAt(n int, err error) func(int, string, string) error {
	return func(i int, _, _ string) error {
		if i == n {
			return err
		}
		return nil
	}
}

// CutAt cuts the power before call n.
func CutAt(n int) func(int, string, string) error {
	return func(i int, _, _ string) error {
		if i >= n {
			return ErrCut
		}
		return nil
	}
}
