package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"mailsync/manifest"
)

var errStopped = errors.New("the consumer wants no more")

func compareDoubts(a, b Doubt) int {
	return cmp.Or(cmp.Compare(a.Side, b.Side), strings.Compare(a.Mailbox, b.Mailbox), strings.Compare(a.Reason, b.Reason))
}

// walk hands the mailboxes to the workers and yields what they finish.
func (c *Comparison) walk(outer context.Context) iter.Seq2[*Mailbox, error] {
	return func(yield func(*Mailbox, error) bool) {
		c.state.mu.Lock()
		used := c.state.used
		c.state.used = true
		c.state.mu.Unlock()
		if used {
			yield(nil, fmt.Errorf("%w: it was run before", ErrUsage))
			return
		}
		stop, cancel := context.WithCancelCause(outer)
		defer cancel(nil)
		group, ctx := errgroup.WithContext(stop)
		jobs, out := make(chan *job), make(chan *Mailbox)
		q := &queue{ctx: ctx, jobs: jobs}
		group.Go(func() error {
			defer close(jobs)
			if err := c.list(ctx, q); err != nil {
				return err
			}
			return q.finish()
		})
		for range c.o.Workers {
			group.Go(func() error { return c.work(q, out) })
		}
		end := make(chan error, 1)
		go func() {
			end <- group.Wait()
			close(out)
		}()
		stopped := false
		for m := range out {
			if !stopped && !yield(m, nil) {
				stopped = true
				cancel(errStopped)
			}
			m.body.release()
		}
		err := <-end
		if stopped {
			return
		}
		if err == nil && outer.Err() != nil {
			err = context.Cause(outer)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		c.state.mu.Lock()
		c.state.complete = true
		c.state.mu.Unlock()
	}
}

// queue hands jobs to the workers, and those that must wait once more when all
// others are done.
type queue struct {
	ctx  context.Context
	jobs chan *job
	busy sync.WaitGroup

	mu    sync.Mutex
	later []*job
}

func (q *queue) put(j *job) error {
	q.busy.Add(1)
	select {
	case q.jobs <- j:
		return nil
	case <-q.ctx.Done():
		q.busy.Done()
		return context.Cause(q.ctx)
	}
}

func (q *queue) wait(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.later = append(q.later, j)
}

// finish waits until every job was done once and hands out those that waited.
func (q *queue) finish() error {
	q.busy.Wait()
	slices.SortFunc(q.later, func(a, b *job) int { return manifest.CompareMailboxes(a.name, b.name) })
	for _, j := range q.later {
		j.final = true
		if err := q.put(j); err != nil {
			return err
		}
	}
	return nil
}

// work compares mailboxes until there are no more.
func (c *Comparison) work(q *queue, out chan<- *Mailbox) error {
	for j := range q.jobs {
		m, err := c.mailbox(q.ctx, j)
		if errors.Is(err, errDefer) {
			q.wait(j)
			err = nil
		}
		q.busy.Done()
		if err != nil {
			return err
		}
		if m == nil {
			continue
		}
		if !c.o.All && m.Row.Differences == 0 && len(m.body.out) == 0 && !m.unknown() {
			m.body.release()
			continue
		}
		select {
		case out <- m:
		case <-q.ctx.Done():
			m.body.release()
			return context.Cause(q.ctx)
		}
	}
	return nil
}

func (m *Mailbox) unknown() bool {
	for i := range m.Sides {
		if m.Sides[i].Unknown != "" {
			return true
		}
	}
	return m.Row.Unknown > 0
}

// list finds the mailboxes of all sides and makes a job of each that is not
// plainly the same everywhere.
func (c *Comparison) list(ctx context.Context, q *queue) error {
	if summed := c.summed(); summed != nil {
		runs, err := c.unequal(ctx, summed)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			lists := make([]iter.Seq2[Head, error], len(summed))
			for i, s := range summed {
				lists[i] = s.Parts(ctx, runs)
			}
			return c.listMerged(ctx, lists, iter.Pull2, q)
		}
		// A side that cannot sum itself up is listed, and says why then.
	}
	sharded := make([]Sharded, 0, len(c.sides))
	for _, s := range c.sides {
		if p, ok := s.Source.(Sharded); ok {
			sharded = append(sharded, p)
		}
	}
	if len(sharded) < len(c.sides) {
		lists := make([]iter.Seq2[Head, error], len(c.sides))
		for i, s := range c.sides {
			lists[i] = s.Source.Mailboxes(ctx)
		}
		return c.listMerged(ctx, lists, ahead, q)
	}
	for shard := range manifest.Shards {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		lists := make([]iter.Seq2[Head, error], len(sharded))
		for i, s := range sharded {
			lists[i] = s.ShardMailboxes(ctx, shard)
		}
		if same, err := c.sameShard(sharded, shard); err == nil && same {
			lists = lists[:1]
			if err := c.countShard(ctx, lists[0]); err == nil {
				continue
			} else if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%s: part %d of the record: %w", c.infos[0].Name, shard, err)
		}
		// A part that cannot be listed says nothing of the next.
		if err := c.listMerged(ctx, lists, iter.Pull2, q); err != nil {
			return err
		}
	}
	return nil
}

