package restore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"mailsync/manifest"
	"mailsync/restore/place"
	"mailsync/scan/maildir"
)

// UIDMargin is what a safe next UID has beyond the highest that is known:
// UIDs that a lost server gave and nobody recorded.
const UIDMargin = 10_000

// uidPlanner looks at the target's UID lists and logs while a mailbox is
// planned. It opens nothing before it is asked.
type uidPlanner struct {
	b       *planBoxer
	box     *mbox
	tried   bool
	err     error
	folders map[string]*uidState // by directory
	record  map[string][]UIDLine // by folder: the target's recorded UIDs
}

func newUIDPlanner(b *planBoxer) *uidPlanner {
	return &uidPlanner{b: b, folders: map[string]*uidState{}}
}

func (u *uidPlanner) close() {
	if u != nil && u.box != nil {
		u.box.close()
	}
}

// opened tells whether the target's mailbox can be looked at on disk.
func (u *uidPlanner) opened() bool {
	if !u.tried {
		u.tried = true
		if u.b.p.open != nil && !u.b.ground.Absent {
			u.box, u.err = u.b.p.open.openAt(u.b.m.Name, u.b.place)
			if errors.Is(u.err, fs.ErrNotExist) {
				u.err = nil
			}
		}
	}
	return u.box != nil
}

// logged tells what the target's server remembers of a message that is gone.
func (u *uidPlanner) logged(_ context.Context, f *folderPlan, base string) (maildir.Gone, error) {
	s, err := u.state(f)
	if err != nil || s == nil {
		return maildir.NotInLog, err
	}
	return s.gone(base), nil
}

// list plans what happens to a folder's UID list, and forecasts what its
// clients fetch again.
func (u *uidPlanner) list(ctx context.Context, f *folderPlan) ([]Action, error) {
	s, err := u.state(f)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		u.b.box.Unknown++
		u.b.box.Note = "the server's files cannot be read: " + err.Error()
		return nil, nil
	}
	b := u.b
	if s != nil && s.planted {
		b.box.Unknown++
		b.box.Note = "what lies in the place of the UID list of " + f.name + " is no file: UIDs are not looked after"
		return nil, nil
	}
	if s == nil && b.p.open == nil && f.there != nil && f.there.Validity() != 0 {
		s = &uidState{there: true, header: maildir.UIDHeader{UIDValidity: f.there.UIDValidity}, next: f.there.UIDNext}
	}
	if s != nil && s.there && s.broken == nil {
		u.forecast(f, s, nil)
		return u.raise(f, s), nil
	}
	from, list, err := u.restored(ctx, f, s)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		b.box.Unknown++
		b.box.Note = "the record cannot be read: " + err.Error()
		return nil, nil
	}
	if list == nil {
		u.forecast(f, s, nil)
		return nil, nil
	}
	a := Action{Op: UID, Ref: manifest.Ref{Folder: f.name}, Dir: f.dir, From: from, UIDs: list}
	a.Detail = fmt.Sprintf("the UID list is restored from %s before the server looks: UIDVALIDITY %d, next UID %d, %d messages", from, list.Validity, list.Next, len(list.Lines))
	if s != nil && s.there {
		a.Pre = Ground{Inode: s.inode, Size: s.size}
	}
	u.forecast(f, s, list)
	return []Action{a}, nil
}

// restored makes the list of a folder that has lost its own: from the
// target's record, or, where everything is restored, from the source's.
func (u *uidPlanner) restored(ctx context.Context, f *folderPlan, s *uidState) (string, *UIDs, error) {
	b := u.b
	if b.base != nil {
		if r := b.base.Folder(f.name); r != nil && r.UIDValidity != 0 {
			lines, err := u.recorded(ctx, f.name)
			if err != nil {
				return "", nil, err
			}
			return "the record", u.compose(f, s, r, lines), nil
		}
	}
	if !b.facts.whole {
		return "", nil, nil
	}
	for i := 1; i <= b.p.sources; i++ {
		mb := b.m.Sides[i].Mailbox
		if mb == nil {
			continue
		}
		r := mb.Folder(f.name)
		if r == nil || r.UIDValidity == 0 {
			continue
		}
		return b.p.infos[i].Name, u.compose(f, s, r, f.lines[i]), nil
	}
	return "", nil, nil
}

