package scan

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"mailsync/compare"
	"mailsync/manifest"
)

// opened makes a compare.View of an open manifest.
type opened struct{ *manifest.Opened }

// Entries implements compare.View.
func (o *opened) Entries(ctx context.Context) iter.Seq2[manifest.Entry, error] {
	return until(ctx, o.Opened.Entries())
}

// Absences implements compare.View.
func (o *opened) Absences(ctx context.Context) iter.Seq2[manifest.Absence, error] {
	return until(ctx, o.Opened.Absences())
}

// until ends a sequence with the cause when the context ends.
func until[T any](ctx context.Context, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		n := 0
		for x, err := range seq {
			if n++; n%256 == 0 && ctx.Err() != nil {
				yield(x, context.Cause(ctx))
				return
			}
			if !yield(x, err) || err != nil {
				return
			}
		}
	}
}

// FromRecord makes the Options.Recorded of a record.
func FromRecord(store *manifest.Store) func(context.Context, string) (compare.View, error) {
	return func(_ context.Context, mailbox string) (compare.View, error) {
		m, err := store.OpenMailbox(mailbox)
		if errors.Is(err, manifest.ErrNoMailbox) {
			return nil, fmt.Errorf("%w: %w", compare.ErrNoMailbox, err)
		}
		if err != nil {
			return nil, err
		}
		return &opened{m}, nil
	}
}
