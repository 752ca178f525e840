package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mailsync/manifest/durable"
)

// CopyResult sums up a CopyTo.
type CopyResult struct {
	Files, Bytes int64 // copied
	Skipped      int64 // manifests that were there already
}

// ErrRemoteCopy: copies to another host are not made yet.
var ErrRemoteCopy = errors.New("a copy of the state on another host is not supported yet; mount it, or copy the state directory by other means")

// CopyTo brings the copy of this record in another state directory up to date,
// durably: manifests first, then the indexes that name them, the store's
// record last, so that the copy is a whole record at every moment. Only what
// is not there yet is copied. A manifest that is broken is not copied over a
// whole one: it ends the copy with an error.
//
// state is a local directory; host:/path is ErrRemoteCopy.
func (s *Store) CopyTo(ctx context.Context, state string) (CopyResult, error) {
	if i := strings.IndexByte(state, ':'); i > 0 && !strings.Contains(state[:i], "/") {
		return CopyResult{}, fmt.Errorf("%s: %w", quote(state), ErrRemoteCopy)
	}
	to, err := OpenRepo(state, RepoOptions{FS: s.repo.fs})
	if err != nil {
		return CopyResult{}, err
	}
	if to.dir == s.repo.dir {
		return CopyResult{}, fmt.Errorf("%w: the copy of a state directory cannot be itself", ErrInvalid)
	}
	c := copier{s: s, fs: s.repo.fs, ctx: ctx, to: to.storeDir(s.rec.Key)}
	err = c.run()
	for _, f := range []durable.File{c.syncer, c.lock} {
		if f != nil {
			_ = f.Close()
		}
	}
	if err != nil {
		return c.result, fmt.Errorf("copy of the record of %s to %s: %w", s.rec.Key, state, err)
	}
	return c.result, nil
}

type copier struct {
	s            *Store
	fs           durable.FS
	ctx          context.Context
	to           string // directory of the store in the copy
	lock, syncer durable.File
	batch        bool
	result       CopyResult
}

func (c *copier) run() error {
	if err := durable.MkdirAll(c.fs, c.to, dirMode); err != nil {
		return err
	}
	var err error
	if c.lock, err = c.fs.Open(filepath.Join(c.to, lockName), os.O_RDWR|os.O_CREATE, fileMode); err != nil {
		return err
	}
	if err := c.lock.Lock(); err != nil {
		return err
	}
	if c.syncer, err = c.fs.Open(c.to, os.O_RDONLY, 0); err != nil {
		return err
	}
	if c.batch, err = durable.Batches(c.syncer); err != nil {
		return err
	}
	list, err := c.s.Generations()
	if err != nil {
		return err
	}
	for _, g := range list {
		from, err := c.s.At(g)
		if errors.Is(err, ErrNoRecord) {
			continue // a generation that never got a record
		}
		if err != nil {
			return err
		}
		if err := c.generation(from); err != nil {
			return err
		}
	}
	if err := c.whole(acceptedName); err != nil {
		return err
	}
	rec := c.s.Record()
	if err := c.record(c.to, &rec); err != nil {
		return err
	}
	return c.inventory()
}

