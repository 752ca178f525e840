package replay

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/archive"
	"mailsync/scan/maildir"
)

// wanted tells what is to become of a verdict, now that the window is known.
// deliver says that the message is to be delivered; into is the folder.
func (r *Run) wanted(v *verdict) (o Outcome, deliver bool, into, detail string) {
	in := r.window.contains(v.time())
	switch v.state {
	case stPresent:
		return Present, false, "", v.detail
	case stDeleted:
		return Deleted, false, "", v.detail
	case stFiltered:
		return Filtered, false, "", v.detail
	case stDuplicate:
		return Duplicate, false, "", v.detail
	case stUnknown:
		return Unexplained, false, "", v.detail
	case stAltered, stOpen:
		switch {
		case v.state == stAltered && r.o.Altered:
			return Present, false, "", v.detail
		case !in:
			return OutsideWindow, false, "", v.detail
		case r.o.Ambiguous == Deliver:
			return WouldDeliver, true, inbox, v.detail
		case r.o.Ambiguous == InFolder:
			return WouldDeliver, true, r.o.AmbiguousFolder, v.detail
		}
		return Ambiguous, false, "", v.detail
	}
	switch {
	case r.window.Found && v.time().After(r.timeline.until):
		return OutsideWindow, false, "", join("arrived just now: it may still be on its way", v.detail)
	case !in:
		return Unexplained, false, "", join("absent, and arrived outside the window", v.detail)
	case r.takeaway[v.mailbox] && v.heal == nil && !v.lost && r.o.Ambiguous == Skip:
		return Ambiguous, false, "", join("this mailbox keeps next to none of its mail, as one that is fetched by POP3: nothing tells whether this was fetched", v.detail)
	case len(r.damagedFiles) > 0 && r.damagedFiles[fileOf(v.pos)]:
		return Unexplained, false, "", "the archive's file is damaged: its bytes cannot be trusted"
	}
	return WouldDeliver, true, inbox, v.detail
}

const inbox = "INBOX"

func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + "; " + b
}

func fileOf(pos string) string {
	p, err := archive.ParsePosition(pos)
	if err != nil {
		return ""
	}
	return p.File
}

// delivery is the line of a verdict.
func (r *Run) delivery(v *verdict) (Delivery, bool, string) {
	o, deliver, into, detail := r.wanted(v)
	d := Delivery{
		Source: v.pos, Recipient: v.recipient, Mailbox: v.mailbox, Digest: v.digest, Outcome: o, Match: v.match,
		Detail: detail, Folder: v.folder, File: v.file, Size: v.size,
	}
	if v.hasID {
		id := v.messageID
		d.MessageID = &id
	}
	if v.arrival != 0 {
		d.Date = v.time().Format(time.RFC3339)
	}
	return d, deliver, into
}

// action is the step of a plan that delivers a message.
func (r *Run) action(v *verdict, into string) restore.Action {
	a := restore.Action{
		Op:   restore.Add,
		Ref:  manifest.Ref{Store: r.target, Mailbox: v.mailbox, Folder: into},
		Post: restore.Ground{Sub: manifest.New, Size: v.size, Digest: v.digest},
		Date: v.time(), From: r.o.Archive.Name() + "\x00" + v.pos, State: restore.Planned,
	}
	if a.Date.IsZero() {
		a.Date = r.o.Now
	}
	if into != inbox {
		a.Dir = v.dir
	}
	if r.o.Keyword != "" {
		a.Keywords = []string{r.o.Keyword}
	}
	if h := v.heal; h != nil && h.Good && h.Content() == v.digest && into == inbox {
		// The very bytes that the damaged file once held: it is healed where it
		// lies, under its name.
		a.Op, a.Ref.Folder, a.Ref.Unique, a.Dir = restore.Replace, h.Folder, h.Unique, v.dir
		a.Pre = restore.Ground{Sub: h.Sub, Name: []byte(h.Name), Size: h.Size, Inode: h.Inode}
		a.Post.Sub, a.Post.Name, a.Flags = h.Sub, []byte(h.Name), h.Flags
		a.Date, a.Keywords = ownDate(h), nil
	}
	a.Detail = v.detail
	return a
}

