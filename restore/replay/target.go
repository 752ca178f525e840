package replay

import (
	"context"
	"fmt"
	"strings"
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

// Newest returns the newest INTERNALDATE of a store's messages, as far as it is
// not in the future. Mailboxes that cannot be looked at are left out.
func Newest(ctx context.Context, s compare.Source, now time.Time) (time.Time, error) {
	limit := now.Add(time.Hour).UnixNano()
	var newest int64
	for h, err := range s.Mailboxes(ctx) {
		if err != nil {
			return time.Time{}, err
		}
		if err := newestIn(ctx, s, h.Name, limit, &newest); err != nil && ctx.Err() != nil {
			return time.Time{}, context.Cause(ctx)
		}
	}
	if newest == 0 {
		return time.Time{}, nil
	}
	return time.Unix(0, newest).UTC(), nil
}

func newestIn(ctx context.Context, s compare.Source, name string, limit int64, newest *int64) error {
	v, err := s.Open(ctx, name)
	if err != nil {
		return err
	}
	defer v.Close()
	for e, err := range v.Entries(ctx) {
		if err != nil {
			return err
		}
		if e.MTime > *newest && e.MTime <= limit {
			*newest = e.MTime
		}
	}
	return nil
}

// ChooseTarget returns the index of the default target: the store with role
// primary, provided that it could be reached and that no other store holds
// newer deliveries. The index is -1 where there is no unambiguous target; the
// reason is for a person and names the candidates. Newest of each is filled,
// unless there is nothing to compare: the only store is a primary within reach.
func ChooseTarget(ctx context.Context, c []Candidate, now time.Time) (int, string, error) {
	if len(c) == 1 && c[0].Role == "primary" && !c[0].Unreachable {
		return 0, "", nil
	}
	primary := -1
	var list []string
	for i := range c {
		x := &c[i]
		if !x.Unreachable && x.Newest.IsZero() && x.Source != nil {
			t, err := Newest(ctx, x.Source, now)
			if ctx.Err() != nil {
				return -1, "", context.Cause(ctx)
			}
			if err != nil {
				x.Unreachable = true
			}
			x.Newest = t
		}
		switch {
		case x.Unreachable:
			list = append(list, x.Name+" (cannot be reached)")
		case x.Newest.IsZero():
			list = append(list, x.Name+" (holds no message)")
		default:
			list = append(list, fmt.Sprintf("%s (newest message %s)", x.Name, x.Newest.Format(time.RFC3339)))
		}
		if x.Role == "primary" {
			if primary >= 0 {
				return -1, "more than one store has the role primary: " + x.Name + " and " + c[primary].Name, nil
			}
			primary = i
		}
	}
	candidates := "; candidates: " + strings.Join(list, ", ")
	switch {
	case primary < 0:
		return -1, "no store has the role primary" + candidates, nil
	case c[primary].Unreachable:
		return -1, "the primary " + c[primary].Name + " cannot be reached, or could not since its last scan" + candidates, nil
	}
	for i := range c {
		if i != primary && c[i].Newest.After(c[primary].Newest) {
			return -1, fmt.Sprintf("%s holds newer deliveries than the primary %s", c[i].Name, c[primary].Name) + candidates, nil
		}
	}
	return primary, "", nil
}
