package message

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"pgregory.net/rapid"

	"mailsync/manifest"
)

// sample is a plain message of about n bytes.
func sample(n int) []byte {
	var b bytes.Buffer
	b.WriteString("Return-Path: <a@example.org>\nReceived: from mx.example.org (mx.example.org [192.0.2.1])\n\tby mail.example.net (Postfix) with ESMTPS id 4XyZ\n\tfor <b@example.net>; Tue, 24 Nov 2026 10:00:00 +0100 (CET)\n" +
		"Date: Tue, 24 Nov 2026 09:59:58 +0100\nFrom: \"A. Person\" <a@example.org>\nTo: b@example.net\nMessage-ID: <20261124095958.1234@example.org>\nSubject: [list] the minutes\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n")
	for b.Len() < n {
		b.WriteString("The quick brown fox jumps over the lazy dog, and nobody minds it.\n")
	}
	return b.Bytes()[:max(n, 0)]
}

// naive counts what a Content holds, byte by byte.
func naive(p []byte, alg manifest.Alg) Content {
	c := Content{Size: int64(len(p)), Digest: alg.Sum(p)}
	run := int64(0)
	for i, b := range p {
		if b == '\n' {
			c.Lines.LF++
			if i > 0 && p[i-1] == '\r' {
				c.Lines.CRLF++
			}
		}
		if b == 0 {
			run++
			if run >= MinNULRun {
				c.NULRun = max(c.NULRun, run)
			}
		} else {
			run = 0
		}
	}
	c.NULTail = run
	return c
}

func TestCountingAgreesWithCountingByteByByte(t *testing.T) {
	t.Parallel()
	piece := rapid.SampledFrom([]string{"\n", "\r\n", "\r", "\r\r\n", "text", "\x00", strings.Repeat("\x00", 511), strings.Repeat("\x00", 512), strings.Repeat("\x00", 5000), strings.Repeat("line\n", 300), strings.Repeat("line\r\n", 100), strings.Repeat("\r\n", 40)})
	x := NewExaminer(Limits{})
	rapid.Check(t, func(t *rapid.T) {
		p := []byte(strings.Join(rapid.SliceOfN(piece, 0, 30).Draw(t, "pieces"), ""))
		alg := rapid.SampledFrom([]manifest.Alg{manifest.BLAKE3, manifest.SHA256}).Draw(t, "alg")
		want := naive(p, alg)
		if got := x.Examine(alg, p); !cmp.Equal(got.Stored, want) {
			t.Fatalf("whole: %s", cmp.Diff(want, got.Stored))
		}
		x.Reset(alg)
		for rest := p; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			_, _ = x.Write(rest[:n])
			rest = rest[n:]
		}
		if got := x.Finish(); !cmp.Equal(got.Stored, want) {
			t.Fatalf("in pieces: %s", cmp.Diff(want, got.Stored))
		}
	})
}

// squeeze compresses p as enc.
func squeeze(t testing.TB, enc Encoding, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	switch enc {
	case Gzip:
		w := gzip.NewWriter(&b)
		_, _ = w.Write(p)
		_ = w.Close()
	case Zstd:
		w, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(p)
		_ = w.Close()
	case XZ:
		w, err := xz.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(p)
		_ = w.Close()
	case LZ4:
		b.WriteString(magicLZ4)
		_ = binary.Write(&b, binary.BigEndian, uint32(64<<10))
		for len(p) > 0 {
			n := min(len(p), 64<<10)
			out := make([]byte, lz4.CompressBlockBound(n))
			var c lz4.Compressor
			k, err := c.CompressBlock(p[:n], out)
			if err != nil {
				t.Fatal(err)
			}
			_ = binary.Write(&b, binary.BigEndian, uint32(k))
			b.Write(out[:k])
			p = p[n:]
		}
	default:
		t.Fatalf("no writer for %v", enc)
	}
	return b.Bytes()
}

var squeezable = []Encoding{Gzip, Zstd, XZ, LZ4}

