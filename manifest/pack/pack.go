// Package pack reads and writes the values that mailsync's own records are made
// of: varints as in encoding/binary, and texts behind their length.
//
// A Reader is made for hostile bytes. What is claimed to be longer than what is
// left is refused before anything is allocated for it, and after the first value
// that does not fit every further one is zero, so that a whole record can be
// read before Bad is looked at. It knows nothing of what the values mean.
package pack

import "encoding/binary"

// Reader takes a record apart, from its beginning on.
type Reader struct {
	B   []byte // what has not been read yet
	Bad bool   // something did not fit
}

// Fail gives up: nothing more is read.
func (r *Reader) Fail() { r.B, r.Bad = nil, true }

// Done tells whether everything was read, and nothing was missing.
func (r *Reader) Done() bool { return !r.Bad && len(r.B) == 0 }

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.B) == 0 {
		r.Fail()
		return 0
	}
	v := r.B[0]
	r.B = r.B[1:]
	return v
}

// Bool reads a byte that is 0 or 1.
func (r *Reader) Bool() bool {
	switch r.Byte() {
	case 0:
		return false
	case 1:
		return true
	}
	r.Fail()
	return false
}

// Uint reads an unsigned varint.
func (r *Reader) Uint() uint64 {
	if len(r.B) > 0 && r.B[0] < 0x80 { // nearly all of them
		v := r.B[0]
		r.B = r.B[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.B)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.B = r.B[n:]
	return v
}

// Int reads a signed varint.
func (r *Reader) Int() int64 {
	u := r.Uint()
	return int64(u>>1) ^ -int64(u&1)
}

// U32 reads an unsigned varint of at most 32 bits.
func (r *Reader) U32() uint32 {
	v := r.Uint()
	if v > 1<<32-1 {
		r.Fail()
		return 0
	}
	return uint32(v)
}

// Length reads a length that cannot be larger than limit.
func (r *Reader) Length(limit int) int {
	v := r.Uint()
	if v > uint64(limit) {
		r.Fail()
		return 0
	}
	return int(v)
}

// Count reads the number of things that take at least size bytes each.
func (r *Reader) Count(size int) int {
	n := r.Uint()
	if n > uint64(len(r.B)/size) {
		r.Fail()
		return 0
	}
	return int(n)
}

// Take returns the next n bytes. They are still part of the record.
func (r *Reader) Take(n int) []byte {
	if n < 0 || n > len(r.B) {
		r.Fail()
		return nil
	}
	v := r.B[:n]
	r.B = r.B[n:]
	return v
}

// Bytes returns a text behind its length. It is still part of the record.
func (r *Reader) Bytes() []byte { return r.Take(r.Length(len(r.B))) }

// String reads a text of at most limit bytes behind its length.
func (r *Reader) String(limit int) string { return string(r.Take(r.Length(limit))) }

// Uint appends an unsigned varint.
func Uint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	return binary.AppendUvarint(b, v)
}

// Int appends a signed varint.
func Int(b []byte, v int64) []byte { return Uint(b, uint64(v)<<1^uint64(v>>63)) }

// Bool appends a byte that is 0 or 1.
func Bool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// Text appends a text behind its length.
func Text[T ~string | ~[]byte](b []byte, s T) []byte { return append(Uint(b, uint64(len(s))), s...) }
