package manifest

import (
	"slices"
	"time"
)

// conclude brings Gone up to date where the visits of this look change it.
func (s *Session) conclude(complete bool) error {
	for no := range Shards {
		s.mu.Lock()
		seen, unknown := slices.Clone(s.seen[no]), s.unknown[no]
		t, had := s.rec.shard(no)
		_, changed := s.shards[no]
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
		sh, err := s.open(no)
		if err != nil {
			return err
		}
		s.concludeShard(sh, seen, unknown, complete)
		if err := s.writeIndexesAbove(maxLoaded); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) concludeShard(sh *shard, seen, unknown []uint64, complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range sh.rows {
		r := &sh.rows[i]
		_, key := nameKey(r.Name)
		_, visited := slices.BinarySearch(seen, key)
		switch {
		case visited || r.session() >= s.rec.Open.ID:
			if visited && !r.Gone.IsZero() {
				r.Gone = time.Time{}
				sh.dirty = true
			}
		case complete && r.Gone.IsZero() && !slices.Contains(unknown, key):
			r.Gone = s.opt.Now().UTC()
			sh.dirty = true
		}
	}
}
