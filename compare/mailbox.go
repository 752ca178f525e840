package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mailsync/manifest"
)

// job is one mailbox to compare: what the listings say of it.
type job struct {
	name   string
	heads  []Head
	listed uint32 // sides whose listing has it
	final  bool   // what all sides lost without evidence is known
}

// mailbox compares one mailbox. A side that fails on the way is unknown, and
// the others are compared without it from the start.
func (c *Comparison) mailbox(ctx context.Context, j *job) (*Mailbox, error) {
	failed := make([]string, len(c.sides))
	noBase := make([]bool, len(c.sides))
	for {
		b := &body{c: c, name: j.name, folder: make(map[string]int), sides: make([]sideState, len(c.sides))}
		b.mem = &c.state.memory
		m, err := b.compare(ctx, j, failed, noBase)
		if err == nil {
			return m, nil
		}
		b.release()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if errors.Is(err, errDefer) {
			return nil, err
		}
		var s *sideError
		if !errors.As(err, &s) {
			return nil, fmt.Errorf("mailbox %q: %w", j.name, err)
		}
		if s.base {
			noBase[s.side] = true
		} else {
			failed[s.side] = s.err.Error()
		}
	}
}

// open looks at one side's mailbox.
func (b *body) open(ctx context.Context, i int, failed string) (View, error) {
	s, side := &b.sides[i], &b.c.sides[i]
	s.live = side.Witness != nil && b.c.infos[i].Recorded.IsZero()
	if failed != "" {
		s.Unknown = failed
		return nil, nil
	}
	// A mailbox that the listing lacks is asked for all the same: the listing
	// may be older, or the store know why it cannot tell.
	v, err := side.Source.Open(ctx, b.name)
	switch {
	case err == nil:
		return v, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, ErrNoMailbox):
		s.Absent = true
		return nil, b.vanished(ctx, i)
	}
	s.Unknown = err.Error()
	return nil, nil
}

