package compare

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"mailsync/manifest"
)

// sideError is the failure to look at one side to its end.
type sideError struct {
	side int
	base bool
	err  error
}

func (e *sideError) Error() string { return e.err.Error() }
func (e *sideError) Unwrap() error { return e.err }

var errOrder = errors.New("its messages come out of order")

// stream is one side's entries, or those of its base, while they are merged.
type stream struct {
	side int
	base bool
	next func() (manifest.Entry, error, bool)
	stop func()
	head manifest.Entry
	ok   bool
}

func (s *stream) advance() error {
	e, err, ok := s.next()
	if err != nil {
		return &sideError{s.side, s.base, err}
	}
	if ok && s.ok && s.head.Compare(&e) >= 0 {
		return &sideError{s.side, s.base, fmt.Errorf("%w: %q comes after %q", errOrder, e.File(), s.head.File())}
	}
	s.head, s.ok = e, ok
	return nil
}

// merger merges the streams of all sides by folder and unique name.
type merger struct {
	b       *body
	streams []*stream
	lists   [][]manifest.Entry // of the current name, a side
	bases   [][]manifest.Entry
	groups  [][]tagged
	folder  int
	uv      []uint32 // UIDVALIDITY of the current folder, a side
	seen    int64    // groups that are plainly the same
}

// merge consumes the entries of all views to their end.
func (b *body) merge(ctx context.Context, views []View, bases []View) (same int64, err error) {
	m := &merger{b: b, lists: make([][]manifest.Entry, len(views)), bases: make([][]manifest.Entry, len(views)), uv: make([]uint32, len(views)), folder: -1}
	defer func() {
		for _, s := range m.streams {
			s.stop()
		}
	}()
	for k, list := range [2][]View{views, bases} {
		for i, v := range list {
			if v == nil {
				continue
			}
			s := &stream{side: i, base: k == 1}
			s.next, s.stop = iter.Pull2(v.Entries(ctx))
			m.streams = append(m.streams, s)
		}
	}
	for _, s := range m.streams {
		if err := s.advance(); err != nil {
			return 0, err
		}
	}
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		more, err := m.step()
		if err != nil {
			return 0, err
		}
		if !more {
			return m.seen, nil
		}
	}
}

// step deals with the lowest name of all streams.
func (m *merger) step() (bool, error) {
	var low *manifest.Entry
	for _, s := range m.streams {
		if s.ok && !s.base && (low == nil || compareName(&s.head, low) < 0) {
			low = &s.head
		}
	}
	if low == nil {
		return false, m.drain()
	}
	folder, unique := low.Folder, low.Unique
	if m.folder < 0 || m.b.names[m.folder] != folder {
		m.enter(folder)
	}
	for i := range m.lists {
		m.lists[i], m.bases[i] = m.lists[i][:0], m.bases[i][:0]
	}
	for _, s := range m.streams {
		for s.ok {
			c := cmp.Or(strings.Compare(s.head.Folder, folder), strings.Compare(s.head.Unique, unique))
			if c > 0 {
				break
			}
			if c == 0 {
				list := &m.lists[s.side]
				if s.base {
					list = &m.bases[s.side]
				}
				*list = append(*list, s.head)
			}
			if err := s.advance(); err != nil {
				return false, err
			}
		}
	}
	return true, m.name()
}

// drain reads the bases to their end: only a record that was read whole counts.
func (m *merger) drain() error {
	for _, s := range m.streams {
		for s.ok {
			if err := s.advance(); err != nil {
				return err
			}
		}
	}
	return nil
}

func compareName(a, b *manifest.Entry) int {
	if c := strings.Compare(a.Folder, b.Folder); c != 0 {
		return c
	}
	return strings.Compare(a.Unique, b.Unique)
}

func (m *merger) enter(folder string) {
	m.folder = m.b.folderIndex(folder)
	f := &m.b.folders[m.folder]
	for i := range m.uv {
		m.uv[i] = 0
		if f.info[i] != nil {
			m.uv[i] = f.info[i].Validity()
		}
	}
}

// name deals with all copies of one name.
func (m *merger) name() error {
	b := m.b
	f := &b.folders[m.folder]
	single := true
	for i := range m.lists {
		if len(m.lists[i]) > 1 {
			m.lists[i] = collapse(m.lists[i])
		}
		if n := len(m.lists[i]); n > 0 {
			f.messages[i] += int64(n)
			b.sides[i].messages += int64(n)
			if f.info[i] == nil {
				// A folder that holds messages is there, whatever the listing of folders says.
				f.info[i] = &manifest.Folder{Name: b.names[m.folder]}
			}
			single = single && n == 1
			for k := range m.lists[i] {
				m.note(i, &m.lists[i][k])
			}
		}
	}
	m.groups = m.groups[:0]
	if single {
		var g []tagged
		if len(m.groups) < cap(m.groups) {
			g = m.groups[:1][0][:0]
		}
		for i := range m.lists {
			if len(m.lists[i]) == 1 {
				g = append(g, tagged{side: i, e: &m.lists[i][0]})
			}
		}
		m.groups = append(m.groups, g)
	} else {
		m.pair()
	}
	for k, g := range m.groups {
		if err := m.settle(g, k == 0); err != nil {
			return err
		}
	}
	return nil
}

