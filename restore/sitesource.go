package restore

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"mailsync/manifest"
	"mailsync/restore/place"
	"mailsync/scan/beneath"
	"mailsync/scan/budget"
	"mailsync/scan/maildir"
)

// FromSite returns a Source that reads messages of a local store.
func FromSite(s *Site) *SiteSource { return &SiteSource{site: s, m: map[sourceKey]*sourceDir{}} }

type sourceKey struct {
	mailbox, dir string
	sub          manifest.Sub // 0: the folder itself
}

type sourceDir struct {
	d    *beneath.Dir
	disk *budget.Device // nil: reading is not bounded
	refs int
	key  sourceKey
	at   *list.Element
}

// sourceDirs is how many directories of a source stay open.
const sourceDirs = 64

// SiteSource is the Source of a local store. It keeps a few directories open
// until it is closed.
type SiteSource struct {
	site *Site
	mu   sync.Mutex
	open *opener
	m    map[sourceKey]*sourceDir
	lru  list.List // of *sourceDir, the one used last in front
}

func (s *SiteSource) dir(key sourceKey) (*sourceDir, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.m[key]; x != nil {
		x.refs++
		s.lru.MoveToFront(x.at)
		return x, nil
	}
	if s.open == nil {
		o, err := newOpener(s.site)
		if err != nil {
			return nil, err
		}
		s.open = o
	}
	box, err := s.open.open(key.mailbox)
	if err != nil {
		return nil, err
	}
	defer box.close()
	rel := orDot(key.dir)
	if key.sub != 0 {
		rel += "/" + key.sub.String()
	}
	d, err := box.root.OpenDir(rel)
	if err != nil {
		return nil, err
	}
	x := &sourceDir{d: d, refs: 1, key: key}
	if s.site.Disk != nil {
		st, err := d.Self()
		if err != nil {
			_ = d.Close()
			return nil, err
		}
		x.disk = s.site.Disk(d.Path(), st.Dev)
	}
	x.at = s.lru.PushFront(x)
	s.m[key] = x
	for e := s.lru.Back(); e != nil && s.lru.Len() > sourceDirs; {
		old := e.Value.(*sourceDir)
		e = e.Prev()
		if old.refs == 0 {
			s.lru.Remove(old.at)
			delete(s.m, old.key)
			_ = old.d.Close()
		}
	}
	return x, nil
}

func (s *SiteSource) release(x *sourceDir) {
	s.mu.Lock()
	x.refs--
	s.mu.Unlock()
}

// Close lets go of the store. Messages that are open stay so.
func (s *SiteSource) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.m {
		_ = x.d.Close()
	}
	if s.open != nil {
		s.open.Close()
	}
	s.m, s.open = map[sourceKey]*sourceDir{}, nil
	s.lru.Init()
}

// Open implements Source.
func (s *SiteSource) Open(ctx context.Context, a *Action) (io.ReadCloser, error) {
	name := string(a.FromName)
	f, err := s.file(ctx, sourceKey{a.Ref.Mailbox, a.FromDir, a.FromSub}, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return closer(f, err)
	}
	// Flags rename files, and a server moves them from new to cur.
	unique := maildir.ParseName(name).Unique
	for _, sub := range []manifest.Sub{manifest.Cur, manifest.New} {
		f, err = s.renamed(ctx, sourceKey{a.Ref.Mailbox, a.FromDir, sub}, unique)
		if !errors.Is(err, fs.ErrNotExist) {
			return closer(f, err)
		}
	}
	return nil, fmt.Errorf("the message is not there any more: %w", fs.ErrNotExist)
}

// closer avoids an interface around a nil pointer.
func closer(f *sourceFile, err error) (io.ReadCloser, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (s *SiteSource) file(ctx context.Context, key sourceKey, name string) (*sourceFile, error) {
	if key.sub == 0 {
		return nil, fs.ErrNotExist
	}
	x, err := s.dir(key)
	if err != nil {
		return nil, err
	}
	defer s.release(x)
	return x.open(ctx, name)
}

func (s *SiteSource) renamed(ctx context.Context, key sourceKey, unique string) (*sourceFile, error) {
	x, err := s.dir(key)
	if err != nil {
		return nil, err
	}
	defer s.release(x)
	own, err := x.d.OpenDir(".") // a listing has the descriptor to itself
	if err != nil {
		return nil, err
	}
	defer own.Close()
	for e, err := range own.List() {
		if err != nil {
			return nil, err
		}
		if maildir.ParseName(string(e.Name)).Unique == unique {
			return x.open(ctx, string(e.Name))
		}
	}
	return nil, fs.ErrNotExist
}

// SmallFile implements SmallFiles.
func (s *SiteSource) SmallFile(_ context.Context, a *Action, name string) ([]byte, error) {
	x, err := s.dir(sourceKey{mailbox: a.Ref.Mailbox, dir: a.FromDir})
	if err != nil {
		return nil, err
	}
	defer s.release(x)
	p, _, err := place.ReadSmall(x.d, name, place.MaxSmall)
	return p, err
}

// sourceFile is a message of a local store, read within the budget of its disk.
type sourceFile struct {
	*beneath.File
	ctx  context.Context
	disk *budget.Device
}

func (x *sourceDir) open(ctx context.Context, name string) (*sourceFile, error) {
	if x.disk != nil {
		if err := x.disk.File(ctx); err != nil {
			return nil, err
		}
	}
	f, err := x.d.OpenFile(name)
	if err != nil {
		return nil, err
	}
	return &sourceFile{f, ctx, x.disk}, nil
}

// Read implements io.Reader.
func (f *sourceFile) Read(p []byte) (int, error) {
	if f.disk == nil {
		return f.File.Read(p)
	}
	if err := f.disk.Bytes(f.ctx, min(int64(len(p)), f.Opened().Size)); err != nil {
		return 0, err
	}
	if err := f.disk.Acquire(f.ctx); err != nil {
		return 0, err
	}
	defer f.disk.Release()
	return f.disk.Timed(f.ctx, func() (int, error) { return f.File.Read(p) })
}

// Cached reads what is in the page cache; it counts, too.
func (f *sourceFile) Cached(p []byte, off int64) (n int, ok, known bool) {
	n, ok, known = f.File.Cached(p, off)
	if n > 0 && f.disk != nil && f.disk.Bytes(f.ctx, int64(n)) != nil {
		return 0, false, false // cancelled: the next read says so
	}
	return n, ok, known
}

// WillNeed begins to fetch the file where its disk is read by several at once.
func (f *sourceFile) WillNeed(n int64) {
	if f.disk == nil || f.disk.Readers() >= ahead {
		f.File.WillNeed(n)
	}
}
