package replay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"time"

	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/archive"
)

// A batch of deliveries ends at so many messages: enough for one sync to carry
// them all.
const deliverBatch = 1024

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

// A mailbox of whose mail outside the window so much is absent, of at least so
// many messages, is taken for one that is emptied by POP3.
const (
	takeawayMin   = 30
	takeawayShare = 0.97
)

// habits finds the mailboxes for which absence is normal.
func (r *Run) habits(ctx context.Context) error {
	r.takeaway = map[string]bool{}
	var box string
	var seen, absent int64
	flush := func() {
		if seen >= takeawayMin && float64(absent) >= takeawayShare*float64(seen) {
			r.takeaway[box] = true
		}
		seen, absent = 0, 0
	}
	for rec, err := range r.verdicts.records(ctx) {
		if err != nil {
			return err
		}
		d := dec{b: rec}
		v := d.verdict()
		if d.bad {
			return errRecord
		}
		if v.mailbox != box {
			flush()
			box = v.mailbox
		}
		if v.noBox || v.replayed || v.state == stDuplicate || v.state == stUnknown || r.window.contains(v.time()) {
			continue
		}
		seen++
		if v.state == stAbsent || v.state == stDeleted {
			absent++
		}
	}
	flush()
	return nil
}

// expect sums up what an audit would say.
func (r *Run) expect(ctx context.Context) error {
	if !r.window.All && !r.window.Empty {
		if err := r.habits(ctx); err != nil {
			return err
		}
	}
	for rec, err := range r.verdicts.records(ctx) {
		if err != nil {
			return err
		}
		d := dec{b: rec}
		v := d.verdict()
		if d.bad {
			return errRecord
		}
		line, _, _ := r.delivery(&v)
		r.expected.Add(&line)
	}
	r.expected.NoMailbox = r.nowhere.n
	return nil
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
	if r.o.Keyword != "" {
		a.Keywords = []string{r.o.Keyword}
	}
	if h := v.heal; h != nil && h.Good && h.Content() == v.digest && into == inbox {
		// The very bytes that the damaged file once held: it is healed where it
		// lies, under its name.
		a.Op, a.Ref.Folder, a.Ref.Unique = restore.Replace, h.Folder, h.Unique
		a.Pre = restore.Ground{Sub: h.Sub, Name: []byte(h.Name), Size: h.Size, Inode: h.Inode}
		a.Post.Sub, a.Post.Name, a.Flags = h.Sub, []byte(h.Name), h.Flags
		a.Date, a.Keywords = time.Unix(0, h.MTime).UTC(), nil
	}
	a.Detail = v.detail
	return a
}

