package manifest

import (
	"slices"
	"time"
)

// conclude brings Gone up to date where the visits of this look change it.
func (s *Session) conclude(complete bool) error {
	for no := range Shards {
		if no%bundleSize == 0 {
			if err := s.writeIndexesAbove(maxLoaded); err != nil {
				return err
			}
		}
		s.mu.Lock()
		seen, unknown := slices.Clone(s.seen[no]), s.unknown[no]
		t, had := s.rec.shard(no)
		_, changed := s.bundles[bundleOf(no)]
		s.mu.Unlock()
		slices.Sort(seen)
		seen = slices.Compact(seen)
		switch {
		case !had && !changed:
			continue // nothing is recorded
		case t.gone > 0 && len(seen) > 0: // one of them may be back
		case !complete:
			continue
		case t.gone == 0 && !changed && int64(len(seen)) == t.mailboxes:
			continue // all were seen
		}
		b, err := s.open(bundleOf(no))
		if err != nil {
			return err
		}
		s.concludeShard(b, no, seen, unknown, complete)
	}
	return nil
}

func (s *Session) concludeShard(b *bundle, shard int, seen, unknown []uint64, complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, _ := b.find(shard, "")
	for k, r := range b.ofShard(shard) {
		_, key := nameKey(r.Name)
		_, visited := slices.BinarySearch(seen, key)
		switch {
		case visited || r.session() >= s.rec.Open.ID:
			if visited && !r.Gone.IsZero() {
				b.setGone(first+k, time.Time{})
			}
		case complete && r.Gone.IsZero() && !slices.Contains(unknown, key):
			b.setGone(first+k, s.opt.Now().UTC())
		}
	}
}
