package scan

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
)

// merge yields every mailbox that is found or recorded, in order.
func (r *run) merge(ctx context.Context, all []found, deadline time.Time, yield func(job) bool) error {
	i, n := 0, 0
	give := func(j job) bool {
		if !r.wanted(j.name) {
			return true
		}
		if !deadline.IsZero() && !r.s.opt.Now().Before(deadline) {
			r.mu.Lock()
			r.result.TimeUp = true
			r.mu.Unlock()
			return false
		}
		return yield(j)
	}
	for h, err := range r.recordedHeads(ctx) {
		if err != nil {
			return err
		}
		for i < len(all) && manifest.CompareMailboxes(all[i].name, h.Name) < 0 {
			if !give(job{found: all[i]}) {
				return nil
			}
			i++
		}
		again := r.rehash[n]
		n++
		if i < len(all) && all[i].name == h.Name {
			if !give(job{found: all[i], head: &h, rehash: again}) {
				return nil
			}
			i++
			continue
		}
		if h.Gone.IsZero() && r.wanted(h.Name) && !r.o.Adopt {
			if err := r.lost(ctx, &h); err != nil {
				return err
			}
		}
	}
	for ; i < len(all); i++ {
		if !give(job{found: all[i]}) {
			return nil
		}
	}
	return nil
}

// maxHeads is how many recorded mailboxes are kept in memory between the census
// and the scan, so that the indexes are read once.
const maxHeads = 20_000

func (r *run) recordedHeads(ctx context.Context) iter.Seq2[manifest.Head, error] {
	if r.heads == nil {
		return r.from.Heads(ctx)
	}
	return func(yield func(manifest.Head, error) bool) {
		for i := range r.heads {
			if !yield(r.heads[i], nil) {
				return
			}
		}
	}
}

// lost deals with a mailbox that was recorded and not found.
func (r *run) lost(ctx context.Context, h *manifest.Head) error {
	if r.s.cfg.Users != "" || len(r.s.cfg.UsersCommand) > 0 {
		u, err := r.s.userList(ctx)
		if err != nil {
			return err
		}
		if _, ok := u.path(h.Name); !ok {
			return nil // its owner is gone with it: Finish marks it so
		}
	}
	r.partial(h.Name, fmt.Errorf("%w: its root is not there any more", compare.ErrUnknown))
	return r.session.Unknown(h.Name)
}

// census compares what was found with what is recorded before anything is
// concluded, and chooses what is read again. incomplete is why all may not be
// all, nil where it is.
func (r *run) census(ctx context.Context, all []found, incomplete error) error {
	type row struct {
		at      int
		checked int64
		bytes   int64
	}
	var rows []row
	var boxes, missing, messages, bytes, total int64
	i, n := 0, 0
	r.heads = []manifest.Head{}
	for h, err := range r.from.Heads(ctx) {
		if err != nil {
			return err
		}
		if len(r.heads) < maxHeads && r.heads != nil {
			r.heads = append(r.heads, h)
		} else {
			r.heads = nil
		}
		for i < len(all) && manifest.CompareMailboxes(all[i].name, h.Name) < 0 {
			i++
		}
		there := i < len(all) && all[i].name == h.Name
		if r.o.RehashFraction > 0 && there && h.Messages > 0 && r.wanted(h.Name) {
			rows = append(rows, row{at: n, checked: h.Checked, bytes: h.Bytes})
			total += h.Bytes
		}
		n++
		if !h.Gone.IsZero() {
			continue
		}
		boxes++
		messages += h.Messages
		bytes += h.Bytes
		if !there {
			missing++
		}
	}
	p := r.o.Progress
	p.TotalMailboxes.Store(int64(len(all)))
	p.TotalMessages.Store(messages)
	p.TotalBytes.Store(bytes)
	if boxes > 0 && !r.o.Adopt && (len(all) == 0 || missing*2 >= boxes && missing > 1) {
		r.result.Refused = fmt.Errorf("%w: of %d recorded mailboxes %d are not there (is everything mounted?)", ErrHalfGone, boxes, missing)
		if incomplete != nil {
			r.result.Refused = fmt.Errorf("%w; %w", r.result.Refused, incomplete)
		}
		return nil
	}
	r.limit = compare.MayBeGone(messages, r.s.cfg.Breaker)
	slices.SortFunc(rows, func(a, b row) int {
		if a.checked != b.checked {
			if a.checked < b.checked {
				return -1
			}
			return 1
		}
		return a.at - b.at
	})
	r.rehash = make(map[int]bool)
	var sum int64
	for _, row := range rows {
		if float64(sum) >= r.o.RehashFraction*float64(total) {
			break
		}
		sum += row.bytes
		r.rehash[row.at] = true
	}
	return nil
}
