package restore

import (
	"context"
	"fmt"
	"slices"
	"strings"
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

// folderPlan is the folder that is being gone through.
type folderPlan struct {
	name   string
	dir    string
	err    error            // the layout cannot hold it
	there  *manifest.Folder // in the target; nil = not there
	body   []bodyRef        // messages
	adds   int64
	lines  map[int][]UIDLine // by source side: UIDs of what is added
	adding map[string]int64  // base names that are added, with their sizes
}

// bodyRef is one action on a message, in the spool.
type bodyRef struct {
	file string
	at   extent
}

// fileOf is the file that an action is about, as it is told: where it will be,
// else where it is.
func fileOf(a *Action) string {
	g := &a.Post
	if len(g.Name) == 0 {
		g = &a.Pre
	}
	if len(g.Name) == 0 {
		return ""
	}
	return g.Sub.String() + "/" + string(g.Name)
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
		mb, err := header(ctx, s.Base, b.m.Name)
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

// advance ends the folders before name and begins it.
func (b *planBoxer) advance(ctx context.Context, name string) error {
	for b.next < len(b.names) && b.names[b.next] <= name {
		n := b.names[b.next]
		b.next++
		if err := b.begin(ctx, n); err != nil {
			return err
		}
	}
	return b.begin(ctx, name)
}

func (b *planBoxer) begin(ctx context.Context, name string) error {
	if b.folder != nil && b.folder.name == name {
		return nil
	}
	if err := b.endFolder(ctx); err != nil {
		return err
	}
	f := &folderPlan{name: name, lines: map[int][]UIDLine{}, adding: map[string]int64{}}
	if t := b.m.Sides[0].Mailbox; t != nil {
		f.there = t.Folder(name)
	}
	switch {
	case f.there != nil:
		f.dir = f.there.Dir
	case name == "INBOX":
	default:
		f.dir, f.err = b.place.Folders().Dir(name)
		if f.err == nil && b.p.o.Site == nil {
			// without a site the layout is the source's
			for i := 1; i <= b.p.sources; i++ {
				if mb := b.m.Sides[i].Mailbox; mb != nil && mb.Folder(name) != nil {
					f.dir = mb.Folder(name).Dir
					break
				}
			}
		}
	}
	b.folder = f
	return nil
}

// emit writes an action of the current folder's messages.
func (b *planBoxer) emit(a *Action) error {
	a.Ref.Store, a.Ref.Mailbox = b.p.target, b.m.Name
	if a.State == "" {
		a.State = Planned
	}
	b.box.action(a)
	b.need.take(a)
	from := b.p.spool.size
	if err := b.p.spool.add(&planRecord{action: a}); err != nil {
		return err
	}
	if f := b.folder; f != nil {
		f.body = append(f.body, bodyRef{fileOf(a), extent{from, b.p.spool.size}})
	}
	return nil
}

// sorted returns the extents of a folder's messages, by file.
func (f *folderPlan) sorted() []extent {
	slices.SortStableFunc(f.body, func(x, y bodyRef) int { return strings.Compare(x.file, y.file) })
	var out []extent
	for _, r := range f.body {
		if n := len(out); n > 0 && out[n-1].to == r.at.from {
			out[n-1].to = r.at.to
		} else {
			out = append(out, r.at)
		}
	}
	return out
}

// endFolder writes what precedes the folder's messages.
func (b *planBoxer) endFolder(ctx context.Context) error {
	f := b.folder
	b.folder = nil
	if f == nil {
		return nil
	}
	body := f.sorted()
	head := extent{from: b.p.spool.size}
	dir := f.there == nil && f.err == nil && (f.adds > 0 || b.emptyFolder(f))
	if dir && f.name != "INBOX" {
		a := b.mkdir(f)
		if err := b.emit(&a); err != nil {
			return err
		}
	}
	if f.err == nil && (f.there != nil || dir || f.name == "INBOX" && !b.ground.Absent) {
		list, err := b.uids.list(ctx, f)
		if err != nil {
			return err
		}
		for i := range list {
			if err := b.emit(&list[i]); err != nil {
				return err
			}
		}
	}
	if b.subscribe(f, dir) {
		a := Action{Op: Subscribe, Ref: manifest.Ref{Folder: f.name}, Dir: f.dir}
		if err := b.emit(&a); err != nil {
			return err
		}
	}
	head.to = b.p.spool.size
	b.parts = append(append(b.parts, head), body...)
	if head.from < head.to || len(body) > 0 {
		b.stamp(f)
	}
	if dir && f.name == "INBOX" {
		b.made = true
	}
	return nil
}

// stamp keeps what a folder looked like, for a plan that is applied later.
func (b *planBoxer) stamp(f *folderPlan) {
	s := folderStamp{Dir: []byte(f.dir)}
	if f.there != nil {
		s.New = [2]int64{int64(f.there.NewStamp.Inode), f.there.NewStamp.MTime}
		s.Cur = [2]int64{int64(f.there.CurStamp.Inode), f.there.CurStamp.MTime}
	}
	b.ground.Folders = append(b.ground.Folders, s)
}

// emptyFolder tells whether a folder that nothing is added to is made all the
// same: everything is restored, or it is new in the source.
func (b *planBoxer) emptyFolder(f *folderPlan) bool {
	for i := 1; i <= b.p.sources; i++ {
		mb := b.m.Sides[i].Mailbox
		if mb == nil || mb.Folder(f.name) == nil {
			continue
		}
		if b.facts.whole {
			return b.kept(f, i)
		}
		if b.facts.recorded && (b.base == nil || b.base.Folder(f.name) == nil) &&
			mb.Folder(f.name).SelfStamp.CTime > b.facts.scanned.UnixNano() && b.facts.recreated == "" {
			return b.kept(f, i)
		}
	}
	return false
}

// kept tells whether a folder is wanted although it stays empty: not where
// all that it held at the source was deleted with it.
func (b *planBoxer) kept(f *folderPlan, _ int) bool { return len(f.body) == 0 }

// subscribe tells whether the folder is added to the subscriptions.
func (b *planBoxer) subscribe(f *folderPlan, made bool) bool {
	if t := b.m.Sides[0].Mailbox; t != nil && slices.Contains(t.Subscriptions, f.name) || f.err != nil {
		return false
	}
	there := f.there != nil || made || f.name == "INBOX"
	if b.wants[f.name] && there {
		return true
	}
	if !made {
		return false
	}
	for i := 1; i <= b.p.sources; i++ {
		if mb := b.m.Sides[i].Mailbox; mb != nil && slices.Contains(mb.Subscriptions, f.name) {
			return true
		}
	}
	return false
}

// mkdir is the action that makes a folder.
func (b *planBoxer) mkdir(f *folderPlan) Action {
	a := Action{Op: Mkdir, Ref: manifest.Ref{Folder: f.name}, Dir: f.dir}
	for i := 1; i <= b.p.sources; i++ {
		if mb := b.m.Sides[i].Mailbox; mb != nil {
			if x := mb.Folder(f.name); x != nil {
				a.From, a.FromDir, a.ACL = b.p.infos[i].Name, x.Dir, x.ACL
				break
			}
		}
	}
	return a
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

// shellQuote quotes a word for sh(1) where it needs it.
func shellQuote(s string) string {
	plain := s != ""
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("@%+=:,./_-", c) < 0 {
			plain = false
		}
	}
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
