package restore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/maildir"
)

// planBoxer plans one mailbox. Its folders are gone through in the order of
// their names; the actions of a folder's messages go to the spool as they are
// found, what must precede them (the folder itself, its UID list) after them,
// and the order in which they are read again is kept in parts.
type planBoxer struct {
	p    *planner
	m    *compare.Mailbox
	box  MailboxForecast
	need need

	place  maildir.Place
	base   *manifest.Mailbox   // the target's record
	others []*manifest.Mailbox // the other sides' records
	began  []time.Time         // of each side's record; zero where there is none
	facts  boxFacts
	uids   *uidPlanner
	parts  []extent
	ground boxGround

	names  []string // folders that are gone through whether or not they have groups
	next   int
	folder *folderPlan
	made   bool // the root is to be made
	wants  map[string]bool

	asideMade bool // UndecidedFolder is planned
}

// plan goes through one mailbox.
func (b *planBoxer) plan(ctx context.Context) error {
	t := &b.m.Sides[0]
	if t.Unknown != "" {
		return b.leave(WhyUnseen, "the target's mailbox cannot be looked at: "+t.Unknown)
	}
	for i := 1; i <= b.p.sources; i++ {
		if why := b.m.Sides[i].Unknown; why != "" {
			b.box.Unknown++
			b.box.Note = b.p.infos[i].Name + ": " + why
		}
	}
	if !b.sourced() && b.missing() {
		return nil
	}
	var known bool
	if b.place, known = b.p.where(b.m.Name); !known {
		return b.leave(WhyUnknown, "the user database does not know the mailbox: name it with --mailbox to restore it")
	}
	if err := b.look(ctx); err != nil {
		return err
	}
	defer b.uids.close()
	for g, err := range b.m.Groups() {
		if err != nil {
			return err
		}
		name := b.folderOf(&g)
		if name == "" {
			continue
		}
		if err := b.advance(ctx, name); err != nil {
			return err
		}
		if err := b.message(ctx, &g); err != nil {
			return err
		}
	}
	return b.finish(ctx)
}

// missing tells whether the target has no such mailbox.
func (b *planBoxer) missing() bool {
	t := &b.m.Sides[0]
	return t.Absent || t.Mailbox == nil || b.p.gone.gone(b.m.Name)
}

// sourced tells whether a source has the mailbox.
func (b *planBoxer) sourced() bool {
	for i := 1; i <= b.p.sources; i++ {
		if b.m.Sides[i].Mailbox != nil {
			return true
		}
	}
	return false
}

// leave plans nothing for a mailbox and says why.
func (b *planBoxer) leave(why Why, detail string) error {
	if !b.sourced() {
		return nil
	}
	a := Action{Op: Mkdir, Ref: manifest.Ref{Store: b.p.target, Mailbox: b.m.Name, Folder: "INBOX"}, State: Skipped, Why: why, Detail: detail}
	if n := b.m.Row.Sides[0].Missing; n > 0 {
		a.Detail += fmt.Sprintf(" (%d messages)", n)
	}
	if why == WhyUnknown && b.m.Row.Sides[0].Missing == 0 && !b.m.Sides[0].Absent {
		return nil
	}
	from := b.p.spool.size
	b.box.action(&a)
	if err := b.p.spool.add(&planRecord{action: &a}); err != nil {
		return err
	}
	b.parts = append(b.parts, extent{from, b.p.spool.size})
	return b.close()
}

