// Package comparetest has replicas that exist only in memory: a Source and
// Witness built from literals, for the tests of every room that compares.
package comparetest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
)

// Message is one message of a fake mailbox, with defaults for all but Name.
type Message struct {
	Folder   string // "" = INBOX
	Name     string // exact file name
	Body     string // what the file holds; its digest is taken of it
	Plain    string // what it holds decompressed, where that is not Body
	New      bool   // lies in new
	Keywords []string
	UID      uint32
	Date     time.Time // zero = 2026-01-01
	Inode    uint64
	Header   string // what HeaderID is made of; "" = none
	Opaque   bool
	Status   manifest.Status // 0 = Sound; use Unread to say unread
	Unread   bool
	Damage   manifest.Kind // not NoKind: Damaged
	Good     string        // with Damage: what was recorded while the message was sound
	Size     int64         // 0 = of Body
	Checked  time.Time
	Detail   string
}

// Entry makes the entry that a scan would make.
func (m Message) Entry() manifest.Entry {
	_, info, _ := strings.Cut(m.Name, ":")
	e := manifest.Entry{
		Folder: m.Folder, Unique: m.unique(), Sub: manifest.Cur, Name: m.Name, Keywords: slices.Clone(m.Keywords),
		UID: m.UID, Inode: m.Inode, Opaque: m.Opaque, Status: manifest.Sound, Detail: m.Detail,
		Size: int64(len(m.Body)), Digest: manifest.BLAKE3.Sum([]byte(m.Body)),
	}
	if e.Folder == "" {
		e.Folder = "INBOX"
	}
	if m.New {
		e.Sub = manifest.New
	}
	_, e.Flags, _ = strings.Cut(info, ",")
	e.Flags = strings.TrimRight(e.Flags, "abcdefghijklmnopqrstuvwxyz")
	sort.Strings(e.Keywords)
	date := m.Date
	if date.IsZero() {
		date = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	e.MTime, e.CTime = date.UnixNano(), date.UnixNano()
	if m.Plain != "" {
		e.Plain = manifest.BLAKE3.Sum([]byte(m.Plain))
	}
	if m.Header != "" {
		sum := manifest.BLAKE3.Sum([]byte(m.Header))
		copy(e.HeaderID[:], sum.Sum[:])
	}
	if m.Status != 0 {
		e.Status = m.Status
	}
	if m.Size != 0 {
		e.Size = m.Size
	}
	if !m.Checked.IsZero() {
		e.Checked = m.Checked.Unix()
	}
	if m.Damage != manifest.NoKind {
		if e.Status != manifest.Suspect {
			e.Status = manifest.Damaged
		}
		e.Damage = m.Damage
		if m.Good != "" {
			e.Digest, e.Good = manifest.BLAKE3.Sum([]byte(m.Good)), true
		}
	}
	if m.Unread {
		e.Status, e.Digest, e.Plain, e.Damage = manifest.Unread, manifest.Digest{}, manifest.Digest{}, manifest.Unreadable
	}
	return e
}

func (m *Message) unique() string {
	unique, _, _ := strings.Cut(m.Name, ":")
	for _, tag := range [2]string{",W=", ",S="} {
		if i := strings.LastIndex(unique, tag); i > 0 {
			unique = unique[:i]
		}
	}
	return unique
}

// Box is one fake mailbox.
type Box struct {
	Mailbox  manifest.Mailbox // Name, Messages, Bytes and INBOX are filled in
	Messages []Message
	Entries  []manifest.Entry // beside Messages
	Absences []manifest.Absence

	Head      *compare.Head // nil: nothing is known without opening
	OpenErr   error         // of Open
	FailAfter int           // with Err: entries that come before it
	Err       error         // of Entries
	AbsentErr error         // of Absences
	Blind     map[string]string
	Gaps      []compare.Gap // what a look could not learn beside the messages
}

// Store is a fake replica.
type Store struct {
	Meta    compare.Info
	Boxes   map[string]*Box
	ListErr error // ends the listing, after ListN mailboxes
	ListN   int

	// Now answers Lookup where it has the reference (without its Store); the
	// rest is answered from Boxes.
	Now map[manifest.Ref]compare.Presence
	// Known answers Evidence by mailbox, file and kind.
	Known map[Ask]compare.Evidence
	// LookErr, EvidenceErr fail every question.
	LookErr, EvidenceErr error
	Total                int64 // for compare.Sized

	mu    sync.Mutex
	Opens []string // mailboxes that were opened
	Asked []Ask
	Looks []manifest.Ref // messages that were looked for again
	Calls []string       // mailbox and folder of each Lookup
}

// Ask is one question to a Witness.
type Ask struct {
	Mailbox, Folder, File string
	Kind                  compare.EvidenceKind
}

// New makes a live store without mailboxes.
func New(name string) *Store {
	return &Store{Meta: compare.Info{Name: name}, Boxes: make(map[string]*Box)}
}

// Add adds a mailbox of messages, and returns it.
func (s *Store) Add(mailbox string, messages ...Message) *Box {
	b := &Box{Messages: messages}
	s.Boxes[mailbox] = b
	return b
}

// Side makes a live side of a comparison.
func (s *Store) Side() compare.Side { return compare.Side{Source: s, Witness: s} }

// Info implements compare.Source.
func (s *Store) Info() compare.Info { return s.Meta }

// Size implements compare.Sized.
func (s *Store) Size() int64 { return s.Total }

// Mailboxes implements compare.Source.
func (s *Store) Mailboxes(ctx context.Context) iter.Seq2[compare.Head, error] {
	names := make([]string, 0, len(s.Boxes))
	for n := range s.Boxes {
		names = append(names, n)
	}
	slices.SortFunc(names, manifest.CompareMailboxes)
	return func(yield func(compare.Head, error) bool) {
		for i, n := range names {
			if ctx.Err() != nil {
				yield(compare.Head{}, context.Cause(ctx))
				return
			}
			if s.ListErr != nil && i >= s.ListN {
				break
			}
			h := compare.Head{Name: n, Messages: -1, Damaged: -1}
			if k := s.Boxes[n].Head; k != nil {
				h = *k
				h.Name = n
			}
			if !yield(h, nil) {
				return
			}
		}
		if s.ListErr != nil {
			yield(compare.Head{}, s.ListErr)
		}
	}
}

// Open implements compare.Source.
func (s *Store) Open(ctx context.Context, mailbox string) (compare.View, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	s.Opens = append(s.Opens, mailbox)
	s.mu.Unlock()
	b, ok := s.Boxes[mailbox]
	if !ok {
		return nil, fmt.Errorf("%w: %q", compare.ErrNoMailbox, mailbox)
	}
	if b.OpenErr != nil {
		return nil, b.OpenErr
	}
	v := &view{b: b, mb: b.Mailbox, entries: b.All()}
	v.mb.Name = mailbox
	v.mb.Messages = int64(len(v.entries))
	if v.mb.Folder("INBOX") == nil {
		v.mb.Folders = append(slices.Clone(v.mb.Folders), manifest.Folder{Name: "INBOX"})
	}
	slices.SortFunc(v.mb.Folders, func(a, b manifest.Folder) int { return strings.Compare(a.Name, b.Name) })
	return v, nil
}

// All returns the entries in order.
func (b *Box) All() []manifest.Entry {
	list := slices.Clone(b.Entries)
	for _, m := range b.Messages {
		list = append(list, m.Entry())
	}
	slices.SortFunc(list, func(a, b manifest.Entry) int { return a.Compare(&b) })
	return list
}

func (b *Box) has(folder, unique string) bool {
	for i := range b.Messages {
		m := &b.Messages[i]
		if (m.Folder == folder || m.Folder == "" && folder == "INBOX") && m.unique() == unique {
			return true
		}
	}
	return slices.ContainsFunc(b.Entries, func(e manifest.Entry) bool { return e.Folder == folder && e.Unique == unique })
}

type view struct {
	b       *Box
	mb      manifest.Mailbox
	entries []manifest.Entry
}

func (v *view) Mailbox() *manifest.Mailbox { return &v.mb }
func (v *view) Close() error               { return nil }

func (v *view) Entries(ctx context.Context) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for i, e := range v.entries {
			if ctx.Err() != nil {
				yield(manifest.Entry{}, context.Cause(ctx))
				return
			}
			if v.b.Err != nil && i >= v.b.FailAfter {
				break
			}
			if !yield(e, nil) {
				return
			}
		}
		if v.b.Err != nil {
			yield(manifest.Entry{}, v.b.Err)
		}
	}
}

