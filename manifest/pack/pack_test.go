package pack_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"mailsync/manifest/pack"
)

// TestRoundTrip: what is written reads back the same, and no part of it reads
// as a whole.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u, i := rapid.Uint64().Draw(t, "uint"), rapid.Int64().Draw(t, "int")
		f, s := rapid.Bool().Draw(t, "bool"), rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		b := pack.Text(pack.Bool(pack.Int(pack.Uint(nil, u), i), f), s)
		b = pack.Text(b, string(s))

		read := func(b []byte) (r pack.Reader, same bool) {
			r.B = b
			same = r.Uint() == u && r.Int() == i && r.Bool() == f
			same = bytes.Equal(r.Bytes(), s) && same
			return r, r.String(len(s)) == string(s) && same
		}
		if r, same := read(b); !same || !r.Done() {
			t.Fatalf("%x: %v, %+v", b, same, r)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if r, _ := read(b[:cut]); r.Done() {
			t.Fatalf("%x without its end reads as a whole", b)
		}
	})
}

// TestClaims: what does not fit is refused, and nothing is read after it.
func TestClaims(t *testing.T) {
	for name, tt := range map[string]struct {
		b    []byte
		read func(*pack.Reader)
	}{
		"byte of nothing":            {nil, func(r *pack.Reader) { r.Byte() }},
		"bool of 2":                  {[]byte{2}, func(r *pack.Reader) { r.Bool() }},
		"varint without end":         {bytes.Repeat([]byte{0x80}, 9), func(r *pack.Reader) { r.Uint() }},
		"varint of 65 bits":          {append(bytes.Repeat([]byte{0xff}, 9), 2), func(r *pack.Reader) { r.Uint() }},
		"33 bits":                    {pack.Uint(nil, 1<<32), func(r *pack.Reader) { r.U32() }},
		"text longer than the rest":  {append(pack.Uint(nil, 1<<63), "text"...), func(r *pack.Reader) { r.Bytes() }},
		"text longer than its limit": {pack.Text(nil, "text"), func(r *pack.Reader) { _ = r.String(3) }},
		"count of more than fits":    {append(pack.Uint(nil, 3), 1, 2, 3, 4, 5), func(r *pack.Reader) { r.Count(2) }},
		"less than nothing":          {[]byte{1}, func(r *pack.Reader) { r.Take(-1) }},
	} {
		r := pack.Reader{B: tt.b}
		tt.read(&r)
		if !r.Bad || r.Done() || r.Byte() != 0 || r.Int() != 0 || r.Bytes() != nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