// note keeps count of what matters to a whole side.
func (m *merger) note(side int, e *manifest.Entry) {
	s := &m.b.sides[side]
	switch e.Status {
	case manifest.Unread:
		s.unread++
		if s.why == "" {
			s.why = e.Detail
		}
	case manifest.Damaged:
		s.Damaged++
	}
	if !e.Plain.IsZero() {
		s.packed = true
	}
}

// collapse leaves one of several names of one file, as a flag change or a
// crash can leave them: the last.
func collapse(list []manifest.Entry) []manifest.Entry {
	out := list[:0]
	for i := range list {
		again := slices.ContainsFunc(list[i+1:], func(o manifest.Entry) bool {
			return o.Inode != 0 && o.Inode == list[i].Inode
		})
		if !again {
			out = append(out, list[i])
		}
	}
	return out
}

// pair distributes several copies of one name on groups: those of the same
// content and file name together, then those of the same content, then in
// their order.
func (m *merger) pair() {
	type exact struct {
		d    manifest.Digest
		name string
	}
	var all, rest []tagged
	for i := range m.lists {
		for k := range m.lists[i] {
			all = append(all, tagged{side: i, e: &m.lists[i][k]})
		}
	}
	slices.SortStableFunc(all, func(a, b tagged) int { return cmp.Or(a.e.Compare(b.e), cmp.Compare(a.side, b.side)) })
	content := func(g []tagged) manifest.Digest { d, _ := trusted(g[0].e); return d }
	seats := func(list []tagged, fits func(g []tagged, t tagged) bool) {
		for _, t := range list {
			k := slices.IndexFunc(m.groups, func(g []tagged) bool { return !hasSide(g, t.side) && fits(g, t) })
			if k < 0 {
				m.groups = append(m.groups, []tagged{t})
				continue
			}
			m.groups[k] = append(m.groups[k], t)
		}
	}
	// Groups of one copy are free for the next, weaker way of pairing.
	free := func() {
		full := m.groups[:0]
		rest = rest[:0]
		for _, g := range m.groups {
			if len(g) > 1 {
				full = append(full, g)
			} else {
				rest = append(rest, g[0])
			}
		}
		m.groups = full
		slices.SortStableFunc(m.groups, func(a, b []tagged) int {
			x, y := content(a), content(b)
			return cmp.Or(cmp.Compare(len(b), len(a)), bytes.Compare(x.Sum[:], y.Sum[:]), strings.Compare(a[0].e.Name, b[0].e.Name))
		})
	}
	key := func(t tagged) (exact, bool) { d, ok := trusted(t.e); return exact{d, t.e.Name}, ok }
	seats(all, func(g []tagged, t tagged) bool {
		x, okX := key(g[0])
		y, okY := key(t)
		return okX && okY && x == y
	})
	free()
	seats(slices.Clone(rest), func(g []tagged, t tagged) bool {
		x, okX := trusted(g[0].e)
		y, okY := trusted(t.e)
		return okX && okY && x == y
	})
	free()
	seats(slices.Clone(rest), func([]tagged, tagged) bool { return true })
	for _, g := range m.groups {
		slices.SortFunc(g, func(a, b tagged) int { return cmp.Compare(a.side, b.side) })
	}
}

func hasSide(g []tagged, side int) bool {
	return slices.ContainsFunc(g, func(t tagged) bool { return t.side == side })
}

// settle counts a group that is the same everywhere and keeps any other.
func (m *merger) settle(g []tagged, first bool) error {
	b := m.b
	var mask uint32
	for _, t := range g {
		mask |= 1 << t.side
	}
	for k, t := range g {
		for _, u := range g[:k] {
			if b.oneFile(t.e, t.side, u.e, u.side) {
				b.sides[t.side].linked++
				break
			}
		}
	}
	whole := mask == b.part
	if whole && m.plain(g) && !(b.c.o.Groups && b.absent != 0) {
		m.seen++
		return nil
	}
	if first {
		for i := range m.bases {
			if len(m.bases[i]) > 0 {
				g = append(g, tagged{side: i, base: true, e: &m.bases[i][0]})
			}
		}
	}
	if !whole {
		for _, t := range g {
			if !t.base && t.e.Status == manifest.Unread {
				s := &b.sides[t.side]
				if s.loose == nil {
					s.loose = make(map[int64]int64)
				}
				s.loose[t.e.Size]++
			}
		}
	}
	i, err := b.keep(m.folder, g)
	if err == nil {
		for k := range m.lists {
			if len(m.lists[k]) > 0 {
				b.cells.at(i).named |= 1 << k
			}
		}
	}
	return err
}

// plain tells whether copies under one name differ in nothing that counts, and
// nothing speaks against any of them.
func (m *merger) plain(g []tagged) bool {
	x := g[0].e
	for _, t := range g {
		e := t.e
		if e.Status != manifest.Sound && e.Status != manifest.Suspect || e.Digest.IsZero() {
			return false
		}
		if e == x {
			continue
		}
		if e.Content() != x.Content() || e.Flags != x.Flags || second(e.MTime) != second(x.MTime) || !slices.Equal(e.Keywords, x.Keywords) {
			return false
		}
	}
	for k, t := range g {
		for _, u := range g[:k] {
			if t.e.UID != u.e.UID && t.e.UID != 0 && u.e.UID != 0 && m.uv[t.side] != 0 && m.uv[t.side] == m.uv[u.side] {
				return false
			}
		}
	}
	return true
}

// second returns the whole second of a time in nanoseconds, as IMAP counts.
func second(ns int64) int64 {
	s := ns / 1e9
	if ns%1e9 < 0 {
		s--
	}
	return s
}
