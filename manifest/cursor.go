package manifest

import (
	"encoding/binary"
	"time"

	"mailsync/manifest/pack"
)

// cursor reads the record's values off a byte slice.
type cursor struct{ pack.Reader }

func cursorOver(b []byte) cursor { return cursor{pack.Reader{B: b}} }

func (c *cursor) fixed32() uint32 {
	if b := c.Take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) digest(alg Alg) Digest {
	d := Digest{Alg: alg}
	if copy(d.Sum[:], c.Take(len(d.Sum))) == 0 {
		return Digest{}
	}
	return d
}

func (c *cursor) time() time.Time {
	v := c.Int()
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(0, v).UTC()
}

func (c *cursor) strings(count, limit int) []string {
	n := c.Length(count + 1)
	if n == 0 || n-1 > len(c.B) {
		if n > 0 {
			c.Fail()
		}
		return nil
	}
	list := make([]string, 0, n-1)
	for range n - 1 {
		s := c.String(limit)
		if c.Bad {
			return nil
		}
		list = append(list, s)
	}
	return list
}

// The writing side.

// appendTime writes nanoseconds since 1970; 0 is the zero time.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return pack.Int(b, t.UnixNano())
}

// appendStrings keeps nil apart from empty.
func appendStrings(b []byte, list []string) []byte {
	if list == nil {
		return append(b, 0)
	}
	b = pack.Uint(b, uint64(len(list))+1)
	for _, s := range list {
		b = pack.Text(b, s)
	}
	return b
}