func TestCompressedContentIsExaminedToo(t *testing.T) {
	t.Parallel()
	plain := sample(200_000)
	x := NewExaminer(Limits{})
	defer x.Close()
	base := x.Examine(manifest.BLAKE3, plain)
	for _, enc := range squeezable {
		p := squeeze(t, enc, plain)
		check := func(how string, f Facts) {
			t.Helper()
			if f.Encoding != enc || f.StreamErr != nil {
				t.Fatalf("%v %s: encoding %v, error %v", enc, how, f.Encoding, f.StreamErr)
			}
			if d := cmp.Diff(base.Stored, f.Message); d != "" {
				t.Errorf("%v %s: %s", enc, how, d)
			}
			if f.Stored.Digest != manifest.BLAKE3.Sum(p) || f.Stored.Size != int64(len(p)) {
				t.Errorf("%v %s: stored bytes counted wrongly", enc, how)
			}
			if f.HeaderID != base.HeaderID || f.Header != base.Header {
				t.Errorf("%v %s: header differs from the plain message's", enc, how)
			}
			if f.Plain() != base.Stored.Digest {
				t.Errorf("%v %s: no plain digest", enc, how)
			}
		}
		check("whole", x.Examine(manifest.BLAKE3, p))
		for _, n := range []int{1, 7, 4096, 1 << 20} {
			x.Reset(manifest.BLAKE3)
			for rest := p; len(rest) > 0; {
				k := min(n, len(rest))
				_, _ = x.Write(rest[:k])
				rest = rest[k:]
			}
			check(fmt.Sprintf("in pieces of %d", n), x.Finish())
		}
	}
}

func TestDamagedStreams(t *testing.T) {
	t.Parallel()
	plain := make([]byte, 30_000) // random: so that no flipped bit hides in a match
	_, _ = rand.Read(plain)
	copy(plain, "Subject: x\n\n")
	x := NewExaminer(Limits{})
	defer x.Close()
	for _, enc := range squeezable {
		p := squeeze(t, enc, plain)
		for _, cut := range []int{len(p) - 1, len(p) / 2, 20} {
			f := x.Examine(manifest.BLAKE3, p[:cut])
			if enc == LZ4 && cut == 20 {
				continue // the container's first chunk size is cut as well, tested below
			}
			if !errors.Is(f.StreamErr, ErrTruncated) {
				t.Errorf("%v cut at %d of %d: %v", enc, cut, len(p), f.StreamErr)
			}
			if f.Message.Size > int64(len(plain)) || !f.Plain().IsZero() {
				t.Errorf("%v cut at %d: plain facts of a broken stream", enc, cut)
			}
		}
		if enc == LZ4 {
			continue // no checksum: a flipped byte may go unseen
		}
		q := bytes.Clone(p)
		q[len(q)/2] ^= 0x20
		if f := x.Examine(manifest.BLAKE3, q); !errors.Is(f.StreamErr, ErrCorrupt) && !errors.Is(f.StreamErr, ErrTruncated) {
			t.Errorf("%v with a flipped bit: %v", enc, f.StreamErr)
		}
	}
}

// Every member, frame and stream counts; what is appended to one is checked too.
func TestSeveralMembers(t *testing.T) {
	t.Parallel()
	a, b := sample(3000), sample(5000)
	x := NewExaminer(Limits{})
	defer x.Close()
	for _, enc := range []Encoding{Gzip, Zstd, XZ} {
		p := append(squeeze(t, enc, a), squeeze(t, enc, b)...)
		f := x.Examine(manifest.SHA256, p)
		if want := manifest.SHA256.Sum(append(bytes.Clone(a), b...)); f.Message.Digest != want || f.StreamErr != nil {
			t.Errorf("%v: %d bytes, %v", enc, f.Message.Size, f.StreamErr)
		}
	}
}

func TestAnExaminerForgetsWhatWasNotFinished(t *testing.T) {
	t.Parallel()
	x := NewExaminer(Limits{})
	defer x.Close()
	p := squeeze(t, Zstd, sample(100_000))
	want := x.Examine(manifest.BLAKE3, sample(5000))
	for range 3 {
		x.Reset(manifest.BLAKE3)
		_, _ = x.Write(p[:len(p)/2])
		if got := x.Examine(manifest.BLAKE3, sample(5000)); got != want {
			t.Fatalf("after an abandoned stream: %s", cmp.Diff(want, got))
		}
	}
}

func TestBombsAreBounded(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for range 64 {
		_, _ = w.Write(zeros)
	}
	_ = w.Close()
	x := NewExaminer(Limits{MaxPlain: 8 << 20})
	defer x.Close()
	f := x.Examine(manifest.BLAKE3, b.Bytes())
	if !errors.Is(f.StreamErr, ErrLimit) || f.Message.Size > 9<<20 {
		t.Errorf("size limit: %v after %d bytes", f.StreamErr, f.Message.Size)
	}
	y := NewExaminer(Limits{MaxRatio: 100, RatioFree: 1 << 20})
	defer y.Close()
	if f := y.Examine(manifest.BLAKE3, b.Bytes()); !errors.Is(f.StreamErr, ErrLimit) || f.Message.Size > 4<<20 {
		t.Errorf("ratio limit: %v after %d bytes", f.StreamErr, f.Message.Size)
	}
	if v := Damage(&f, &Claim{S: 5, HasS: true}); v.Kind != manifest.NoKind && v.Certainty == manifest.Proof || v.Unchecked == "" {
		t.Errorf("a limit must prove nothing: %+v", v)
	}
}