func (v *view) Absences(ctx context.Context) iter.Seq2[manifest.Absence, error] {
	list := slices.Clone(v.b.Absences)
	slices.SortFunc(list, func(a, b manifest.Absence) int { return a.Entry.Compare(&b.Entry) })
	return func(yield func(manifest.Absence, error) bool) {
		for _, a := range list {
			if ctx.Err() != nil {
				yield(manifest.Absence{}, context.Cause(ctx))
				return
			}
			if !yield(a, nil) {
				return
			}
		}
		if v.b.AbsentErr != nil {
			yield(manifest.Absence{}, v.b.AbsentErr)
		}
	}
}

// Gaps implements compare.Patchy.
func (v *view) Gaps() []compare.Gap { return v.b.Gaps }

// Blind implements compare.Partly.
func (v *view) Blind() map[string]string { return v.b.Blind }

// Lookup implements compare.Witness.
func (s *Store) Lookup(ctx context.Context, mailbox, folder string, unique []string) ([]compare.Presence, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	s.Calls = append(s.Calls, mailbox+" "+folder)
	for _, u := range unique {
		s.Looks = append(s.Looks, manifest.Ref{Mailbox: mailbox, Folder: folder, Unique: u})
	}
	s.mu.Unlock()
	if s.LookErr != nil {
		return nil, s.LookErr
	}
	out := make([]compare.Presence, len(unique))
	for i, u := range unique {
		out[i] = s.presence(manifest.Ref{Mailbox: mailbox, Folder: folder, Unique: u})
	}
	return out, nil
}

func (s *Store) presence(ref manifest.Ref) compare.Presence {
	if p, ok := s.Now[ref]; ok {
		return p
	}
	if b := s.Boxes[ref.Mailbox]; b != nil && b.has(ref.Folder, ref.Unique) {
		return compare.Present
	}
	return compare.Absent
}

// Evidence implements compare.Witness.
func (s *Store) Evidence(ctx context.Context, _, mailbox string, e *manifest.Entry, kind compare.EvidenceKind) (compare.Evidence, error) {
	if ctx.Err() != nil {
		return compare.Evidence{}, context.Cause(ctx)
	}
	a := Ask{mailbox, e.Folder, e.File(), kind}
	s.mu.Lock()
	s.Asked = append(s.Asked, a)
	s.mu.Unlock()
	if s.EvidenceErr != nil {
		return compare.Evidence{}, s.EvidenceErr
	}
	if ev, ok := s.Known[a]; ok {
		ev.Kind, ev.Known = kind, true
		return ev, nil
	}
	return compare.Evidence{Kind: kind}, nil
}
