package verify

import (
	"context"
	"iter"

	"mailsync/manifest"
)

// Entries implements compare.View.
func (r *recorded) Entries(ctx context.Context) iter.Seq2[manifest.Entry, error] {
	return until(ctx, r.Opened.Entries())
}

// Absences implements compare.View.
func (r *recorded) Absences(ctx context.Context) iter.Seq2[manifest.Absence, error] {
	return until(ctx, r.Opened.Absences())
}

// until ends a sequence with the cause when the context ends.
func until[T any](ctx context.Context, list iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		n := 0
		for x, err := range list {
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