// vanished makes a mailbox unknown that its side's record knows: it may be
// gone with its disk.
func (b *body) vanished(ctx context.Context, i int) error {
	base := b.c.sides[i].Base
	if base == nil {
		return nil
	}
	v, err := base.Open(ctx, b.name)
	if errors.Is(err, ErrNoMailbox) {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s := &b.sides[i]
	if err == nil {
		mb := *v.Mailbox()
		s.Recorded, s.gone = &mb, mb.Messages
		_ = v.Close()
	}
	s.Absent, s.Unknown = false, "the mailbox is recorded, and is not there now"
	return nil
}

// errDefer: messages of the mailbox are gone without evidence, and it is not
// known yet how much of the store went with them.
var errDefer = errors.New("to be compared when all others are")

func (b *body) compare(ctx context.Context, j *job, failed []string, noBase []bool) (m *Mailbox, err error) {
	n := len(b.sides)
	views, bases := make([]View, n), make([]View, n)
	defer func() {
		for _, v := range append(views, bases...) {
			if v != nil {
				_ = v.Close()
			}
		}
	}()
	opened := 0
	for i := range b.sides {
		s := &b.sides[i]
		if views[i], err = b.open(ctx, i, failed[i]); err != nil {
			return nil, err
		}
		switch {
		case views[i] != nil:
			s.Mailbox = views[i].Mailbox()
			b.part |= 1 << i
			opened++
		case s.Absent:
			b.absent |= 1 << i
		}
	}
	row := Row{Mailbox: b.name}
	row.Mailboxes = 1
	if opened == 1 && !b.c.o.Groups && b.known(j) {
		b.skipSingle(j, &row)
	} else if opened > 0 {
		if err := b.openBases(ctx, bases, noBase); err != nil {
			return nil, err
		}
		if err := b.fill(ctx, j, views, bases, &row); err != nil {
			return nil, err
		}
	}
	b.topLines(&row)
	return b.done(&row), nil
}

// known tells whether the only mailbox there is need not be opened to be counted.
func (b *body) known(j *job) bool {
	for i := range b.sides {
		if b.part&(1<<i) != 0 {
			h := &j.heads[i]
			return j.listed&(1<<i) != 0 && h.Messages >= 0 && h.Damaged == 0 && !h.State.IsZero()
		}
	}
	return false
}

func (b *body) skipSingle(j *job, row *Row) {
	for i := range b.sides {
		if b.part&(1<<i) != 0 {
			b.sides[i].messages = j.heads[i].Messages
			row.Messages += j.heads[i].Messages
		}
	}
}

func (b *body) openBases(ctx context.Context, bases []View, noBase []bool) error {
	for i := range b.sides {
		base := b.c.sides[i].Base
		if base == nil || noBase[i] || b.part&(1<<i) == 0 {
			continue
		}
		v, err := base.Open(ctx, b.name)
		if ctx.Err() != nil {
			if err == nil {
				_ = v.Close()
			}
			return context.Cause(ctx)
		}
		if err == nil {
			bases[i] = v
			mb := *v.Mailbox()
			b.sides[i].Recorded = &mb
		} else if !errors.Is(err, ErrNoMailbox) {
			b.sides[i].doubt("its record cannot be read: "+err.Error(), 0)
		}
	}
	return nil
}

// fill merges, matches and judges the messages.
func (b *body) fill(ctx context.Context, j *job, views, bases []View, row *Row) error {
	for i := range b.sides {
		if m := b.sides[i].Mailbox; m != nil {
			for k := range m.Folders {
				f := &b.folders
				at := b.folderIndex(m.Folders[k].Name)
				(*f)[at].info[i] = &m.Folders[k]
			}
		}
	}
	same, err := b.merge(ctx, views, bases)
	if err != nil {
		return err
	}
	row.Messages += same
	// The folders as the ended look knows them.
	for i := range b.sides {
		if views[i] == nil {
			continue
		}
		m := views[i].Mailbox()
		b.sides[i].Mailbox = m
		if p, ok := views[i].(Partly); ok {
			if b.sides[i].blind = p.Blind(); len(b.sides[i].blind) > 0 {
				b.sides[i].doubt(b.sides[i].hides(), 0)
			}
		}
		b.takeGaps(i, views[i])
		for k := range m.Folders {
			b.folders[b.folderIndex(m.Folders[k].Name)].info[i] = &m.Folders[k]
		}
	}
	keys, err := b.joinAll(ctx)
	if err != nil {
		return err
	}
	for i, v := range views {
		if v == nil {
			continue
		}
		if err := b.attachAbsences(ctx, i, v, keys); err != nil {
			return err
		}
	}
	if b.c.state.breaker(b, j.final) {
		return errDefer
	}
	return b.conclude(ctx, row)
}

// topLines makes the lines about the mailbox and its folders, and counts what
// could not be looked at.
func (b *body) topLines(row *Row) {
	if b.part == 0 {
		return
	}
	if b.absent != 0 {
		b.mailboxMissing(row)
	}
	b.subscriptions(row)
	order := make([]int, len(b.folders))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Compare(b.names[x], b.names[y]) })
	for _, k := range order {
		b.folderLines(k, row)
	}
}

func (b *body) add(row *Row, d Difference) {
	d.Mailbox = b.name
	row.count(d.Kind)
	b.top = append(b.top, d)
}

// boxes returns the sides of a line about the whole mailbox.
func (b *body) boxes() []Copy {
	copies := make([]Copy, len(b.sides))
	for i := range b.sides {
		s := &b.sides[i]
		copies[i] = Copy{Mailbox: s.Mailbox, Unknown: s.Unknown}
	}
	return copies
}

