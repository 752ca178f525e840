package maildir

import (
	"encoding/binary"
	"errors"
	"io"
)

// IndexHeader is what the header of dovecot.index tells.
type IndexHeader struct {
	IndexID       uint32
	UIDValidity   uint32
	NextUID       uint32
	Messages      uint32
	HighestModSeq uint64 // 0 where the header does not hold it
	LogSeq        uint32 // sequence of the log up to which it is valid
	LogTail       uint32 // offset in that log up to which the mailbox is synchronised
	LogHead       uint32 // offset in that log up to which the index is written
}

// maxIndexHeader bounds the header with its extensions.
const maxIndexHeader = 1 << 20

// ReadIndexHeader reads the header of a dovecot.index file (struct
// mail_index_header, src/lib-index/mail-index.h; version 7) and the "modseq"
// extension's. The error wraps ErrIndex where it is none or marked corrupted.
func ReadIndexHeader(r io.Reader) (IndexHeader, error) {
	broken := func(reason string) (IndexHeader, error) {
		return IndexHeader{}, &Broken{Err: ErrIndex, Reason: reason}
	}
	p, err := io.ReadAll(io.LimitReader(r, maxIndexHeader))
	if err != nil && !errors.Is(err, io.EOF) {
		return IndexHeader{}, err
	}
	if len(p) < 80 {
		return broken("shorter than its header")
	}
	if p[0] != 7 {
		return broken("unknown major version")
	}
	var order binary.ByteOrder = binary.LittleEndian
	if p[12]&1 == 0 {
		order = binary.BigEndian
	}
	h := IndexHeader{
		IndexID:     order.Uint32(p[16:]),
		UIDValidity: order.Uint32(p[24:]),
		NextUID:     order.Uint32(p[28:]),
		Messages:    order.Uint32(p[32:]),
		LogSeq:      order.Uint32(p[60:]),
		LogTail:     order.Uint32(p[64:]),
		LogHead:     order.Uint32(p[68:]),
	}
	if h.IndexID == 0 || order.Uint32(p[20:])&1 != 0 {
		return broken("the server marked it as corrupted")
	}
	base, size := int64(order.Uint16(p[2:])), int64(order.Uint32(p[4:]))
	h.HighestModSeq = extensionModSeq(p[:min(size, int64(len(p)))], base, order)
	return h, nil
}

// extensionModSeq walks the extension headers: header size, reset id (32 bits
// each), record offset, record size, alignment, name size (16 bits each), name,
// padding to 8, header data, padding to 8.
func extensionModSeq(p []byte, at int64, order binary.ByteOrder) uint64 {
	for at >= 0 && at+16 <= int64(len(p)) {
		size, name := int64(order.Uint32(p[at:])), int64(order.Uint16(p[at+14:]))
		data := (at + 16 + name + 7) &^ 7
		if data+size > int64(len(p)) {
			return 0
		}
		if name == 6 && string(p[at+16:at+22]) == "modseq" && size >= 8 {
			return order.Uint64(p[data:])
		}
		at = (data + size + 7) &^ 7
	}
	return 0
}