// compose makes a list that is strictly valid; nil where the server has gone
// on with another UIDVALIDITY.
func (u *uidPlanner) compose(f *folderPlan, s *uidState, r *manifest.Folder, lines []UIDLine) *UIDs {
	list := &UIDs{Validity: r.UIDValidity, GUID: r.GUID, Next: r.UIDNext}
	if s != nil && s.validity() != 0 && s.validity() != r.UIDValidity {
		return nil
	}
	if s != nil && s.there {
		list.Next = max(list.Next, s.next)
	}
	slices.SortFunc(lines, func(a, b UIDLine) int { return cmp.Compare(a.UID, b.UID) })
	list.Lines = slices.CompactFunc(lines, func(a, b UIDLine) bool { return a.UID == b.UID })
	known := u.highest(f.name, r.UIDValidity)
	if s != nil && s.seen {
		list.Next = max(list.Next, known, s.serverNext())
	} else {
		list.Next = beyond(max(list.Next, known))
	}
	if n := len(list.Lines); n > 0 {
		list.Next = max(list.Next, list.Lines[n-1].UID+1)
	}
	return list
}

// beyond adds the margin to a next UID, as far as there are UIDs.
func beyond(next uint32) uint32 {
	return max(next, uint32(min(int64(max(next, 1))+UIDMargin, 1<<32-2)))
}

// recorded returns the UIDs that the target's record knows of a folder.
func (u *uidPlanner) recorded(ctx context.Context, folder string) ([]UIDLine, error) {
	if u.record == nil {
		u.record = map[string][]UIDLine{}
		v, err := u.b.p.sides[0].Base.Open(ctx, u.b.m.Name)
		if err != nil {
			return nil, err
		}
		defer v.Close()
		for e, err := range v.Entries(ctx) {
			if err != nil {
				return nil, err
			}
			if e.UID != 0 {
				n := maildir.ParseName(e.Name)
				u.record[e.Folder] = append(u.record[e.Folder], UIDLine{UID: e.UID, Base: []byte(n.ServerBase)})
			}
		}
	}
	return u.record[folder], nil
}

// highest returns the highest next UID that any store or record knows under a
// UIDVALIDITY.
func (u *uidPlanner) highest(folder string, validity uint32) (next uint32) {
	see := func(mb *manifest.Mailbox) {
		if mb == nil {
			return
		}
		if f := mb.Folder(folder); f != nil && f.UIDValidity == validity {
			next = max(next, f.UIDNext)
		}
	}
	for i := range u.b.m.Sides {
		see(u.b.m.Sides[i].Mailbox)
	}
	see(u.b.base)
	for _, mb := range u.b.records() {
		see(mb)
	}
	return next
}

// raise plans, or only names, the raising of a next UID that other stores
// have gone beyond: the sign of an older copy that was promoted.
func (u *uidPlanner) raise(f *folderPlan, s *uidState) []Action {
	b := u.b
	v := s.validity()
	if v == 0 {
		return nil
	}
	known := max(u.highest(f.name, v), s.serverNext())
	if known <= s.next {
		return nil
	}
	x := SafeUID{Folder: f.name, Now: s.next, Safe: beyond(known)}
	ours := b.p.o.FixUIDNext && s.there
	args := []string{"doveadm mailbox update"}
	if !ours {
		args = append(args, "--min-next-uid", strconv.FormatUint(uint64(x.Safe), 10))
	}
	if m := u.modseq(f.name, v); m > 0 {
		x.HighestModSeq = m + UIDMargin
		args = append(args, "--min-highest-modseq", strconv.FormatUint(x.HighestModSeq, 10))
	}
	if len(args) > 1 { // the counter of changes lies in the index, which only the server writes
		args = append(args, "-u", shellQuote(b.m.Name))
		if strings.HasPrefix(f.name, "-") {
			args = append(args, "--") // a folder called -A is not everybody
		}
		x.Command = strings.Join(append(args, shellQuote(f.name)), " ")
	}
	b.box.NextUID = append(b.box.NextUID, x)
	if !ours {
		return nil
	}
	return []Action{{
		Op: UID, Ref: manifest.Ref{Folder: f.name}, Dir: f.dir, Pre: Ground{Inode: s.inode, Size: s.size},
		UIDs:   &UIDs{Validity: v, Next: x.Safe},
		Detail: fmt.Sprintf("next UID %d is raised to %d: clients know UIDs up to %d", s.next, x.Safe, known-1),
	}}
}