// inventory copies the inventory and its signature, if there are any: the
// signature last, so that none is ever beside an inventory that it is not of.
func (c *copier) inventory() error {
	names, err := c.fs.Names(c.s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, InventoryName) && !strings.HasSuffix(name, durable.TempSuffix) {
			if err := c.whole(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// generation copies the bundles of one generation, and its own record where it
// is not the newest.
func (c *copier) generation(from *Store) error {
	dir := filepath.Join(c.to, generationName(from.rec.Generation))
	if err := durable.MkdirAll(c.fs, dir, dirMode); err != nil {
		return err
	}
	there, err := c.fs.Names(dir)
	if err != nil {
		return err
	}
	for no := range bundles {
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		if _, copied := slices.BinarySearch(there, bundleName(no)); !copied && !from.holds(no) {
			continue
		}
		err := c.bundle(from, no, filepath.Join(dir, bundleName(no)))
		for try := 0; errors.Is(err, os.ErrNotExist) && try < 3; try++ {
			from.forget() // a session has replaced a manifest meanwhile
			err = c.bundle(from, no, filepath.Join(dir, bundleName(no)))
		}
		if err != nil {
			return err
		}
	}
	if from.rec.Generation == c.s.rec.Generation {
		return nil
	}
	return c.record(dir, &from.rec)
}

// record writes a record into the copy. Its indexes are whole, whatever the
// session of the original is at.
func (c *copier) record(dir string, rec *StoreRecord) error {
	r := *rec
	r.Dirty, r.shards = false, nil
	from, err := c.s.At(rec.Generation)
	if err != nil {
		return err
	}
	for no := range bundles {
		b, err := from.load(no)
		if err != nil {
			return err
		}
		for _, t := range b.sums() {
			r.setShard(t)
		}
	}
	r.sumShards()
	return durable.WriteFile(c.fs, filepath.Join(dir, recordName), r.encode(), fileMode)
}

// bundle copies what is new in one bundle.
func (c *copier) bundle(from *Store, no int, dir string) error {
	b, err := from.load(no)
	if err != nil {
		return err
	}
	have, err := c.fs.Names(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(b.rows) == 0 && len(have) == 0 {
		return nil
	}
	if err != nil {
		if err := durable.MkdirAll(c.fs, dir, dirMode); err != nil {
			return err
		}
	}
	there := map[string]bool{}
	for _, n := range have {
		there[n] = true
	}
	var fresh []string
	keep := map[string]bool{indexName: true}
	for _, r := range b.rows {
		name := manifestName(mailboxHash(r.Name), r.serial)
		keep[name] = true
		if there[name] {
			c.result.Skipped++
			continue
		}
		if err := c.manifest(filepath.Join(from.bundleDir(no), name), filepath.Join(dir, name)); err != nil {
			return err
		}
		fresh = append(fresh, name)
	}
	if err := c.settle(dir, fresh); err != nil {
		return err
	}
	if err := c.index(dir, b, len(fresh) > 0 || !there[indexName]); err != nil {
		return err
	}
	for _, n := range have {
		if !keep[n] {
			if err := c.fs.Remove(filepath.Join(dir, n)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// manifest copies one manifest to a temporary name, and reads it whole on the way.
func (c *copier) manifest(from, to string) error {
	in, err := c.fs.Open(from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := c.fs.Open(to+durable.TempSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	n := &counting{w: out}
	_, err = rowOf(io.TeeReader(in, n))
	if err != nil {
		err = fmt.Errorf("%s: %w", from, err)
	}
	if err == nil && !c.batch {
		err = out.Sync()
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = c.fs.Remove(to + durable.TempSuffix)
		return err
	}
	c.result.Files++
	c.result.Bytes += n.n
	return nil
}

type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// settle makes temporary files durable and gives them their names, as
// Session.flush does.
func (c *copier) settle(dir string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if c.batch {
		if err := c.syncer.SyncFS(); err != nil {
			return err
		}
	}
	for _, n := range names {
		path := filepath.Join(dir, n)
		if err := c.fs.Rename(path+durable.TempSuffix, path); err != nil {
			return err
		}
	}
	if c.batch {
		return c.syncer.SyncFS()
	}
	return durable.SyncDir(c.fs, dir)
}

// index writes the bundle's index where it differs from the one in the copy.
func (c *copier) index(dir string, b *bundle, changed bool) error {
	path := filepath.Join(dir, indexName)
	if !changed {
		old, err := durable.ReadFile(c.fs, path, maxIndex)
		if err == nil {
			if have, err := decodeIndex(old, b.no); err == nil && sameRows(have.rows, b.rows) {
				return nil
			}
		}
	}
	data := b.encode()
	c.result.Files++
	c.result.Bytes += int64(len(data))
	return durable.WriteFile(c.fs, path, data, fileMode)
}

func sameRows(a, b []*row) bool {
	return slices.EqualFunc(a, b, func(x, y *row) bool {
		return x.Name == y.Name && x.serial == y.serial && x.Gone.Equal(y.Gone)
	})
}

// whole copies a small file of the store's directory where it differs.
func (c *copier) whole(name string) error {
	const limit = 1 << 30
	data, err := durable.ReadFile(c.fs, filepath.Join(c.s.dir, name), limit)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	path := filepath.Join(c.to, name)
	if old, err := durable.ReadFile(c.fs, path, limit); err == nil && bytes.Equal(old, data) {
		return nil
	}
	c.result.Files++
	c.result.Bytes += int64(len(data))
	return durable.WriteFile(c.fs, path, data, fileMode)
}
