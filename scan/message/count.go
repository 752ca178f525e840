package message

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/bits"

	"mailsync/manifest"
)

// counter digests and counts a run of bytes that comes in pieces. It is
// re-used: the hashes are made once.
type counter struct {
	b3  *blake3Hash
	s2  hash.Hash
	alg manifest.Alg
	sum [32]byte // where the hashes write, so that nothing escapes

	c       Content
	prevCR  bool  // the last byte seen was a CR
	nulTail int64 // NULs that end what was seen
}

func (k *counter) reset(alg manifest.Alg) {
	k.alg, k.c, k.prevCR, k.nulTail = alg, Content{}, false, 0
	switch alg {
	case manifest.BLAKE3:
		if k.b3 == nil {
			k.b3 = newBLAKE3()
		}
		k.b3.reset()
	case manifest.SHA256:
		if k.s2 == nil {
			k.s2 = sha256.New()
		}
		k.s2.Reset()
	}
}

// write counts p. Each pass over p runs at memory speed (AVX2 in the standard
// library); nothing looks at single bytes unless a byte of interest was found.
func (k *counter) write(p []byte) {
	if len(p) == 0 {
		return
	}
	switch k.alg {
	case manifest.BLAKE3:
		k.b3.write(p)
	case manifest.SHA256:
		_, _ = k.s2.Write(p)
	}
	k.c.Size += int64(len(p))
	k.c.Lines.LF += int64(bytes.Count(p, lf))
	if k.prevCR && p[0] == '\n' {
		k.c.Lines.CRLF++
	}
	if i := bytes.IndexByte(p, '\r'); i >= 0 {
		k.c.Lines.CRLF += countCRLF(p[i:])
	}
	k.prevCR = p[len(p)-1] == '\r'
	k.nuls(p)
}

var lf = []byte{'\n'}

// countCRLF counts the CRs that a LF follows within p.
func countCRLF(p []byte) (n int64) {
	if bytes.Count(p, []byte{'\r'}) > len(p)/16 {
		return countCRLFDense(p)
	}
	for {
		i := bytes.IndexByte(p, '\r')
		if i < 0 || i+1 >= len(p) {
			return n
		}
		if p[i+1] == '\n' {
			n++
		}
		p = p[i+1:]
	}
}

// countCRLFDense does the same eight bytes at a time, where CRs stand too
// close for searching to pay.
func countCRLFDense(p []byte) (n int64) {
	const (
		low7 = 0x7f7f7f7f7f7f7f7f
		crs  = 0x0d0d0d0d0d0d0d0d
		lfs  = 0x0a0a0a0a0a0a0a0a
	)
	// equal has the top bit of each byte of x that is 0
	equal := func(x uint64) uint64 { return ^((x&low7 + low7) | x | low7) }
	for len(p) > 8 {
		a := equal(binary.LittleEndian.Uint64(p) ^ crs)
		b := equal(binary.LittleEndian.Uint64(p[1:9]) ^ lfs)
		n += int64(bits.OnesCount64(a & b))
		p = p[8:]
	}
	for i := 0; i+1 < len(p); i++ {
		if p[i] == '\r' && p[i+1] == '\n' {
			n++
		}
	}
	return n
}

// nuls looks for runs of at least MinNULRun NULs. Such a run covers at least
// one of every MinNULRun-th byte: those are all that is looked at in sound mail.
func (k *counter) nuls(p []byte) {
	start := 0
	if k.nulTail > 0 { // a run may go on from the piece before
		start = leadingNULs(p)
		if start == len(p) {
			k.nulTail += int64(start)
			return
		}
		k.longest(k.nulTail + int64(start))
	}
	for i := start + MinNULRun - 1; i < len(p); i += MinNULRun {
		if p[i] != 0 {
			continue
		}
		from := i - trailingNULs(p[start:i])
		to := i + leadingNULs(p[i:])
		if to == len(p) {
			break // counted as the tail
		}
		k.longest(int64(to - from))
		start, i = to, to-1
	}
	k.nulTail = 0
	if p[len(p)-1] == 0 {
		k.nulTail = int64(trailingNULs(p))
	}
}

func (k *counter) longest(n int64) {
	if n >= MinNULRun {
		k.c.NULRun = max(k.c.NULRun, n)
	}
}

func leadingNULs(p []byte) int {
	i := 0
	for i+8 <= len(p) && binary.LittleEndian.Uint64(p[i:]) == 0 {
		i += 8
	}
	for i < len(p) && p[i] == 0 {
		i++
	}
	return i
}

func trailingNULs(p []byte) int {
	i := len(p)
	for i >= 8 && binary.LittleEndian.Uint64(p[i-8:]) == 0 {
		i -= 8
	}
	for i > 0 && p[i-1] == 0 {
		i--
	}
	return len(p) - i
}

// finish returns what was counted.
func (k *counter) finish() Content {
	k.c.NULTail = k.nulTail
	k.longest(k.nulTail)
	k.c.Digest = manifest.Digest{Alg: k.alg}
	switch k.alg {
	case manifest.BLAKE3:
		k.b3.sum(k.sum[:0])
	case manifest.SHA256:
		k.s2.Sum(k.sum[:0])
	default:
		return k.c
	}
	k.c.Digest.Sum = k.sum
	return k.c
}
