package maildir

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// Index holds the messages that a dovecot.index file has: what the server
// knows to be in the folder, as of when it last wrote the file.
type Index struct {
	IndexHeader
	uids uidRanges
}

// maxIndexRecord bounds one record with its extensions.
const maxIndexRecord = 1 << 12

// ReadIndex reads a whole dovecot.index file: its header, whose fourth to
// twelfth byte give the sizes of the header and of a record (32 bits each), and
// the records in the order of UIDs, each of which begins with its UID. The error
// wraps ErrIndex where the file is none, is cut, or contradicts itself.
func ReadIndex(r io.Reader) (*Index, error) {
	broken := func(reason string) (*Index, error) { return nil, &Broken{Err: ErrIndex, Reason: reason} }
	br := bufio.NewReaderSize(r, 64<<10)
	p, err := br.Peek(13)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return broken("shorter than its header")
		}
		return nil, err
	}
	var order binary.ByteOrder = binary.LittleEndian
	if p[12]&1 == 0 {
		order = binary.BigEndian
	}
	size, record := order.Uint32(p[4:]), order.Uint32(p[8:])
	if size < 80 || size > maxIndexHeader || record < 5 || record > maxIndexRecord {
		return broken("sizes out of range")
	}
	head := make([]byte, size)
	if _, err := io.ReadFull(br, head); err != nil {
		return cut(err)
	}
	x := new(Index)
	if x.IndexHeader, err = ReadIndexHeader(bytes.NewReader(head)); err != nil {
		return nil, err
	}
	last := uint32(0)
	buf := make([]byte, record)
	for range x.Messages {
		if _, err := io.ReadFull(br, buf); err != nil {
			return cut(err)
		}
		uid := order.Uint32(buf)
		if uid <= last || uid >= x.NextUID {
			return broken("UIDs out of order")
		}
		x.uids.add(uid, uid)
		last = uid
	}
	return x, nil
}

func cut(err error) (*Index, error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = &Broken{Err: ErrIndex, Reason: "shorter than it says"}
	}
	return nil, err
}

// Expunged tells whether the server had a message of that UID and knows that it
// is gone: UIDs below the next one that are not there never come back.
func (x *Index) Expunged(uid uint32) bool {
	return uid != 0 && uid < x.NextUID && !x.uids.has(uid)
}
