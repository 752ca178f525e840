package restore

import (
	"context"
	"slices"
	"strings"

	"mailsync/manifest"
)

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
			return b.kept(f)
		}
		if b.facts.recorded && (b.base == nil || b.base.Folder(f.name) == nil) &&
			mb.Folder(f.name).SelfStamp.CTime > b.facts.scanned.UnixNano() && b.facts.recreated == "" {
			return b.kept(f)
		}
	}
	return false
}

// kept tells whether a folder is wanted although it stays empty: not where
// all that it held at the source was deleted with it.
func (b *planBoxer) kept(f *folderPlan) bool { return len(f.body) == 0 }

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
