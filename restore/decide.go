package restore

import (
	"context"
	"slices"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/maildir"
)

// message decides on one group of copies.
func (b *planBoxer) message(ctx context.Context, g *compare.Group) error {
	t := &g.Copies[0]
	switch {
	case t.Unknown != "":
		src, side := b.pick(g, nil)
		if src == nil {
			return nil
		}
		return b.skip(b.add(g, src, side), WhyUnseen, "the target's copy cannot be looked at: "+t.Unknown)
	case t.Entry != nil:
		return b.present(g, t)
	}
	return b.absent(ctx, g)
}

// skip writes an action that is left alone.
func (b *planBoxer) skip(a Action, why Why, detail string) error {
	a.State, a.Why, a.Detail = Skipped, why, detail
	return b.emit(&a)
}

// pick returns the first source's copy that accept likes, in the order of the
// operator's trust.
func (b *planBoxer) pick(g *compare.Group, accept func(side int) bool) (*manifest.Entry, int) {
	for i := 1; i <= b.p.sources; i++ {
		if e := g.Copies[i].Entry; e != nil && (accept == nil || accept(i)) {
			return e, i
		}
	}
	return nil, -1
}

// add is the action that adds a source's copy.
func (b *planBoxer) add(g *compare.Group, e *manifest.Entry, side int) Action {
	n := maildir.ParseName(e.Name)
	n.Sep = ':' // another system's separator means nothing to a server
	a := Action{
		Op: Add, Ref: manifest.Ref{Folder: e.Folder, Unique: e.Unique}, Dir: b.folder.dir,
		Post:  Ground{Sub: manifest.Cur, Name: []byte(n.With(e.Flags, "")), Size: e.Size, Digest: e.Digest},
		Date:  e.Date(),
		Flags: e.Flags, Keywords: e.Keywords,
		From: b.p.infos[side].Name, FromName: []byte(e.Name), FromSub: e.Sub, Whole: b.facts.whole,
	}
	if mb := b.m.Sides[side].Mailbox; mb != nil {
		if f := mb.Folder(e.Folder); f != nil {
			a.FromDir = f.Dir
		}
	}
	return a
}

// absent decides on a message that the target lacks.
func (b *planBoxer) absent(ctx context.Context, g *compare.Group) error {
	good := func(i int) bool { return slices.Contains(g.Good, i) }
	sound := func(i int) bool {
		return !slices.Contains(g.Damaged, i) && g.Copies[i].Entry.Status != manifest.Damaged
	}
	src, side := b.pick(g, good)
	note := ""
	if src == nil {
		if src, side = b.pick(g, sound); src == nil {
			if src, side = b.pick(g, nil); src == nil {
				return nil // only a witness has it, which is no source
			}
			return b.skip(b.add(g, src, side), WhyNoCopy, "every copy of it is damaged: "+src.Damage.String())
		}
		if b.contradict(g, sound) {
			return b.skip(b.add(g, src, side), WhyConflict, "its copies differ, and nothing proves which is right")
		}
		if src.Status == manifest.Suspect {
			note = "; its only copy is suspect: " + src.Damage.String()
		}
	}
	a := b.add(g, src, side)
	if src.Digest.IsZero() {
		return b.skip(a, WhyUnseen, "its bytes were never read: scan the source first")
	}
	n := maildir.ParseName(src.Name)
	log, err := b.uids.logged(ctx, b.folder, n.ServerBase)
	if err != nil {
		return b.skip(a, WhyUnseen, "the target's server files cannot be read: "+err.Error())
	}
	var shown time.Time // when the source's own record was made that shows the message
	if g.Copies[side].Base != nil {
		shown = b.began[side]
	}
	before := !shown.IsZero() && shown.Before(b.facts.scanned)
	rule, why := b.facts.rule(g, src, log, before, b.p.o.Undelete)
	if rule == ruleUndecided && b.facts.recorded && b.facts.recreated == "" {
		if copied := b.p.copied(ctx); missed(g, src, shown, copied) {
			rule, why = ruleRestore, "came after this backup was last copied to, "+copied.UTC().Format(time.RFC3339)
		}
	}
	switch {
	case rule == ruleDeleted:
		return b.skip(a, WhyDeleted, why)
	case rule == ruleUndecided && b.p.o.Undecided == LeaveUndecided:
		return b.skip(a, WhyUndecided, why)
	case rule == ruleUndecided && b.p.o.Undecided == UndecidedInFolder:
		return b.aside(a, why)
	}
	if b.folder.err != nil {
		return b.skip(a, WhyLayout, b.folder.err.Error())
	}
	a.Detail = why + note
	b.folder.adds++
	if src.UID != 0 {
		b.folder.lines[side] = append(b.folder.lines[side], UIDLine{UID: src.UID, Base: []byte(n.ServerBase)})
	}
	b.folder.adding[n.ServerBase] = src.Size
	return b.emit(&a)
}