// A block header that asks for a dictionary of gigabytes must not be obeyed.
func TestXZDictionaryIsBounded(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w, err := xz.WriterConfig{DictCap: 64 << 20}.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(sample(1000))
	_ = w.Close()
	x := NewExaminer(Limits{MaxWindow: 1 << 20})
	if f := x.Examine(manifest.BLAKE3, b.Bytes()); !errors.Is(f.StreamErr, ErrLimit) {
		t.Errorf("dictionary of 64 MiB with 1 MiB allowed: %v", f.StreamErr)
	}
	// the second stream of a file counts as much as the first
	two := append(squeeze(t, XZ, sample(50_000)), b.Bytes()...)
	y := NewExaminer(Limits{MaxWindow: 32 << 20})
	if f := y.Examine(manifest.BLAKE3, two); !errors.Is(f.StreamErr, ErrLimit) {
		t.Errorf("in a second stream: %v", f.StreamErr)
	}
}

func TestHeaderFacts(t *testing.T) {
	t.Parallel()
	long := "Subject: x\n" + strings.Repeat("X-Long: "+strings.Repeat("y", 90)+"\n", 800)
	for name, tc := range map[string]struct {
		in   string
		want Header
		same string // another message with the same HeaderID
	}{
		"usual":            {"Message-ID: <a@b>\nSubject: x\n\nbody", Header{Field: true, Ended: true}, "message-id :\t <a@b> (c)\r\n\r\n"},
		"crlf":             {"Subject: x\r\n\r\nbody", Header{Field: true, Ended: true}, "Subject: x\n\nbody"},
		"all header":       {"Subject: x\nTo: y\n", Header{Field: true}, ""},
		"torn":             {"Subject: x\nTo: y", Header{Field: true, Torn: true}, ""},
		"mbox":             {"From a@b Tue Nov 24 10:00:00 2026\nMessage-ID: <a@b>\n\n", Header{Field: true, Ended: true, FromTop: true}, "Message-ID: <a@b>\n\n"},
		"quoted mbox":      {">From a@b x\nSubject: x\n\n", Header{Field: true, Ended: true, FromTop: true}, ""},
		"byte order mark":  {"\xef\xbb\xbfSubject: x\n\n", Header{Field: true, Ended: true, FromTop: true}, "Subject: x\n\n"},
		"no field":         {"hello there\n\nworld", Header{Ended: true}, ""},
		"binary":           {"\x00\x01\x02\x03", Header{Torn: true}, ""},
		"empty":            {"", Header{}, ""},
		"begins with line": {"\nbody", Header{Ended: true}, ""},
		"long":             {long + "\n", Header{Field: true, Cut: true}, ""},
	} {
		x := NewExaminer(Limits{})
		got := x.Examine(manifest.BLAKE3, []byte(tc.in))
		if got.Header != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got.Header, tc.want)
		}
		if got.HeaderID != headerID([]byte(tc.in)) {
			t.Errorf("%s: HeaderID differs from the Examiner's", name)
		}
		if tc.same != "" && headerID([]byte(tc.same)) != got.HeaderID {
			t.Errorf("%s: HeaderID is not that of %q", name, tc.same)
		}
		x.Reset(manifest.BLAKE3)
		for i := range len(tc.in) {
			_, _ = x.Write([]byte(tc.in[i : i+1]))
		}
		if d := cmp.Diff(got, x.Finish(), cmpopts.EquateErrors()); d != "" {
			t.Errorf("%s byte by byte: %s", name, d)
		}
	}
	if headerID([]byte("Message-ID: <a@b>\n\n")) == headerID([]byte("Message-ID: <a@c>\n\n")) {
		t.Error("different Message-IDs, same HeaderID")
	}
	if id := headerID([]byte("X-A: b\n\n")); id != (manifest.HeaderID{}) {
		t.Error("a HeaderID without anything to make it of")
	}
	folded, flat := "Date: x\nFrom: a\nTo: b,\n\tc\nSubject: d\n e\n\n", "Subject: d  e\nDate: x\nTo: b, c\nFrom: a\n\n"
	if headerID([]byte(folded)) != headerID([]byte(flat)) {
		t.Error("folding and order change a HeaderID")
	}
}

