package sample

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"mailsync/manifest"
	"mailsync/scan/maildir"
)

// Layout is the layout template under which an estate lies in its directory.
const Layout = "%d/%n/Maildir"

// Options describe an estate. The zero value is a small one of three mailboxes.
type Options struct {
	Seed       uint64
	Mailboxes  int            // 0 = 3
	PerMailbox int            // messages of each mailbox; 0 = 40, negative = none
	Domains    []string       // nil = example.org
	Folders    []string       // by name, UTF-8, '/'-separated; nil = DefaultFolders. The first is INBOX
	Layout     maildir.Layout // how folders lie
	UTF8       bool           // folder names on disk in UTF-8, not modified UTF-7
	Size       int            // median of the message sizes in bytes; 0 = 2,000
	Spread     float64        // standard deviation of log(size); 0 = 0.8, negative = none
	MaxSize    int            // 0 = 1 MB
	Odd        bool           // every eighth message is unusual, yet sound: CRLF, no last newline, 8-bit, no Message-ID …
	Compressed bool           // every eighth message is stored as gzip or zstd
	Shared     bool           // every tenth message of an INBOX went to the next mailbox too
	From       time.Time      // of the first arrival; zero = 2026-01-05
	Until      time.Time      // of the last arrival; zero = 2026-11-20
	Bare       bool           // cur, new and tmp only, as a plain delivery agent leaves them
}

// DefaultFolders are the folders of a mailbox unless Options say otherwise.
var DefaultFolders = []string{"INBOX", "Sent", "Archive/2026", "Junk", "Entwürfe & Pläne"}

// Estate is the description of a store.
type Estate struct {
	Options
	Boxes []*Box
}

// Box is one mailbox.
type Box struct {
	Address    string // anna@example.org: the mailbox' name under Layout
	Path       string // of its root relative to the store
	ByPath     string // its name where the store is opened by path
	Folders    []*Folder
	Subscribed []string // folder names
}

// Folder is one folder of a mailbox.
type Folder struct {
	Name        string
	Dir         string // relative to the mailbox' root, raw bytes; "" = INBOX
	GUID        string
	UIDValidity uint32
	NextUID     uint32
	Keywords    []string // index 0 is letter 'a'
	Messages    []*Message
}

// Message is one message of an estate.
type Message struct {
	Address  string // of its mailbox
	ByPath   string // its mailbox' name where the store is opened by path
	Folder   string
	Unique   string // file name without sizes and flags
	Sub      manifest.Sub
	Flags    string   // ASCII-sorted
	Keywords []string // by name, sorted
	Date     time.Time
	UID      uint32
	ID       string // Message-ID with its angle brackets; "" where the message has none
	Encoding Encoding
	Incoming bool // came through the gateway

	to      string // in its To field: the mailbox that it was written to first
	seed    [2]uint64
	kind    oddity
	target  int // size to aim at
	changed int // generation of the body: a replica may differ
	box     *Box
	folder  *Folder
	s, w    int64 // sizes for the name; 0 = not yet computed
}

// Encoding is how a message is stored.
type Encoding uint8

// The encodings.
const (
	Plain Encoding = iota
	Gzip
	Zstd
)

type oddity uint8

const (
	ordinary oddity = iota
	crlf
	noNewline
	eightBit
	noID
	emptyBody
	fewNULs
	fromLine // begins with an mbox "From " line
	oddities
)

// New describes the estate of opt.
func New(opt Options) *Estate {
	opt = opt.defaults()
	e := &Estate{Options: opt}
	for i := range opt.Mailboxes {
		e.Boxes = append(e.Boxes, e.box(i))
	}
	if opt.Shared {
		e.share()
	}
	return e
}

func (o Options) defaults() Options {
	o.Mailboxes = cmp.Or(o.Mailboxes, 3)
	o.PerMailbox = max(0, cmp.Or(o.PerMailbox, 40))
	o.Size = cmp.Or(o.Size, 2000)
	o.Spread = max(0, cmp.Or(o.Spread, 0.8))
	o.MaxSize = cmp.Or(o.MaxSize, 1<<20)
	if o.Domains == nil {
		o.Domains = []string{"example.org"}
	}
	if o.Folders == nil {
		o.Folders = DefaultFolders
	}
	if o.From.IsZero() {
		o.From = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	}
	if o.Until.IsZero() {
		o.Until = time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC)
	}
	return o
}

var firsts = strings.Fields("anna bela carla dmitri elena ferenc gita hans ines jozef karin laszlo maria nils olga petra quentin rosa stefan tamas ulla vera walter xenia yves zoltan")

func localPart(i int) string {
	name := firsts[i%len(firsts)]
	if n := i / len(firsts); n > 0 {
		name = fmt.Sprintf("%s%d", name, n)
	}
	return name
}

// box describes mailbox i.
func (e *Estate) box(i int) *Box {
	domain := e.Domains[i%len(e.Domains)]
	user := localPart(i / len(e.Domains))
	b := &Box{
		Address: user + "@" + domain,
		Path:    domain + "/" + user + "/Maildir",
		ByPath:  domain + "/" + user,
	}
	r := rand.New(rand.NewPCG(e.Seed, uint64(i)))
	for k, name := range e.Folders {
		f := &Folder{
			Name:        name,
			Dir:         FolderDir(name, e.Layout, e.UTF8),
			GUID:        fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()),
			UIDValidity: 1700000000 + uint32(i*100+k),
			NextUID:     1,
		}
		f.Keywords = keywordTable(k)
		if k > 0 {
			b.Subscribed = append(b.Subscribed, name)
		}
		b.Folders = append(b.Folders, f)
	}
	slices.Sort(b.Subscribed)
	step := e.Until.Sub(e.From) / time.Duration(max(1, e.PerMailbox))
	for n := range e.PerMailbox {
		f := b.Folders[folderOf(r, len(b.Folders))]
		at := e.From.Add(time.Duration(n)*step + time.Duration(r.Int64N(int64(max(1, step/2)))))
		m := e.message(r, b, f, at.Truncate(time.Microsecond), i, n)
		f.Messages = append(f.Messages, m)
	}
	return b
}