// contradict tells whether the sources' sound copies hold different contents.
func (b *planBoxer) contradict(g *compare.Group, sound func(int) bool) bool {
	var first manifest.Digest
	for i := 1; i <= b.p.sources; i++ {
		e := g.Copies[i].Entry
		if e == nil || !sound(i) || e.Content().IsZero() {
			continue
		}
		if first.IsZero() {
			first = e.Content()
		} else if e.Content() != first {
			return true
		}
	}
	return false
}

// aside plans an undecided message into the folder that the operator named.
func (b *planBoxer) aside(a Action, why string) error {
	name := b.p.o.UndecidedFolder
	dir, err := b.place.Folders().Dir(name)
	if err != nil {
		return b.skip(a, WhyLayout, err.Error())
	}
	if t := b.m.Sides[0].Mailbox; t == nil || t.Folder(name) == nil {
		if !b.asideMade {
			m := Action{Op: Mkdir, Ref: manifest.Ref{Folder: name}, Dir: dir}
			if err := b.emit(&m); err != nil {
				return err
			}
			b.asideMade = true
		}
	}
	a.Ref.Folder, a.Dir = name, dir
	a.Detail = "undecided (" + why + "): put into " + name
	return b.emit(&a)
}

// present decides on a message that the target has.
func (b *planBoxer) present(g *compare.Group, t *compare.Copy) error {
	if g.How == compare.Elsewhere && b.elsewhere(g) {
		b.box.Moved++
	}
	e := t.Entry
	if hurt(t) {
		return b.damaged(g, e)
	}
	if b.conflict(g) {
		src, side := b.pick(g, nil)
		if src == nil {
			return nil
		}
		a := b.on(Replace, e)
		a.From, a.FromName, a.FromSub = b.p.infos[side].Name, []byte(src.Name), src.Sub
		a.Post.Digest, a.Post.Size = src.Digest, src.Size
		if g.How == compare.ByIdentity {
			return b.skip(a, WhyVersion, "the same message in another version; the target's stays: "+g.Reason)
		}
		if len(g.Good) > 0 && !slices.Contains(g.Good, 0) { // as diff says, and no proof
			return b.skip(a, WhyConflict, "contents differ, and nothing in the target's copy itself speaks against it: it stays, though "+g.Reason)
		}
		return b.skip(a, WhyConflict, "contents differ and nothing proves which is right: the target's copy stays")
	}
	return b.merge(g, t, false)
}

// hurt tells whether the target's copy is proven damaged: by itself, or by the
// digest that was recorded of this very message. That a source's copy is proven
// good says nothing of another message in the target that only resembles it.
func hurt(t *compare.Copy) bool {
	e, base := t.Entry, t.Base
	if e.Status == manifest.Damaged && e.Damage != manifest.NoKind {
		return true
	}
	return base != nil && base.Unique == e.Unique && base.Folder == e.Folder && base.Status == manifest.Sound &&
		!base.Digest.IsZero() && !e.Digest.IsZero() && base.Content() != e.Content()
}

// fits tells whether a source's bytes can lie under the target's name: its
// sizes are those of the source, or both names are one message's, of which a
// server has only changed the sizes.
func fits(e, src *manifest.Entry) bool {
	n := maildir.ParseName(e.Name)
	if e.Unique == src.Unique || !n.HasS {
		return true
	}
	if !src.Plain.IsZero() {
		s := maildir.ParseName(src.Name)
		return s.HasS && s.S == n.S
	}
	return n.S == src.Size
}

// elsewhere tells whether a source has the message in another folder.
func (b *planBoxer) elsewhere(g *compare.Group) bool {
	for i := 1; i <= b.p.sources; i++ {
		if s := g.Copies[i].Entry; s != nil && s.Folder != g.Copies[0].Entry.Folder {
			return true
		}
	}
	return false
}

// conflict tells whether a source's content is another than the target's.
func (b *planBoxer) conflict(g *compare.Group) bool {
	for i := range g.Differences {
		if k := g.Differences[i].Kind; k == compare.Content || k == compare.DamagedCopy && len(g.Good) > 0 && !slices.Contains(g.Good, 0) {
			s, _ := b.pick(g, func(i int) bool { return !slices.Contains(g.Damaged, i) })
			return s != nil
		}
	}
	return false
}

// on is an action on a message that the target has.
func (b *planBoxer) on(op Op, e *manifest.Entry) Action {
	return Action{
		Op: op, Ref: manifest.Ref{Folder: e.Folder, Unique: e.Unique}, Dir: b.folder.dir,
		Pre:  Ground{Sub: e.Sub, Name: []byte(e.Name), Size: e.Size, Inode: e.Inode},
		Post: Ground{Sub: e.Sub, Name: []byte(e.Name)},
	}
}

