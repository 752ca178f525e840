package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"mailsync/compare"
	"mailsync/manifest"
)

// A mailbox with more archived messages than chunkItems is recognised in parts;
// the parts hold whole groups of copies. At most itemsAhead are in memory.
const (
	chunkItems = 20_000
	itemsAhead = 3 * chunkItems
)

// job is one mailbox, or part of one, with its archived messages.
type job struct {
	mailbox string
	past    []delivered // what earlier runs delivered into it
	items   []verdict   // grouped; what is found out is filled in
	out     []*verdict  // the same, by arrival
	err     error
	done    chan struct{}
	cost    int64 // of itemsAhead
}

// recognise looks at every mailbox that archived mail leads to, and writes a
// verdict for each item to the tape, mailbox by mailbox.
func (r *Run) recognise(ctx context.Context) error {
	r.verdicts = newTape()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g, gctx := errgroup.WithContext(ctx)
	work := make(chan *job)
	order := make(chan *job, r.o.Workers)
	ahead := semaphore.NewWeighted(itemsAhead)
	for range r.o.Workers {
		g.Go(func() error {
			for j := range work {
				j.out, j.err = r.lookAt(gctx, j)
				close(j.done)
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(work)
		defer close(order)
		return r.jobs(gctx, func(j *job) error {
			j.done = make(chan struct{})
			j.cost = min(int64(len(j.items)), itemsAhead)
			if ahead.Acquire(gctx, j.cost) != nil {
				return context.Cause(gctx)
			}
			select {
			case order <- j:
			case <-gctx.Done():
				return context.Cause(gctx)
			}
			select {
			case work <- j:
				return nil
			case <-gctx.Done():
				j.err = context.Cause(gctx)
				close(j.done)
				return j.err
			}
		})
	})
	g.Go(func() error {
		var e enc
		for j := range order {
			<-j.done
			if j.err != nil {
				return j.err
			}
			for _, v := range j.out {
				r.timeline.add(v)
				e.b = e.b[:0]
				e.verdict(v)
				if err := r.verdicts.add(e.b); err != nil {
					return err
				}
			}
			r.progress.Done.Add(int64(len(j.out)))
			ahead.Release(j.cost)
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.timeline.end()
	return nil
}

// jobs groups the sorted items by mailbox.
func (r *Run) jobs(ctx context.Context, emit func(*job) error) error {
	past, stop, err := r.o.Ledger.byMailbox(ctx, r)
	if err != nil {
		return err
	}
	defer stop()
	var j *job
	flush := func() error {
		if j == nil || len(j.items) == 0 {
			return nil
		}
		err := emit(j)
		j = nil
		return err
	}
	for rec, err := range r.byMailbox.sorted(ctx) {
		if err != nil {
			return err
		}
		body, ok := cutKey(rec)
		d := newDec(body)
		it := d.item()
		if !ok || d.bad {
			return errRecord
		}
		if j != nil && (j.mailbox != it.mailbox || len(j.items) >= chunkItems && j.items[len(j.items)-1].group() != it.group()) {
			if err := flush(); err != nil {
				return err
			}
		}
		if j == nil {
			j = &job{mailbox: it.mailbox}
			order := 0
			if r.o.Order != nil {
				order = r.o.Order(it.mailbox)
			}
			if j.past, err = past(order, it.mailbox); err != nil {
				return err
			}
		}
		j.items = append(j.items, verdict{item: it, match: NoMatch})
	}
	return flush()
}

// class is the copies, archived and stored, of one message.
type class struct {
	items   []*verdict // by arrival
	exact   []*manifest.Entry
	same    []*manifest.Entry // canonical
	altered []*manifest.Entry
	damaged []*manifest.Entry
	unknown string // why a copy could not be judged
	gone    []manifest.Absence
}

// candidate is a stored message that may be a copy of an archived one.
type candidate struct {
	entry manifest.Entry
	used  bool
}

// look is one mailbox being recognised.
type look struct {
	r       *Run
	ctx     context.Context
	mailbox string
	out     []verdict // the job's items
	classes []*class

	byDigest, byExact, byDelivery, byBody, byID, byNoID map[manifest.Digest]*class
	byHeader                                            map[manifest.HeaderID][]*class
	noID                                                []*class // without Message-ID, by arrival
	candidates                                          []*candidate
	opaque, unread                                      int64             // messages that could be anything
	why                                                 string            // one of the latter could not be read
	dirs                                                map[string]string // of the mailbox' folders, by name
	blind                                               string            // why part of the mailbox could not be looked into; "" = all was
}

// lookAt gives a verdict to each item of one mailbox.
func (r *Run) lookAt(ctx context.Context, j *job) ([]*verdict, error) {
	l := &look{
		r: r, ctx: ctx, mailbox: j.mailbox, out: j.items,
		byDigest: map[manifest.Digest]*class{}, byExact: map[manifest.Digest]*class{}, byDelivery: map[manifest.Digest]*class{},
		byBody: map[manifest.Digest]*class{}, byID: map[manifest.Digest]*class{}, byNoID: map[manifest.Digest]*class{},
		byHeader: map[manifest.HeaderID][]*class{},
	}
	l.classify()
	err := l.read()
	switch {
	case err == nil:
		l.settle()
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, compare.ErrNoMailbox):
		for _, c := range l.classes {
			l.count(c, nil, nil)
		}
		for i := range l.out {
			l.out[i].noBox = true
		}
	default:
		// Nothing is known of this mailbox: unknown is never missing.
		for i := range l.out {
			l.out[i].state, l.out[i].detail = stUnknown, "the mailbox cannot be looked at: "+err.Error()
		}
		r.unseen()
		return l.sorted(), nil
	}
	if err := l.evidence(); err != nil {
		return nil, err
	}
	r.o.Log.apply(l.out) // what a log explains needs no memory
	keepBlocked(l.out)
	l.remember(j.past)
	if err := l.place(); err != nil {
		return nil, err
	}
	return l.sorted(), nil
}

// keepBlocked explains what is absent because the gateway's filter did not let it
// through: it was never meant to arrive.
func keepBlocked(out []verdict) {
	for i := range out {
		v := &out[i]
		if v.state == stAbsent && v.blocked && v.heal == nil && !v.lost {
			v.state, v.detail = stFiltered, join("the gateway's filter blocked it", v.detail)
		}
	}
}

// sorted orders verdicts by arrival, for people.
func (l *look) sorted() []*verdict {
	out := make([]*verdict, len(l.out))
	for i := range l.out {
		out[i] = &l.out[i]
	}
	slices.SortStableFunc(out, func(a, b *verdict) int {
		return cmp.Or(cmp.Compare(a.arrival, b.arrival), cmp.Compare(a.seq, b.seq))
	})
	return out
}

// classify puts archived copies of one message together: the same bytes, or the
// same canonical identity. Items come grouped by header identity.
func (l *look) classify() {
	for i := range l.out {
		v := &l.out[i]
		var c *class
		for _, x := range []struct {
			m map[manifest.Digest]*class
			d manifest.Digest
		}{{l.byDigest, v.digest}, {l.byExact, v.exact}, {l.byDelivery, v.delivery}} {
			if c == nil && !x.d.IsZero() {
				c = x.m[x.d]
			}
		}
		if c == nil {
			c = &class{}
			l.classes = append(l.classes, c)
			if v.header != (manifest.HeaderID{}) {
				l.byHeader[v.header] = append(l.byHeader[v.header], c)
			}
			if !v.hasID {
				l.noID = append(l.noID, c)
			}
		}
		c.items = append(c.items, v)
		enter := func(m map[manifest.Digest]*class, d manifest.Digest) {
			if !d.IsZero() && m[d] == nil {
				m[d] = c
			}
		}
		enter(l.byDigest, v.digest)
		enter(l.byExact, v.exact)
		enter(l.byDelivery, v.delivery)
		enter(l.byBody, v.body)
		enter(l.byID, v.id)
		if !v.hasID {
			enter(l.byNoID, v.noID)
		}
	}
	slices.SortFunc(l.noID, func(a, b *class) int { return cmp.Compare(a.items[0].arrival, b.items[0].arrival) })
}

// read streams the mailbox once. Bodies are read only of candidates.
func (l *look) read() error {
	v, err := l.r.o.Target.Open(l.ctx, l.mailbox)
	if err != nil {
		return err
	}
	defer v.Close()
	l.dirs = map[string]string{}
	for _, f := range v.Mailbox().Folders {
		l.dirs[f.Name] = f.Dir
	}
	for e, err := range v.Entries(l.ctx) {
		if err != nil {
			return err
		}
		l.entry(&e)
	}
	if p, ok := v.(compare.Partly); ok {
		blind := p.Blind()
		for _, folder := range slices.Sorted(maps.Keys(blind)) {
			l.blind = join(cmp.Or(folder, "the mailbox")+" cannot be looked into: "+blind[folder], l.blind)
		}
	}
	if err := l.judge(); err != nil {
		return err
	}
	for a, err := range v.Absences(l.ctx) {
		if err != nil {
			return err
		}
		l.absence(&a)
	}
	return nil
}

// entry sorts out one stored message: an exact copy, a candidate, or neither.
func (l *look) entry(e *manifest.Entry) {
	classes := l.byHeader[e.HeaderID]
	if e.HeaderID == (manifest.HeaderID{}) {
		classes = nil
	}
	switch {
	case e.Status == manifest.Damaged:
		if c := l.byDigest[e.Content()]; c != nil {
			if !e.Good {
				// Whatever it suffered, it did so before it was archived.
				x := *e
				c.exact = append(c.exact, &x)
				return
			}
			classes = []*class{c}
		}
		for _, c := range classes {
			x := *e
			c.damaged = append(c.damaged, &x)
		}
		return
	case e.Status == manifest.Unread:
		if l.unread++; l.why == "" {
			l.why = e.Detail
		}
		return
	}
	if c := l.byDigest[e.Content()]; c != nil {
		x := *e
		c.exact = append(c.exact, &x)
		return
	}
	if e.Opaque {
		l.opaque++
	}
	if len(classes) > 0 || l.nearNoID(e) {
		l.candidates = append(l.candidates, &candidate{entry: *e})
	}
}

// count gives the class' archived messages their states, from the sound copies
// that were found.
func (l *look) count(c *class, exact, same []*manifest.Entry) {
	copies := append(slices.Clone(exact), same...)
	var first, counted *verdict // counted is the last that is no duplicate
	var last uint64
	n := 0
	for i, v := range c.items {
		switch {
		case i > 0 && v.seq == last:
			v.state, v.match = stDuplicate, Exact
			v.detail = "another recipient of this message leads to the same mailbox"
			counted.blocked = counted.blocked && v.blocked // let through for one of them
			continue
		case first != nil && !l.r.o.Multiset:
			v.state, v.match = stDuplicate, Canonical
			if v.digest == first.digest {
				v.match = Exact
			}
			v.detail = "archived before: " + first.pos
			first.blocked = first.blocked && v.blocked // let through at another time
			last = v.seq
			continue
		}
		if first == nil {
			first = v
		}
		counted = v
		last = v.seq
		if n < len(copies) {
			v.state, v.match = stPresent, Canonical
			if n < len(exact) {
				v.match = Exact
			}
			v.folder, v.file = copies[n].Folder, copies[n].File()
			n++
			continue
		}
		l.missing(c, v)
	}
}

// missing settles a message without a sound copy left.
func (l *look) missing(c *class, v *verdict) {
	v.state = stAbsent
	switch {
	case l.blind != "" && (len(c.damaged) == 0 || !c.damaged[0].Good):
		// It may lie where nobody could look.
		v.state, v.detail = stUnknown, l.blind
		l.r.unseen()
	case len(c.altered) > 0:
		v.state, v.match = stAltered, Altered
		v.folder, v.file = c.altered[0].Folder, c.altered[0].File()
		v.detail = "a message with the same Message-ID, From and Date has another body"
	case len(c.damaged) > 0:
		e := c.damaged[0]
		v.heal, v.folder, v.file = e, e.Folder, e.File()
		v.detail = fmt.Sprintf("its copy is damaged (%v)", e.Damage)
	case c.unknown != "":
		v.state, v.detail = stUnknown, c.unknown
	case l.unread > 0:
		v.state, v.detail = stUnknown, fmt.Sprintf("messages of the mailbox (%d) could not be read: %s", l.unread, cmp.Or(l.why, "why is not known"))
		l.r.unseen()
	case l.opaque > 0:
		v.state, v.detail = stUnknown, fmt.Sprintf("messages of the mailbox (%d) are encrypted and cannot be compared", l.opaque)
	}
}

func (l *look) settle() {
	for _, c := range l.classes {
		l.count(c, c.exact, c.same)
	}
}
