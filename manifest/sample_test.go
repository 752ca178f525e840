package manifest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// sample makes a mailbox of n messages whose names and stamps look like those
// that Dovecot's LMTP server and clients leave behind.
func sample(name string, n int, seed uint64) (*Mailbox, []Entry) {
	r := rand.New(rand.NewPCG(seed, 1))
	began := time.Date(2026, 11, 24, 3, 0, 0, 123456789, time.UTC)
	stamp := func() DirStamp {
		t := began.UnixNano() - r.Int64N(1e15)
		return DirStamp{Inode: 1_000_000 + r.Uint64N(9_000_000), MTime: t, CTime: t, Size: 4096, Safe: true}
	}
	mb := &Mailbox{
		Name: name, Path: "example.org/" + name + "/Maildir", Generation: 1,
		Device: 2049, FSID: 0x1122334455667788, RootInode: 4711, Owner: 5000, Group: 5000, Mode: 0o700,
		Subscriptions: []string{"Archive/2026", "Sent"}, Subscribed: true,
		QuotaFile: true, QuotaStamp: stamp(), SubsStamp: stamp(),
		Began: began, Ended: began.Add(time.Second), Alg: BLAKE3,
	}
	folders := []string{"Archive/2026", "INBOX", "Sent"}
	if n < 10 {
		folders = folders[1:2]
	}
	var list []Entry
	for i, f := range folders {
		dir := "." + f
		if f == "INBOX" {
			dir = ""
		}
		mb.Folders = append(mb.Folders, Folder{
			Name: f, Dir: dir, GUID: fmt.Sprintf("%032x", r.Uint64()),
			UIDValidity: 1_600_000_000 + uint32(i), UIDNext: uint32(n) + 1, HighestModSeq: r.Uint64N(1e6),
			Keywords:  []string{"$Forwarded", "NonJunk"},
			SelfStamp: stamp(), NewStamp: stamp(), CurStamp: stamp(), UIDListStamp: stamp(), KeywordsStamp: stamp(),
		})
		count := n / len(folders)
		if i == len(folders)-1 {
			count = n - count*(len(folders)-1)
		}
		sec := int64(1_600_000_000)
		var inode uint64 = 1_000_000
		uid := uint32(0)
		for range count {
			sec += 1 + r.Int64N(3600)
			uid += 1 + uint32(r.IntN(5)/4)
			inode += r.Uint64N(1 << 14)
			micro := r.Int64N(1e6)
			size := int64(600 + r.ExpFloat64()*20_000)
			e := Entry{Folder: f, Size: size, Inode: inode, UID: uid, Sub: Cur, Status: Sound, Checked: began.Unix()}
			e.Unique = fmt.Sprintf("%d.M%dP%d.mx1.example.org", sec, micro, 1000+r.IntN(60_000))
			e.MTime = sec*1e9 + micro*1000 + r.Int64N(5e6)
			e.CTime = e.MTime
			e.Name = fmt.Sprintf("%s,S=%d,W=%d", e.Unique, size, size+size/40+r.Int64N(60))
			switch r.IntN(20) {
			case 0:
				e.Sub = New
			case 1, 2, 3:
				e.Flags = "RS"
			case 4:
				e.Flags, e.Keywords = "S", []string{"$Forwarded"}
			case 5:
				e.Flags, e.Keywords = "FS", []string{"NonJunk"}
			default:
				e.Flags = "S"
			}
			if e.Sub == Cur {
				e.CTime += r.Int64N(86400 * 1e9)
				e.Name += ":2," + e.Flags
				if e.Keywords != nil {
					e.Name += "ab"[slices.Index(mb.Folders[i].Keywords, e.Keywords[0]):][:1]
				}
			}
			e.Digest.Alg = BLAKE3
			fill(r, e.Digest.Sum[:])
			fill(r, e.HeaderID[:])
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return a.Compare(&b) })
	return mb, list
}

func fill(r *rand.Rand, p []byte) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
}

// fataler is a test, or a property that is checked in one.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

// encode writes a manifest.
func encode(t fataler, mb *Mailbox, list []Entry, gone []Absence) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, mb)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if err := w.Add(&list[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range gone {
		if err := w.Absent(&gone[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// decode reads a manifest to its end.
func decode(data []byte) (*Mailbox, []Entry, []Absence, error) {
	r, err := NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, nil, nil, err
	}
	var list []Entry
	var gone []Absence
	for e, err := range r.Entries() {
		if err != nil {
			return r.Mailbox(), list, nil, err
		}
		list = append(list, e)
	}
	for a, err := range r.Absences() {
		if err != nil {
			return r.Mailbox(), list, gone, err
		}
		gone = append(gone, a)
	}
	return r.Mailbox(), list, gone, nil
}

func sampleAbsences(list []Entry) []Absence {
	var gone []Absence
	t := time.Date(2026, 11, 1, 0, 0, 0, 5, time.UTC)
	for i, e := range list {
		gone = append(gone, Absence{Entry: e, LastSeen: t, FirstAbsent: t.Add(time.Hour * 24), Evidence: Evidence(i % 8), UIDValidity: 7})
	}
	return gone
}
