package maildir

import "io"

// Quota is a maildirsize file.
type Quota struct {
	Limits string // first line as written: "10000000S,1000C"
	Bytes  int64  // sum over the lines
	Count  int64
	Lines  int   // data lines
	Size   int64 // bytes of the file
}

// MaxQuotaSize is the size from which servers rebuild maildirsize.
const MaxQuotaSize = 5120

// ParseQuota reads a maildirsize file (README.maildirquota of courier-libs).
func ParseQuota(r io.Reader) (Quota, error) { return Quota{}, nil }

// QuotaLine returns the line to append with one write for a change of usage.
func QuotaLine(bytes, count int64) []byte { return nil }
