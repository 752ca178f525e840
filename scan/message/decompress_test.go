package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

func TestDecompress(t *testing.T) {
	t.Parallel()
	plain := sample(300_000)
	for _, enc := range squeezable {
		z := squeeze(t, enc, plain)
		for how, r := range map[string]io.Reader{"whole": bytes.NewReader(z), "in bytes": iotest.OneByteReader(bytes.NewReader(z)), "with a late EOF": iotest.DataErrReader(bytes.NewReader(z))} {
			rc, got, err := Decompress(r, Limits{})
			if err != nil || got != enc {
				t.Fatalf("%v %s: %v %v", enc, how, got, err)
			}
			p, err := io.ReadAll(rc)
			if err != nil || !bytes.Equal(p, plain) {
				t.Errorf("%v %s: %d bytes, %v", enc, how, len(p), err)
			}
			if err := rc.Close(); err != nil {
				t.Error(err)
			}
			if _, err := rc.Read(p); err == nil {
				t.Errorf("%v %s: read after Close", enc, how)
			}
		}
		// what precedes a cut comes out before the error
		rc, _, err := Decompress(bytes.NewReader(z[:len(z)-3]), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := io.ReadAll(rc)
		if !errors.Is(err, ErrTruncated) || !bytes.HasPrefix(plain, p) {
			t.Errorf("%v cut: %v after %d bytes", enc, err, len(p))
		}
		if len(p) < len(plain)/2 && enc != Zstd { // a zstd block comes out whole or not at all
			t.Errorf("%v cut: only %d of %d bytes", enc, len(p), len(plain))
		}
	}
	rc, enc, err := Decompress(strings.NewReader("Subject: x\n\n"), Limits{})
	if p, rerr := io.ReadAll(rc); err != nil || rerr != nil || enc != Plain || string(p) != "Subject: x\n\n" {
		t.Errorf("plain: %q %v %v %v", p, enc, err, rerr)
	}
}

func TestNestedCompression(t *testing.T) {
	t.Parallel()
	plain := sample(5000)
	z := squeeze(t, Zstd, squeeze(t, Gzip, plain))
	rc, enc, err := Decompress(bytes.NewReader(z), Limits{})
	if err != nil || enc != Zstd {
		t.Fatal(enc, err)
	}
	if p, err := io.ReadAll(rc); err != nil || !bytes.Equal(p, plain) {
		t.Errorf("two layers: %d bytes, %v", len(p), err)
	}
	for range 5 {
		z = squeeze(t, Gzip, z)
	}
	if _, _, err := Decompress(bytes.NewReader(z), Limits{}); !errors.Is(err, ErrLimit) {
		t.Errorf("seven layers: %v", err)
	}
}

// The caller's own errors are not mistaken for damage of the stream.
func TestReadErrorsStayThemselves(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, enc := range squeezable {
		z := squeeze(t, enc, sample(300_000))
		for _, n := range []int{0, 5, len(z) / 2} {
			rc, _, err := Decompress(io.MultiReader(bytes.NewReader(z[:n]), iotest.ErrReader(boom)), Limits{})
			if err == nil {
				_, err = io.ReadAll(rc)
			}
			if !errors.Is(err, boom) || isStreamError(err) {
				t.Errorf("%v after %d bytes: %v", enc, n, err)
			}
		}
	}
}

func TestZstdWindowIsBounded(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(64<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(sample(100))
	_ = w.Flush()
	_, _ = w.Write(sample(100))
	_ = w.Close()
	rc, _, err := Decompress(&b, Limits{MaxWindow: 1 << 20})
	if err == nil {
		_, err = io.ReadAll(rc)
	}
	if !errors.Is(err, ErrLimit) {
		t.Errorf("a window of 64 MiB with 1 MiB allowed: %v", err)
	}
}

func FuzzDecompress(f *testing.F) {
	for _, enc := range squeezable {
		z := squeeze(f, enc, sample(400))
		f.Add(z)
		f.Add(z[:len(z)/2])
	}
	f.Add([]byte("BZh91AY&SY\x00\x00\x00\x00"))
	f.Add([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"))
	f.Fuzz(func(t *testing.T, p []byte) {
		rc, _, err := Decompress(bytes.NewReader(p), Limits{MaxPlain: 1 << 20, MaxWindow: 1 << 20})
		if err != nil {
			return
		}
		n, err := io.Copy(io.Discard, rc)
		if n > 2<<20 {
			t.Fatalf("%d bytes", n)
		}
		if err != nil && !isStreamError(err) {
			t.Fatalf("an error of no class: %v", err)
		}
		_ = rc.Close()
	})
}