// damaged plans the replacement of a message that is proven damaged.
func (b *planBoxer) damaged(g *compare.Group, e *manifest.Entry) error {
	a := b.on(Replace, e)
	src, side := b.pick(g, func(i int) bool {
		return slices.Contains(g.Good, i) && !slices.Contains(g.Damaged, i) && !g.Copies[i].Entry.Digest.IsZero()
	})
	if src == nil {
		return b.skip(a, WhyNoCopy, "damaged ("+e.Damage.String()+"), and no source has a copy that is proven good")
	}
	if src.Opaque != e.Opaque {
		return b.skip(a, WhyConflict, "one copy is encrypted by the server and the other is not: never exchanged")
	}
	if !fits(e, src) {
		return b.skip(a, WhyConflict, "damaged ("+e.Damage.String()+"), and the good copy has another size than the message's name says: it may be another version")
	}
	if !e.Good && e.Status == manifest.Damaged {
		a.Pre.Digest = e.Digest // what the damaged file holds
	}
	a.Post.Digest, a.Post.Size = src.Digest, src.Size
	a.Date = src.Date()
	if t := g.Copies[0].Base; t != nil && t.Status != manifest.Damaged {
		a.Date = t.Date() // the message's own date of before
	} else if e.MTime > 0 && e.MTime < src.MTime {
		a.Date = e.Date() // accidents and copies only make dates later
	}
	a.Flags = e.Flags
	a.From, a.FromName, a.FromSub = b.p.infos[side].Name, []byte(src.Name), src.Sub
	if mb := b.m.Sides[side].Mailbox; mb != nil {
		if f := mb.Folder(src.Folder); f != nil {
			a.FromDir = f.Dir
		}
	}
	a.Detail = "damaged (" + e.Damage.String() + "); " + g.Reason
	if err := b.emit(&a); err != nil {
		return err
	}
	return b.merge(g, &g.Copies[0], true)
}

// merge plans flags, keywords and date of a message that stays.
func (b *planBoxer) merge(g *compare.Group, t *compare.Copy, replaced bool) error {
	e := *t.Entry
	before := e
	base := t.Base
	dated := false
	differ := false
	var from string
	for i := 1; i <= b.p.sources; i++ {
		s := g.Copies[i].Entry
		if s == nil || s.Folder != e.Folder || slices.Contains(g.Damaged, i) && s.Content() != e.Content() && !replaced {
			continue
		}
		m := mergeEntries(base, &e, s, b.moved(g, i), b.p.o.MergeFlags == UnionFlags)
		if m.flags != e.Flags || !slices.Equal(m.keywords, e.Keywords) {
			from = b.p.infos[i].Name
		}
		if base == nil && (s.Flags != e.Flags || !slices.Equal(s.Keywords, e.Keywords)) && b.p.o.MergeFlags == LeaveFlags {
			differ = true
		}
		e.Flags, e.Keywords = m.flags, m.keywords
		// INTERNALDATE never changes: where the record and a source agree
		// against the target, the target's was moved by accident.
		if !replaced && !dated && base != nil && base.MTime/1e9 == s.MTime/1e9 && e.MTime/1e9 != base.MTime/1e9 {
			dated = true
			a := b.on(Date, &before)
			a.Pre.MTime, a.Date, a.From = before.MTime, base.Date(), b.p.infos[i].Name
			a.Detail = "the record and the source agree on another date; clients see it once the server's cache of the folder is rebuilt"
			if err := b.emit(&a); err != nil {
				return err
			}
		}
	}
	if e.Flags == before.Flags && slices.Equal(e.Keywords, before.Keywords) {
		if differ {
			a := b.on(Flags, &before)
			return b.skip(a, WhyFlags, "flags or keywords differ, and no record shows which side has changed them")
		}
		return nil
	}
	n := maildir.ParseName(before.Name)
	pre := b.on(Flags, &before).Pre
	if replaced {
		pre.Inode, pre.Size = 0, 0 // the repaired file's, by then
	}
	if e.Flags != before.Flags {
		a := b.on(Flags, &before)
		a.Pre, a.From, a.Flags = pre, from, e.Flags
		a.Post = Ground{Sub: manifest.Cur, Name: []byte(n.With(e.Flags, n.Letters))}
		if err := b.emit(&a); err != nil {
			return err
		}
		pre.Sub, pre.Name = a.Post.Sub, a.Post.Name
	}
	if slices.Equal(e.Keywords, before.Keywords) {
		return nil
	}
	a := b.on(Keywords, &before)
	a.Pre, a.From, a.Flags, a.Keywords = pre, from, e.Flags, e.Keywords
	a.Post = Ground{Sub: manifest.Cur, Name: []byte(n.With(e.Flags, ""))}
	return b.emit(&a)
}

// moved tells whether a source's flags are newer than the target's record: a
// rename moves the file's ctime. Where nothing tells, they count as newer.
func (b *planBoxer) moved(g *compare.Group, side int) bool {
	s := g.Copies[side].Entry
	if own := g.Copies[side].Base; own != nil && (own.Flags != s.Flags || !slices.Equal(own.Keywords, s.Keywords)) {
		return true
	}
	return s.CTime == 0 || b.began[0].IsZero() || time.Unix(0, s.CTime).After(b.began[0])
}
