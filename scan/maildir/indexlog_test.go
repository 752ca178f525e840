package maildir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"testing/iotest"
)

// logBuilder writes a transaction log record by record.
type logBuilder struct {
	bytes.Buffer
	order byteOrder
}

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

func newLog(order byteOrder, seq uint32) *logBuilder {
	b := &logBuilder{order: order}
	b.Write([]byte{1, 3})
	b.u16(40)
	for _, v := range []uint32{1795337883, seq, 0, 0, 1795337883} {
		b.u32(v)
	}
	p := order.AppendUint64(nil, 1)
	b.Write(p)
	flags := byte(0)
	if order == byteOrder(binary.LittleEndian) {
		flags = 1
	}
	b.Write([]byte{flags, 0, 0, 0, 0, 0, 0, 0})
	return b
}

func (b *logBuilder) u16(v uint16) { b.Write(b.order.AppendUint16(nil, v)) }
func (b *logBuilder) u32(v uint32) { b.Write(b.order.AppendUint32(nil, v)) }

func (b *logBuilder) record(kind uint32, data ...any) *logBuilder {
	var p []byte
	for _, d := range data {
		switch d := d.(type) {
		case int:
			p = b.order.AppendUint32(p, uint32(d))
		case uint16:
			p = b.order.AppendUint16(p, d)
		case GUID128:
			p = append(p, d[:]...)
		case string:
			p = append(p, d...)
		}
	}
	n := uint32(len(p)+8) >> 2
	b.Write([]byte{0x80 | byte(n>>21), 0x80 | byte(n>>14&0x7f), 0x80 | byte(n>>7&0x7f), 0x80 | byte(n&0x7f)})
	b.u32(kind)
	b.Write(p)
	return b
}

const ext = logExternal

// history is a log in which 2 was deleted, 3 to 5 were lost, and 9 was asked
// for and not yet done.
func history(order byteOrder) *logBuilder {
	g := GUID("", "1700000000.M2P1.h")
	return newLog(order, 2).
		record(logHeaderUpdate|ext, uint16(24), uint16(4), 1795337883, uint16(28), uint16(4), 1).
		record(logAppend|ext, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 9, 0).
		record(logFlagUpdate, 2, 2, "\x04\x00\x00\x00").
		record(logFlagUpdate, 2, 2, "\x80\x00\x00\x00"). // internal: no modseq
		record(logExpungeGUID|logExpungeProt, 2, g).
		record(logExpungeGUID|logExpungeProt|ext, 2, GUID128{}).
		record(logExpunge|logExpungeProt|ext, 3, 5).
		record(logExpungeGUID|logExpungeProt, 9, GUID("", "nine"))
}

func TestIndexLog(t *testing.T) {
	t.Parallel()
	for _, order := range []byteOrder{binary.LittleEndian, binary.BigEndian} {
		var l IndexLog
		if err := l.Read(iotest.OneByteReader(bytes.NewReader(history(order).Bytes()))); err != nil {
			t.Fatal(err)
		}
		for uid, want := range []Gone{NotInLog, NotInLog, Requested, Noticed, Noticed, Noticed, NotInLog, NotInLog, NotInLog, Requested, NotInLog} {
			if got := l.UID(uint32(uid)); got != want {
				t.Errorf("%v: UID %d: %v, want %v", order, uid, got, want)
			}
		}
		if l.GUID(GUID("", "1700000000.M2P1.h")) != Requested || l.GUID(GUID("", "other")) != NotInLog || l.GUID(GUID128{}) != NotInLog {
			t.Errorf("%v: GUIDs", order)
		}
		// initial 1, append, one flag update, two external expunges
		if l.UIDValidity != 1795337883 || l.NextUID != 10 || l.HighestModSeq != 5 || l.IndexID != 1795337883 || l.Seq != 2 || l.Files != 1 {
			t.Errorf("%v: %+v", order, l)
		}
	}
}

