package maildir

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// Quota is a maildirsize file.
type Quota struct {
	Limits string // first line as written: "10000000S,1000C"
	Bytes  int64  // sum over the lines
	Count  int64
	Lines  int   // data lines
	Size   int64 // bytes of the file
	Torn   bool  // the last line has no line end; it is not counted
}

// MaxQuotaSize is the size from which servers rebuild maildirsize.
const MaxQuotaSize = 5120

// ParseQuota reads a maildirsize file (README.maildirquota of courier-libs): a
// line with limits, then lines "<bytes> <count>" that are summed. An error that
// wraps ErrQuota says that servers would rebuild it.
func ParseQuota(r io.Reader) (Quota, error) {
	p, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return Quota{}, err
	}
	q := Quota{Size: int64(len(p))}
	broken := func(line int, reason string) (Quota, error) {
		return q, &Broken{Err: ErrQuota, Line: line, Reason: reason}
	}
	first, rest, ok := bytes.Cut(p, []byte{'\n'})
	if !ok {
		return broken(1, "no complete line")
	}
	q.Limits = string(bytes.TrimRight(first, " \r"))
	for _, c := range []byte(q.Limits) {
		if !isDigit(c) && !isUpper(c) && c != ',' {
			return broken(1, "limits that are none")
		}
	}
	for len(rest) > 0 {
		var line []byte
		line, rest, ok = bytes.Cut(rest, []byte{'\n'})
		if !ok {
			q.Torn = true
			return q, nil
		}
		f := bytes.Fields(line)
		if len(f) != 2 {
			return broken(q.Lines+2, "line that is not two numbers")
		}
		size, err1 := strconv.ParseInt(string(f[0]), 10, 64)
		count, err2 := strconv.ParseInt(string(f[1]), 10, 64)
		if err1 != nil || err2 != nil {
			return broken(q.Lines+2, "line that is not two numbers")
		}
		q.Lines++
		q.Bytes += size
		q.Count += count
	}
	return q, nil
}

// QuotaLine returns the line to append with one write for a change of usage.
func QuotaLine(size, count int64) []byte { return fmt.Appendf(nil, "%12d %12d\n", size, count) }
