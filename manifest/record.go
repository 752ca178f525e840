package manifest

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"mailsync/manifest/pack"
)

// RecordVersion is the version of store records.
const RecordVersion = 1

// maxRecord bounds a store record in bytes.
const maxRecord = 8 << 20

// Identity is what tells a store from another that appears under its path. A
// path is not an identity.
type Identity struct {
	Name      string // in the configuration; "" for a store given by path
	Path      string // absolute
	FSID      uint64 // f_fsid of statfs(2); 0 unknown
	FSType    int64  // f_type of statfs(2); 0 unknown
	Device    uint64 // st_dev of the root directory
	RootInode uint64
	Host      string
	BootID    string
}

// Differs says in words why now is not the store that was recorded, or "".
// Device numbers change between boots; they count only where a file system has
// no id of its own.
func (id *Identity) Differs(now *Identity) string {
	hex := func(v uint64) string { return strconv.FormatUint(v, 16) }
	switch {
	case id.FSType != now.FSType && id.FSType != 0 && now.FSType != 0:
		return "type of the file system was " + hex(uint64(id.FSType)) + ", is " + hex(uint64(now.FSType))
	case id.FSID != now.FSID && id.FSID != 0 && now.FSID != 0:
		return "id of the file system was " + hex(id.FSID) + ", is " + hex(now.FSID)
	case (id.FSID == 0 || now.FSID == 0) && id.Device != now.Device:
		return "device was " + hex(id.Device) + ", is " + hex(now.Device)
	case id.RootInode != now.RootInode:
		return "inode of the root directory was " + strconv.FormatUint(id.RootInode, 10) + ", is " + strconv.FormatUint(now.RootInode, 10)
	}
	return ""
}

// Look is one look at a whole store: a scan, which may take several sessions.
type Look struct {
	ID           uint64 // 0 = none
	Began, Ended time.Time
	BootID       string
	Policy       string // as in SessionOptions
	Place        []byte // where it stopped, opaque; while it is not finished
}

// StoreRecord is what is recorded of a store as a whole.
type StoreRecord struct {
	Identity
	Key            string // directory under stores/ of the state directory
	Generation     uint32
	Alg            Alg
	Complete       Look   // the last that saw everything
	Open           Look   // the one that is not finished; ID 0 = none
	Stop           Stop   // the last clean stop of the host, while nothing was scanned since
	Dirty          bool   // a session is at work, or was killed; the record of each mailbox is whole all the same
	Content, State Digest // roots as of the last checkpoint; zero when not known
	Mailboxes      int64  // as of the last checkpoint; without those that are gone
	Gone           int64
	Messages       int64
	Bytes          int64

	session uint64 // number of the last one
	shards  []shardSum
}

// sumShards fills what follows from the shards.
func (r *StoreRecord) sumShards() {
	r.Mailboxes, r.Gone, r.Messages, r.Bytes = 0, 0, 0, 0
	content, state := newRoot(r.Alg, "store content"), newRoot(r.Alg, "store state")
	known := true
	for i := range r.shards {
		t := &r.shards[i]
		r.Mailboxes += t.mailboxes - t.gone
		r.Gone += t.gone
		r.Messages += t.messages
		r.Bytes += t.bytes
		if known = known && !t.content.IsZero(); known {
			name := strconv.Itoa(t.shard)
			content.add(name, t.content)
			state.add(name, t.state)
		}
	}
	r.Content, r.State = Digest{}, Digest{}
	if known {
		r.Content, r.State = content.sum(), state.sum()
	}
}

// setShard replaces the sums of one shard; an empty shard has none.
func (r *StoreRecord) setShard(t shardSum) {
	i, had := slices.BinarySearchFunc(r.shards, t.shard, func(s shardSum, no int) int { return s.shard - no })
	switch {
	case t.mailboxes == 0 && had:
		r.shards = slices.Delete(r.shards, i, i+1)
	case t.mailboxes == 0:
	case had:
		r.shards[i] = t
	default:
		r.shards = slices.Insert(r.shards, i, t)
	}
}

func (r *StoreRecord) shard(no int) (shardSum, bool) {
	i, had := slices.BinarySearchFunc(r.shards, no, func(s shardSum, no int) int { return s.shard - no })
	if !had {
		return shardSum{shard: no}, false
	}
	return r.shards[i], true
}

// holds tells whether a bundle has mailboxes.
func (r *StoreRecord) holds(bundle int) bool {
	i, _ := slices.BinarySearchFunc(r.shards, bundle*bundleSize, func(s shardSum, no int) int { return s.shard - no })
	return i < len(r.shards) && bundleOf(r.shards[i].shard) == bundle
}