func TestGUIDs(t *testing.T) {
	t.Parallel()
	// from a log of Dovecot 2.3.19 and its uidlist
	want := GUID128{0x15, 0xcd, 0xcd, 0x47, 0x9e, 0xa3, 0x45, 0xaa, 0xff, 0x8c, 0x73, 0xe3, 0x1d, 0x0e, 0xd8, 0x4a}
	if got := GUID("", "1795337885.M588736P21935.vm,S=3397,W=3397"); got != want {
		t.Errorf("%x", got)
	}
	if got := GUID("15cdcd479ea345aaff8c73e31d0ed84a", "anything"); got != want {
		t.Errorf("%x", got)
	}
	if GUID("x", "y") == GUID("", "y") || GUID("x", "y") != GUID("", "x") {
		t.Error("the GUID of the uidlist comes before the base name")
	}
}

// A log of another UIDVALIDITY speaks of other messages.
func TestAnotherUIDValidityForgets(t *testing.T) {
	t.Parallel()
	var l IndexLog
	for _, b := range []*logBuilder{history(binary.LittleEndian), newLog(binary.LittleEndian, 3).record(logHeaderUpdate|ext, uint16(24), uint16(4), 77).record(logAppend|ext, 1, 0)} {
		if err := l.Read(&b.Buffer); err != nil {
			t.Fatal(err)
		}
	}
	if l.UID(2) != NotInLog || l.UID(3) != NotInLog || l.UIDValidity != 77 || l.NextUID != 2 || l.Files != 2 || l.Seq != 3 {
		t.Errorf("%+v", l)
	}
}

// Every prefix of a log is a log: what was complete counts, the torn rest does
// not, and nothing is reported as broken that a crash explains.
func TestTornIndexLogs(t *testing.T) {
	t.Parallel()
	whole := history(binary.LittleEndian).Bytes()
	var full IndexLog
	if err := full.Read(bytes.NewReader(whole)); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		for name, tail := range map[string][]byte{"cut": nil, "NULs": make([]byte, len(whole)-n)} {
			var l IndexLog
			err := l.Read(bytes.NewReader(append(bytes.Clone(whole[:n]), tail...)))
			if n < 40 {
				if name == "cut" && !errors.Is(err, ErrIndexLog) {
					t.Errorf("%s at %d, in the header: %v", name, n, err)
				}
				continue
			}
			// NULs inside a record's data can make it impossible; then it says so
			if err != nil && (name == "cut" || !errors.Is(err, ErrIndexLog)) {
				t.Errorf("%s at %d: %v", name, n, err)
			}
			for uid := range uint32(12) {
				if got := l.UID(uid); got > full.UID(uid) {
					t.Errorf("%s at %d: UID %d: %v, whole %v", name, n, uid, got, full.UID(uid))
				}
			}
		}
	}
}

