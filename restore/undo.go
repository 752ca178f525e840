package restore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailsync/manifest"
	"mailsync/manifest/durable"
	"mailsync/scan/maildir"
)

// NewUndo plans the taking back of a run: added messages go to quarantine,
// replaced ones come back from it, names and dates become what they were,
// folders that are still empty go. What a killed run had announced and never
// acknowledged is looked for too. Apply the plan in a run of its own
// (RunOptions.Of); no source is needed. fsys is that of the state directory and
// may be nil. ErrNoRun, ErrNotUndoable, ErrBusy.
func NewUndo(ctx context.Context, fsys durable.FS, state, id string) (*Plan, error) {
	x, err := FindRun(fsys, state, id)
	if err != nil {
		return nil, err
	}
	switch {
	case x.How == HowRunning:
		return nil, fmt.Errorf("%w: run %s is still going on", ErrBusy, id)
	case x.Command == "undo":
		return nil, fmt.Errorf("%w: run %s was itself an undo", ErrNotUndoable, id)
	case x.err != nil:
		return nil, fmt.Errorf("run %s: %w", id, x.err)
	case x.UndoneBy != "":
		return nil, fmt.Errorf("%w: run %s was undone by run %s", ErrNotUndoable, id, x.UndoneBy)
	}
	u := &undoPlanner{run: id, spool: newSpool(), boxes: map[string]*undoBox{}}
	if err := u.read(ctx, fsys, journalPath(state, id)); err != nil {
		_ = u.spool.close()
		return nil, err
	}
	p := &Plan{store: u.spool, header: PlanHeader{Command: "undo", Store: x.Store, Path: x.Path, Made: time.Now().UTC()}}
	p.header.ID = newRunID(p.header.Made)
	if err := u.finish(p); err != nil {
		_ = u.spool.close()
		return nil, err
	}
	if p.forecast.Actions == 0 {
		_ = u.spool.close()
		return nil, fmt.Errorf("%w: run %s changed nothing", ErrNotUndoable, id)
	}
	return p, nil
}

type undoPlanner struct {
	run   string
	spool *spool
	boxes map[string]*undoBox
	order []string
	loose bool // what follows was announced and never acknowledged
}

// undoBox is one mailbox. Its actions go to the spool as they are found; the
// order in which they are read again is that of refs.
type undoBox struct {
	box  MailboxForecast
	refs []undoRef
}

// undoRef is one action in the spool.
type undoRef struct {
	folder, file string
	dir          string // of a folder that is taken back: after everything else, the innermost first
	remove       bool
	seq          int
	at           extent
}

// compare orders the actions of a mailbox by folder and file, as in any other
// run; what was done to one message is undone in reverse, and folders go last.
func (r *undoRef) compare(o *undoRef) int {
	if r.remove != o.remove {
		if o.remove {
			return -1
		}
		return 1
	}
	if r.remove {
		return strings.Compare(o.dir, r.dir)
	}
	return cmp.Or(strings.Compare(r.folder, o.folder), strings.Compare(r.file, o.file), o.seq-r.seq)
}

func (u *undoPlanner) read(ctx context.Context, fsys durable.FS, path string) error {
	for d, err := range deeds(fsys, path) {
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		a := &d.action
		if d.loose {
			// Only what can be recognised without an acknowledgement. Keywords,
			// subscriptions and changed UID lists of the batch in flight stay.
			switch {
			case (a.Op == Add || a.Op == Mkdir || a.Op == UID) && a.Post.Inode != 0, a.Op == Replace && d.aside != "", a.Op == Flags, a.Op == Date && a.Pre.MTime != 0:
				u.loose = true
			default:
				continue
			}
		}
		if err := u.add(a, d.aside); err != nil {
			return err
		}
	}
	return nil
}

