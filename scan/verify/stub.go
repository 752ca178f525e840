package verify

import (
	"context"
	"iter"
)

func (v *Verification) run(ctx context.Context) iter.Seq2[Event, error] { panic("unfinished") }