// share delivers every tenth message of an INBOX to the next mailbox too.
func (e *Estate) share() {
	if len(e.Boxes) < 2 {
		return
	}
	copies := make([][]*Message, len(e.Boxes))
	for i, b := range e.Boxes {
		next := (i + 1) % len(e.Boxes)
		for k, m := range b.Folders[0].Messages {
			if k%10 != 4 {
				continue
			}
			c := *m
			c.box, c.folder = e.Boxes[next], e.Boxes[next].Folders[0]
			c.Address, c.ByPath = c.box.Address, c.box.ByPath
			c.Sub, c.Flags, c.Keywords = manifest.New, "", nil
			c.Unique += "b"
			c.Encoding, c.s = Plain, 0
			copies[next] = append(copies[next], &c)
		}
	}
	for i, cs := range copies {
		f := e.Boxes[i].Folders[0]
		for _, c := range cs {
			c.UID = f.NextUID
			f.NextUID++
			f.Messages = append(f.Messages, c)
		}
	}
}

// folderOf chooses a folder: half of the mail lies in the INBOX.
func folderOf(r *rand.Rand, n int) int {
	if n == 1 || r.IntN(2) == 0 {
		return 0
	}
	return 1 + r.IntN(n-1)
}

// keywordTable gives every folder its own letters for the same names.
func keywordTable(k int) []string {
	names := []string{"$Forwarded", "$NotJunk", "$Junk", "project-x", "$MDNSent"}
	turned := make([]string, len(names))
	for i, n := range names {
		turned[(i+k)%len(names)] = n
	}
	return turned
}

func (e *Estate) message(r *rand.Rand, b *Box, f *Folder, at time.Time, box, n int) *Message {
	m := &Message{
		Address:  b.Address,
		ByPath:   b.ByPath,
		Folder:   f.Name,
		Unique:   fmt.Sprintf("%d.M%dP%d.mx%d", at.Unix(), at.Nanosecond()/1000, 1000+(box*7919+n)%60000, box%3+1),
		Sub:      manifest.Cur,
		Date:     at.Truncate(time.Second),
		to:       b.Address,
		UID:      f.NextUID,
		Incoming: !strings.HasPrefix(f.Name, "Sent") && !strings.HasPrefix(f.Name, "Entw"),
		seed:     [2]uint64{e.Seed, uint64(box)<<32 | uint64(n)},
		target:   e.size(r),
		box:      b,
		folder:   f,
	}
	f.NextUID++
	switch v := r.IntN(10); {
	case v == 0 && f.Dir == "":
		m.Sub = manifest.New
	case v < 7:
		m.Flags = "S"
	case v < 8:
		m.Flags = "RS"
	case v < 9:
		m.Flags = "FS"
	}
	if m.Sub == manifest.Cur && r.IntN(5) == 0 {
		m.Keywords = []string{f.Keywords[r.IntN(len(f.Keywords))]}
	}
	if e.Odd && n%8 == 3 {
		m.kind = oddity(1 + (n/8+box)%int(oddities-1))
	}
	if e.Compressed && n%8 == 5 {
		m.Encoding = Gzip + Encoding(n/8%2)
	}
	if m.kind != noID {
		m.ID = fmt.Sprintf("<%08x.%d.%d@mail%d.example.net>", uint32(r.Uint64()), box, n, r.IntN(90))
	}
	return m
}

func (e *Estate) size(r *rand.Rand) int {
	v := float64(e.Size) * math.Exp(e.Spread*r.NormFloat64())
	return int(min(v, float64(e.MaxSize)))
}

// Messages yields every message, mailbox by mailbox and folder by folder.
func (e *Estate) Messages() iter.Seq[*Message] {
	return func(yield func(*Message) bool) {
		for _, b := range e.Boxes {
			for _, f := range b.Folders {
				for _, m := range f.Messages {
					if !yield(m) {
						return
					}
				}
			}
		}
	}
}

// Count returns the number of messages.
func (e *Estate) Count() int {
	n := 0
	for range e.Messages() {
		n++
	}
	return n
}

// Folder returns the folder of that name, or nil.
func (b *Box) Folder(name string) *Folder {
	for _, f := range b.Folders {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Before returns the estate as it was at a moment: the same messages, without
// those that arrived later.
func (e *Estate) Before(until time.Time) *Estate {
	n := &Estate{Options: e.Options}
	for _, b := range e.Boxes {
		nb := *b
		nb.Folders = nil
		for _, f := range b.Folders {
			nf := *f
			nf.Messages, nf.NextUID = nil, 1
			for _, m := range f.Messages {
				if m.Date.Before(until) {
					nf.Messages = append(nf.Messages, m)
					nf.NextUID = max(nf.NextUID, m.UID+1)
				}
			}
			nb.Folders = append(nb.Folders, &nf)
		}
		n.Boxes = append(n.Boxes, &nb)
	}
	return n
}