func TestConvertedLineEnds(t *testing.T) {
	t.Parallel()
	x := NewExaminer(Limits{})
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "bc\n", "\n", "\rx", "\x00"}), 0, 20).Draw(t, "text")
		p := []byte("first\n" + strings.Join(text, ""))
		q := bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))
		if bytes.Contains(p, []byte("\r\n")) {
			t.Skip("mixed line ends")
		}
		for _, pair := range [2][2][]byte{{p, q}, {q, p}} {
			x.Reset(manifest.BLAKE3)
			x.AlsoConverted()
			for rest := pair[0]; len(rest) > 0; {
				n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
				_, _ = x.Write(rest[:n])
				rest = rest[n:]
			}
			if got := x.Finish().Converted; got != manifest.BLAKE3.Sum(pair[1]) {
				t.Fatalf("%q is not recognised as %q converted", pair[0], pair[1])
			}
		}
	})
}

func TestExaminingAPlainMessageAllocatesNothing(t *testing.T) {
	x := NewExaminer(Limits{})
	p := sample(8192)
	var f Facts
	c := Claim{S: 8192, HasS: true}
	if n := testing.AllocsPerRun(100, func() {
		f = x.Examine(manifest.BLAKE3, p)
		if v := Damage(&f, &c); v.Kind != manifest.NoKind {
			t.Errorf("%+v", v)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		x.Reset(manifest.SHA256)
		_, _ = x.Write(p)
		f = x.Finish()
	}); n != 0 {
		t.Errorf("streaming: %v allocations", n)
	}
}

func FuzzExaminer(f *testing.F) {
	f.Add([]byte("Subject: x\n\nbody\n"), 3)
	f.Add([]byte("\x1f\x8b\x08\x00rest"), 1)
	for _, enc := range squeezable {
		f.Add(squeeze(f, enc, sample(300)), 5)
	}
	f.Fuzz(func(t *testing.T, p []byte, n int) {
		l := Limits{MaxPlain: 1 << 20, MaxWindow: 1 << 20}
		x := NewExaminer(l)
		defer x.Close()
		whole := x.Examine(manifest.SHA256, p)
		x.Reset(manifest.SHA256)
		n = max(1, n&0xff)
		for rest := p; len(rest) > 0; {
			k := min(n, len(rest))
			_, _ = x.Write(rest[:k])
			rest = rest[k:]
		}
		pieces := x.Finish()
		if (whole.StreamErr == nil) != (pieces.StreamErr == nil) {
			t.Fatalf("whole %v, in pieces %v", whole.StreamErr, pieces.StreamErr)
		}
		whole.StreamErr, pieces.StreamErr = nil, nil
		if whole.Stored != pieces.Stored || whole.Header != pieces.Header || whole.HeaderID != pieces.HeaderID {
			t.Fatal(cmp.Diff(whole, pieces))
		}
		for _, c := range []Claim{{}, {S: 10, HasS: true, W: 12, HasW: true}, {Digest: manifest.SHA256.Sum(nil), Size: 3, HasSize: true}} {
			v := Damage(&whole, &c)
			if v.Kind != manifest.NoKind && v.Detail == "" {
				t.Fatalf("a verdict without a detail: %+v", v)
			}
		}
	})
}

func BenchmarkExamine(b *testing.B) {
	for _, n := range []int{8 << 10, 50 << 10, 1 << 20} {
		p := sample(n)
		b.Run(fmt.Sprintf("size=%dk/hash", n>>10), func(b *testing.B) {
			h := manifest.BLAKE3.New()
			var sum [32]byte
			b.SetBytes(int64(n))
			for b.Loop() {
				h.Reset()
				_, _ = h.Write(p)
				h.Sum(sum[:0])
			}
		})
		b.Run(fmt.Sprintf("size=%dk/examine", n>>10), func(b *testing.B) {
			x := NewExaminer(Limits{})
			c := Claim{S: int64(n), HasS: true}
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				f := x.Examine(manifest.BLAKE3, p)
				_ = Damage(&f, &c)
			}
		})
	}
	b.Run("gzip", func(b *testing.B) {
		x := NewExaminer(Limits{})
		p := squeeze(b, Gzip, sample(50<<10))
		b.SetBytes(50 << 10)
		b.ReportAllocs()
		for b.Loop() {
			_ = x.Examine(manifest.BLAKE3, p)
		}
	})
}

var _ io.Writer = (*Examiner)(nil)

// headerID is the header identity of a message, without an Examiner.
func headerID(p []byte) manifest.HeaderID {
	_, f, _ := scanHeader(p, len(p) <= HeaderWindow)
	id, _ := f.headerID(nil)
	return id
}