func TestBrokenIndexLogs(t *testing.T) {
	t.Parallel()
	le := binary.LittleEndian
	good := history(le).Bytes()
	change := func(at int, b ...byte) []byte {
		p := bytes.Clone(good)
		copy(p[at:], b)
		return p
	}
	for name, p := range map[string][]byte{
		"major version":      change(0, 2),
		"header size":        change(2, 4, 0),
		"marked corrupted":   change(4, 0, 0, 0, 0),
		"no protection":      newLog(le, 1).record(logExpunge|ext, 1, 2).Bytes(),
		"both expunges":      newLog(le, 1).record(logExpunge|logExpungeGUID, 1, 2).Bytes(),
		"odd size":           newLog(le, 1).record(logExpunge|logExpungeProt, 1).Bytes(),
		"odd size of GUIDs":  newLog(le, 1).record(logExpungeGUID|logExpungeProt, 1).Bytes(),
		"reversed range":     newLog(le, 1).record(logExpunge|logExpungeProt, 5, 1).Bytes(),
		"UID 0":              newLog(le, 1).record(logExpungeGUID|logExpungeProt, 0, GUID128{1}).Bytes(),
		"header beyond":      newLog(le, 1).record(logHeaderUpdate, uint16(24), uint16(40), 1).Bytes(),
		"shorter than 8":     append(newLog(le, 1).Bytes(), 0x80, 0x80, 0x80, 0x81, 1, 0, 0, 0),
		"no log":             []byte("Subject: hello\n\nthis is no log at all, but long enough for one\n"),
		"empty":              nil,
		"a header and a bit": good[:30],
	} {
		var l IndexLog
		var b *Broken
		if err := l.Read(bytes.NewReader(p)); !errors.Is(err, ErrIndexLog) || !errors.As(err, &b) || b.Reason == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// a log far larger than any that a server writes
	record := append([]byte(nil), newLog(le, 1).record(logExpunge|logExpungeProt, 1, 2).Bytes()[len(newLog(le, 1).Bytes()):]...)
	large := append(newLog(le, 1).Bytes(), bytes.Repeat(record, maxIndexLog/len(record)+1)...)
	var far IndexLog
	if err := far.Read(bytes.NewReader(large)); !errors.Is(err, ErrIndexLog) {
		t.Errorf("larger than the limit: %v", err)
	}
	// a size that promises gigabytes costs what is there
	huge := append(newLog(le, 1).Bytes(), 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 1, 2, 3)
	var l IndexLog
	if err := l.Read(bytes.NewReader(huge)); err != nil {
		t.Errorf("a torn record of 1 GiB: %v", err)
	}
	if err := l.Read(iotest.ErrReader(iotest.ErrTimeout)); !errors.Is(err, iotest.ErrTimeout) || errors.Is(err, ErrIndexLog) {
		t.Errorf("a failing reader: %v", err)
	}
	// a transaction that its boundary announces and the file does not hold
	var torn IndexLog
	b := newLog(le, 1).record(logBoundary|ext, 100).record(logExpunge|logExpungeProt, 1, 2)
	if err := torn.Read(&b.Buffer); err != nil || torn.UID(1) != NotInLog {
		t.Errorf("an incomplete transaction counts: %v %v", torn.UID(1), err)
	}
	// ranges of billions cost nothing
	var wide IndexLog
	w := newLog(le, 1).record(logExpunge|logExpungeProt|ext, 1, -2).record(logExpunge|logExpungeProt, 5, 6)
	if err := wide.Read(&w.Buffer); err != nil {
		t.Fatal(err)
	}
	if wide.UID(1<<31) != Noticed || wide.UID(5) != Requested || wide.UID(6) != Requested || wide.UID(7) != Noticed || !wide.LostFrom(1<<31) {
		t.Error("a range of billions")
	}
}

func TestBrokenIndexHeaders(t *testing.T) {
	t.Parallel()
	good := make([]byte, 120)
	good[0], good[2], good[4], good[12], good[16] = 7, 120, 120, 1, 9
	if h, err := ReadIndexHeader(bytes.NewReader(good)); err != nil || h.IndexID != 9 || h.HighestModSeq != 0 {
		t.Error(h, err)
	}
	for name, change := range map[string]func(p []byte) []byte{
		"empty": func([]byte) []byte { return nil }, "short": func(p []byte) []byte { return p[:79] }, "version": func(p []byte) []byte { p[0] = 8; return p },
		"corrupted": func(p []byte) []byte { p[20] = 1; return p }, "NULs": func(p []byte) []byte { clear(p); return p }, "no index id": func(p []byte) []byte { p[16] = 0; return p },
	} {
		if _, err := ReadIndexHeader(bytes.NewReader(change(bytes.Clone(good)))); !errors.Is(err, ErrIndex) {
			t.Errorf("%s: %v", name, err)
		}
	}
	le := binary.LittleEndian
	e := le.AppendUint32(nil, 16)
	e = le.AppendUint32(e, 0)
	for _, v := range []uint16{0, 8, 8, 6} {
		e = le.AppendUint16(e, v)
	}
	e = append(append(e, "modseq\x00\x00"...), le.AppendUint64(nil, 4711)...)
	p := append(bytes.Clone(good), append(e, make([]byte, 8)...)...)
	p[4] = byte(len(p))
	if h, err := ReadIndexHeader(bytes.NewReader(p)); err != nil || h.HighestModSeq != 4711 {
		t.Error(h, err)
	}
}

// indexOf is a little-endian dovecot.index with the UIDs, whose records have 12
// bytes.
func indexOf(validity, next uint32, uids ...uint32) []byte {
	p := make([]byte, 120, 120+12*len(uids))
	le := binary.LittleEndian
	p[0], p[2], p[12] = 7, 120, 1
	for at, v := range map[int]uint32{4: 120, 8: 12, 16: 9, 24: validity, 28: next, 32: uint32(len(uids))} {
		le.PutUint32(p[at:], v)
	}
	for _, uid := range uids {
		p = append(le.AppendUint32(p, uid), make([]byte, 8)...)
	}
	return p
}

func TestIndexUIDs(t *testing.T) {
	t.Parallel()
	good := indexOf(7, 9, 1, 2, 3, 5, 8)
	x, err := ReadIndex(bytes.NewReader(good))
	if err != nil || x.UIDValidity != 7 || x.Messages != 5 {
		t.Fatal(x, err)
	}
	for uid, want := range map[uint32]bool{0: false, 1: false, 3: false, 4: true, 5: false, 7: true, 8: false, 9: false, 1 << 31: false} {
		if got := x.Expunged(uid); got != want {
			t.Errorf("UID %d is expunged: %v", uid, got)
		}
	}
	if x, err := ReadIndex(bytes.NewReader(indexOf(7, 3))); err != nil || !x.Expunged(2) {
		t.Errorf("an empty folder: %v %v", x, err)
	}
	if new(Index).Expunged(1) {
		t.Error("no index knows of an expunge")
	}
	for n := range good {
		if _, err := ReadIndex(bytes.NewReader(good[:n])); !errors.Is(err, ErrIndex) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	for name, p := range map[string][]byte{
		"out of order": indexOf(7, 9, 2, 1), "twice": indexOf(7, 9, 2, 2), "UID 0": indexOf(7, 9, 0), "beyond the next": indexOf(7, 9, 9),
		"records of nothing": append(append(bytes.Clone(good[:8]), 0, 0, 0, 0), good[12:]...),
		"huge records":       append(append(bytes.Clone(good[:8]), 255, 255, 255, 255), good[12:]...),
		"a huge header":      append(append(bytes.Clone(good[:4]), 255, 255, 255, 255), good[8:]...),
	} {
		if _, err := ReadIndex(bytes.NewReader(p)); !errors.Is(err, ErrIndex) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzIndexLog(f *testing.F) {
	f.Add(history(binary.LittleEndian).Bytes())
	f.Add(history(binary.BigEndian).Bytes())
	f.Add(newLog(binary.LittleEndian, 1).record(logBoundary|ext, 40).record(logModSeqUpdate|ext, 1, 2, 3).record(logExtIntro, -1, 0, 0, 0, uint16(0), uint16(6), "modseq\x00\x00").Bytes())
	f.Fuzz(func(t *testing.T, p []byte) {
		var l IndexLog
		if err := l.Read(bytes.NewReader(p)); err != nil && !errors.Is(err, ErrIndexLog) {
			t.Fatalf("an error of no class: %v", err)
		}
		if l.UID(1) == Noticed && !l.LostFrom(1) {
			t.Fatal("UID 1 is lost, and none from it on")
		}
		if _, err := ReadIndex(bytes.NewReader(p)); err != nil && !errors.Is(err, ErrIndex) {
			t.Fatal(err)
		}
		if _, err := ReadIndexHeader(bytes.NewReader(p)); err != nil && !errors.Is(err, ErrIndex) {
			t.Fatal(err)
		}
	})
}
