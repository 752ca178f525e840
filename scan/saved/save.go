package saved

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mailsync/manifest"
	"mailsync/manifest/durable"
	"mailsync/scan"
	"mailsync/scan/beneath"
)

const (
	stampForm = "20060102T150405.000Z"
	tempEnd   = ".tmp"

	// maxMailbox bounds what one mailbox may take, so that its owner cannot take
	// it all.
	maxMailbox = 128 << 20
	// What is older than keepFor is removed, but for the keepLast newest.
	keepFor  = 30 * 24 * time.Hour
	keepLast = 3
)

// Options bound what Save does.
type Options struct {
	FS    durable.FS // nil = the real one
	Dir   string     // of one store; made where it is not there
	Now   func() time.Time
	Until time.Time // nothing is begun after it; zero = no limit
	Bytes int64     // at most, all files together
}

// Result is what Save did.
type Result struct {
	Path           string // of the copies; "" where there was nothing to copy
	Files, Bytes   int64
	LeftOut        int64 // files that no room was left for
	Unreadable     int64 // files, folders and mailboxes that could not be opened or read
	FirstError     error // of the unreadable
	TimeUp         bool  // Until came first: how much is left out is not known
	Pruned, Unsure int64 // older copies that were removed; files that changed while they were copied
}

// Since is the moment from which on changes have to be copied: the given one
// (when the record was begun), or that of the newest copies, whichever is later.
// Copies from the future were made by a wrong clock and count for nothing.
func Since(fsys durable.FS, dir string, record, now time.Time) (time.Time, error) {
	all, err := stamps(fsys, dir)
	if err != nil {
		return record, err
	}
	for _, s := range all {
		if s.at.After(record) && !s.at.After(now) {
			record = s.at
		}
	}
	return record, nil
}

// Save copies files, and removes what is too old. An error means that nothing
// was kept of this run.
func Save(ctx context.Context, o Options, files iter.Seq2[scan.ServerFile, error]) (r Result, err error) {
	if o.FS == nil {
		o.FS = durable.System()
	}
	if err := durable.MkdirAll(o.FS, o.Dir, 0o700); err != nil {
		return r, err
	}
	if err := sweep(o.FS, o.Dir); err != nil {
		return r, err
	}
	began := o.Now().UTC()
	w := &writer{o: &o, r: &r, temp: filepath.Join(o.Dir, began.Format(stampForm)+tempEnd)}
	defer func() {
		if err != nil {
			// What was written is of no use; the first error is the one to tell.
			_ = w.abandon()
		}
	}()
	for f, err := range files {
		if err != nil {
			return r, err
		}
		if !o.Until.IsZero() && o.Now().After(o.Until) {
			r.TimeUp = true
			break
		}
		if f.Err != nil {
			w.unreadable(f.Err)
			continue
		}
		if err := w.add(&f); err != nil {
			return r, err
		}
	}
	if ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	if err := w.end(); err != nil {
		return r, err
	}
	if r.Files > 0 {
		r.Path = strings.TrimSuffix(w.temp, tempEnd)
		if err := durable.SyncDir(o.FS, w.temp); err != nil {
			return r, err
		}
		if err := o.FS.Rename(w.temp, r.Path); err != nil {
			return r, err
		}
		if err := durable.SyncDir(o.FS, o.Dir); err != nil {
			return r, err
		}
	}
	r.Pruned, err = prune(o.FS, o.Dir, began)
	return r, err
}

// writer writes one set of copies.
type writer struct {
	o       *Options
	r       *Result
	temp    string // directory
	made    bool
	bucket  string
	file    durable.File
	tar     *tar.Writer
	mailbox string
	taken   int64 // of the mailbox
}

func (w *writer) unreadable(err error) {
	w.r.Unreadable++
	if w.r.FirstError == nil {
		w.r.FirstError = err
	}
}