func appendLook(b []byte, l *Look) []byte {
	b = pack.Uint(b, l.ID)
	b = appendTime(b, l.Began)
	b = appendTime(b, l.Ended)
	b = pack.Text(b, l.BootID)
	b = pack.Text(b, l.Policy)
	b = pack.Uint(b, uint64(len(l.Place)))
	return append(b, l.Place...)
}

// MaxPlace bounds Look.Place, in bytes.
const MaxPlace = 16 << 10

func (c *cursor) look() Look {
	l := Look{ID: c.Uint(), Began: c.time(), Ended: c.time(), BootID: c.String(256), Policy: c.String(256)}
	if p := c.Take(c.Length(MaxPlace)); len(p) > 0 {
		l.Place = slices.Clone(p)
	}
	return l
}

// rootsABlock is how many shards a block of a store record tells of.
const rootsABlock = 512

func (r *StoreRecord) encode() []byte {
	salt := newSalt()
	out := appendPreamble(nil, kindStore, RecordVersion, salt)
	s := sealer{salt: salt}
	b := pack.Text(nil, r.Alg.String())
	b = pack.Text(b, r.Key)
	b = pack.Text(b, r.Name)
	b = pack.Text(b, r.Path)
	b = pack.Text(b, r.Host)
	b = pack.Text(b, r.BootID)
	b = pack.Uint(b, r.FSID)
	b = pack.Int(b, r.FSType)
	b = pack.Uint(b, r.Device)
	b = pack.Uint(b, r.RootInode)
	b = pack.Uint(b, uint64(r.Generation))
	b = pack.Uint(b, r.session)
	b = pack.Bool(b, r.Dirty)
	b = pack.Text(b, r.Stop.BootID)
	b = appendTime(b, r.Stop.At)
	b = appendLook(b, &r.Complete)
	b = appendLook(b, &r.Open)
	b = pack.Uint(b, uint64(len(r.shards)))
	out = append(out, s.seal(blockHeader, 0, 0, b, nil)...)
	n := 0
	for part := range slices.Chunk(r.shards, rootsABlock) {
		var packed, raw []byte
		for i := range part {
			packed, raw = appendShardSum(packed, raw, &part[i])
		}
		out = append(out, s.seal(blockRoots, n, len(part), packed, raw)...)
		n++
	}
	return append(out, s.seal(blockEnd, 0, n+1, nil, nil)...)
}

func decodeRecord(data []byte) (*StoreRecord, error) {
	u, err := openSealed(bytes.NewReader(data), kindStore, RecordVersion)
	if err != nil {
		return nil, err
	}
	b, err := u.next()
	if err != nil {
		return nil, err
	}
	if err := u.expect(b, blockHeader, 0); err != nil {
		return nil, err
	}
	c := cursorOver(b.data)
	r := &StoreRecord{}
	r.Alg, err = ParseAlg(c.String(64))
	if err != nil && !c.Bad {
		return nil, err
	}
	r.Key, r.Name, r.Path = c.String(MaxFolderName), c.String(MaxFolderName), c.String(MaxFolderName)
	r.Host, r.BootID = c.String(1024), c.String(256)
	r.FSID, r.FSType, r.Device, r.RootInode = c.Uint(), c.Int(), c.Uint(), c.Uint()
	r.Generation, r.session, r.Dirty = c.U32(), c.Uint(), c.Bool()
	r.Stop = Stop{BootID: c.String(256), At: c.time()}
	r.Complete, r.Open = c.look(), c.look()
	n := c.Length(Shards)
	if !c.Done() || len(b.raw) > 0 {
		return nil, corrupt("store record")
	}
	for number := 0; ; number++ {
		b, err := u.next()
		if err != nil {
			return nil, err
		}
		if b.typ == blockEnd {
			if err := u.end(b); err != nil {
				return nil, err
			}
			break
		}
		if err := u.expect(b, blockRoots, number); err != nil {
			return nil, err
		}
		c, raw := cursorOver(b.data), cursorOver(b.raw)
		for range b.items {
			t := c.shardSum(&raw, r.Alg)
			if k := len(r.shards); c.Bad || k > 0 && r.shards[k-1].shard >= t.shard {
				return nil, corrupt("shards of a store record")
			}
			r.shards = append(r.shards, t)
		}
		if !c.Done() || !raw.Done() {
			return nil, corrupt("shards of a store record")
		}
	}
	if len(r.shards) != n {
		return nil, corrupt("store record counts %d shards, has %d", n, len(r.shards))
	}
	r.sumShards()
	return r, nil
}
