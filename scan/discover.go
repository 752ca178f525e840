package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/beneath"
)

// found is one mailbox of a store.
type found struct {
	shard uint16
	name  string
	path  string // relative to the store's root, or absolute
}

// finder collects the mailboxes of a store.
type finder struct {
	s     *Scanner
	out   []found
	errs  []error // directories that could not be looked into
	links map[[2]uint64]bool
}

// ErrIncomplete: some directories of a store could not be listed; which
// mailboxes lie below them is unknown.
var ErrIncomplete = errors.New("the mailboxes below some directories are unknown")

// Mailboxes implements compare.Source. Where directories could not be listed,
// the sequence ends with an error that wraps ErrIncomplete, after everything
// that was found.
func (s *Scanner) Mailboxes(ctx context.Context) iter.Seq2[compare.Head, error] {
	return func(yield func(compare.Head, error) bool) {
		all, err := s.discover(ctx)
		if err != nil && !errors.Is(err, ErrIncomplete) {
			yield(compare.Head{}, err)
			return
		}
		next, stop := func() (manifest.Head, error, bool) { return manifest.Head{}, nil, false }, func() {}
		if s.opt.Heads != nil {
			next, stop = iter.Pull2(s.opt.Heads(ctx))
		}
		defer stop()
		h, herr, more := next()
		for i := range all {
			f := &all[i]
			if ctx.Err() != nil {
				yield(compare.Head{}, context.Cause(ctx))
				return
			}
			for more && herr == nil && manifest.CompareMailboxes(h.Name, f.name) < 0 {
				h, herr, more = next()
			}
			if herr != nil {
				yield(compare.Head{}, herr)
				return
			}
			head := compare.Head{Name: f.name, Messages: -1, Damaged: -1}
			if more && h.Name == f.name && s.asRecorded(f, &h) {
				head.Content, head.State, head.Messages, head.Damaged = h.Content, h.State, h.Messages, h.Damaged
			}
			if !yield(head, nil) {
				return
			}
		}
		if err != nil {
			yield(compare.Head{}, err)
		}
	}
}

// asRecorded tells whether stamps prove that a mailbox is as it was recorded.
func (s *Scanner) asRecorded(f *found, h *manifest.Head) bool {
	if s.opt.Stat || s.doubted(h.Name) || len(h.Watch) == 0 || !h.Gone.IsZero() || s.crashed && h.Ended.Before(s.opt.BootAt) {
		return false
	}
	place, err := s.placeAt(f.name, f.path, true)
	return err == nil && s.unchanged(f.path, &place, h.Watch)
}

