package durable

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/zeebo/blake3"
)

// A journal is a head and frames. docs/manifest-format.md has the same table.
//
//	head   0  8 magic    8 2 format   10 2 version of the records   12 4 zero
//	      16 16 kind    32 8 salt     40 8 check
//	frame  0  4 mark     4 4 length    8 8 sequence  16 8 synced  24 8 check
//	      32  the record
//
// sequence counts records from 1. synced is the sequence up to which the
// journal was known to be durable when the frame was written: a frame that is
// damaged although a later whole frame calls it synced was acknowledged once,
// so this is corruption; any other damage at the end is what a power cut leaves
// of records that nobody was told of. Closing writes a frame of its own, the
// seal, which holds no record.
const (
	journalMagic  = "\x8dMSJRNL\n"
	journalFormat = 1
	headSize      = 48
	frameHead     = 32
	recordMark    = "MSr\xa5"
	sealMark      = "MSe\xa5"

	// DefaultMaxRecord bounds a record where JournalOptions.MaxRecord is 0.
	DefaultMaxRecord = 1 << 20
	// MaxRecordLimit is the largest MaxRecord.
	MaxRecordLimit = 64 << 20
)

func checkOf(p ...[]byte) [8]byte {
	var sum [32]byte
	if len(p) == 1 {
		sum = blake3.Sum256(p[0])
	} else {
		h := blake3.New()
		for _, b := range p {
			_, _ = h.Write(b)
		}
		h.Sum(sum[:0])
	}
	return [8]byte(sum[:8])
}

func appendHead(b []byte, kind string, version uint16, salt uint64) []byte {
	n := len(b)
	b = append(b, journalMagic...)
	b = binary.LittleEndian.AppendUint16(b, journalFormat)
	b = binary.LittleEndian.AppendUint16(b, version)
	b = append(b, 0, 0, 0, 0)
	var k [16]byte
	copy(k[:], kind)
	b = append(b, k[:]...)
	b = binary.LittleEndian.AppendUint64(b, salt)
	sum := checkOf(b[n:])
	return append(b, sum[:]...)
}

// parseHead checks a journal's head.
func parseHead(h []byte, o *JournalOptions) (version uint16, salt uint64, err error) {
	if len(h) < headSize {
		return 0, 0, fmt.Errorf("%w: cut within its head", ErrCorrupt)
	}
	sum := checkOf(h[:headSize-8])
	switch {
	case string(h[:8]) != journalMagic:
		return 0, 0, fmt.Errorf("%w: no journal (wrong magic)", ErrCorrupt)
	case !bytes.Equal(sum[:], h[headSize-8:headSize]):
		return 0, 0, fmt.Errorf("%w: checksum of its head", ErrCorrupt)
	}
	format := binary.LittleEndian.Uint16(h[8:])
	version = binary.LittleEndian.Uint16(h[10:])
	kind := string(bytes.TrimRight(h[16:32], "\x00"))
	switch {
	case format > journalFormat:
		return 0, 0, fmt.Errorf("%w: journal format %d, known up to %d", ErrNewer, format, journalFormat)
	case kind != o.Kind:
		return 0, 0, fmt.Errorf("%w: a journal of %q where %q belongs", ErrCorrupt, kind, o.Kind)
	case version > o.Version:
		return 0, 0, fmt.Errorf("%w: records of version %d, known up to %d", ErrNewer, version, o.Version)
	case format == 0:
		return 0, 0, fmt.Errorf("%w: journal format 0", ErrCorrupt)
	}
	return version, binary.LittleEndian.Uint64(h[32:]), nil
}

// frame is the head of one frame.
type frame struct {
	seal        bool
	length      int
	seq, synced uint64
	check       [8]byte
}

func appendFrame(b []byte, salt uint64, mark string, seq, synced uint64, data []byte) []byte {
	n := len(b)
	b = append(b, mark...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint64(b, synced)
	sum := frameCheck(salt, b[n:], data)
	b = append(b, sum[:]...)
	return append(b, data...)
}

// frameCheck digests salt, the first 24 bytes of a frame's head, and the record.
func frameCheck(salt uint64, head, data []byte) [8]byte {
	var s [8]byte
	binary.LittleEndian.PutUint64(s[:], salt)
	return checkOf(s[:], head[:24], data)
}

// parseFrame reads a frame's head; ok tells only that it may be one.
func parseFrame(h []byte, limit int) (f frame, ok bool) {
	switch string(h[:4]) {
	case recordMark:
	case sealMark:
		f.seal = true
	default:
		return f, false
	}
	n := binary.LittleEndian.Uint32(h[4:])
	if int64(n) > int64(limit) || f.seal && n != 0 {
		return f, false
	}
	f.length = int(n)
	f.seq = binary.LittleEndian.Uint64(h[8:])
	f.synced = binary.LittleEndian.Uint64(h[16:])
	copy(f.check[:], h[24:32])
	return f, f.synced <= f.seq
}