func (c *Comparison) sameShard(sharded []Sharded, shard int) (bool, error) {
	if len(sharded) < 2 {
		return false, nil
	}
	var first manifest.Digest
	for i, s := range sharded {
		_, state, err := s.ShardRoots(shard)
		if err != nil || state.IsZero() || i > 0 && state != first {
			return false, err
		}
		first = state
	}
	return true, nil
}

func (c *Comparison) countShard(ctx context.Context, list iter.Seq2[Head, error]) error {
	var heads []Head
	for h, err := range list {
		if err != nil {
			return err
		}
		if c.wants(h.Name) {
			heads = append(heads, h)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for i := range heads {
		c.state.same(max(heads[i].Messages, 0))
	}
	return nil
}

func (c *Comparison) wants(name string) bool {
	return c.o.Mailbox == nil || c.o.Mailbox(name)
}

// listMerged merges listings of mailboxes. A listing that breaks leaves its
// side to be asked mailbox by mailbox; when all break, nothing can be said.
func (c *Comparison) listMerged(ctx context.Context, lists []iter.Seq2[Head, error], pull puller, q *queue) error {
	n := len(lists)
	next := make([]func() (Head, error, bool), n)
	heads, ok := make([]Head, n), make([]bool, n)
	var blind uint32
	advance := func(i int) error {
		h, err, more := next[i]()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil && more && ok[i] && manifest.CompareMailboxes(heads[i].Name, h.Name) >= 0 {
			err = fmt.Errorf("mailboxes come out of order: %q after %q", h.Name, heads[i].Name)
		}
		if err == nil {
			heads[i], ok[i] = h, more
			return nil
		}
		ok[i] = false
		blind |= 1 << i
		c.state.mu.Lock()
		c.state.doubt(Doubt{Side: i, Reason: "its mailboxes cannot be listed to the end: " + err.Error()})
		c.state.mu.Unlock()
		if blind == 1<<n-1 {
			return fmt.Errorf("%s: %w", c.infos[i].Name, err)
		}
		return nil
	}
	for i := range lists {
		var stop func()
		next[i], stop = pull(lists[i])
		defer stop()
	}
	for i := range lists {
		if err := advance(i); err != nil {
			return err
		}
	}
	for {
		low := -1
		for i := range heads {
			if ok[i] && (low < 0 || manifest.CompareMailboxes(heads[i].Name, heads[low].Name) < 0) {
				low = i
			}
		}
		if low < 0 {
			return nil
		}
		j := &job{name: heads[low].Name, heads: make([]Head, n)}
		for i := range heads {
			if ok[i] && heads[i].Name == j.name {
				j.heads[i] = heads[i]
				j.listed |= 1 << i
			}
		}
		for i := range heads {
			if j.listed&(1<<i) == 0 {
				continue
			}
			if err := advance(i); err != nil {
				return err
			}
		}
		if !c.wants(j.name) {
			continue
		}
		if j.same(n) {
			c.state.same(j.heads[0].Messages)
			continue
		}
		if err := q.put(j); err != nil {
			return err
		}
	}
}

// same tells whether the roots prove that the mailbox is equal on all sides.
func (j *job) same(n int) bool {
	if j.listed != 1<<n-1 || n < 2 {
		return false
	}
	for i := range j.heads {
		h := &j.heads[i]
		if h.State.IsZero() || h.State != j.heads[0].State || h.Damaged != 0 || h.Messages < 0 {
			return false
		}
	}
	return true
}
