package replay

import (
	"encoding/binary"
	"errors"
	"time"

	"mailsync/manifest"
	"mailsync/restore/archive"
)

// item is one archived message on its way to one mailbox; before recipients are
// resolved, to all its recipients.
type item struct {
	seq       uint64 // order in the archive
	pos       string // archive.Position, as text
	messageID string // as in the header
	hasID     bool
	arrival   int64 // nanoseconds since 1970; 0 = not known
	size      int64
	digest    manifest.Digest // of the bytes to deliver
	exact     manifest.Digest
	delivery  manifest.Digest
	body      manifest.Digest
	id        manifest.Digest
	noID      manifest.Digest
	header    manifest.HeaderID

	recipient string // as archived
	mailbox   string
	blocked   bool // the gateway's filter kept it from the recipient

	to []recipient // before resolution
}

type recipient struct {
	addr, original string
	how            archive.How
	blocked        bool
}

func (it *item) time() time.Time {
	if it.arrival == 0 {
		return time.Time{}
	}
	return time.Unix(0, it.arrival).UTC()
}

// nanos is the time of an arrival as items hold it; 0, not known, where there is
// none, or a year that cannot be: whoever sends a message may date it 9999.
func nanos(t time.Time) int64 {
	if n := t.UnixNano(); time.Unix(0, n).Equal(t) {
		return n
	}
	return 0
}

// group is under what copies of one message come together: equal header
// identities, else equal bytes.
func (it *item) group() (g [16]byte) {
	if it.header != (manifest.HeaderID{}) {
		return it.header
	}
	copy(g[:], it.digest.Sum[:])
	return g
}

// errRecord reports a spooled record that cannot be read back.
var errRecord = errors.New("the spool holds a broken record")

// state is what was found out about an item in its mailbox.
type state uint8

const (
	stAbsent state = iota
	stPresent
	stAltered   // another version is there
	stDeleted   // evidence of a deletion
	stFiltered  // evidence that it was never stored
	stDuplicate // the same message came before
	stUnknown   // nothing could be established
	stOpen      // evidence contradicts itself, or says that it is still on its way: the operator decides
)

// verdict is an item with what was found out.
type verdict struct {
	item
	state    state
	match    Match
	folder   string // of the copy
	file     string
	dir      string // where it is delivered other than INBOX: that folder's directory, relative to the mailbox' root
	detail   string
	replayed bool // an earlier run delivered it
	noBox    bool // the store has no such mailbox yet
	noDir    bool // the mailbox has no folder dir yet
	heal     *manifest.Entry
	lost     bool // a record proves that it was there and was lost
}

// enc appends the parts of a spooled record.
type enc struct{ b []byte }

func (e *enc) uint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }
func (e *enc) int(v int64)   { e.b = binary.AppendVarint(e.b, v) }
func (e *enc) str(s string) {
	e.uint(uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *enc) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *enc) digest(d manifest.Digest) {
	e.b = append(e.b, byte(d.Alg))
	if d.Alg != manifest.NoAlg {
		e.b = append(e.b, d.Sum[:]...)
	}
}

// dec reads them back; bad is set at the first that does not fit. The record is
// copied once: all texts of what is read share it.
type dec struct {
	s   string
	bad bool
}

func newDec(rec []byte) dec { return dec{s: string(rec)} }

func (d *dec) fail() { d.bad, d.s = true, "" }

func (d *dec) uint() uint64 {
	var v uint64
	for i := range min(len(d.s), binary.MaxVarintLen64) {
		c := d.s[i]
		if c < 0x80 {
			d.s = d.s[i+1:]
			return v | uint64(c)<<(7*i)
		}
		v |= uint64(c&0x7f) << (7 * i)
	}
	d.fail()
	return 0
}

// int undoes the zigzag of binary.AppendVarint.
func (d *dec) int() int64 {
	v := d.uint()
	return int64(v>>1) ^ -int64(v&1)
}

