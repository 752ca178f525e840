package restore

import (
	"testing"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
)

// What a backup lacks was missed by its copying only where everything says that
// it came later: one word against it, and it stays undecided.
func TestMissed(t *testing.T) {
	entry := func(ctime, mtime int) *manifest.Entry {
		return &manifest.Entry{CTime: at(ctime).UnixNano(), MTime: at(mtime).UnixNano()}
	}
	for _, c := range []struct {
		name   string
		src    *manifest.Entry
		gone   []compare.Gone
		shown  time.Time
		copied time.Time
		want   bool
	}{
		{"came after the copy", entry(6, 6), nil, time.Time{}, at(5), true},
		{"… and a scan of the source since shows it", entry(6, 6), nil, at(7), at(5), true},
		{"came before the copy", entry(4, 4), nil, time.Time{}, at(5), false},
		{"came before the copy, read after it", entry(6, 4), nil, time.Time{}, at(5), false},
		{"copied in with a date of later", entry(4, 6), nil, time.Time{}, at(5), false},
		{"shown by a record of before the copy", entry(6, 6), nil, at(4), at(5), false},
		{"some store records its absence", entry(6, 6), []compare.Gone{gone(2, true, manifest.NoEvidence, 6, 7)}, time.Time{}, at(5), false},
		{"nothing tells when it came", &manifest.Entry{}, nil, time.Time{}, at(5), false},
		{"nothing tells when the backup was copied to", entry(6, 6), nil, time.Time{}, time.Time{}, false},
	} {
		if got := missed(&compare.Group{Absences: c.gone}, c.src, c.shown, c.copied); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
