package main

import (
	"context"
	"iter"
	"sync"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore/remote"
)

// nearCopy is a store of another host of whose record this host keeps a copy.
// What that host has just said is as it was recorded, by its state root, is
// taken from the copy: the same entries need not travel. Whatever moved since,
// holds damage or was never recorded has no such root, and is asked for.
type nearCopy struct {
	*remote.Store
	rec  *manifest.Store
	copy *compare.RecordedStore

	mu         sync.Mutex
	same, last map[string]bool // mailboxes that were listed a moment ago, and are as in the copy
}

// maxListed is how many mailboxes are remembered, at least and half of at most:
// what is opened was listed shortly before.
const maxListed = 1024

func newNearCopy(far *remote.Store, rec *manifest.Store, recorded *compare.RecordedStore) *nearCopy {
	return &nearCopy{Store: far, rec: rec, copy: recorded, same: map[string]bool{}}
}

// Mailboxes implements compare.Source.
func (n *nearCopy) Mailboxes(ctx context.Context) iter.Seq2[compare.Head, error] {
	return n.listed(n.Store.Mailboxes(ctx))
}

// Parts implements compare.Summed.
func (n *nearCopy) Parts(ctx context.Context, runs []compare.Run) iter.Seq2[compare.Head, error] {
	return n.listed(n.Store.Parts(ctx, runs))
}

func (n *nearCopy) listed(list iter.Seq2[compare.Head, error]) iter.Seq2[compare.Head, error] {
	return func(yield func(compare.Head, error) bool) {
		for h, err := range list {
			if err == nil {
				n.note(&h)
			}
			if !yield(h, err) {
				return
			}
		}
	}
}

// note remembers a mailbox that is as in the copy.
func (n *nearCopy) note(h *compare.Head) {
	if h.State.IsZero() || h.Damaged != 0 {
		return
	}
	own, err := n.rec.Head(h.Name)
	if err != nil || !own.Gone.IsZero() || own.State != h.State || own.Messages != h.Messages || own.Damaged != 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.same) >= maxListed {
		n.same, n.last = map[string]bool{}, n.same
	}
	n.same[h.Name] = true
}

// Open implements compare.Source.
func (n *nearCopy) Open(ctx context.Context, mailbox string) (compare.View, error) {
	n.mu.Lock()
	same := n.same[mailbox] || n.last[mailbox]
	n.mu.Unlock()
	if same {
		if v, err := n.copy.Open(ctx, mailbox); err == nil {
			v.Mailbox().Began = time.Now() // it is looked at now: what it lacks was gone before
			return v, nil
		}
	}
	return n.Store.Open(ctx, mailbox)
}
