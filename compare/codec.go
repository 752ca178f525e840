package compare

import (
	"encoding/binary"
	"errors"
	"strings"

	"mailsync/manifest"
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
	b = append(b, f, byte(e.Sub), byte(e.Status), byte(e.Damage))
	b = binary.AppendUvarint(b, uint64(folder))
	b = appendString(b, e.Name)
	if f&nameHasUnique != 0 {
		b = binary.AppendUvarint(b, uint64(len(e.Unique)))
	} else {
		b = appendString(b, e.Unique)
	}
	b = appendString(b, e.Flags)
	b = binary.AppendUvarint(b, uint64(len(e.Keywords)))
	for _, k := range e.Keywords {
		b = appendString(b, k)
	}
	b = binary.AppendVarint(b, e.Size)
	b = binary.AppendVarint(b, e.MTime)
	b = binary.AppendVarint(b, e.CTime-e.MTime)
	b = binary.AppendUvarint(b, e.Inode)
	b = binary.AppendUvarint(b, uint64(e.UID))
	b = binary.AppendVarint(b, e.Checked)
	if f&hasDigest != 0 {
		b = append(append(b, byte(e.Digest.Alg)), e.Digest.Sum[:]...)
	}
	if f&hasPlain != 0 {
		b = append(append(b, byte(e.Plain.Alg)), e.Plain.Sum[:]...)
	}
	if f&hasHeader != 0 {
		b = append(b, e.HeaderID[:]...)
	}
	return appendString(b, e.Detail[:min(len(e.Detail), maxDetail)])
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder takes an arena's record apart. The first error stays.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) text() []byte { return d.bytes(d.uint()) }

func (d *decoder) digest() (g manifest.Digest) {
	if p := d.bytes(33); p != nil {
		g.Alg = manifest.Alg(p[0])
		copy(g.Sum[:], p[1:])
	}
	return g
}

func (d *decoder) entry(folders []string) *manifest.Entry {
	head := d.bytes(4)
	if head == nil {
		return new(manifest.Entry)
	}
	f := head[0]
	e := &manifest.Entry{
		Sub: manifest.Sub(head[1]), Status: manifest.Status(head[2]), Damage: manifest.Kind(head[3]),
		Opaque: f&isOpaque != 0, Good: f&isGood != 0,
	}
	if k := d.uint(); k < uint64(len(folders)) {
		e.Folder = folders[k]
	} else {
		d.bad = true
	}
	e.Name = string(d.text())
	if f&nameHasUnique != 0 {
		e.Unique = e.Name[:min(d.uint(), uint64(len(e.Name)))]
	} else {
		e.Unique = string(d.text())
	}
	e.Flags = string(d.text())
	for n := d.uint(); n > 0 && !d.bad; n-- {
		e.Keywords = append(e.Keywords, string(d.text()))
	}
	e.Size, e.MTime = d.int(), d.int()
	e.CTime = e.MTime + d.int()
	e.Inode, e.UID, e.Checked = d.uint(), uint32(d.uint()), d.int()
	if f&hasDigest != 0 {
		e.Digest = d.digest()
	}
	if f&hasPlain != 0 {
		e.Plain = d.digest()
	}
	if f&hasHeader != 0 {
		copy(e.HeaderID[:], d.bytes(16))
	}
	e.Detail = string(d.text())
	return e
}

// fileOf reads only what output is sorted by: folder, sub-directory, name.
// The name is valid as long as the record.
func (d *decoder) fileOf() (folder int, sub manifest.Sub, name []byte) {
	head := d.bytes(4)
	if head == nil {
		return 0, 0, nil
	}
	folder = int(d.uint())
	return folder, manifest.Sub(head[1]), d.text()
}
