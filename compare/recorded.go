package compare

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"mailsync/manifest"
)

// RecordedOptions describe a recorded store beyond its record.
type RecordedOptions struct {
	Name          string // "" = the record's name, or path
	FailureDomain string
	Role          string
	CrashAt       time.Time
}

// RecordedStore is a store as its manifests hold it: a Source, Sharded, and a
// Witness that can only say what was recorded.
type RecordedStore struct {
	store *manifest.Store
	o     RecordedOptions
	info  Info
}

// Recorded makes a Source of a recorded store. Mailboxes that a complete scan
// found gone are not there any more; where no scan was ever completed, what is
// not recorded is unknown.
func Recorded(store *manifest.Store, o RecordedOptions) *RecordedStore {
	r := store.Record()
	if o.Name == "" {
		if o.Name = r.Name; o.Name == "" {
			o.Name = r.Path
		}
	}
	at := r.Complete.Began
	if at.IsZero() {
		at = r.Open.Began
	}
	return &RecordedStore{store: store, o: o, info: Info{
		Name: o.Name, Recorded: at, FailureDomain: o.FailureDomain, Role: o.Role,
		BootID: r.BootID, CrashAt: o.CrashAt, LastGood: r.Complete.Began,
	}}
}

// Info implements Source.
func (r *RecordedStore) Info() Info { return r.info }

// Store returns the record itself.
func (r *RecordedStore) Store() *manifest.Store { return r.store }

// Mailboxes implements Source.
func (r *RecordedStore) Mailboxes(ctx context.Context) iter.Seq2[Head, error] {
	return heads(r.store.Heads(ctx))
}

// ShardMailboxes implements Sharded.
func (r *RecordedStore) ShardMailboxes(ctx context.Context, shard int) iter.Seq2[Head, error] {
	return heads(r.store.ShardHeads(ctx, shard))
}

// ShardRoots implements Sharded.
func (r *RecordedStore) ShardRoots(shard int) (content, state manifest.Digest, err error) {
	return r.store.ShardRoots(shard)
}

func heads(list iter.Seq2[manifest.Head, error]) iter.Seq2[Head, error] {
	return func(yield func(Head, error) bool) {
		for h, err := range list {
			if err != nil {
				yield(Head{}, err)
				return
			}
			if !h.Gone.IsZero() {
				continue
			}
			out := Head{Name: h.Name, Content: h.Content, State: h.State, Messages: h.Messages, Damaged: h.Damaged}
			if !yield(out, nil) {
				return
			}
		}
	}
}

// Open implements Source.
func (r *RecordedStore) Open(_ context.Context, mailbox string) (View, error) {
	h, err := r.store.Head(mailbox)
	if errors.Is(err, manifest.ErrNoMailbox) || err == nil && !h.Gone.IsZero() {
		if r.info.LastGood.IsZero() {
			return nil, fmt.Errorf("%w: no scan of %s was ever completed, and mailbox %q is not recorded yet", ErrUnknown, r.info.Name, mailbox)
		}
		return nil, fmt.Errorf("%w: %q", ErrNoMailbox, mailbox)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: record of mailbox %q: %w", ErrUnknown, mailbox, err)
	}
	o, err := r.store.OpenMailbox(mailbox)
	if err != nil {
		return nil, fmt.Errorf("%w: record of mailbox %q: %w", ErrUnknown, mailbox, err)
	}
	return &recordedView{o}, nil
}

type recordedView struct{ o *manifest.Opened }

func (v *recordedView) Mailbox() *manifest.Mailbox { return v.o.Mailbox() }
func (v *recordedView) Close() error               { return v.o.Close() }

func (v *recordedView) Entries(ctx context.Context) iter.Seq2[manifest.Entry, error] {
	return cancellable(ctx, v.o.Entries())
}

func (v *recordedView) Absences(ctx context.Context) iter.Seq2[manifest.Absence, error] {
	return cancellable(ctx, v.o.Absences())
}

// cancellable ends a stream with the context's cause.
func cancellable[T any](ctx context.Context, list iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		n := 0
		for v, err := range list {
			if n++; n%256 == 1 && ctx.Err() != nil {
				yield(v, context.Cause(ctx))
				return
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
		if ctx.Err() != nil {
			var zero T
			yield(zero, context.Cause(ctx))
		}
	}
}

// Lookup implements Witness. The record says what was there at its age: a
// message in it was present, one that is not in it is not known.
func (r *RecordedStore) Lookup(_ context.Context, _, _ string, unique []string) ([]Presence, error) {
	return make([]Presence, len(unique)), nil
}

// Evidence implements Witness: a record holds no bytes.
func (r *RecordedStore) Evidence(_ context.Context, _, _ string, e *manifest.Entry, kind EvidenceKind) (Evidence, error) {
	return Evidence{Kind: kind}, nil
}

// Size implements Sized.
func (r *RecordedStore) Size() int64 { return r.store.Record().Messages }
