package restore

import (
	"encoding/binary"
	"errors"
	"time"

	"mailsync/manifest"
)

// errCodec reports a record that no version of mailsync has written.
var errCodec = errors.New("malformed record")

// encoder appends values to a record: unsigned and signed varints, strings
// with their length.
type encoder struct{ b []byte }

func (e *encoder) byte(v byte)    { e.b = append(e.b, v) }
func (e *encoder) uint(v uint64)  { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)    { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) str(s string)   { e.uint(uint64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) bytes(p []byte) { e.uint(uint64(len(p))); e.b = append(e.b, p...) }
func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.byte(0)
		return
	}
	e.byte(1)
	e.int(t.Unix())
	e.uint(uint64(t.Nanosecond()))
}

func (e *encoder) digest(d manifest.Digest) {
	e.byte(byte(d.Alg))
	if d.Alg != manifest.NoAlg {
		e.b = append(e.b, d.Sum[:]...)
	}
}

func (e *encoder) ground(g *Ground) {
	e.byte(byte(g.Sub))
	e.bytes(g.Name)
	e.int(g.Size)
	e.uint(g.Inode)
	e.int(g.MTime)
	e.digest(g.Digest)
}

// decoder takes a record apart. After the first failure every value is zero
// and err says so; lengths are checked against what is left before anything is
// allocated.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() { d.err = errCodec; d.b = nil }

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) take() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) str() string { return string(d.take()) }

func (d *decoder) bytes() []byte {
	p := d.take()
	if len(p) == 0 {
		return nil
	}
	return append([]byte(nil), p...)
}

// count reads a number of things that take at least size bytes each.
func (d *decoder) count(size int) int {
	n := d.uint()
	if n > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) u32() uint32 {
	v := d.uint()
	if v > 1<<32-1 {
		d.fail()
		return 0
	}
	return uint32(v)
}

func (d *decoder) time() time.Time {
	switch d.byte() {
	case 0:
		return time.Time{}
	case 1:
		s, n := d.int(), d.uint()
		if n >= 1e9 || s < -1<<40 || s > 1<<40 {
			d.fail()
			return time.Time{}
		}
		return time.Unix(s, int64(n)).UTC()
	}
	d.fail()
	return time.Time{}
}

func (d *decoder) digest() (v manifest.Digest) {
	v.Alg = manifest.Alg(d.byte())
	if v.Alg == manifest.NoAlg {
		return manifest.Digest{}
	}
	if !v.Alg.Valid() || len(d.b) < len(v.Sum) {
		d.fail()
		return manifest.Digest{}
	}
	d.b = d.b[copy(v.Sum[:], d.b):]
	return v
}

func (d *decoder) ground(g *Ground) {
	g.Sub = manifest.Sub(d.byte())
	g.Name = d.bytes()
	g.Size = d.int()
	g.Inode = d.uint()
	g.MTime = d.int()
	g.Digest = d.digest()
	if g.Sub > manifest.Cur {
		d.fail()
	}
}

// The numbers of ops, states and reasons are part of the formats: append only.
var (
	opCodes    = []Op{"", Add, Replace, Flags, Keywords, Date, Mkdir, Subscribe, UID, Quarantine, Remove}
	stateCodes = []State{"", Planned, Done, Already, Skipped, Refused, Failed}
	whyCodes   = []Why{"", WhyDeleted, WhyUndecided, WhyConflict, WhyNoCopy, WhyUnknown, WhyUnseen, WhyLayout, WhyGone, WhyFlags, WhyVersion}
)

func code[T comparable](table []T, v T) byte {
	for i, x := range table {
		if x == v {
			return byte(i)
		}
	}
	return 0
}

func decode[T any](d *decoder, table []T) (v T) {
	n := int(d.byte())
	if n >= len(table) {
		d.fail()
		return v
	}
	return table[n]
}

func (e *encoder) action(a *Action) {
	e.byte(code(opCodes, a.Op))
	e.byte(code(stateCodes, a.State))
	e.byte(code(whyCodes, a.Why))
	e.str(a.Ref.Store)
	e.str(a.Ref.Mailbox)
	e.str(a.Ref.Folder)
	e.str(a.Ref.Unique)
	e.str(a.Dir)
	e.ground(&a.Pre)
	e.ground(&a.Post)
	e.time(a.Date)
	e.str(a.Flags)
	e.uint(uint64(len(a.Keywords)))
	for _, k := range a.Keywords {
		e.str(k)
	}
	e.str(a.From)
	e.bytes(a.FromName)
	e.byte(byte(a.FromSub))
	e.str(a.FromDir)
	e.str(a.Detail)
	var bits byte
	if a.ACL {
		bits |= 1
	}
	if a.Whole {
		bits |= 2
	}
	if a.UIDs != nil {
		bits |= 4
	}
	if a.Op == Mkdir {
		bits |= 8
	}
	e.byte(bits)
	if a.Op == Mkdir {
		e.uint(uint64(a.Owner))
		e.uint(uint64(a.Group))
		e.uint(uint64(a.Mode))
		e.str(a.Path)
	}
	if u := a.UIDs; u != nil {
		e.uint(uint64(u.Validity))
		e.uint(uint64(u.Next))
		e.str(u.GUID)
		e.uint(uint64(len(u.Lines)))
		for _, l := range u.Lines {
			e.uint(uint64(l.UID))
			e.bytes(l.Base)
		}
	}
}

func (d *decoder) action(a *Action) {
	*a = Action{Op: decode(d, opCodes), State: decode(d, stateCodes), Why: decode(d, whyCodes)}
	a.Ref = manifest.Ref{Store: d.str(), Mailbox: d.str(), Folder: d.str(), Unique: d.str()}
	a.Dir = d.str()
	d.ground(&a.Pre)
	d.ground(&a.Post)
	a.Date = d.time()
	a.Flags = d.str()
	if n := d.count(1); n > 0 {
		a.Keywords = make([]string, n)
		for i := range a.Keywords {
			a.Keywords[i] = d.str()
		}
	}
	a.From = d.str()
	a.FromName = d.bytes()
	a.FromSub = manifest.Sub(d.byte())
	if a.FromSub > manifest.Cur {
		d.fail()
	}
	a.FromDir = d.str()
	a.Detail = d.str()
	bits := d.byte()
	a.ACL, a.Whole = bits&1 != 0, bits&2 != 0
	if bits&8 != 0 {
		a.Owner, a.Group, a.Mode, a.Path = d.u32(), d.u32(), d.u32(), d.str()
	}
	if bits&4 != 0 {
		u := &UIDs{Validity: d.u32(), Next: d.u32(), GUID: d.str()}
		if n := d.count(2); n > 0 {
			u.Lines = make([]UIDLine, n)
			for i := range u.Lines {
				u.Lines[i] = UIDLine{UID: d.u32(), Base: d.bytes()}
			}
		}
		a.UIDs = u
	}
	if bits&^15 != 0 {
		d.fail()
	}
}
