package manifest

import (
	"iter"
	"time"
)

// KeepAbsences is how long absences are kept where nothing else is configured.
const KeepAbsences = 90 * 24 * time.Hour

// CarryAbsences yields those of old that began less than keep before now (keep
// 0 means KeepAbsences), in their order, for a new manifest. An absence whose
// message is back is for the caller to leave out.
func CarryAbsences(old iter.Seq2[Absence, error], now time.Time, keep time.Duration) iter.Seq2[Absence, error] {
	if keep == 0 {
		keep = KeepAbsences
	}
	return func(yield func(Absence, error) bool) {
		for a, err := range old {
			if err == nil && now.Sub(a.FirstAbsent) >= keep {
				continue
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
}
