package maildir

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
)

// WriteUIDList writes a list that Dovecot (version 3) or Courier (version 1)
// accepts without a complaint. Records must ascend strictly by UID and stay
// below the header's NextUID, which is why the caller has to know it first:
// max(N, last UID + 1). Unknown keys are kept. An error that wraps ErrUIDList
// refuses what a server would call broken; what was written before it is to be
// thrown away.
func WriteUIDList(w io.Writer, h UIDHeader, records iter.Seq2[UIDRecord, error]) error {
	refuse := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", ErrUIDList, fmt.Sprintf(format, a...))
	}
	if h.UIDValidity == 0 || h.NextUID == 0 {
		return refuse("UIDVALIDITY and next UID must not be 0")
	}
	bw := bufio.NewWriterSize(w, 64<<10)
	b := make([]byte, 0, 512)
	switch h.Version {
	case 3:
		b = strconv.AppendUint(append(b, "3 V"...), uint64(h.UIDValidity), 10)
		b = strconv.AppendUint(append(b, " N"...), uint64(h.NextUID), 10)
		if h.GUID != "" {
			b = append(append(b, " G"...), h.GUID...)
		}
		for _, k := range h.Extra {
			if !isLetter(k.Key) || strings.ContainsAny(k.Value, " \r\n\x00") {
				return refuse("header key that cannot be written")
			}
			b = append(append(b, ' ', k.Key), k.Value...)
		}
	case 1:
		b = strconv.AppendUint(append(b, "1 "...), uint64(h.UIDValidity), 10)
		b = strconv.AppendUint(append(b, ' '), uint64(h.NextUID), 10)
	default:
		return refuse("version %d cannot be written", h.Version)
	}
	if _, err := bw.Write(append(b, '\n')); err != nil {
		return err
	}
	last := uint32(0)
	for r, err := range records {
		switch {
		case err != nil:
			return err
		case r.UID <= last || r.UID > maxUID:
			return refuse("UID %d behind %d", r.UID, last)
		case r.UID >= h.NextUID:
			return refuse("UID %d is not below the next UID %d", r.UID, h.NextUID)
		case r.Base == "" || strings.ContainsAny(r.Base, "/:\r\n\x00"):
			return refuse("base name of UID %d cannot be written", r.UID)
		}
		last = r.UID
		b = strconv.AppendUint(b[:0], uint64(r.UID), 10)
		b = append(b, ' ')
		if h.Version == 3 {
			for _, k := range r.Keys {
				if !isLetter(k.Key) || strings.ContainsAny(k.Value, " \r\n\x00") {
					return refuse("key of UID %d cannot be written", r.UID)
				}
				b = append(append(append(b, k.Key), k.Value...), ' ')
			}
			b = append(b, ':')
		}
		b = append(append(b, r.Base...), '\n')
		if len(b) > maxUIDLine {
			return refuse("line of UID %d is too long", r.UID)
		}
		if _, err := bw.Write(b); err != nil {
			return err
		}
	}
	return bw.Flush()
}
