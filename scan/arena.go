package scan

import "unsafe"

// arena makes strings of file names without an allocation for each: a folder
// may hold a million. The strings share blocks of memory, which live as long
// as any of their strings.
type arena struct {
	block []byte
	next  int // size of the next block: folders are small, or very large
}

const (
	firstBlock = 4 << 10
	lastBlock  = 256 << 10
)

// add returns b as a string.
func (a *arena) add(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if cap(a.block)-len(a.block) < len(b) {
		a.next = min(max(2*a.next, firstBlock), lastBlock)
		a.block = make([]byte, 0, max(a.next, len(b)))
	}
	off := len(a.block)
	a.block = append(a.block, b...)
	// Bytes of a block are written once, above, and never again.
	return unsafe.String(&a.block[off], len(b))
}
