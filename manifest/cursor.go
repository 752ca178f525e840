package manifest

import (
	"encoding/binary"
	"time"
)

// cursor reads values off a byte slice. After the first value that is not
// there, bad is set and all that follows is zero.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) fail() { c.b, c.bad = nil, true }

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.fail()
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *cursor) uvarint() uint64 {
	if len(c.b) > 0 && c.b[0] < 0x80 { // nearly all of them
		v := c.b[0]
		c.b = c.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) varint() int64 {
	u := c.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// length reads a length that cannot be larger than limit.
func (c *cursor) length(limit int) int {
	v := c.uvarint()
	if v > uint64(limit) {
		c.fail()
		return 0
	}
	return int(v)
}

// take returns the next n bytes, still part of the slice.
func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.fail()
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) string(limit int) string { return string(c.take(c.length(limit))) }

func (c *cursor) bool() bool {
	switch c.byte() {
	case 0:
		return false
	case 1:
		return true
	}
	c.fail()
	return false
}

func (c *cursor) uint32() uint32 {
	v := c.uvarint()
	if v > 1<<32-1 {
		c.fail()
		return 0
	}
	return uint32(v)
}

func (c *cursor) fixed32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) digest(alg Alg) Digest {
	d := Digest{Alg: alg}
	if copy(d.Sum[:], c.take(len(d.Sum))) == 0 {
		return Digest{}
	}
	return d
}

func (c *cursor) time() time.Time {
	v := c.varint()
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(0, v).UTC()
}

func (c *cursor) strings(count, limit int) []string {
	n := c.length(count + 1)
	if n == 0 || n-1 > len(c.b) {
		if n > 0 {
			c.fail()
		}
		return nil
	}
	list := make([]string, 0, n-1)
	for range n - 1 {
		s := c.string(limit)
		if c.bad {
			return nil
		}
		list = append(list, s)
	}
	return list
}

// done tells whether everything was read, and nothing more.
func (c *cursor) done() bool { return !c.bad && len(c.b) == 0 }

// The writing side.

func appendUvarint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	return binary.AppendUvarint(b, v)
}

func appendVarint(b []byte, v int64) []byte {
	return appendUvarint(b, uint64(v)<<1^uint64(v>>63))
}

func appendString(b []byte, s string) []byte {
	return append(appendUvarint(b, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// appendTime writes nanoseconds since 1970; 0 is the zero time.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return appendVarint(b, t.UnixNano())
}

// appendStrings keeps nil apart from empty.
func appendStrings(b []byte, list []string) []byte {
	if list == nil {
		return append(b, 0)
	}
	b = appendUvarint(b, uint64(len(list))+1)
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}