// look gathers what is known of the mailbox as a whole.
func (b *planBoxer) look(ctx context.Context) error {
	p := b.p
	t := &b.m.Sides[0]
	b.began = make([]time.Time, len(p.sides))
	for i, s := range p.sides {
		if s.Base == nil {
			continue
		}
		mb, err := b.m.Sides[i].Recorded, error(nil)
		if mb == nil {
			mb, err = header(ctx, s.Base, b.m.Name)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch {
		case err != nil && i == 0:
			// a record that cannot be read is no record
		case mb != nil:
			b.began[i] = mb.Began
			if i == 0 {
				b.base = mb
			} else {
				b.others = append(b.others, mb)
			}
		case i == 0:
			// A complete scan did not see the mailbox: it came later.
			b.began[0] = s.Base.Info().Recorded
		}
	}
	if p.sides[0].Base == nil && !p.infos[0].Recorded.IsZero() && t.Mailbox != nil {
		b.began[0] = t.Mailbox.Began // the target itself is taken from its record
	}
	f := &b.facts
	f.crash = p.crash
	f.scanned = b.began[0]
	if !f.crash.IsZero() && f.scanned.After(f.crash) {
		f.scanned = p.infos[0].LastGood
		if f.scanned.IsZero() || f.scanned.After(f.crash) {
			f.scanned = f.crash
		}
	}
	f.recorded = !b.began[0].IsZero()
	empty := b.missing() || t.Mailbox.Messages == 0
	f.whole = empty || p.resume[b.m.Name]
	if !empty {
		f.recreated = recreated(t.Mailbox, b.base)
	}
	b.ground.Absent = b.missing()
	if !b.ground.Absent {
		b.ground.Root = t.Mailbox.RootInode
	}
	b.uids = newUIDPlanner(b)
	b.made = b.ground.Absent
	b.listFolders()
	return nil
}

// records returns what is recorded of the mailbox on the other sides.
func (b *planBoxer) records() []*manifest.Mailbox { return b.others }

// listFolders collects the folders that are looked at even where no message
// asks for it: those of the target and its record (lost UID lists), and of the
// sources where everything is restored, or a folder is new.
func (b *planBoxer) listFolders() {
	set := map[string]bool{}
	add := func(mb *manifest.Mailbox) {
		if mb == nil {
			return
		}
		for i := range mb.Folders {
			set[mb.Folders[i].Name] = true
		}
	}
	add(b.m.Sides[0].Mailbox)
	b.wants = map[string]bool{}
	for i := 1; i <= b.p.sources; i++ {
		mb := b.m.Sides[i].Mailbox
		if mb == nil {
			continue
		}
		add(mb)
		if b.facts.whole {
			for _, s := range mb.Subscriptions {
				b.wants[s] = true
			}
		}
	}
	t := b.m.Sides[0].Mailbox
	if b.base != nil && b.base.Subscribed && t != nil && !t.Subscribed {
		for _, s := range b.base.Subscriptions {
			b.wants[s] = true
		}
	}
	if t != nil {
		for _, s := range t.Subscriptions {
			delete(b.wants, s)
		}
	}
	for s := range b.wants {
		set[s] = true
	}
	for name := range set {
		b.names = append(b.names, name)
	}
	slices.Sort(b.names)
}

// folderOf is the folder of the target that a group concerns: that of the
// target's own copy, else that of the source's.
func (b *planBoxer) folderOf(g *compare.Group) string {
	for i := 0; i <= b.p.sources; i++ {
		if e := g.Copies[i].Entry; e != nil {
			return e.Folder
		}
	}
	return ""
}

// root is the action that makes the mailbox itself, or that only says that
// everything of it is restored.
func (b *planBoxer) root() (Action, bool) {
	a := Action{Op: Mkdir, Ref: manifest.Ref{Store: b.p.target, Mailbox: b.m.Name, Folder: "INBOX"}, Whole: b.facts.whole, State: Planned}
	like := b.base
	for i := 1; i <= b.p.sources; i++ {
		mb := b.m.Sides[i].Mailbox
		if mb == nil {
			continue
		}
		if a.From == "" {
			a.From, a.Path = b.p.infos[i].Name, mb.Path
			if a.Path == "" {
				a.Path = "."
			}
		}
		if like == nil {
			like = mb
		}
	}
	if like != nil {
		a.Owner, a.Group, a.Mode = like.Owner, like.Group, like.Mode
	}
	return a, b.ground.Absent && b.sourced()
}

// finish ends the last folder and closes the mailbox.
func (b *planBoxer) finish(ctx context.Context) error {
	for b.next < len(b.names) {
		n := b.names[b.next]
		b.next++
		if err := b.begin(ctx, n); err != nil {
			return err
		}
	}
	if err := b.endFolder(ctx); err != nil {
		return err
	}
	if a, make := b.root(); make && (b.box.Messages+b.box.Other > 0 || b.p.sourcesEmpty(b.m)) {
		from := b.p.spool.size
		b.box.action(&a)
		b.need.take(&a)
		if err := b.p.spool.add(&planRecord{action: &a}); err != nil {
			return err
		}
		b.parts = slices.Insert(b.parts, 0, extent{from, b.p.spool.size})
	}
	b.quota()
	b.p.room(b)
	return b.close()
}

// sourcesEmpty tells whether a source has the mailbox, without a message.
func (p *planner) sourcesEmpty(m *compare.Mailbox) bool {
	for i := 1; i <= p.sources; i++ {
		if mb := m.Sides[i].Mailbox; mb != nil && mb.Messages == 0 {
			return true
		}
	}
	return false
}

// close writes the mailbox' forecast before its actions.
func (b *planBoxer) close() error {
	x := &b.box
	if x.Messages+x.Other+x.Skipped+x.Moved+int64(len(x.NextUID)) == 0 && x.Note == "" {
		return nil
	}
	from := b.p.spool.size
	if err := b.p.spool.add(&planRecord{box: x, ground: &b.ground}); err != nil {
		return err
	}
	order := 0
	if b.p.o.Order != nil {
		order = b.p.o.Order(b.m.Name)
	}
	b.p.spool.box(order, b.m.Name, slices.Insert(b.parts, 0, extent{from, b.p.spool.size}))
	return nil
}

// quota forecasts who goes over quota.
func (b *planBoxer) quota() {
	if b.box.Bytes == 0 || !b.uids.opened() {
		return
	}
	q, limit, ok := b.uids.quota()
	if !ok {
		return
	}
	b.box.QuotaLimit, b.box.QuotaAfter = limit, q+b.box.Bytes
	b.box.QuotaCommand = "doveadm quota recalc -u " + shellQuote(b.m.Name)
}
