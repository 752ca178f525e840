package restore

import (
	"sync"

	"golang.org/x/sys/unix"
)

// cache holds the mailboxes and folders that batches in flight use, and a few
// that were used last.
type cache struct {
	open *opener
	mu   sync.Mutex
	m    map[folderKey]*folder
	b    map[string]*mboxRef
	idle []folderKey
	max  int // folders of one batch
}

type mboxRef struct {
	*mbox
	refs int
}

func newCache(o *opener) *cache {
	c := &cache{open: o, m: map[folderKey]*folder{}, b: map[string]*mboxRef{}, max: 8}
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) == nil {
		// two batches in flight, six descriptors a folder
		c.max = int(min(max((lim.Cur-min(lim.Cur, 200))/16, 8), 256))
	}
	return c
}

// box returns a mailbox, opening it where needed. The caller releases it.
func (c *cache) box(mailbox string) (*mbox, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.boxLocked(mailbox)
}

func (c *cache) boxLocked(mailbox string) (*mbox, error) {
	r := c.b[mailbox]
	if r == nil {
		m, err := c.open.open(mailbox)
		if err != nil {
			return nil, err
		}
		r = &mboxRef{mbox: m}
		c.b[mailbox] = r
	}
	r.refs++
	return r.mbox, nil
}

// put makes a new mailbox known; it has one reference, the caller's.
func (c *cache) put(m *mbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.b[m.name] = &mboxRef{mbox: m, refs: 1}
}

func (c *cache) releaseBox(m *mbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.releaseBoxLocked(m)
}

func (c *cache) releaseBoxLocked(m *mbox) {
	r := c.b[m.name]
	if r == nil || r.mbox != m {
		return
	}
	if r.refs--; r.refs == 0 {
		delete(c.b, m.name)
		m.close()
	}
}

// folder returns a folder, opening it where needed. The caller releases it.
func (c *cache) folder(key folderKey) (*folder, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.m[key]; f != nil {
		f.refs++
		return f, nil
	}
	m, err := c.boxLocked(key.mailbox)
	if err != nil {
		return nil, err
	}
	f, err := c.open.openFolder(m, key)
	if err != nil {
		c.releaseBoxLocked(m)
		return nil, err
	}
	f.refs = 1
	c.m[key] = f
	return f, nil
}

// putFolder makes a new folder known; it has one reference, the caller's, and
// one on its mailbox.
func (c *cache) putFolder(f *folder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.refs = 1
	c.m[f.key] = f
	if r := c.b[f.box.name]; r != nil {
		r.refs++
	}
}

// hold takes a second reference of a folder.
func (c *cache) hold(f *folder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.refs++
}

// idleFolders is how many folders stay open although no batch uses them.
const idleFolders = 32

func (c *cache) release(f *folder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.refs--; f.refs > 0 {
		return
	}
	c.idle = append(c.idle, f.key)
	for len(c.idle) > idleFolders {
		key := c.idle[0]
		c.idle = c.idle[1:]
		if f := c.m[key]; f != nil && f.refs <= 0 {
			c.drop(f)
		}
	}
}

func (c *cache) drop(f *folder) {
	delete(c.m, f.key)
	f.close()
	c.releaseBoxLocked(f.box)
}

// close closes what is idle; what batches still hold is left to the end of
// the process.
func (c *cache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.m {
		if f.refs <= 0 {
			c.drop(f)
		}
	}
	c.idle = nil
}
