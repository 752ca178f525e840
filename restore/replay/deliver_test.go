package replay

import (
	"testing"
	"time"

	"mailsync/manifest"
)

// A damaged file that is healed bears its own date and not that of the accident.
func TestHealedMessageKeepsItsOwnDate(t *testing.T) {
	delivered := time.Unix(1790000000, 250000000).UTC()
	for what, c := range map[string]struct {
		name        string
		mtime, want time.Time
	}{
		"bytes that rotted":          {"1790000000.M250000P7.mx:2,S", delivered.Add(2 * time.Second), delivered.Add(2 * time.Second)},
		"overwritten days later":     {"1790000000.M250000P7.mx:2,S", delivered.Add(72 * time.Hour), delivered},
		"copied, with an older date": {"1790000000.M250000P7.mx:2,S", delivered.Add(-72 * time.Hour), delivered.Add(-72 * time.Hour)},
		"a name without a time":      {"x", delivered.Add(72 * time.Hour), delivered.Add(72 * time.Hour)},
	} {
		got := ownDate(&manifest.Entry{Name: c.name, MTime: c.mtime.UnixNano()})
		if !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
}