// modseq returns the highest HIGHESTMODSEQ that a store or record knows, 0
// where the target's own is the highest.
func (u *uidPlanner) modseq(folder string, validity uint32) (top uint64) {
	own := uint64(0)
	for i := range u.b.m.Sides {
		mb := u.b.m.Sides[i].Mailbox
		if mb == nil {
			continue
		}
		if f := mb.Folder(folder); f != nil && f.UIDValidity == validity {
			if i == 0 {
				own = f.HighestModSeq
			}
			top = max(top, f.HighestModSeq)
		}
	}
	if top <= own {
		return 0
	}
	return top
}

// forecast says what the folder's clients will see.
func (u *uidPlanner) forecast(f *folderPlan, s *uidState, list *UIDs) {
	x := &u.b.box
	lines := map[string]bool{}
	if list != nil {
		x.UIDs = worse(x.UIDs, UIDRestored)
		for _, l := range list.Lines {
			lines[string(l.Base)] = true
		}
	}
	for base, size := range f.adding {
		switch {
		case list != nil && lines[base]:
		case list == nil && s != nil && s.index != nil && s.index.UID(base) != 0 && s.gone(base) == maildir.NotInLog:
			x.UIDs = worse(x.UIDs, UIDKept)
		default:
			x.UIDs = worse(x.UIDs, UIDNew)
			x.FetchMessages++
			x.FetchBytes += size
		}
	}
	if list == nil && u.moves(f, s) {
		x.UIDs = worse(x.UIDs, UIDResync)
		x.UIDValidity = true
	}
}

// moves tells whether the folder's UIDVALIDITY will be another than clients
// know: its list is gone and nothing is there to restore it from.
func (u *uidPlanner) moves(f *folderPlan, s *uidState) bool {
	if s != nil && (s.there && s.broken == nil || s.validity() != 0) {
		return false
	}
	if f.there == nil && f.adds == 0 {
		return false
	}
	for _, mb := range append(u.b.sources(), u.b.base) {
		if mb == nil {
			continue
		}
		if r := mb.Folder(f.name); r != nil && r.UIDValidity != 0 {
			return true
		}
	}
	return false
}

// sources returns the sources' mailboxes.
func (b *planBoxer) sources() []*manifest.Mailbox {
	var out []*manifest.Mailbox
	for i := 1; i <= b.p.sources; i++ {
		out = append(out, b.m.Sides[i].Mailbox)
	}
	return out
}

// quota reads the mailbox' usage and limit, in bytes.
func (u *uidPlanner) quota() (used, limit int64, ok bool) {
	p, _, err := place.ReadSmall(u.box.root, quotaName, 1<<20)
	if err != nil {
		return 0, 0, false
	}
	q, err := maildir.ParseQuota(bytes.NewReader(p))
	if err != nil {
		return 0, 0, false
	}
	for part := range strings.SplitSeq(q.Limits, ",") {
		if n, ok := strings.CutSuffix(part, "S"); ok {
			limit, _ = strconv.ParseInt(n, 10, 64)
		}
	}
	return q.Bytes, limit, true
}
