package replay

import (
	"context"
	"time"

	"mailsync/compare"
)

// Candidate is a configured store that a replay could deliver into.
type Candidate struct {
	Name        string
	Role        string
	Source      compare.Source
	Unreachable bool      // could not be opened in this run, or was found unreachable since its last scan
	Newest      time.Time // newest INTERNALDATE of a message; filled by ChooseTarget where zero
}

// Newest returns the newest INTERNALDATE of a store's messages.
func Newest(ctx context.Context, s compare.Source) (time.Time, error) { return time.Time{}, nil }

// ChooseTarget returns the index of the default target: the store with role
// primary, provided that it could be reached and that no other store holds
// newer deliveries. The index is -1 where there is no unambiguous target; the
// reason is for a person. Newest of each candidate is filled either way.
func ChooseTarget(ctx context.Context, c []Candidate) (int, string, error) { return -1, "", nil }
