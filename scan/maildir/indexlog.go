package maildir

import (
	"bufio"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// GUID128 is the form in which Dovecot's index log names messages.
type GUID128 [16]byte

// GUID returns the 128-bit GUID of a message from its GUID in the uidlist, or
// from its base name where it has none there: 32 hexadecimal digits stand for
// themselves, anything else for the last 128 bits of its SHA-1
// (mail_generate_guid_128_hash of dovecot/core).
func GUID(guid, base string) GUID128 {
	if guid == "" {
		guid = base
	}
	var g GUID128
	if len(guid) == 2*len(g) {
		if _, err := hex.Decode(g[:], []byte(guid)); err == nil {
			return g
		}
	}
	sum := sha1.Sum([]byte(guid))
	copy(g[:], sum[len(sum)-len(g):])
	return g
}

// Gone says what a server's log knows of a message that is gone.
type Gone uint8

// What a log can know.
const (
	NotInLog  Gone = iota
	Noticed        // the server only noticed that the file was gone: a loss
	Requested      // a client asked for the expunge: a deletion
)

// IndexLog is what dovecot.index.log files tell of expunges. Dovecot first
// writes the request of a client ("internal"), and when the file is gone, for
// whatever reason, that it is so ("external"). Its zero value is empty; Read adds
// files, the oldest (dovecot.index.log.2) first.
//
// A log is kept for two days after its rotation at most, by default: that it
// says nothing proves nothing.
type IndexLog struct {
	UIDValidity   uint32 // 0 unknown
	NextUID       uint32 // as set by the log, or last appended UID + 1; 0 unknown
	HighestModSeq uint64 // 0 unknown
	IndexID       uint32 // of the file read last
	Seq           uint32 // of the file read last
	Files         int    // files read

	requested, noticed uidRanges
	guids              map[GUID128]Gone
}

// maxIndexLog bounds a log, and what is kept of it: up to one GUID for 28 bytes.
// Dovecot rotates at about a megabyte.
const maxIndexLog = 32 << 20

// The record types that matter here (src/lib-index/mail-transaction-log.h).
const (
	logExpunge         = 0x00000001
	logAppend          = 0x00000002
	logFlagUpdate      = 0x00000004
	logBoundary        = 0x00080000
	logHeaderUpdate    = 0x00000020
	logExtIntro        = 0x00000040
	logKeywordUpdate   = 0x00000400
	logKeywordReset    = 0x00000800
	logExpungeGUID     = 0x00002000
	logModSeqUpdate    = 0x00008000
	logAttributeUpdate = 0x00100000
	logExpungeProt     = 0x0000cd90 // always set with expunges, so that damage does not expunge
	logTypeMask        = 0x0fffffff
	logExternal        = 0x10000000
)

// logFile is one file being read.
type logFile struct {
	log    *IndexLog
	r      *bufio.Reader
	order  binary.ByteOrder
	offset int64
	minor  byte
	modseq uint64
	buf    []byte
}

// Read adds one log file:
//
//	header   major 1, minor, size (16 bits), index id, sequence, previous
//	         sequence and offset, creation time (32 bits each), first modseq
//	         (64 bits), flags (8 bits, 1 = little endian); at least 24 bytes
//	records  size (big-endian, 7 bits a byte, the top bit of each byte set,
//	         in units of 4), type (32 bits), data
//
// A size without all of its top bits belongs to a record that is being written
// or was torn: it ends the file without error, as does a record, or a transaction
// announced by a boundary record, that goes beyond the end. What contradicts the format
// gives an error that wraps ErrIndexLog; what was read before it stays.
func (l *IndexLog) Read(r io.Reader) error {
	limited := &io.LimitedReader{R: r, N: maxIndexLog + 1}
	f := &logFile{log: l, r: bufio.NewReaderSize(limited, 64<<10)}
	if err := f.header(); err != nil {
		return err
	}
	l.Files++
	var err error
	for err == nil {
		err = f.record()
	}
	if limited.N == 0 {
		err = f.broken("larger than 32 MiB")
	}
	if f.modseq > 0 {
		l.HighestModSeq = max(l.HighestModSeq, f.modseq)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func (f *logFile) broken(reason string) error {
	return &Broken{Err: ErrIndexLog, Offset: f.offset, Reason: reason}
}

func (f *logFile) header() error {
	var h [40]byte
	n, err := io.ReadFull(f.r, h[:24])
	if err != nil {
		if n > 0 || errors.Is(err, io.EOF) {
			return f.broken("shorter than its header")
		}
		return err
	}
	f.order, f.minor = binary.LittleEndian, h[1]
	if h[0] != 1 {
		return f.broken(fmt.Sprintf("major version %d", h[0]))
	}
	if f.minor >= 2 {
		// the flag that tells the byte order stands behind the part that every version has
		more, err := f.r.Peek(9)
		if err == nil && more[8]&1 == 0 {
			f.order = binary.BigEndian
		}
	}
	size := int(f.order.Uint16(h[2:]))
	if size < 24 || size > 4096 {
		return f.broken("header size out of range")
	}
	rest := make([]byte, size-24)
	if _, err := io.ReadFull(f.r, rest); err != nil {
		return f.broken("shorter than its header")
	}
	copy(h[24:], rest)
	l := f.log
	l.IndexID, l.Seq = f.order.Uint32(h[4:]), f.order.Uint32(h[8:])
	if l.IndexID == 0 {
		return f.broken("the server marked it as corrupted")
	}
	if size >= 32 {
		f.modseq = f.order.Uint64(h[24:])
	}
	f.offset = int64(size)
	return nil
}

// logSize decodes the size of a record, 0 where it is not set.
func logSize(p []byte) uint32 {
	v := binary.BigEndian.Uint32(p)
	if v&0x80808080 != 0x80808080 {
		return 0
	}
	return (v&0x7f | v>>8&0x7f<<7 | v>>16&0x7f<<14 | v>>24&0x7f<<21) << 2
}

func (f *logFile) record() error {
	var h [8]byte
	if _, err := io.ReadFull(f.r, h[:]); err != nil {
		return err
	}
	size := logSize(h[:4])
	if size == 0 {
		return io.EOF // not finished
	}
	kind := f.order.Uint32(h[4:])
	if size < 8 {
		return f.broken("record shorter than its header")
	}
	data, err := f.read(int64(size) - 8)
	if err != nil {
		return err
	}
	if err := f.apply(kind, data); err != nil {
		return err
	}
	f.offset += int64(size)
	return nil
}

// read reads n bytes without trusting n: memory grows with what is there.
func (f *logFile) read(n int64) ([]byte, error) {
	f.buf = f.buf[:0]
	for int64(len(f.buf)) < n {
		at := len(f.buf)
		f.buf = append(f.buf, make([]byte, min(n-int64(at), 64<<10))...)
		k, err := io.ReadFull(f.r, f.buf[at:])
		if err != nil {
			f.buf = f.buf[:at+k]
			return f.buf, err
		}
	}
	return f.buf, nil
}

func (f *logFile) apply(kind uint32, p []byte) error {
	external := kind&logExternal != 0
	typ := kind & logTypeMask
	if typ&(logExpunge|logExpungeGUID) != 0 && typ&^(logExpunge|logExpungeGUID) != logExpungeProt&^logExpungeGUID {
		return f.broken("expunge without its protection")
	}
	switch typ {
	case logExpunge | logExpungeProt:
		if len(p)%8 != 0 {
			return f.broken("expunge of an odd size")
		}
		for ; len(p) > 0; p = p[8:] {
			from, to := f.order.Uint32(p), f.order.Uint32(p[4:])
			if from == 0 || from > to {
				return f.broken("expunge of UIDs that cannot be")
			}
			f.expunge(from, to, external)
		}
	case logExpungeGUID | logExpungeProt:
		if len(p)%20 != 0 {
			return f.broken("expunge of an odd size")
		}
		for ; len(p) > 0; p = p[20:] {
			uid := f.order.Uint32(p)
			if uid == 0 {
				return f.broken("expunge of UID 0")
			}
			f.expunge(uid, uid, external)
			f.log.guid(GUID128(p[4:20]), external)
		}
	case logHeaderUpdate:
		return f.headerUpdate(p)
	case logAppend:
		for ; len(p) >= 8; p = p[8:] {
			if uid := f.order.Uint32(p); uid != 1<<32-1 {
				f.log.NextUID = max(f.log.NextUID, uid+1)
			}
		}
	case logBoundary:
		if len(p) >= 4 && !f.whole(int64(f.order.Uint32(p))-int64(len(p))-8) {
			return io.EOF
		}
	}
	f.countModSeq(typ, external, p)
	return nil
}

// whole tells whether n more bytes are there: a transaction that is not
// complete is not read at all. What is beyond the buffer cannot be seen and
// counts as there.
func (f *logFile) whole(n int64) bool {
	if n <= 0 || n > int64(f.r.Size()) {
		return true
	}
	_, err := f.r.Peek(int(n))
	return err == nil
}

func (f *logFile) expunge(from, to uint32, external bool) {
	if external {
		f.log.noticed.add(from, to)
	} else {
		f.log.requested.add(from, to)
	}
}

func (l *IndexLog) guid(g GUID128, external bool) {
	if g == (GUID128{}) {
		return
	}
	if l.guids == nil {
		l.guids = make(map[GUID128]Gone)
	}
	if external {
		l.guids[g] = max(l.guids[g], Noticed)
	} else {
		l.guids[g] = Requested
	}
}

// headerUpdate takes changes of the index' header: offset and size (16 bits
// each), data, padding to 4.
func (f *logFile) headerUpdate(p []byte) error {
	for len(p) >= 4 {
		offset, size := int(f.order.Uint16(p)), int(f.order.Uint16(p[2:]))
		p = p[4:]
		if size > len(p) {
			return f.broken("header update beyond its record")
		}
		if v, ok := f.covered(p[:size], offset, 24); ok && v != 0 {
			if f.log.UIDValidity != 0 && v != f.log.UIDValidity {
				// what was said of UIDs before is about other messages
				f.log.requested, f.log.noticed, f.log.NextUID = uidRanges{}, uidRanges{}, 0
			}
			f.log.UIDValidity = v
		}
		if v, ok := f.covered(p[:size], offset, 28); ok {
			f.log.NextUID = max(f.log.NextUID, v)
		}
		p = p[min(len(p), (size+3)&^3):]
	}
	return nil
}

// covered returns the header field at want when the update covers it.
func (f *logFile) covered(p []byte, offset, want int) (uint32, bool) {
	if at := want - offset; at >= 0 && at+4 <= len(p) {
		return f.order.Uint32(p[at:]), true
	}
	return 0, false
}

// countModSeq follows mail_transaction_update_modseq of dovecot/core.
func (f *logFile) countModSeq(typ uint32, external bool, p []byte) {
	if f.modseq == 0 {
		if typ == logExtIntro && len(p) >= 26 && f.order.Uint16(p[18:]) == 6 && string(p[20:26]) == "modseq" {
			f.modseq = 1
		}
		return
	}
	switch typ {
	case logExpunge | logExpungeProt, logExpungeGUID | logExpungeProt:
		if external { // a request changes nothing yet
			f.modseq++
		}
	case logAppend, logKeywordUpdate, logKeywordReset, logAttributeUpdate:
		f.modseq++
	case logFlagUpdate:
		// from version 1.3 changes of internal flags do not count
		counts := f.minor < 3
		for ; len(p) >= 12 && !counts; p = p[12:] {
			counts = (p[8]|p[9])&0x1f != 0 || p[10] != 0
		}
		if counts {
			f.modseq++
		}
	case logModSeqUpdate:
		for ; len(p) >= 12; p = p[12:] {
			f.modseq = max(f.modseq, uint64(f.order.Uint32(p[8:]))<<32|uint64(f.order.Uint32(p[4:])))
		}
	}
}

// UID tells what the log knows of a message's UID.
func (l *IndexLog) UID(uid uint32) Gone {
	switch {
	case l.requested.has(uid):
		return Requested
	case l.noticed.has(uid):
		return Noticed
	}
	return NotInLog
}

// GUID tells what the log knows of a message's GUID: the surer key, where the
// server wrote it.
func (l *IndexLog) GUID(g GUID128) Gone { return l.guids[g] }

// LostFrom tells whether the server noticed that a message with that UID or a
// higher one was gone, and nobody had asked for it.
func (l *IndexLog) LostFrom(uid uint32) bool {
	for _, r := range l.noticed.sorted() {
		if r.to >= uid && !l.requested.covers(max(r.from, uid), r.to) {
			return true
		}
	}
	return false
}
