package scan

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"time"

	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// ServerFile is one of the small files in which a mail server says what it knows
// of a folder: its UID list, its keyword table, its index logs.
type ServerFile struct {
	Mailbox string
	Dir     string        // of the folder, relative to the mailbox' root, raw bytes; "" is the root
	Name    string        // "dovecot-uidlist"
	File    *beneath.File // open until the next one is asked for; nil where Err says why not
	Err     error
}

// The files, by the tree in which the server keeps them. The older log comes
// first: the server renames the newer one to it.
var (
	controlFiles = []string{maildir.UIDListFile, maildir.KeywordsFile}
	indexFiles   = logNames[:]
)

// ServerFiles yields these files of every mailbox, in the order of mailboxes,
// that changed at or after since, as the kernel has it (ctime). What is not
// there is left out. What cannot be opened is told in its place; an error of the
// sequence means that it could not go on.
func (s *Scanner) ServerFiles(ctx context.Context, since time.Time) iter.Seq2[ServerFile, error] {
	return func(yield func(ServerFile, error) bool) {
		all, err := s.discover(ctx)
		if err != nil && !errors.Is(err, ErrIncomplete) {
			yield(ServerFile{}, err)
			return
		}
		w := &serverFiles{s: s, since: since, yield: yield}
		if err != nil {
			w.failed("", err)
		}
		for i := range all {
			if ctx.Err() != nil {
				w.stop(context.Cause(ctx))
			}
			if w.over {
				return
			}
			w.mailbox(ctx, &all[i])
		}
	}
}

// serverFiles is one walk over them.
type serverFiles struct {
	s     *Scanner
	since time.Time
	yield func(ServerFile, error) bool
	at    ServerFile // mailbox and directory of the walk
	over  bool
}

// errOver ends a walk that nobody wants to go on with.
var errOver = errors.New("over")

func (w *serverFiles) give(f ServerFile, err error) {
	w.over = w.over || !w.yield(f, err)
}

func (w *serverFiles) stop(err error) {
	if !w.over {
		w.give(ServerFile{}, err)
		w.over = true
	}
}

// failed tells of a file, or of all of a folder or mailbox, that it cannot be
// opened.
func (w *serverFiles) failed(name string, err error) {
	w.give(ServerFile{Mailbox: w.at.Mailbox, Dir: w.at.Dir, Name: name, Err: err}, nil)
}

func (w *serverFiles) mailbox(ctx context.Context, f *found) {
	w.at = ServerFile{Mailbox: f.name}
	place, err := w.s.placeAt(f.name, f.path, true)
	if err != nil {
		w.failed("", err)
		return
	}
	root, err := w.s.openAt(place.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		w.failed("", err)
		return
	}
	defer root.Close()
	odd, err := walkMailbox(ctx, root, func(d *beneath.Dir, b *branch) error {
		if !b.maildir() {
			return nil
		}
		w.at.Dir = b.dir
		for _, t := range []struct {
			apart, at string
			names     []string
		}{{place.Control, place.ControlDir(b.dir), controlFiles}, {place.Index, place.IndexDir(b.dir), indexFiles}} {
			if t.apart == "" {
				w.folder(d, b.files, t.names)
				continue
			}
			switch dir, err := w.s.openAt(t.at); {
			case err == nil:
				w.folder(dir, nil, t.names)
				_ = dir.Close()
			case !errors.Is(err, fs.ErrNotExist):
				w.failed(t.names[0], err)
			}
		}
		if w.over {
			return errOver
		}
		return nil
	})
	switch {
	case ctx.Err() != nil:
		w.stop(context.Cause(ctx))
	case err != nil && !errors.Is(err, errOver):
		w.failed("", err)
	}
	for _, o := range odd {
		w.at.Dir = o.dir
		w.failed("", o.err)
	}
}

// folder gives the files of a directory. present names what is in it, nil where
// that is not known.
func (w *serverFiles) folder(d *beneath.Dir, present map[string]bool, names []string) {
	for _, name := range names {
		if w.over || present != nil && !present[name] {
			continue
		}
		st, err := d.Stat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !w.since.IsZero() && st.CTime < w.since.UnixNano() {
			continue
		}
		var f *beneath.File
		if err == nil {
			f, err = d.OpenFile(name)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			w.failed(name, err)
			continue
		}
		w.give(ServerFile{Mailbox: w.at.Mailbox, Dir: w.at.Dir, Name: name, File: f}, nil)
		_ = f.Close()
	}
}
