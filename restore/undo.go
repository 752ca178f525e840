package restore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mailsync/manifest"
	"mailsync/scan/maildir"
)

// NewUndo plans the taking back of a run: added messages go to quarantine,
// replaced ones come back from it, names and dates become what they were,
// folders that are still empty go. What a killed run had announced and never
// acknowledged is looked for too. Apply the plan in a run of its own
// (RunOptions.Of); no source is needed. ErrNoRun, ErrNotUndoable, ErrBusy.
func NewUndo(ctx context.Context, state, id string) (*Plan, error) {
	x, err := FindRun(state, id)
	if err != nil {
		return nil, err
	}
	switch {
	case x.How == HowRunning:
		return nil, fmt.Errorf("%w: run %s is still going on", ErrBusy, id)
	case x.Command == "undo":
		return nil, fmt.Errorf("%w: run %s was itself an undo", ErrNotUndoable, id)
	case x.Error != "" && x.How == HowKilled:
		return nil, fmt.Errorf("%w: run %s: %s", ErrRun, id, x.Error)
	case x.UndoneBy != "":
		return nil, fmt.Errorf("%w: run %s was undone by run %s", ErrNotUndoable, id, x.UndoneBy)
	}
	u := &undoPlanner{run: id, spool: newSpool(""), boxes: map[string]*undoBox{}}
	if err := u.read(ctx, journalPath(state, id)); err != nil {
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

// undoBox is one mailbox: the taking back of added messages goes to the spool
// at once, everything else, which there is little of, waits to be reversed.
type undoBox struct {
	box   MailboxForecast
	adds  []extent
	rest  []Action
	first []Action // flags and dates: before the messages go
}

func (u *undoPlanner) read(ctx context.Context, path string) error {
	open := map[uint64][]Action{} // batches that are announced and not acknowledged
	asides := map[uint64][]string{}
	for t, err := range readJournal(path, nil) {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch t.kind {
		case recIntent:
			list, names := open[t.batch], asides[t.batch]
			for len(list) < t.first {
				list, names = append(list, Action{}), append(names, "") // not part of the batch's work
			}
			open[t.batch], asides[t.batch] = append(list, t.actions...), append(names, t.asides...)
		case recDone:
			list := open[t.batch]
			delete(open, t.batch)
			delete(asides, t.batch)
			for i := range t.done {
				o := &t.done[i]
				if o.Index >= len(list) {
					return fmt.Errorf("%w: %s: a message is done that was not announced", ErrRun, path)
				}
				if o.State != Done {
					continue
				}
				a := &list[o.Index]
				a.Post.Sub, a.Post.Name, a.Post.Inode = o.Sub, o.Name, o.Inode
				if a.Op == UID {
					a.Post.Size = o.Size
				}
				if err := u.add(a, o.Aside); err != nil {
					return err
				}
			}
		}
	}
	batches := make([]uint64, 0, len(open))
	for n := range open {
		batches = append(batches, n)
	}
	slices.Sort(batches)
	for _, n := range batches {
		for i := range open[n] {
			a := &open[n][i]
			// Only what can be recognised without an acknowledgement. Folders,
			// keywords and UID lists of the batch in flight stay.
			switch {
			case a.Op == Add && a.Post.Inode != 0, a.Op == Replace && asides[n][i] != "", a.Op == Flags, a.Op == Date && a.Pre.MTime != 0:
				u.loose = true
				if err := u.add(a, asides[n][i]); err != nil {
					return err
				}
			}
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
	switch a.Op {
	case Add:
		from := u.spool.size
		if err := u.spool.add(&planRecord{action: &r}); err != nil {
			return err
		}
		if n := len(b.adds); n > 0 && b.adds[n-1].to == from {
			b.adds[n-1].to = u.spool.size
		} else {
			b.adds = append(b.adds, extent{from, u.spool.size})
		}
	case Flags, Keywords, Date:
		b.first = append(b.first, r)
	default:
		b.rest = append(b.rest, r)
	}
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

// finish writes what was held back, in reverse, and closes the mailboxes.
func (u *undoPlanner) finish(p *Plan) error {
	write := func(list []Action) (extent, error) {
		e := extent{from: u.spool.size}
		for i := range slices.Backward(list) {
			if err := u.spool.add(&planRecord{action: &list[i]}); err != nil {
				return e, err
			}
		}
		e.to = u.spool.size
		return e, nil
	}
	for i, name := range u.order {
		b := u.boxes[name]
		first, err := write(b.first)
		if err != nil {
			return err
		}
		rest, err := write(b.rest)
		if err != nil {
			return err
		}
		from := u.spool.size
		if err := u.spool.add(&planRecord{box: &b.box}); err != nil {
			return err
		}
		parts := append([]extent{{from, u.spool.size}, first}, b.adds...)
		u.spool.box(i, name, append(parts, rest))
		p.forecast.add(&b.box)
	}
	return u.spool.settle(manifest.CompareMailboxes)
}

// Quarantined returns what undo runs on a store (by the absolute path of its
// root) have moved aside and nothing has brought back since. It is gone by
// mailsync's own hand: no deletion by anybody, but the loss that there was
// before the run that was undone.
func Quarantined(state, path string) (func(manifest.Ref) bool, error) {
	runs, err := Runs(state)
	if err != nil {
		return nil, err
	}
	type key struct{ mailbox, folder, unique string }
	gone := map[key]bool{}
	for _, x := range runs {
		if x.Path != path || x.Error != "" && x.How == HowKilled {
			continue
		}
		open := map[uint64][]Action{}
		for t, err := range readJournal(journalPath(state, x.ID), nil) {
			if err != nil {
				return nil, err
			}
			switch t.kind {
			case recIntent:
				list := open[t.batch]
				for len(list) < t.first {
					list = append(list, Action{})
				}
				open[t.batch] = append(list, t.actions...)
			case recDone:
				list := open[t.batch]
				delete(open, t.batch)
				for _, o := range t.done {
					if o.Index >= len(list) || o.State != Done {
						continue
					}
					a := &list[o.Index]
					k := key{a.Ref.Mailbox, a.Ref.Folder, a.Ref.Unique}
					switch a.Op {
					case Quarantine:
						gone[k] = true
					case Add:
						delete(gone, k)
					}
				}
			}
		}
	}
	return func(r manifest.Ref) bool { return gone[key{r.Mailbox, r.Folder, r.Unique}] }, nil
}
