package compare

import (
	"errors"
	"strings"

	"mailsync/manifest"
	"mailsync/manifest/pack"
)

// The form in which copies of messages wait in an arena until their mailbox
// has been seen whole: about 130 bytes each. It never leaves the process.

var errCodec = errors.New("a record of the comparison's own does not read back")

const (
	hasPlain = 1 << iota
	hasHeader
	isOpaque
	isGood
	nameHasUnique
	hasDigest
	hasHeld
)

const maxDetail = 512

func appendEntry(b []byte, e *manifest.Entry, folder int) []byte {
	var f byte
	if !e.Plain.IsZero() {
		f |= hasPlain
	}
	if e.HeaderID != (manifest.HeaderID{}) {
		f |= hasHeader
	}
	if e.Opaque {
		f |= isOpaque
	}
	if e.Good {
		f |= isGood
	}
	if strings.HasPrefix(e.Name, e.Unique) {
		f |= nameHasUnique
	}
	if !e.Digest.IsZero() {
		f |= hasDigest
	}
	if !e.Held.IsZero() {
		f |= hasHeld
	}
	b = append(b, f, byte(e.Sub), byte(e.Status), byte(e.Damage))
	b = pack.Uint(b, uint64(folder))
	b = pack.Text(b, e.Name)
	if f&nameHasUnique != 0 {
		b = pack.Uint(b, uint64(len(e.Unique)))
	} else {
		b = pack.Text(b, e.Unique)
	}
	b = pack.Text(b, e.Flags)
	b = pack.Uint(b, uint64(len(e.Keywords)))
	for _, k := range e.Keywords {
		b = pack.Text(b, k)
	}
	b = pack.Int(b, e.Size)
	b = pack.Int(b, e.MTime)
	b = pack.Int(b, e.CTime-e.MTime)
	b = pack.Uint(b, e.Inode)
	b = pack.Uint(b, uint64(e.UID))
	b = pack.Int(b, e.Checked)
	if f&hasDigest != 0 {
		b = append(append(b, byte(e.Digest.Alg)), e.Digest.Sum[:]...)
	}
	if f&hasPlain != 0 {
		b = append(append(b, byte(e.Plain.Alg)), e.Plain.Sum[:]...)
	}
	if f&hasHeader != 0 {
		b = append(b, e.HeaderID[:]...)
	}
	if f&hasHeld != 0 {
		b = append(append(b, byte(e.Held.Alg)), e.Held.Sum[:]...)
	}
	return pack.Text(b, e.Detail[:min(len(e.Detail), maxDetail)])
}

// decoder takes an arena's record apart.
type decoder struct{ pack.Reader }

func decoderOver(rec []byte) decoder { return decoder{pack.Reader{B: rec}} }

func (d *decoder) digest() (g manifest.Digest) {
	if p := d.Take(33); p != nil {
		g.Alg = manifest.Alg(p[0])
		copy(g.Sum[:], p[1:])
	}
	return g
}

func (d *decoder) entry(folders []string) *manifest.Entry {
	head := d.Take(4)
	if head == nil {
		return new(manifest.Entry)
	}
	f := head[0]
	e := &manifest.Entry{
		Sub: manifest.Sub(head[1]), Status: manifest.Status(head[2]), Damage: manifest.Kind(head[3]),
		Opaque: f&isOpaque != 0, Good: f&isGood != 0,
	}
	if k := d.Uint(); k < uint64(len(folders)) {
		e.Folder = folders[k]
	} else {
		d.Bad = true
	}
	e.Name = string(d.Bytes())
	if f&nameHasUnique != 0 {
		e.Unique = e.Name[:min(d.Uint(), uint64(len(e.Name)))]
	} else {
		e.Unique = string(d.Bytes())
	}
	e.Flags = string(d.Bytes())
	for n := d.Uint(); n > 0 && !d.Bad; n-- {
		e.Keywords = append(e.Keywords, string(d.Bytes()))
	}
	e.Size, e.MTime = d.Int(), d.Int()
	e.CTime = e.MTime + d.Int()
	e.Inode, e.UID, e.Checked = d.Uint(), uint32(d.Uint()), d.Int()
	if f&hasDigest != 0 {
		e.Digest = d.digest()
	}
	if f&hasPlain != 0 {
		e.Plain = d.digest()
	}
	if f&hasHeader != 0 {
		copy(e.HeaderID[:], d.Take(16))
	}
	if f&hasHeld != 0 {
		e.Held = d.digest()
	}
	e.Detail = string(d.Bytes())
	return e
}

// fileOf reads only what output is sorted by: folder, sub-directory, name.
// The name is valid as long as the record.
func (d *decoder) fileOf() (folder int, sub manifest.Sub, name []byte) {
	head := d.Take(4)
	if head == nil {
		return 0, 0, nil
	}
	folder = int(d.Uint())
	return folder, manifest.Sub(head[1]), d.Bytes()
}
