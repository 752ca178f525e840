package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/maildir"
)

// NewPlan compares the target with the sources and decides what to do. It
// writes nothing but a spool without a name. The caller closes the plan.
//
// Mailboxes come in the order of Order, then of manifest.CompareMailboxes;
// within a mailbox the actions are sorted by folder and file.
func NewPlan(ctx context.Context, o PlanOptions) (*Plan, error) { return newPlan(ctx, &o, false) }

func newPlan(ctx context.Context, o *PlanOptions, uidsOnly bool) (*Plan, error) {
	p, err := newPlanner(o, uidsOnly)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.compare(ctx); err != nil {
		_ = p.spool.close()
		return nil, err
	}
	if err := p.spool.settle(manifest.CompareMailboxes); err != nil {
		_ = p.spool.close()
		return nil, err
	}
	h := o.Header
	h.Made, h.ID, h.Root = p.now.UTC(), newRunID(p.now), p.root
	if h.Store == "" {
		h.Store = p.target
	}
	return &Plan{header: h, forecast: p.forecast, store: p.spool}, nil
}

type planner struct {
	o        *PlanOptions
	target   string // name of the store
	sides    []compare.Side
	infos    []compare.Info
	gone     *targetSource
	sources  int // sides 1 … sources are sources
	uidsOnly bool
	now      time.Time
	crash    time.Time
	resume   map[string]bool
	open     *opener // nil: no site
	root     uint64  // inode of the target's root
	spool    *spool
	forecast Forecast
	spaces   spaces
	copyRead bool      // copyTime is established
	copyTime time.Time // see copied
}

func newPlanner(o *PlanOptions, uidsOnly bool) (*planner, error) {
	if o.Target.Source == nil || len(o.Sources) == 0 && !uidsOnly {
		return nil, fmt.Errorf("%w: a target and a source are needed", ErrOptions)
	}
	if o.Undecided == UndecidedInFolder && o.UndecidedFolder == "" {
		return nil, fmt.Errorf("%w: no folder for what is undecided", ErrOptions)
	}
	p := &planner{o: o, uidsOnly: uidsOnly, now: time.Now(), spool: newSpool(), resume: map[string]bool{}}
	p.gone = &targetSource{Source: o.Target.Source, p: p, base: o.Target.Base, absent: map[string]bool{}}
	target := o.Target
	target.Source = p.gone
	if target.Witness != nil {
		target.Witness = &targetWitness{target.Witness, p.gone}
	}
	p.sides = slices.Concat([]compare.Side{target}, o.Sources, o.Others)
	for _, s := range p.sides {
		p.infos = append(p.infos, s.Source.Info())
	}
	p.sources = len(o.Sources)
	p.target = p.infos[0].Name
	p.crash = o.CrashAt
	if p.crash.IsZero() {
		p.crash = p.infos[0].CrashAt
	}
	for _, m := range o.Resume {
		p.resume[m] = true
	}
	if o.Site != nil {
		open, err := newOpener(o.Site)
		if err != nil && !errors.Is(err, ErrNoTarget) {
			return nil, err
		}
		if err == nil {
			p.open = open
			if err := p.identify(); err != nil {
				p.close()
				return nil, err
			}
		}
		if o.Site.Store != "" {
			p.target = o.Site.Store
		}
	}
	return p, nil
}

// identify refuses a target that is not what was recorded under its path: an
// empty mount point, or another volume. Restoring would fill what lies below it.
func (p *planner) identify() error {
	self, err := p.open.store.Self()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoTarget, err)
	}
	p.root = self.Inode
	r, ok := p.o.Target.Base.(interface{ Store() *manifest.Store })
	if !ok || r.Store() == nil {
		return nil
	}
	fs, err := p.open.store.FileSystem()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoTarget, err)
	}
	rec := r.Store().Record()
	same := rec.RootInode == 0 || rec.RootInode == self.Inode
	if rec.FSID != 0 && fs.ID != 0 {
		same = same && rec.FSID == fs.ID
	}
	if !same {
		return fmt.Errorf("%w: %s", manifest.ErrOther, p.o.Site.Path)
	}
	return nil
}

func (p *planner) close() {
	if p.open != nil {
		p.open.Close()
	}
}

func (p *planner) compare(ctx context.Context) error {
	c, err := compare.New(p.sides, compare.Options{
		Mailbox: p.o.Mailbox, Workers: p.o.Workers, Groups: true, All: true, Spill: p.o.Spill,
		Now: func() time.Time { return p.now },
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	for m, err := range c.Mailboxes(ctx) {
		if err != nil {
			return err
		}
		b := &planBoxer{p: p, m: m, box: MailboxForecast{Mailbox: m.Name}}
		plan := b.plan
		if p.uidsOnly {
			plan = b.raised
		}
		if err := plan(ctx); err != nil {
			return fmt.Errorf("mailbox %q: %w", m.Name, err)
		}
		p.forecast.add(&b.box)
		if g := p.o.Progress; g != nil {
			g.Mailboxes.Add(1)
			g.Messages.Store(c.Progress().Messages.Load())
		}
	}
	p.forecast.Space = p.spaces.list
	res := c.Result()
	var unknown int64
	for _, d := range res.Partial {
		if d.Side > p.sources {
			continue // a witness that says nothing leaves messages undecided, no more
		}
		name := ""
		if d.Side >= 0 && d.Side < len(p.infos) {
			name = p.infos[d.Side].Name + ": "
		}
		if d.Mailbox == "" {
			// The breaker: what is gone at once is no deletion. Each message
			// of it is undecided, which the plan says.
			p.forecast.doubt(name + d.Reason)
			continue
		}
		unknown++
		p.forecast.doubt(name + d.Mailbox + " " + d.Reason)
	}
	p.forecast.Unknown = max(p.forecast.Unknown, unknown)
	return nil
}

// where tells where the target's mailbox lies, and whether it may be planned
// although nobody named it.
func (p *planner) where(mailbox string) (pl maildir.Place, known bool) {
	named := p.o.Named != nil && p.o.Named(mailbox)
	if p.o.Site == nil {
		return maildir.Place{Mailbox: mailbox}, true
	}
	pl, err := p.o.Site.Place(mailbox)
	if err != nil {
		f := p.o.Site.Folders
		return maildir.Place{Mailbox: mailbox, Store: p.o.Site.Path, Layout: f.Layout, UTF8: f.UTF8}, named || !p.o.Site.Layout
	}
	return pl, pl.Known || named
}

// header returns what is recorded of a side's mailbox, without its messages.
func header(ctx context.Context, s compare.Source, mailbox string) (*manifest.Mailbox, error) {
	if s == nil {
		return nil, nil
	}
	v, err := s.Open(ctx, mailbox)
	if errors.Is(err, compare.ErrNoMailbox) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	mb := *v.Mailbox()
	return &mb, v.Close()
}