// add copies one file.
func (w *writer) add(f *scan.ServerFile) error {
	if f.Mailbox != w.mailbox {
		w.mailbox, w.taken = f.Mailbox, 0
	}
	st := f.File.Opened()
	if w.r.Bytes+st.Size > w.o.Bytes || w.taken+st.Size > maxMailbox {
		w.r.LeftOut++
		return nil
	}
	if err := w.open(bucketOf(f.Mailbox)); err != nil {
		return err
	}
	h := &tar.Header{
		Typeflag: tar.TypeReg, Format: tar.FormatGNU, Name: entryName(f.Mailbox, f.Dir, f.Name), Size: st.Size, Mode: 0o600,
		ModTime: time.Unix(0, st.MTime), Uid: int(st.Owner), Gid: int(st.Group),
	}
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	n, err := w.copy(f.File, st.Size)
	if err != nil {
		return err
	}
	if n < st.Size {
		// It became shorter, or cannot be read to its end. What follows are NULs,
		// which every reader of these files takes for an end.
		if _, err := io.CopyN(w.tar, zeros{}, st.Size-n); err != nil {
			return err
		}
		w.r.Unsure++
	}
	w.r.Files++
	w.r.Bytes += st.Size
	w.taken += st.Size
	return nil
}

// copy copies up to size bytes. Its error is one of writing; what cannot be read
// is counted.
func (w *writer) copy(f *beneath.File, size int64) (int64, error) {
	buf := make([]byte, min(size, 256<<10))
	for at := int64(0); at < size; {
		n, rerr := f.ReadAt(buf[:min(int64(len(buf)), size-at)], at)
		if _, err := w.tar.Write(buf[:n]); err != nil {
			return at, err
		}
		at += int64(n)
		if rerr != nil {
			if !errors.Is(rerr, io.EOF) {
				w.unreadable(rerr)
			}
			return at, nil
		}
	}
	return size, nil
}

// open makes the archive of a bucket current. Mailboxes come in the order of
// their buckets.
func (w *writer) open(bucket string) error {
	if bucket == w.bucket {
		return nil
	}
	if err := w.end(); err != nil {
		return err
	}
	if !w.made {
		if err := w.o.FS.Mkdir(w.temp, 0o700); err != nil {
			return err
		}
		w.made = true
	}
	f, err := w.o.FS.Open(filepath.Join(w.temp, bucket), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w.bucket, w.file, w.tar = bucket, f, tar.NewWriter(f)
	return nil
}

// end makes the current archive durable.
func (w *writer) end() error {
	if w.file == nil {
		return nil
	}
	err := errors.Join(w.tar.Close(), w.file.Sync(), w.file.Close())
	w.bucket, w.file, w.tar = "", nil, nil
	return err
}

func (w *writer) abandon() error {
	if w.file != nil {
		_ = w.file.Close()
	}
	if !w.made {
		return nil
	}
	return remove(w.o.FS, w.temp)
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func bucketOf(mailbox string) string {
	return fmt.Sprintf("%02x.tar", manifest.ShardOf(mailbox)*256/manifest.Shards)
}

func entryName(mailbox, dir, name string) string { return path.Join(mailbox, dir, name) }

// stamp is one set of copies.
type stamp struct {
	name string
	at   time.Time
}

// stamps lists the sets of a store, the oldest first.
func stamps(fsys durable.FS, dir string) ([]stamp, error) {
	if fsys == nil {
		fsys = durable.System()
	}
	names, err := fsys.Names(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []stamp
	for _, name := range names {
		if at, err := time.Parse(stampForm, name); err == nil {
			out = append(out, stamp{name, at})
		}
	}
	slices.SortFunc(out, func(a, b stamp) int { return a.at.Compare(b.at) })
	return out, nil
}

// prune removes sets that are too old.
func prune(fsys durable.FS, dir string, now time.Time) (int64, error) {
	all, err := stamps(fsys, dir)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, s := range all[:max(0, len(all)-keepLast)] {
		if now.Sub(s.at) < keepFor {
			break
		}
		if err := remove(fsys, filepath.Join(dir, s.name)); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// sweep removes what a run that was killed has left.
func sweep(fsys durable.FS, dir string) error {
	names, err := fsys.Names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		base, ok := strings.CutSuffix(name, tempEnd)
		if _, err := time.Parse(stampForm, base); !ok || err != nil {
			continue
		}
		if err := remove(fsys, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// remove takes a set away.
func remove(fsys durable.FS, dir string) error {
	names, err := fsys.Names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := fsys.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return fsys.Remove(dir)
}