// ownDate is the date that a damaged file gets back. Where the file is younger
// than its name, the time of the accident that overwrote it is not its own; the
// name says when it was delivered.
func ownDate(damaged *manifest.Entry) time.Time {
	const writing = time.Minute // from the making of a name to the last byte of a large message
	if d, ok := maildir.ParseDelivery(damaged.Name); ok && damaged.Date().Sub(d.Time()) > writing {
		return d.Time()
	}
	return damaged.Date()
}

// Actions yields what Events would have delivered, for a plan to be saved: the
// actions of one mailbox together. Action.From is Archive.Name, a NUL byte and
// the position.
func (r *Run) Actions(ctx context.Context) iter.Seq2[restore.Action, error] {
	return func(yield func(restore.Action, error) bool) {
		made := new(folders)
		for rec, err := range r.verdicts.records(ctx) {
			if err != nil {
				yield(restore.Action{}, err)
				return
			}
			d := newDec(rec)
			v := d.verdict()
			if d.bad {
				yield(restore.Action{}, errRecord)
				return
			}
			if _, deliver, into, _ := r.wanted(&v); deliver {
				for _, a := range r.mkdirs(&v, into, made) {
					if !yield(a, nil) {
						return
					}
				}
				if !yield(r.action(&v, into), nil) {
					return
				}
			}
		}
	}
}

// folders are those of one mailbox that are planned already.
type folders struct {
	mailbox     string
	root, aside bool
}

// mkdirs are the actions that make the mailbox and the folder that a delivery
// needs, each once: deliveries of one mailbox come together.
func (r *Run) mkdirs(v *verdict, into string, made *folders) []restore.Action {
	if made.mailbox != v.mailbox {
		*made = folders{mailbox: v.mailbox}
	}
	var list []restore.Action
	add := func(folder, dir string) {
		list = append(list, restore.Action{
			Op: restore.Mkdir, Ref: manifest.Ref{Store: r.target, Mailbox: v.mailbox, Folder: folder}, Dir: dir, State: restore.Planned,
			Detail: "needed for replayed mail",
		})
	}
	if v.noBox && !made.root {
		made.root = true
		add(inbox, "")
	}
	if into != inbox && v.noDir && !made.aside {
		made.aside = true
		add(into, v.dir)
	}
	return list
}

// Events yields the account, and delivers through d what is missing; with a
// nil d nothing is delivered (audit, dry run). It may be consumed once. First
// come the archive's findings and what has no mailbox, then the mailboxes.
func (r *Run) Events(ctx context.Context, d Deliverer) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		r.totals = Totals{}
		err := r.events(ctx, d, func(e Event) error {
			if !yield(e, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Event{}, err)
		}
	}
}

var errStopped = errors.New("the consumer has enough")

func (r *Run) events(ctx context.Context, d Deliverer, emit func(Event) error) error {
	for rec, err := range r.findings.records(ctx) {
		if err != nil {
			return err
		}
		f, err := decodeFinding(rec)
		if err != nil {
			return err
		}
		if err := emit(Event{Finding: f}); err != nil {
			return err
		}
	}
	for rec, err := range r.nowhere.records(ctx) {
		if err != nil {
			return err
		}
		x := newDec(rec)
		v := verdict{item: x.item(), match: NoMatch}
		detail := x.str()
		if x.bad {
			return errRecord
		}
		line, _, _ := r.delivery(&v)
		line.Outcome, line.Detail, line.Mailbox = NoMailbox, detail, ""
		r.totals.Add(&line)
		if err := emit(Event{Delivery: &line}); err != nil {
			return err
		}
	}
	r.progress.stage("delivering", r.expected.WouldDeliver)
	a := accountant{r: r, emit: emit}
	if d == nil {
		for rec, err := range r.verdicts.records(ctx) {
			if err != nil {
				return err
			}
			if err := a.record(rec, nil); err != nil {
				return err
			}
		}
		return a.end()
	}
	return r.deliverAll(ctx, d, &a)
}

