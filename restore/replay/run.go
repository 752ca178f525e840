package replay

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"mailsync/manifest"
	"mailsync/restore/archive"
)

// Progress are counters that another goroutine may read at any time.
type Progress struct {
	Stage    atomic.Pointer[string] // what is being done, for a person
	Done     atomic.Int64           // messages in this stage
	Total    atomic.Int64           // messages of this stage; 0 = not known
	Bytes    atomic.Int64           // read from the archive
	Findings atomic.Int64
}

func (p *Progress) stage(name string, total int64) {
	p.Stage.Store(&name)
	p.Done.Store(0)
	p.Total.Store(total)
}

// Run is a replay or audit that has looked at archive and store, and knows what
// it would do. The caller closes it.
type Run struct {
	o        Options
	target   string // its name
	progress *Progress
	survey   *archive.Survey
	timeline *Timeline
	window   Window
	expected Totals
	totals   Totals

	findings     *tape
	nowhere      *tape // items without a mailbox
	byMailbox    *sorter
	verdicts     *tape
	takeaway     map[string]bool // mailboxes that keep no mail anyway
	damagedFiles map[string]bool
	trouble      bool
	failed       bool // something could not be delivered or looked at
	troubles
}

// Prepare reads the archive, resolves its recipients, looks at every mailbox
// they lead to, and determines the window. It writes nothing but its spool.
//
// Errors: ErrNoEnvelopes (as *NoEnvelopesError), ErrNoGap (as *NoGapError),
// ErrOptions, ErrResolver, and whatever ends a stream.
func Prepare(ctx context.Context, o Options) (*Run, error) {
	switch {
	case o.Archive == nil || o.Target == nil || o.Witness == nil || o.Resolver == nil:
		return nil, fmt.Errorf("%w: archive, target, witness and resolver are needed", ErrOptions)
	case o.All && !o.Since.IsZero():
		return nil, fmt.Errorf("%w: both the whole archive and a start are asked for", ErrOptions)
	case !o.Since.IsZero() && !o.Until.IsZero() && !o.Since.Before(o.Until):
		return nil, fmt.Errorf("%w: the window ends before it starts", ErrOptions)
	case o.Ambiguous == InFolder && o.AmbiguousFolder == "":
		return nil, fmt.Errorf("%w: no folder for ambiguous messages", ErrOptions)
	case o.Keyword != "" && !validKeyword(o.Keyword):
		return nil, fmt.Errorf("%w: %q is no keyword: up to %d letters, digits and signs other than ( ) { ] %% * \" \\ and space", ErrOptions, o.Keyword, maxKeyword)
	}
	if o.Memory <= 0 {
		o.Memory = 64 << 20
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if !o.Alg.Valid() {
		o.Alg = manifest.BLAKE3
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Progress == nil {
		o.Progress = &Progress{}
	}
	r := &Run{o: o, target: o.Target.Info().Name, progress: o.Progress, timeline: newTimeline(int(o.Memory/4), o.Now.Add(-settle))}
	if err := r.prepare(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Run) prepare(ctx context.Context) error {
	r.progress.stage("reading the archive", 0)
	c, err := r.collect(ctx)
	if err != nil {
		return err
	}
	defer c.items.close()
	r.survey = c.survey
	if err := r.o.Log.read(ctx, c); err != nil {
		c.findings.close()
		return err
	}
	r.progress.stage("asking for mailboxes", c.survey.Messages)
	if err := r.route(ctx, c); err != nil {
		return err
	}
	c.items.close()
	wait := func(d time.Duration) {
		r.progress.stage("waiting for the server to end what a killed run sent", 0)
		if r.o.Waits != nil {
			r.o.Waits(d)
		}
	}
	if err := r.o.Ledger.unanswered(ctx, time.Now, wait); err != nil {
		return err
	}
	r.progress.stage("looking at mailboxes", r.byMailbox.n)
	if err := r.recognise(ctx); err != nil {
		return err
	}
	r.byMailbox.close()
	if err := r.settleWindow(ctx); err != nil {
		return err
	}
	return r.expect(ctx)
}

// Survey is what the archive holds: known before anything is delivered.
func (r *Run) Survey() *archive.Survey { return r.survey }

// Timeline is the archive hour by hour, with what was absent.
func (r *Run) Timeline() *Timeline { return r.timeline }

// Window is the window in use.
func (r *Run) Window() Window { return r.window }

// Expected are the totals as an audit gives them: WouldDeliver is what will be
// delivered. Known before anything is, to be shown to the operator.
func (r *Run) Expected() Totals { return r.expected }

// Totals are the sums after Events ended.
func (r *Run) Totals() Totals { return r.totals }

// Unasked are the other stores whose records could not be asked for
// deletions, with the reason.
func (r *Run) Unasked() map[string]error {
	r.troubleMu.Lock()
	defer r.troubleMu.Unlock()
	return r.otherErrs
}

// Exit is the exit code of a run that ended without error: 0 where the account
// closes, 1 where something is open, 3 where something could not be read or
// delivered.
func (r *Run) Exit() int {
	switch {
	case r.trouble || r.failed || r.unread || r.totals.Failed > 0:
		return 3
	case !r.totals.Closed() || r.totals.NoMailbox > 0:
		return 1
	}
	return 0
}

// Close removes the spool.
func (r *Run) Close() error {
	for _, t := range []*tape{r.findings, r.nowhere, r.verdicts} {
		if t != nil {
			t.close()
		}
	}
	if r.byMailbox != nil {
		r.byMailbox.close()
	}
	r.timeline.close()
	return nil
}
