package restore

import (
	"bytes"
	"fmt"
	"hash"
	"io"
	"sync"

	"mailsync/manifest"
)

// chunk is how much of a large message is in memory at a time.
const chunk = 256 << 10

// smallMessage is the size up to which a message is read whole ahead of its writing.
const smallMessage = 1 << 20

var chunks = sync.Pool{New: func() any { b := make([]byte, chunk); return &b }}

func algOf(d manifest.Digest) manifest.Alg {
	if d.Alg.Valid() {
		return d.Alg
	}
	return manifest.BLAKE3
}

func digestOf(r io.Reader, alg manifest.Alg) (manifest.Digest, error) {
	if !alg.Valid() {
		alg = manifest.BLAKE3
	}
	h := alg.New()
	bp := chunks.Get().(*[]byte)
	defer chunks.Put(bp)
	for {
		n, err := r.Read(*bp)
		h.Write((*bp)[:n])
		if err == io.EOF {
			return sum(h, alg), nil
		}
		if err != nil {
			return manifest.Digest{}, err
		}
	}
}

func sum(h hash.Hash, alg manifest.Alg) manifest.Digest {
	d := manifest.Digest{Alg: alg}
	h.Sum(d.Sum[:0])
	return d
}

// errSource says what is wrong with the bytes that a source gave.
func errSource(a *Action, what string) error {
	return fmt.Errorf("the copy in %s %s", sourceName(a), what)
}

func sourceName(a *Action) string {
	for i := range len(a.From) {
		if a.From[i] == 0 {
			return a.From[:i]
		}
	}
	return a.From
}

// readSmall reads a message whole into buf, which may be too small, and checks
// it against the plan. The result shares buf where it fits.
func readSmall(r io.Reader, a *Action, buf []byte) ([]byte, error) {
	want := int(a.Post.Size)
	if cap(buf) < want+1 {
		buf = make([]byte, want+1)
	}
	buf = buf[:want+1]
	n, err := io.ReadFull(r, buf)
	switch {
	case err == nil:
		return nil, errSource(a, "is longer than planned")
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return nil, err
	case n != want:
		return nil, errSource(a, "is shorter than planned")
	}
	return checkSmall(buf[:n], a)
}

// checkSmall checks a message that was read whole against the plan.
func checkSmall(p []byte, a *Action) ([]byte, error) {
	if algOf(a.Post.Digest).Sum(p) != a.Post.Digest {
		return nil, errSource(a, "is not what was planned: its digest differs")
	}
	return p, nil
}

// copyLarge copies a message in pieces and checks it against the plan.
func copyLarge(w func([]byte) error, r io.Reader, a *Action) error {
	alg := algOf(a.Post.Digest)
	h := alg.New()
	bp := chunks.Get().(*[]byte)
	defer chunks.Put(bp)
	var size int64
	for {
		n, err := r.Read(*bp)
		if n > 0 {
			if size += int64(n); size > a.Post.Size {
				return errSource(a, "is longer than planned")
			}
			h.Write((*bp)[:n])
			if err := w((*bp)[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if size != a.Post.Size {
		return errSource(a, "is shorter than planned")
	}
	if sum(h, alg) != a.Post.Digest {
		return errSource(a, "is not what was planned: its digest differs")
	}
	return nil
}

func bytesReader(p []byte) io.Reader { return bytes.NewReader(p) }