// accountant tells each verdict's line and each mailbox' account.
type accountant struct {
	r       *Run
	emit    func(Event) error
	account Account
	open    bool
}

// record tells one verdict; result is what became of its delivery, nil where
// none was made.
func (a *accountant) record(rec []byte, result *restore.Action) error {
	d := newDec(rec)
	v := d.verdict()
	if d.bad {
		return errRecord
	}
	if a.open && a.account.Mailbox != v.mailbox {
		if err := a.end(); err != nil {
			return err
		}
	}
	if !a.open {
		a.account, a.open = Account{Mailbox: v.mailbox}, true
	}
	line, deliver, into := a.r.delivery(&v)
	if deliver && result != nil {
		line.Folder, line.File = result.Ref.Folder, ""
		if len(result.Post.Name) > 0 {
			line.File = result.Post.Sub.String() + "/" + string(result.Post.Name)
		}
		switch result.State {
		case restore.Done:
			line.Outcome, line.Detail = Delivered, result.Detail
			if line.File == "" {
				line.Folder = "" // the server chose
			}
		case restore.Already:
			line.Outcome, line.Match = Present, Exact
		default:
			line.Outcome = Failed
			line.Detail = join(result.Detail, line.Detail)
			a.r.failed = true
		}
		action := *result
		if err := a.emit(Event{Action: &action}); err != nil {
			return err
		}
	} else if deliver {
		line.Folder, line.File = into, ""
	}
	a.account.Add(line.Outcome)
	a.r.totals.Add(&line)
	return a.emit(Event{Delivery: &line})
}

// end tells the account of the mailbox that is being told.
func (a *accountant) end() error {
	if !a.open {
		return nil
	}
	a.open = false
	a.account.Closed = a.account.Counts.Closed()
	acc := a.account
	return a.emit(Event{Account: &acc})
}

// deliverAll goes over the verdicts in stretches. Three things go on at a time:
// the bytes of the next stretch are fetched from the archive, one is delivered,
// and the one before it is told. A stretch is told when its delivery has ended
// and its ledger is durable, so telling holds up nothing and says nothing too
// early.
func (r *Run) deliverAll(ctx context.Context, d Deliverer, a *accountant) error {
	ctx, cancel := context.WithCancelCause(ctx)
	type ended struct {
		*delivering
		err error
	}
	fetched, settled := make(chan *delivering), make(chan ended)
	var work sync.WaitGroup
	work.Go(func() {
		defer close(fetched)
		r.fetchAll(ctx, fetched)
	})
	work.Go(func() {
		defer close(settled)
		for b := range fetched {
			err := b.err
			if err == nil {
				err = b.deliver(ctx, d)
			}
			b.close()
			settled <- ended{b, err}
			if err != nil {
				return
			}
		}
	})
	defer func() {
		cancel(errStopped)
		for range settled { // nobody wants to hear of it any more
		}
		work.Wait()
	}()
	// What became durable is told, also when the run was cancelled meanwhile.
	tell, stopTell := iter.Pull2(r.verdicts.records(context.WithoutCancel(ctx)))
	defer stopTell()
	for b := range settled {
		for i := range b.n {
			rec, terr, ok := tell()
			if terr != nil {
				return errors.Join(b.err, terr)
			}
			if !ok {
				return errors.Join(b.err, errRecord)
			}
			result := b.results[i]
			if b.err != nil && result == nil {
				continue // not reached
			}
			if terr := a.record(rec, result); terr != nil {
				return errors.Join(b.err, terr)
			}
		}
		if b.err != nil {
			return b.err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return a.end()
}