func (d *dec) take(n uint64) string {
	if n > uint64(len(d.s)) {
		d.fail()
		return ""
	}
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

func (d *dec) str() string { return d.take(d.uint()) }

func (d *dec) byte() byte {
	if b := d.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (d *dec) digest() (x manifest.Digest) {
	x.Alg = manifest.Alg(d.byte())
	if x.Alg != manifest.NoAlg {
		copy(x.Sum[:], d.take(uint64(len(x.Sum))))
	}
	return x
}

func (e *enc) item(it *item) {
	e.uint(it.seq)
	e.str(it.pos)
	e.str(it.messageID)
	e.bool(it.hasID)
	e.int(it.arrival)
	e.int(it.size)
	for _, d := range []manifest.Digest{it.digest, it.exact, it.delivery, it.body, it.id, it.noID} {
		e.digest(d)
	}
	e.b = append(e.b, it.header[:]...)
	e.str(it.recipient)
	e.str(it.mailbox)
	e.bool(it.blocked)
	e.uint(uint64(len(it.to)))
	for _, r := range it.to {
		e.str(r.addr)
		e.str(r.original)
		e.b = append(e.b, byte(r.how))
		e.bool(r.blocked)
	}
}

func (d *dec) item() (it item) {
	it.seq = d.uint()
	it.pos = d.str()
	it.messageID = d.str()
	it.hasID = d.byte() != 0
	it.arrival = d.int()
	it.size = d.int()
	for _, p := range []*manifest.Digest{&it.digest, &it.exact, &it.delivery, &it.body, &it.id, &it.noID} {
		*p = d.digest()
	}
	copy(it.header[:], d.take(uint64(len(it.header))))
	it.recipient = d.str()
	it.mailbox = d.str()
	it.blocked = d.byte() != 0
	n := d.uint()
	for ; n > 0 && !d.bad; n-- {
		it.to = append(it.to, recipient{addr: d.str(), original: d.str(), how: archive.How(d.byte()), blocked: d.byte() != 0})
	}
	return it
}

func (e *enc) verdict(v *verdict) {
	e.item(&v.item)
	e.b = append(e.b, byte(v.state))
	e.str(string(v.match))
	e.str(v.folder)
	e.str(v.file)
	e.str(v.dir)
	e.str(v.detail)
	e.bool(v.replayed)
	e.bool(v.noBox)
	e.bool(v.noDir)
	e.bool(v.lost)
	e.bool(v.heal != nil)
	if h := v.heal; h != nil {
		e.str(h.Folder)
		e.str(h.Unique)
		e.b = append(e.b, byte(h.Sub))
		e.str(h.Name)
		e.str(h.Flags)
		e.int(h.Size)
		e.int(h.MTime)
		e.uint(h.Inode)
		e.digest(h.Digest)
		e.bool(h.Good)
	}
}

func (d *dec) verdict() (v verdict) {
	v.item = d.item()
	v.state = state(d.byte())
	v.match = Match(d.str())
	v.folder = d.str()
	v.file = d.str()
	v.dir = d.str()
	v.detail = d.str()
	v.replayed = d.byte() != 0
	v.noBox = d.byte() != 0
	v.noDir = d.byte() != 0
	v.lost = d.byte() != 0
	if d.byte() != 0 {
		v.heal = &manifest.Entry{
			Folder: d.str(), Unique: d.str(), Sub: manifest.Sub(d.byte()), Name: d.str(), Flags: d.str(),
			Size: d.int(), MTime: d.int(), Inode: d.uint(), Digest: d.digest(), Good: d.byte() != 0, Status: manifest.Damaged,
		}
	}
	return v
}

// sortKey starts the records of a mailbox: the operator's order, the name, the
// group, arrival, order in the archive.
func sortKey(e *enc, order int, it *item) {
	e.b = binary.BigEndian.AppendUint32(e.b, uint32(order))
	e.b = append(e.b, it.mailbox...)
	e.b = append(e.b, 0)
	g := it.group()
	e.b = append(e.b, g[:]...)
	e.b = binary.BigEndian.AppendUint64(e.b, uint64(it.arrival)^1<<63)
	e.b = binary.BigEndian.AppendUint64(e.b, it.seq)
}

// cutKey skips the sort key.
func cutKey(rec []byte) ([]byte, bool) {
	if len(rec) < 5 {
		return nil, false
	}
	for i := 4; i < len(rec); i++ {
		if rec[i] == 0 {
			if i+1+16+8+8 > len(rec) {
				return nil, false
			}
			return rec[i+1+16+8+8:], true
		}
	}
	return nil, false
}
