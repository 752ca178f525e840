package scan

import (
	"errors"
	"fmt"

	"mailsync/manifest"
	"mailsync/scan/beneath"
)

// errForeign reports a name in a mailbox that leads to a file which the
// mailbox' owner may not read: whoever reads it for him gives it away.
var errForeign = errors.New("a hard link to another user's file, which the owner of the mailbox may not read; it is not read")

// foreign tells whether a file is a hard link to one that the owner of the
// directory may not read. A user can make such a link where the kernel lets him
// (fs.protected_hardlinks = 0). A copy into a shared folder is a link to
// another user's file too, and is one that the folder's group may read.
func foreign(d *beneath.Dir, st *beneath.Stat) bool {
	if st.Links < 2 {
		return false
	}
	dir, err := d.Self()
	if err != nil {
		return true
	}
	const groupRead, otherRead = 0o040, 0o004
	switch {
	case st.Owner == dir.Owner, st.Mode&otherRead != 0:
		return false
	case st.Group == dir.Group && st.Mode&groupRead != 0:
		return false
	}
	return true
}

// openOwn opens a file that the owner of the directory may read.
func openOwn(d *beneath.Dir, name string) (*beneath.File, error) {
	f, err := d.OpenFile(name)
	if err == nil && foreign(d, f.Opened()) {
		_ = f.Close()
		return nil, fmt.Errorf("%q: %w", name, errForeign)
	}
	return f, err
}

// hollowFloor is the length of a hole from which on a file is not read: no
// server leaves holes in mail, and reading them takes as long as if they were
// filled.
const hollowFloor = 16 << 20

// hollow is a file that is mostly a hole.
type hollow struct {
	beneath.Holes
	size int64
}

// hollowed looks for long holes in a file; nil where there are none. A
// compressing file system takes less than the size too, so that the number of
// blocks only says whether it is worth asking.
func hollowed(f *beneath.File) *hollow {
	st := f.Opened()
	if st.Size < hollowFloor || st.Blocks > (st.Size-hollowFloor)/512 {
		return nil
	}
	h, err := f.Holes()
	if err != nil || h.Longest < hollowFloor {
		return nil // reading it will tell
	}
	return &hollow{Holes: h, size: st.Size}
}

// errHollow reports a file that is not read because of its holes.
var errHollow = errors.New("a sparse file: it is mostly a hole, and is not read")

// judge says what is wrong with a file of which nothing but the holes is known.
// Where the size contradicts the name or the record, that proves it.
func (h *hollow) judge(t *task, known bool) (manifest.Kind, manifest.Certainty, string) {
	detail := fmt.Sprintf("a sparse file of %d bytes, %d of them on disk; the longest hole of %d bytes reads as NULs. It was not read", h.size, h.Data, h.Longest)
	certainty := manifest.Suspicion
	if t.name.HasS && t.name.S != h.size || known {
		certainty = manifest.Proof
		if t.name.HasS {
			detail += fmt.Sprintf("; its name says S=%d", t.name.S)
		}
	}
	switch {
	case h.Data == 0:
		return manifest.NULFilled, manifest.Proof, detail
	case h.Tail > 0:
		return manifest.NULTail, certainty, detail
	}
	return manifest.NULRun, certainty, detail
}

// hollow reports a file that is not read because of its holes. What was
// recorded of it stays the truth.
func (v *View) hollow(t *task, e *manifest.Entry) {
	_, _, known := baseline(t.old)
	kind, certainty, detail := t.hollow.judge(t, known)
	v.keep(t.old, e)
	e.Damage, e.Detail = kind, detail
	if certainty == manifest.Proof && known {
		e.Status, e.Good = manifest.Damaged, true
	}
	v.finding(manifest.Finding{Folder: e.Folder, File: e.File(), Kind: kind, Certainty: certainty, Detail: detail})
}
