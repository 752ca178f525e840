package main

import (
	"testing"

	"mailsync/cmd/mailsync/config"
	"mailsync/compare"
)

// Which store diff says to make whole.
func TestNeediest(t *testing.T) {
	type side struct {
		role                      config.Role
		missing, damaged, lacking int64
		offline                   bool
	}
	none := config.Role{}
	for _, c := range []struct {
		name  string
		sides []side
		want  int
	}{
		{"no roles: most is missing", []side{{none, 1, 0, 0, false}, {none, 5, 0, 0, false}}, 1},
		{"nothing between them: the first", []side{{none, 2, 0, 0, false}, {none, 2, 0, 0, false}}, 0},
		{"damage before lack", []side{{none, 20, 0, 0, false}, {none, 0, 2, 0, false}}, 1},
		{"whole mailboxes are gone", []side{{none, 900, 0, 0, false}, {none, 0, 0, 3, false}}, 1},
		{"a backup is hours old: the primary's damage comes first", []side{{config.Backup, 500, 0, 2, false}, {config.Primary, 0, 3, 0, false}}, 1},
		{"a backup is hours old: the spare's loss comes first", []side{{config.Primary, 0, 0, 0, false}, {config.Backup, 500, 0, 0, false}, {config.Spare, 1, 0, 0, false}}, 2},
		{"the primary before the spare", []side{{config.Spare, 7, 0, 0, false}, {config.Primary, 1, 0, 0, false}}, 1},
		{"the spare's volumes are gone", []side{{config.Primary, 1, 0, 0, false}, {config.Spare, 0, 0, 40, false}}, 1},
		{"only the backup lacks anything", []side{{config.Primary, 0, 0, 0, false}, {config.Backup, 500, 0, 0, false}}, 1},
		{"the primary is offline", []side{{config.Primary, 9, 0, 0, true}, {config.Spare, 1, 0, 0, false}, {config.Backup, 50, 0, 0, false}}, 1},
		{"all are offline", []side{{config.Primary, 9, 0, 0, true}, {config.Spare, 1, 0, 0, true}}, -1},
	} {
		var stores []*config.Store
		var lacking []int64
		r := &compare.Result{}
		for _, s := range c.sides {
			stores = append(stores, &config.Store{Role: s.role})
			r.Totals = append(r.Totals, compare.RowSide{Missing: s.missing, Damaged: s.damaged})
			lacking = append(lacking, s.lacking)
		}
		if got := neediest(stores, r, lacking, func(i int) bool { return c.sides[i].offline }); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