func (b *body) mailboxMissing(row *Row) {
	d := Difference{Kind: MailboxMissing, Copies: b.boxes()}
	var have, lack []string
	for i := range d.Copies {
		switch c := &d.Copies[i]; {
		case c.Mailbox != nil:
			have = append(have, b.c.infos[i].Name)
			d.Good = append(d.Good, i)
			d.Messages = max(d.Messages, b.sides[i].messages)
		case c.Absent():
			lack = append(lack, b.c.infos[i].Name)
		default:
			b.sides[i].doubt(c.Unknown, 0)
		}
	}
	if len(lack) == 0 {
		return
	}
	for i := range d.Copies {
		if d.Copies[i].Absent() {
			b.sides[i].missing += d.Messages
		}
	}
	d.Reason = fmt.Sprintf("%s: no such mailbox; it is in %s", strings.Join(lack, ", "), strings.Join(have, ", "))
	b.add(row, d)
}

func (b *body) subscriptions(row *Row) {
	var first *manifest.Mailbox
	differs := false
	copies := b.boxes()
	for i := range b.sides {
		m := b.sides[i].Mailbox
		if m == nil {
			continue
		}
		if g := b.sides[i].gap(inbox, SubscriptionList); g != nil {
			copies[i] = Copy{Unknown: g.String()}
			continue
		}
		if first == nil {
			first = m
			continue
		}
		differs = differs || !slices.Equal(first.Subscriptions, m.Subscriptions)
	}
	if !differs {
		return
	}
	d := Difference{Kind: Subscriptions, Copies: copies, Reason: "the lists of subscribed folders differ"}
	b.add(row, d)
}

func (b *body) folderLines(k int, row *Row) {
	f := &b.folders[k]
	copies := make([]Copy, len(b.sides))
	var have, lack []int
	for i := range b.sides {
		s := &b.sides[i]
		c := &copies[i]
		switch {
		case f.info[i] != nil:
			c.Folder = f.info[i]
			have = append(have, i)
		case s.Unknown != "":
			c.Unknown = s.Unknown
		case s.Absent:
		case b.names[k] == inbox:
			// A mailbox that is there has an INBOX, if an empty one.
			c.Folder = &manifest.Folder{Name: inbox}
		case f.hidden[i] != "":
			c.Unknown = f.hidden[i]
		case len(s.blind) > 0:
			c.Unknown = s.hides()
		case s.tripped != "" && s.goneFrom[b.names[k]] && !b.c.o.Groups:
			c.Unknown = s.tripped
			s.doubt(s.tripped, f.most())
		default:
			lack = append(lack, i)
		}
	}
	if len(have) == 0 {
		return // only an absence names it
	}
	if len(lack) > 0 {
		d := Difference{Folder: b.names[k], Kind: FolderMissing, Copies: copies, Good: have, Messages: f.most()}
		names := func(sides []int) string {
			list := make([]string, len(sides))
			for n, i := range sides {
				list[n] = b.c.infos[i].Name
			}
			return strings.Join(list, ", ")
		}
		d.Reason = fmt.Sprintf("%s: no such folder; it is in %s", names(lack), names(have))
		for _, i := range lack {
			if n := f.elsewhere[i]; n > 0 {
				d.Reason += fmt.Sprintf("; %d of its messages are in other folders of %s", n, b.c.infos[i].Name)
			}
		}
		b.add(row, d)
	}
	b.uidValidity(k, have, copies, row)
}

const inbox = "INBOX"

func (f *folderState) most() (n int64) {
	for _, m := range f.messages {
		n = max(n, m)
	}
	return n
}

// done sums up.
func (b *body) done(row *Row) *Mailbox {
	row.Sides = make([]RowSide, len(b.sides))
	m := &Mailbox{Name: b.name, Sides: make([]MailboxSide, len(b.sides)), body: b}
	for i := range b.sides {
		s := &b.sides[i]
		if s.Unknown != "" {
			s.doubt(s.Unknown, 0)
		}
		if s.unread > 0 {
			s.doubt(cmp.Or(s.why, "messages could not be read"), s.unread)
			row.Unknown += s.unread
		}
		row.Sides[i] = RowSide{
			Unknown: s.Unknown, Absent: s.Absent, Messages: s.messages,
			Missing: s.missing, Damaged: s.Damaged, Linked: s.linked,
		}
		m.Sides[i] = s.MailboxSide
	}
	m.Row = *row
	b.c.state.add(b, row)
	return m
}
