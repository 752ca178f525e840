package restore

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"mailsync/manifest/durable"
)

// deed is what the journal of a run tells of one action.
type deed struct {
	action Action // as it was announced; once done, with what came to be
	aside  string // its name in quarantine, or ""
	loose  bool   // announced and never acknowledged: it may have taken place
}

// deeds yields what a run did, in the order in which it was acknowledged, and
// then what a run that was killed had announced only.
func deeds(fsys durable.FS, path string) iter.Seq2[deed, error] {
	return func(yield func(deed, error) bool) {
		open := map[uint64][]deed{} // batches that are announced and not acknowledged
		for t, err := range readJournal(fsys, path, nil) {
			if err != nil {
				yield(deed{}, err)
				return
			}
			switch t.kind {
			case recIntent:
				list := open[t.batch]
				for len(list) < t.first {
					list = append(list, deed{}) // not part of the batch's work
				}
				for i := range t.actions {
					list = append(list, deed{action: t.actions[i], aside: t.asides[i], loose: true})
				}
				open[t.batch] = list
			case recDone:
				list := open[t.batch]
				delete(open, t.batch)
				for i := range t.done {
					o := &t.done[i]
					if o.Index >= len(list) {
						yield(deed{}, fmt.Errorf("%w: %s: a message is done that was not announced", ErrRun, path))
						return
					}
					if o.State != Done {
						continue
					}
					a := list[o.Index].action
					a.Post.Sub, a.Post.Name, a.Post.Inode = o.Sub, o.Name, o.Inode
					if a.Op == UID {
						a.Post.Size = o.Size
					}
					if !yield(deed{action: a, aside: o.Aside}, nil) {
						return
					}
				}
			}
		}
		for _, n := range slices.Sorted(maps.Keys(open)) {
			for _, d := range open[n] {
				if d.action.Op != "" && !yield(d, nil) {
					return
				}
			}
		}
	}
}
