package manifest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"mailsync/manifest/durable"
)

// Broken is one file of a record that cannot be used.
type Broken struct {
	File    string // relative to the state directory
	Mailbox string // "" where it is not known
	Err     error  // ErrCorrupt, ErrNewer, or what the disk said
}

// CheckResult sums up a Check.
type CheckResult struct{ OK, Broken int64 }

// String says "3 ok, 1 broken".
func (c CheckResult) String() string { return fmt.Sprintf("%d ok, %d broken", c.OK, c.Broken) }

// Check reads every file of the store's record (of this generation) from end
// to end, recomputes what indexes tell of manifests, and yields each file that
// is broken; it goes on after it. result is filled when the iteration ends. An
// error means that the check could not go on.
func (s *Store) Check(ctx context.Context, result *CheckResult) iter.Seq2[Broken, error] {
	return func(yield func(Broken, error) bool) {
		c := checker{s: s, ctx: ctx, yield: yield}
		err := c.run()
		if result != nil {
			*result = c.result
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(Broken{}, err)
		}
	}
}

type checker struct {
	s      *Store
	ctx    context.Context
	yield  func(Broken, error) bool
	result CheckResult
}

// tell counts a file, and yields it where err says that it is broken.
func (c *checker) tell(path, mailbox string, err error) error {
	if err == nil {
		c.result.OK++
		return nil
	}
	c.result.Broken++
	rel, rerr := filepath.Rel(c.s.repo.dir, path)
	if rerr != nil {
		rel = path
	}
	if !c.yield(Broken{File: rel, Mailbox: mailbox, Err: err}, nil) {
		return errStopped
	}
	return nil
}

func (c *checker) run() error {
	path := filepath.Join(c.s.dir, recordName)
	_, err := c.s.repo.readRecord(c.s.dir)
	if err := c.tell(path, "", err); err != nil {
		return err
	}
	path = filepath.Join(c.s.dir, acceptedName)
	if _, err := c.s.repo.fs.Stat(path); err == nil {
		var broken error
		for _, err := range c.s.Acceptances() {
			broken = err
		}
		if err := c.tell(path, "", broken); err != nil {
			return err
		}
	}
	names, err := c.s.repo.fs.Names(c.s.generationDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for no := range bundles {
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		if _, there := slices.BinarySearch(names, bundleName(no)); !there && !c.s.rec.holds(no) {
			continue
		}
		if err := c.bundle(no); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) bundle(no int) error {
	s := c.s
	dir := s.bundleDir(no)
	names, err := s.repo.fs.Names(dir)
	had := s.rec.holds(no)
	if errors.Is(err, os.ErrNotExist) {
		if had && !s.rec.Dirty {
			return c.tell(dir, "", corrupt("mailboxes are recorded and the directory is gone"))
		}
		return nil
	}
	if err != nil {
		return c.tell(dir, "", err)
	}
	index, err := s.readIndex(no)
	if err == nil && !s.rec.Dirty && !c.recorded(index) {
		err = corrupt("the store's record tells of other mailboxes")
	}
	if errors.Is(err, os.ErrNotExist) && (s.rec.Dirty || !had) {
		err = nil // a session has not come to write it
	} else if err := c.tell(filepath.Join(dir, indexName), "", err); err != nil {
		return err
	}
	expected := map[string]*row{}
	if index != nil {
		for _, r := range index.rows {
			expected[manifestName(mailboxHash(r.Name), r.serial)] = r
		}
	}
	for _, name := range names {
		if _, _, ok := parseManifestName(name); !ok {
			continue
		}
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		if err := c.manifest(dir, name, expected[name]); err != nil {
			return err
		}
		delete(expected, name)
	}
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		if s.rec.Dirty {
			break // a session at work has replaced them
		}
		if err := c.tell(filepath.Join(dir, name), expected[name].Name, corrupt("the manifest is gone")); err != nil {
			return err
		}
	}
	return nil
}

// recorded tells whether the store's record has the sums of this index.
func (c *checker) recorded(b *bundle) bool {
	for _, t := range b.sums() {
		told, _ := c.s.rec.shard(t.shard)
		if told != t {
			return false
		}
	}
	return true
}

// manifest reads one manifest, with its roots.
func (c *checker) manifest(dir, name string, want *row) error {
	path := filepath.Join(dir, name)
	got, err := checkManifest(c.s.repo.fs, path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // replaced by a session
	}
	mailbox := got.Name
	if want != nil {
		mailbox = want.Name
		if err == nil && (got.Name != want.Name || *got.sums() != *want.sums()) {
			err = corrupt("its index tells of another mailbox")
		}
	}
	if hash, _, _ := parseManifestName(name); err == nil && mailboxHash(got.Name) != hash {
		err = corrupt("it is the manifest of another mailbox")
	}
	return c.tell(path, mailbox, err)
}

func checkManifest(fsys durable.FS, path string) (row, error) {
	f, err := fsys.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return row{}, err
	}
	defer func() { _ = f.Close() }()
	rd, err := NewReader(f)
	if err != nil {
		return row{}, err
	}
	got := row{Head: Head{Name: rd.mb.Name}}
	var roots rooter
	roots.reset(rd.mb.Alg)
	if err := rd.EachEntry(func(e *Entry) bool { roots.add(e); return true }); err != nil {
		return got, err
	}
	for _, err := range rd.Absences() {
		if err != nil {
			return got, err
		}
	}
	content, state := roots.roots(rd.mb)
	if content != rd.sums.content || state != rd.sums.state {
		return got, corrupt("the roots are not those of its entries")
	}
	got.Head = headOf(rd.mb, rd.extra, &rd.sums)
	return got, nil
}
