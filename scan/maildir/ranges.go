package maildir

import (
	"cmp"
	"slices"
	"sort"
)

// uidRanges is a set of UIDs that takes memory by ranges.
type uidRanges struct {
	r     []uidRange
	clean bool // sorted, without overlaps
}

type uidRange struct{ from, to uint32 }

func (u *uidRanges) add(from, to uint32) {
	if n := len(u.r); n > 0 && from >= u.r[n-1].from && from-1 <= u.r[n-1].to {
		u.r[n-1].to = max(u.r[n-1].to, to)
		return
	}
	u.r = append(u.r, uidRange{from, to})
	u.clean = false
}

func (u *uidRanges) sorted() []uidRange {
	if u.clean {
		return u.r
	}
	slices.SortFunc(u.r, func(a, b uidRange) int { return cmp.Compare(a.from, b.from) })
	out := u.r[:0]
	for _, r := range u.r {
		if n := len(out); n > 0 && uint64(r.from) <= uint64(out[n-1].to)+1 {
			out[n-1].to = max(out[n-1].to, r.to)
			continue
		}
		out = append(out, r)
	}
	u.r, u.clean = out, true
	return out
}

func (u *uidRanges) has(uid uint32) bool {
	r := u.sorted()
	i := sort.Search(len(r), func(i int) bool { return r[i].to >= uid })
	return i < len(r) && r[i].from <= uid
}

// covers tells whether the set has all UIDs from one to another.
func (u *uidRanges) covers(from, to uint32) bool {
	r := u.sorted()
	i := sort.Search(len(r), func(i int) bool { return r[i].to >= from })
	return i < len(r) && r[i].from <= from && r[i].to >= to
}
