package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
	"mailsync/scan/message"
)

// staleAfter is when servers take a file in tmp for abandoned (maildir(5)).
const staleAfter = 36 * time.Hour

// maxTmp bounds the files of tmp directories that are read in one mailbox.
const maxTmp = 1000

// tmpFile is a file in tmp that is older than the boot: a message in it may
// have been acknowledged, if it is whole and found nowhere else.
type tmpFile struct {
	folder, name string
	size         int64
	digest       manifest.Digest
	header       manifest.HeaderID
	stale        bool
	seen         bool
}

// tmpFiles are the left-overs of deliveries in one mailbox.
type tmpFiles struct {
	files []tmpFile
	x     *message.Examiner
	// alike are messages of the mailbox that were not read and have the size
	// of a file in tmp.
	alike []alike
}

type alike struct {
	dir  string
	sub  manifest.Sub
	name string
	tmp  int
}

// list looks at the folder's tmp directory.
func (t *tmpFiles) list(v *View, fl *folderLook, d *beneath.Dir) error {
	if !fl.branch.tmp || v.o.NoDisorder {
		return nil
	}
	tmp, err := d.OpenDir("tmp")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		fl.smallFailed("tmp", err)
		return nil
	}
	defer tmp.Close()
	for e, err := range tmp.List() {
		if err != nil {
			fl.smallFailed("tmp", err)
			return nil
		}
		if e.Type == unix.DT_DIR || e.Name[0] == '.' {
			continue
		}
		t.look(v, fl, tmp, string(e.Name))
	}
	return nil
}

func (t *tmpFiles) look(v *View, fl *folderLook, tmp *beneath.Dir, name string) {
	st, err := tmp.Stat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		fl.smallFailed("tmp/"+name, err)
	}
	if err != nil || !st.Regular() {
		return // it was moved into place, or is nothing of a delivery's
	}
	now := v.s.opt.Now()
	last := lastTouched(&st, name)
	f := tmpFile{folder: fl.info.Name, name: name, stale: now.Sub(last) > staleAfter}
	boot := v.s.opt.BootAt
	if len(t.files) < maxTmp && st.Size > 0 && !boot.IsZero() && last.Before(boot) {
		f.size = st.Size
		f.digest, f.header = t.read(v, tmp, name)
	}
	if f.stale || !f.digest.IsZero() {
		t.files = append(t.files, f)
	}
}

// lastTouched tells when a file in tmp was last written, as far as it can be
// told. Every copy of a store has fresh ctimes, and a server sets the mtime of a
// message while it is still being delivered: a ctime that is newer counts
// unless the file's name says when the delivery began, as servers name them.
func lastTouched(st *beneath.Stat, name string) time.Time {
	last := time.Unix(0, st.MTime)
	if st.CTime <= st.MTime {
		return last
	}
	d, ok := maildir.ParseDelivery(name)
	if !ok {
		return time.Unix(0, st.CTime)
	}
	if d.Time().After(last) {
		return d.Time()
	}
	return last
}

// read returns the digest of a file in tmp that holds a whole message.
func (t *tmpFiles) read(v *View, tmp *beneath.Dir, name string) (manifest.Digest, manifest.HeaderID) {
	f, err := openOwn(tmp, name)
	if err != nil {
		return manifest.Digest{}, manifest.HeaderID{}
	}
	defer f.Close()
	if hollowed(f) != nil {
		return manifest.Digest{}, manifest.HeaderID{} // no message
	}
	if t.x == nil {
		t.x = message.NewExaminer(message.Limits{})
	}
	t.x.Reset(v.alg)
	buf := make([]byte, 64<<10)
	for off := int64(0); ; {
		n, err := f.ReadAt(buf, off)
		_, _ = t.x.Write(buf[:n])
		off += int64(n)
		if err != nil {
			if off != f.Opened().Size {
				return manifest.Digest{}, manifest.HeaderID{}
			}
			break
		}
	}
	facts := t.x.Finish()
	if d := message.Damage(&facts, &message.Claim{}); d.Kind != manifest.NoKind || !facts.Header.Ended || !facts.Header.Field {
		return manifest.Digest{}, manifest.HeaderID{}
	}
	return facts.Stored.Digest, facts.HeaderID
}

// see notes that a message of the mailbox is what lies in tmp too.
func (t *tmpFiles) see(fl *folderLook, e *manifest.Entry) {
	for i := range t.files {
		f := &t.files[i]
		if f.digest.IsZero() || f.seen {
			continue
		}
		if e.Digest.IsZero() && e.Size == f.size && len(t.alike) < maxTmp {
			t.alike = append(t.alike, alike{dir: fl.info.Dir, sub: e.Sub, name: e.Name, tmp: i})
		}
		if e.Digest == f.digest || f.header != (manifest.HeaderID{}) && e.HeaderID == f.header {
			f.seen = true
		}
	}
}

// report makes the findings, once every message of the mailbox was seen.
func (t *tmpFiles) report(ctx context.Context, v *View) error {
	for _, a := range t.alike {
		if f := &t.files[a.tmp]; !f.seen {
			same, err := t.compare(ctx, v, &a, f)
			if err != nil {
				return err
			}
			f.seen = same
		}
	}
	for _, f := range t.files {
		found := manifest.Finding{Folder: f.folder, File: "tmp/" + f.name, Certainty: manifest.Proof}
		switch {
		case !f.digest.IsZero() && !f.seen:
			found.Kind, found.Certainty = manifest.StrandedTmp, manifest.Suspicion
			found.Detail = "a whole message, older than the last boot and found nowhere else in the mailbox: it may have been acknowledged"
		case f.stale:
			found.Kind = manifest.StaleTmp
			found.Detail = fmt.Sprintf("left over from a delivery, older than %d hours", int(staleAfter.Hours()))
		default:
			continue
		}
		v.finding(found)
	}
	if t.x != nil {
		t.x.Close()
		t.x = nil
	}
	return nil
}

// compare reads a message that may be the one in tmp. What cannot be read may
// be it: then nothing is said to be stranded.
func (t *tmpFiles) compare(ctx context.Context, v *View, a *alike, f *tmpFile) (bool, error) {
	r, err := v.s.OpenMessage(ctx, v.mb.Name, a.dir, a.sub, a.name)
	if err != nil {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		return !errors.Is(err, ErrGone), nil
	}
	defer r.Close()
	h := v.alg.New()
	if _, err := io.Copy(h, r); err != nil {
		return true, nil
	}
	return manifest.Digest{Alg: v.alg, Sum: [32]byte(h.Sum(nil))} == f.digest, nil
}
