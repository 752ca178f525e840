package scan

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"mailsync/compare"
	"mailsync/manifest"
)

// census is what is known of the store as a whole when one of its mailboxes is
// looked at by itself.
type census struct {
	once sync.Once
	// tripped: more than the usual share of the store is gone with what one
	// mailbox lacks.
	tripped bool
	err     error // why that is not known
}

// massive tells whether more than the usual share of the recorded store is gone
// without evidence. It is asked when the first such message turns up in a
// mailbox that is looked at by itself, and then lists every mailbox whose
// stamps have moved, once.
func (s *Scanner) massive(ctx context.Context) (bool, error) {
	s.census.once.Do(func() { s.census.tripped, s.census.err = s.takeCensus(ctx) })
	return s.census.tripped, s.census.err
}

func (s *Scanner) takeCensus(ctx context.Context) (bool, error) {
	if s.opt.Heads == nil {
		return false, nil
	}
	var messages, boxes, missing int64
	var gone atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for h, err := range s.opt.Heads(gctx) {
		if err != nil {
			_ = g.Wait()
			return false, err
		}
		if !h.Gone.IsZero() {
			continue
		}
		boxes++
		messages += h.Messages
		path, _, err := s.locate(gctx, h.Name)
		if err != nil {
			missing++
			continue
		}
		if s.asRecorded(&found{name: h.Name, path: path}, &h) {
			continue
		}
		g.Go(func() error {
			n, err := s.countGone(gctx, h.Name)
			gone.Add(n)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return false, err
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return gone.Load() > compare.MayBeGone(messages, s.cfg.Breaker) || missing > 1 && missing*2 >= boxes, nil
}

// countGone counts what a mailbox lacks without evidence. Only new files are
// read, to know what was moved.
func (s *Scanner) countGone(ctx context.Context, mailbox string) (int64, error) {
	v, err := s.Look(ctx, mailbox, LookOptions{
		NoDisorder: true,
		Decide: func(_, old *manifest.Entry, _ bool) Choice {
			if old == nil {
				return Read
			}
			return Leave
		},
	})
	if errors.Is(err, compare.ErrUnknown) || errors.Is(err, compare.ErrNoMailbox) {
		return 0, nil // unknown is not gone
	}
	if err != nil {
		return 0, err
	}
	defer v.Close()
	for _, err := range v.Entries(ctx) {
		if err != nil {
			return 0, fmt.Errorf("mailbox %q: %w", mailbox, err)
		}
	}
	return v.Unexplained(), nil
}
