package restore

import (
	"errors"
	"time"

	"mailsync/manifest"
	"mailsync/manifest/pack"
)

// errCodec reports a record that no version of mailsync has written.
var errCodec = errors.New("malformed record")

// encoder appends values to a record.
type encoder struct{ b []byte }

func (e *encoder) byte(v byte)    { e.b = append(e.b, v) }
func (e *encoder) uint(v uint64)  { e.b = pack.Uint(e.b, v) }
func (e *encoder) int(v int64)    { e.b = pack.Int(e.b, v) }
func (e *encoder) str(s string)   { e.b = pack.Text(e.b, s) }
func (e *encoder) bytes(p []byte) { e.b = pack.Text(e.b, p) }
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

// decoder takes a record apart.
type decoder struct{ pack.Reader }

func decoderOver(b []byte) decoder { return decoder{pack.Reader{B: b}} }

// end tells whether the record was whole, with nothing behind it.
func (d *decoder) end() error {
	if !d.Done() {
		return errCodec
	}
	return nil
}

func (d *decoder) str() string { return string(d.Bytes()) }

// bytes returns a copy; nil for an empty text.
func (d *decoder) bytes() []byte { return append([]byte(nil), d.Bytes()...) }

func (d *decoder) time() time.Time {
	switch d.Byte() {
	case 0:
		return time.Time{}
	case 1:
		s, n := d.Int(), d.Uint()
		if n >= 1e9 || s < -1<<40 || s > 1<<40 {
			d.Fail()
			return time.Time{}
		}
		return time.Unix(s, int64(n)).UTC()
	}
	d.Fail()
	return time.Time{}
}

func (d *decoder) digest() (v manifest.Digest) {
	v.Alg = manifest.Alg(d.Byte())
	if v.Alg == manifest.NoAlg {
		return manifest.Digest{}
	}
	if !v.Alg.Valid() || len(d.B) < len(v.Sum) {
		d.Fail()
		return manifest.Digest{}
	}
	d.B = d.B[copy(v.Sum[:], d.B):]
	return v
}

func (d *decoder) ground(g *Ground) {
	g.Sub = manifest.Sub(d.Byte())
	g.Name = d.bytes()
	g.Size = d.Int()
	g.Inode = d.Uint()
	g.MTime = d.Int()
	g.Digest = d.digest()
	if g.Sub > manifest.Cur {
		d.Fail()
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
	n := int(d.Byte())
	if n >= len(table) {
		d.Fail()
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
	if n := d.Count(1); n > 0 {
		a.Keywords = make([]string, n)
		for i := range a.Keywords {
			a.Keywords[i] = d.str()
		}
	}
	a.From = d.str()
	a.FromName = d.bytes()
	a.FromSub = manifest.Sub(d.Byte())
	if a.FromSub > manifest.Cur {
		d.Fail()
	}
	a.FromDir = d.str()
	a.Detail = d.str()
	bits := d.Byte()
	a.ACL, a.Whole = bits&1 != 0, bits&2 != 0
	if bits&8 != 0 {
		a.Owner, a.Group, a.Mode, a.Path = d.U32(), d.U32(), d.U32(), d.str()
	}
	if bits&4 != 0 {
		u := &UIDs{Validity: d.U32(), Next: d.U32(), GUID: d.str()}
		if n := d.Count(2); n > 0 {
			u.Lines = make([]UIDLine, n)
			for i := range u.Lines {
				u.Lines[i] = UIDLine{UID: d.U32(), Base: d.bytes()}
			}
		}
		a.UIDs = u
	}
	if bits&^15 != 0 {
		d.Fail()
	}
}