// add plans the taking back of one action.
func (u *undoPlanner) add(a *Action, aside string) error {
	b := u.boxes[a.Ref.Mailbox]
	if b == nil {
		b = &undoBox{box: MailboxForecast{Mailbox: a.Ref.Mailbox}}
		u.boxes[a.Ref.Mailbox] = b
		u.order = append(u.order, a.Ref.Mailbox)
	}
	r := reverse(a, u.run, aside)
	if r.Op == "" {
		return nil
	}
	if u.loose {
		r.Keywords = a.Keywords // their letters were not known yet
	}
	b.box.action(&r)
	ref := undoRef{folder: r.Ref.Folder, seq: len(b.refs), at: extent{from: u.spool.size}}
	if r.Op == Remove && len(r.Pre.Name) == 0 {
		ref.remove, ref.dir = true, r.Dir
	}
	if r.Pre.Sub != 0 {
		n := maildir.ParseName(string(r.Pre.Name))
		ref.file = r.Pre.Sub.String() + "/" + n.ServerBase
	}
	if err := u.spool.add(&planRecord{action: &r}); err != nil {
		return err
	}
	ref.at.to = u.spool.size
	b.refs = append(b.refs, ref)
	return nil
}

// reverse is the action that takes another back.
func reverse(a *Action, run, aside string) Action {
	r := Action{Ref: a.Ref, Dir: a.Dir, State: Planned, Flags: a.Flags}
	switch a.Op {
	case Add:
		r.Op = Quarantine
		r.Pre = a.Post
		r.Pre.MTime = 0
		if !a.Date.IsZero() {
			r.Pre.MTime = a.Date.UnixNano()
		}
	case Replace:
		r.Op = Replace
		r.Pre = a.Post
		r.Post = Ground{Sub: a.Post.Sub, Name: backName(a), Size: a.Pre.Size, Digest: a.Pre.Digest}
		r.From, r.FromDir, r.FromName = fromQuarantine, run, []byte(aside)
		r.Pre.MTime = 0
	case Flags, Keywords:
		r.Op = a.Op
		r.Pre = Ground{Sub: a.Post.Sub, Name: a.Post.Name, Inode: a.Post.Inode}
		if r.Pre.Sub == 0 {
			r.Pre.Sub = manifest.Cur
		}
		r.Post = Ground{Sub: a.Pre.Sub, Name: a.Pre.Name}
	case Date:
		r.Op = Date
		r.Pre = Ground{Sub: a.Pre.Sub, Name: a.Pre.Name, Inode: a.Post.Inode, MTime: a.Date.UnixNano()}
		r.Date = time.Unix(0, a.Pre.MTime).UTC()
	case Mkdir:
		if a.Post.Inode == 0 {
			return Action{}
		}
		r.Op = Remove
		r.Pre = Ground{Inode: a.Post.Inode}
	case Subscribe:
		r.Op = Remove
		r.Pre = Ground{Name: []byte(subsName)}
	case UID:
		r.Op = UID
		r.Pre = Ground{Inode: a.Post.Inode, Size: a.Post.Size}
		r.From, r.FromDir, r.FromName = fromQuarantine, run, []byte(aside)
		r.UIDs = &UIDs{}
	default:
		return Action{}
	}
	return r
}

// backName is the name that a replaced message had: its base name of before,
// with the flags that it has now.
func backName(a *Action) []byte {
	was, is := maildir.ParseName(string(a.Pre.Name)), maildir.ParseName(string(a.Post.Name))
	if was.ServerBase == is.ServerBase {
		return a.Post.Name
	}
	return []byte(was.With(is.Flags, is.Letters))
}

// finish sorts the actions of each mailbox.
func (u *undoPlanner) finish(p *Plan) error {
	for i, name := range u.order {
		b := u.boxes[name]
		slices.SortFunc(b.refs, func(x, y undoRef) int { return x.compare(&y) })
		from := u.spool.size
		if err := u.spool.add(&planRecord{box: &b.box}); err != nil {
			return err
		}
		parts := []extent{{from, u.spool.size}}
		for k := range b.refs {
			at := b.refs[k].at
			if last := &parts[len(parts)-1]; last.to == at.from {
				last.to = at.to
			} else {
				parts = append(parts, at)
			}
		}
		b.refs = nil
		u.spool.box(i, name, parts)
		p.forecast.add(&b.box)
	}
	return u.spool.settle(manifest.CompareMailboxes)
}