// discover finds every mailbox, in the order of manifest.CompareMailboxes.
// With an error that wraps ErrIncomplete the list holds what could be found.
func (s *Scanner) discover(ctx context.Context) ([]found, error) {
	f := &finder{s: s}
	var err error
	switch {
	case s.cfg.Users != "" || len(s.cfg.UsersCommand) > 0:
		err = f.byList(ctx)
	case s.layout != nil:
		err = f.walk(ctx, f.byLayout)
	default:
		err = f.walk(ctx, f.byPath)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(f.out, func(a, b found) int {
		if a.shard != b.shard {
			return int(a.shard) - int(b.shard)
		}
		return strings.Compare(a.name, b.name)
	})
	if len(f.errs) > 0 {
		return f.out, fmt.Errorf("%w (%d): %w", ErrIncomplete, len(f.errs), f.errs[0])
	}
	return f.out, nil
}

func (f *finder) add(name, path string) {
	f.out = append(f.out, found{shard: uint16(manifest.ShardOf(name)), name: name, path: path})
}

func (f *finder) byList(ctx context.Context) error {
	u, err := f.s.userList(ctx)
	if err != nil {
		return err
	}
	for i, row := range u.rows {
		if i%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		path := row.Path
		if rel, ok := f.s.relative(filepath.Clean(path)); ok {
			path = rel
		}
		there, err := f.s.isMaildir(path)
		if err != nil {
			f.errs = append(f.errs, err)
			continue
		}
		if there {
			f.add(row.Address, path)
		}
	}
	return nil
}

// verdict says what to do with a directory below the store's root.
type verdict uint8

const (
	pass    verdict = iota // neither a mailbox nor on the way to one
	mailbox                // a mailbox; what lies below are its folders
	descend                // a mailbox may lie below
)

// byPath takes every Maildir for a mailbox.
func (f *finder) byPath(path string, isMaildir bool) (verdict, string) {
	if !isMaildir {
		return descend, ""
	}
	name := path
	if dir, last := filepath.Split(path); last == "Maildir" {
		name = strings.TrimSuffix(dir, "/")
	}
	if name == "." || name == "" {
		name = filepath.Base(f.s.cfg.Path)
	}
	return mailbox, name
}

// byLayout takes what the template matches.
func (f *finder) byLayout(path string, isMaildir bool) (verdict, string) {
	if isMaildir {
		if address, ok := f.s.layout.Match(path); ok {
			return mailbox, address
		}
	}
	if path == "." || f.s.layout.MatchPrefix(path) {
		return descend, ""
	}
	return pass, ""
}

// notMail are directories that are never looked into for mailboxes: our own
// quarantine, and the snapshots that some file systems show in every tree.
func notMail(name string) bool { return name == ".mailsync" || name == ".zfs" || name == ".snapshot" }

type level struct {
	dir   *beneath.Dir
	path  string
	names []string
}

// walk goes through the directories below the root, without recursion.
func (f *finder) walk(ctx context.Context, judge func(path string, isMaildir bool) (verdict, string)) error {
	is, err := f.s.isMaildir(".")
	if err != nil {
		return err
	}
	if v, name := judge(".", is); v == mailbox {
		f.add(name, ".")
		return nil
	}
	// A descriptor of its own: a listing moves its position.
	root, err := f.s.root.OpenDir(".")
	if err != nil {
		return err
	}
	names, err := f.children(root)
	if err != nil {
		_ = root.Close()
		return err
	}
	stack := []level{{dir: root, path: "", names: names}}
	defer func() {
		for _, l := range stack {
			_ = l.dir.Close()
		}
	}()
	for len(stack) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		top := &stack[len(stack)-1]
		if len(top.names) == 0 {
			_ = top.dir.Close()
			stack = stack[:len(stack)-1]
			continue
		}
		name := top.names[0]
		top.names = top.names[1:]
		path := name
		if top.path != "" {
			path = top.path + "/" + name
		}
		is, err := maildirAt(top.dir, name)
		if err != nil {
			f.errs = append(f.errs, err)
			continue
		}
		v, mb := judge(path, is)
		switch v {
		case mailbox:
			f.add(mb, path)
			continue
		case pass:
			continue
		}
		if len(stack) > maxDepth {
			f.errs = append(f.errs, fmt.Errorf("%q: directories nested more than %d deep", path, maxDepth))
			continue
		}
		next, names, err := f.enter(top.dir, name)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) && !isNotDir(err) {
				f.errs = append(f.errs, err)
			}
			continue
		}
		if len(names) == 0 {
			_ = next.Close()
			continue
		}
		stack = append(stack, level{dir: next, path: path, names: names})
	}
	return nil
}

// maildirAt tells whether a directory below d is a Maildir. One whose cur or new
// is a symbolic link counts as one: nothing in it is read, and its mail must be
// unknown, not overlooked.
func maildirAt(d *beneath.Dir, name string) (bool, error) {
	for _, sub := range [2]string{"/cur", "/new"} {
		st, err := d.Stat(name + sub)
		if errors.Is(err, fs.ErrNotExist) || isNotDir(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if !st.Directory() && !st.Symlink() {
			return false, nil
		}
	}
	return true, nil
}

func (f *finder) enter(d *beneath.Dir, name string) (*beneath.Dir, []string, error) {
	open := d.OpenMounted
	if f.s.cfg.Symlinks {
		open = d.OpenLinked
	}
	next, err := open(name)
	if err != nil {
		return nil, nil, err
	}
	if f.s.cfg.Symlinks {
		st, err := next.Self()
		if err != nil {
			_ = next.Close()
			return nil, nil, err
		}
		if f.links == nil {
			f.links = make(map[[2]uint64]bool)
		}
		key := [2]uint64{st.Dev, st.Inode}
		if f.links[key] { // links may lead in circles
			_ = next.Close()
			return nil, nil, fs.ErrNotExist
		}
		f.links[key] = true
	}
	names, err := f.children(next)
	if err != nil {
		_ = next.Close()
		return nil, nil, err
	}
	return next, names, nil
}

// children returns the directories in d, sorted. A directory that moves while
// it is listed is listed again, and what any listing showed is kept: a name may
// be skipped by a listing, and is not invented by one.
func (f *finder) children(d *beneath.Dir) ([]string, error) {
	var names []string
	for range listTries {
		before, err := d.Self()
		if err != nil {
			return nil, err
		}
		for e, err := range d.List() {
			if err != nil {
				return nil, err
			}
			switch e.Type {
			case unix.DT_DIR:
			case unix.DT_LNK:
				if !f.s.cfg.Symlinks {
					continue
				}
			case unix.DT_UNKNOWN:
				st, err := d.Stat(string(e.Name))
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					return nil, err
				}
				if !st.Directory() && !(st.Symlink() && f.s.cfg.Symlinks) {
					continue
				}
			default:
				continue
			}
			if !notMail(string(e.Name)) {
				names = append(names, string(e.Name))
			}
		}
		after, err := d.Self()
		if err != nil {
			return nil, err
		}
		if after.Same(&before) {
			break
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