// Actions yields what Events would have delivered, for a plan to be saved: the
// actions of one mailbox together. Action.From is Archive.Name, a NUL byte and
// the position.
func (r *Run) Actions(ctx context.Context) iter.Seq2[restore.Action, error] {
	return func(yield func(restore.Action, error) bool) {
		made := ""
		for rec, err := range r.verdicts.records(ctx) {
			if err != nil {
				yield(restore.Action{}, err)
				return
			}
			d := dec{b: rec}
			v := d.verdict()
			if d.bad {
				yield(restore.Action{}, errRecord)
				return
			}
			if _, deliver, into, _ := r.wanted(&v); deliver {
				if (v.noBox || into != inbox) && made != v.mailbox {
					made = v.mailbox
					if !yield(r.mkdir(&v, into), nil) {
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

// mkdir makes the mailbox or folder that a delivery needs.
func (r *Run) mkdir(v *verdict, into string) restore.Action {
	return restore.Action{
		Op: restore.Mkdir, Ref: manifest.Ref{Store: r.target, Mailbox: v.mailbox, Folder: into}, State: restore.Planned,
		Detail: "needed for replayed mail",
	}
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
		x := dec{b: rec}
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
	d := dec{b: rec}
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
			line.Outcome = Delivered
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

// deliverAll goes over the verdicts in stretches: so far ahead that a batch is
// full; then the batch is delivered, and the stretch told.
func (r *Run) deliverAll(ctx context.Context, d Deliverer, a *accountant) error {
	ahead, stopAhead := iter.Pull2(r.verdicts.records(ctx))
	defer stopAhead()
	tell, stopTell := iter.Pull2(r.verdicts.records(ctx))
	defer stopTell()
	cursor := r.o.Archive.Cursor()
	defer cursor.Close()
	for {
		b := &delivering{r: r, folders: map[string]bool{}}
		n, more := 0, true
		for more && len(b.items) < deliverBatch && b.bytes < r.o.Memory/2 && n < 1<<20 {
			rec, err, ok := ahead()
			if err != nil {
				return err
			}
			if more = ok; !ok {
				break
			}
			x := dec{b: rec}
			v := x.verdict()
			if x.bad {
				return errRecord
			}
			if _, deliver, into, _ := r.wanted(&v); deliver {
				b.add(n, v, into)
			}
			n++
		}
		err := b.deliver(ctx, d, cursor)
		b.close()
		// What became durable before an error is told all the same.
		for i := range n {
			rec, terr, ok := tell()
			if terr != nil {
				return errors.Join(err, terr)
			}
			if !ok {
				return errors.Join(err, errRecord)
			}
			result := b.results[i]
			if err != nil && result == nil {
				continue // not reached
			}
			if terr := a.record(rec, result); terr != nil {
				return errors.Join(err, terr)
			}
		}
		if err != nil {
			return err
		}
		if !more {
			return a.end()
		}
	}
}

// delivering is one batch: its bytes are fetched from the archive, then its
// actions carried out.
type delivering struct {
	r       *Run
	items   []deliverItem
	bytes   int64
	folders map[string]bool
	results map[int]*restore.Action
	bodies  map[string]body
	buf     []byte
	file    *os.File
	size    int64
}

type deliverItem struct {
	n    int // in the stretch
	v    verdict
	into string
}

// body is where a message's bytes lie: in buf, or in file.
type body struct {
	spilled bool
	off, n  int64
}

func (b *delivering) add(n int, v verdict, into string) {
	b.items = append(b.items, deliverItem{n: n, v: v, into: into})
	b.bytes += v.size
}

func (b *delivering) close() {
	if b.file != nil {
		b.file.Close()
		b.file = nil
	}
}

func (b *delivering) deliver(ctx context.Context, d Deliverer, cursor *archive.Cursor) error {
	b.results = make(map[int]*restore.Action, len(b.items))
	if len(b.items) == 0 {
		return nil
	}
	if err := b.fetch(ctx, cursor); err != nil {
		return err
	}
	var actions []restore.Action
	byKey := make(map[string][]int, len(b.items))
	key := func(a *restore.Action) string { return a.Ref.Mailbox + "\x00" + a.Ref.Folder + "\x00" + a.From }
	for _, it := range b.items {
		if b.results[it.n] != nil {
			continue // its bytes could not be fetched
		}
		if where := it.v.mailbox + "\x00" + it.into; (it.v.noBox || it.into != inbox) && !b.folders[where] {
			b.folders[where] = true
			actions = append(actions, b.r.mkdir(&it.v, it.into))
		}
		a := b.r.action(&it.v, it.into)
		byKey[key(&a)] = append(byKey[key(&a)], it.n)
		actions = append(actions, a)
	}
	run := ""
	if n, ok := d.(interface{ Run() string }); ok {
		run = n.Run()
	}
	var done []delivered
	var failure error
	for a, err := range d.Deliver(ctx, actions, b) {
		if err != nil {
			failure = err
			break
		}
		k := key(&a)
		waiting := byKey[k]
		if a.Op == restore.Mkdir || len(waiting) == 0 {
			continue
		}
		byKey[k] = waiting[1:]
		result := a
		b.results[waiting[0]] = &result
		b.r.progress.Done.Add(1)
		if a.State == restore.Done {
			done = append(done, delivered{mailbox: a.Ref.Mailbox, digest: a.Post.Digest, at: b.r.o.Now.Unix(), run: run})
		}
	}
	if err := b.r.o.Ledger.add(done); err != nil {
		return errors.Join(failure, err)
	}
	if failure != nil {
		return failure
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, left := range byKey {
		for _, n := range left {
			b.results[n] = &restore.Action{Op: restore.Add, State: restore.Failed, Detail: "nothing was told about this delivery"}
		}
	}
	return nil
}

// fetch reads the batch' messages in the order of the archive, so that a
// compressed file is read once a batch.
func (b *delivering) fetch(ctx context.Context, cursor *archive.Cursor) error {
	b.bodies = make(map[string]body, len(b.items))
	order := make([]int, len(b.items))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Compare(b.items[x].v.seq, b.items[y].v.seq) })
	for _, i := range order {
		it := &b.items[i]
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, ok := b.bodies[it.v.pos]; ok {
			continue
		}
		fail := func(why string) {
			b.results[it.n] = &restore.Action{
				Op: restore.Add, Ref: manifest.Ref{Mailbox: it.v.mailbox, Folder: it.into}, State: restore.Failed, Detail: why,
			}
		}
		pos, err := archive.ParsePosition(it.v.pos)
		if err != nil {
			return err
		}
		m, err := cursor.Get(ctx, pos)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			fail("the archive has changed: " + err.Error())
			continue
		}
		if err := b.keep(it, m); err != nil {
			return err
		}
		if got := b.bodies[it.v.pos]; got.n != it.v.size {
			fail("the archive has changed since it was read")
		}
	}
	return nil
}

// keep copies a message: small ones to memory, large ones to a temporary file.
func (b *delivering) keep(it *deliverItem, m *archive.Message) error {
	if p, ok := m.Bytes(); ok && int64(len(b.buf)+len(p)) <= b.r.o.Memory {
		b.bodies[it.v.pos] = body{off: int64(len(b.buf)), n: int64(len(p))}
		b.buf = append(b.buf, p...)
		return nil
	}
	if b.file == nil {
		f, err := tempFile(b.r.o.SpoolDir)
		if err != nil {
			return err
		}
		b.file = f
	}
	n, err := io.Copy(io.NewOffsetWriter(b.file, b.size), m.Open())
	if err != nil {
		return fmt.Errorf("spool for delivery: %w", err)
	}
	b.bodies[it.v.pos] = body{spilled: true, off: b.size, n: n}
	b.size += n
	return nil
}

// Open implements restore.Source for the messages of the batch. The deliverer
// compares what it reads with the digest of the plan.
func (b *delivering) Open(_ context.Context, a *restore.Action) (io.ReadCloser, error) {
	_, pos, _ := bytes.Cut([]byte(a.From), []byte{0})
	x, ok := b.bodies[string(pos)]
	if !ok {
		return nil, fmt.Errorf("%w: not fetched", archive.ErrPosition)
	}
	if x.spilled {
		return io.NopCloser(io.NewSectionReader(b.file, x.off, x.n)), nil
	}
	return io.NopCloser(bytes.NewReader(b.buf[x.off : x.off+x.n])), nil
}
