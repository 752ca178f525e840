package message

import "errors"

// Errors of this package. They are wrapped with what was found and where.
var (
	// ErrTruncated: a compressed stream ends before its end.
	ErrTruncated = errors.New("compressed stream is cut off")
	// ErrCorrupt: a compressed stream contradicts itself (checksum, structure).
	ErrCorrupt = errors.New("compressed stream is corrupt")
	// ErrLimit: the content goes beyond a limit; nothing is proven about it.
	ErrLimit = errors.New("beyond the limit")
)

// Limits bounds what one message may cost. A zero field means its default.
type Limits struct {
	MaxPlain  int64 // decompressed bytes of one message; default 2 GiB
	MaxRatio  int64 // decompressed to compressed bytes, looked at above RatioFree; default 1,100 (gzip cannot exceed 1,032)
	RatioFree int64 // decompressed bytes below which the ratio does not matter; default 16 MiB
	MaxWindow int64 // memory for a decoder's window; default 128 MiB
	MaxNested int   // compression inside compression (Decompress only); default 3

	MaxHeader int64 // bytes of a header block for identities; default 1 MiB, at least HeaderWindow
	MaxFields int   // header fields for identities; default 10,000
}

func or[T int | int64](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}

// withDefaults fills in what is zero.
func (l Limits) withDefaults() Limits {
	return Limits{
		MaxPlain:  or(l.MaxPlain, 2<<30),
		MaxRatio:  or(l.MaxRatio, 1100),
		RatioFree: or(l.RatioFree, 16<<20),
		MaxWindow: or(l.MaxWindow, 128<<20),
		MaxNested: or(l.MaxNested, 3),
		MaxHeader: max(or(l.MaxHeader, 1<<20), HeaderWindow),
		MaxFields: or(l.MaxFields, 10_000),
	}
}
