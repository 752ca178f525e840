package message

import (
	"math/bits"

	"github.com/zeebo/blake3"
	"golang.org/x/sys/cpu"
	"lukechampine.com/blake3/guts"
)

// blake3Hash is BLAKE3 by the faster of two libraries: zeebo's AVX2 code for
// what is small, and the AVX-512 kernel of lukechampine's for the rest, which
// digests sixteen chunks at once and one not faster than sixteen. That library's
// own Hasher starts a goroutine for each part of a message, so that its kernel is
// used and the tree is put together here (BLAKE3 paper, §2.1 and §5.1.2).
type blake3Hash struct {
	small *blake3.Hasher
	wide  bool // the processor has AVX-512

	// What follows is of a message that is longer than a group.
	stack  [64 - groupBits][8]uint32 // roots of whole subtrees, one for each bit of groups
	groups uint64                    // digested
	buf    [groupSize]byte           // what is not yet: never empty once something was written
	n      int
}

// groupSize is what the kernel digests at once: 16 chunks of 1 KiB.
const (
	groupSize = guts.MaxSIMD * guts.ChunkSize
	groupBits = 14
)

func newBLAKE3() *blake3Hash {
	return &blake3Hash{small: blake3.New(), wide: cpu.X86.HasAVX512F}
}

func (h *blake3Hash) reset() {
	h.groups, h.n = 0, 0
	h.small.Reset()
}

func (h *blake3Hash) write(p []byte) {
	if !h.wide {
		_, _ = h.small.Write(p)
		return
	}
	if h.n > 0 {
		k := copy(h.buf[h.n:], p)
		h.n += k
		if p = p[k:]; len(p) == 0 {
			return
		}
		h.group(&h.buf) // it is full, and more follows
		h.n = 0
	}
	for len(p) > groupSize {
		h.group((*[groupSize]byte)(p))
		p = p[groupSize:]
	}
	h.n = copy(h.buf[:], p)
}

// group digests a group that more follows on, and merges it with its equals.
func (h *blake3Hash) group(p *[groupSize]byte) {
	cv := guts.ChainingValue(guts.CompressBuffer(p, groupSize, &guts.IV, h.groups*guts.MaxSIMD, 0))
	level := 0
	for ; h.groups>>level&1 != 0; level++ {
		cv = guts.ChainingValue(guts.ParentNode(h.stack[level], cv, &guts.IV, 0))
	}
	h.stack[level] = cv
	h.groups++
}

// sum appends the digest to dst, which has room for it.
func (h *blake3Hash) sum(dst []byte) {
	if h.groups == 0 {
		_, _ = h.small.Write(h.buf[:h.n])
		h.small.Sum(dst)
		return
	}
	n := guts.CompressBuffer(&h.buf, h.n, &guts.IV, h.groups*guts.MaxSIMD, 0)
	for left := h.groups; left != 0; left &= left - 1 {
		n = guts.ParentNode(h.stack[bits.TrailingZeros64(left)], guts.ChainingValue(n), &guts.IV, 0)
	}
	n.Flags |= guts.FlagRoot
	out := guts.WordsToBytes(guts.CompressNode(n))
	_ = append(dst, out[:32]...)
}
