package restore

import (
	"context"
	"slices"
	"strings"

	"mailsync/manifest"
)

// PlanNextUIDs plans the raising of next UIDs and nothing else, in the folders of
// the target of which the record, another store or the server's index knows a
// higher one than the UID list: the sign of an older copy that was promoted. It
// needs the target's Site, and no source.
func PlanNextUIDs(ctx context.Context, o PlanOptions) (*Plan, error) {
	o.Sources, o.FixUIDNext = nil, true
	return newPlan(ctx, &o, true)
}

// raised plans the raising of the mailbox' next UIDs.
func (b *planBoxer) raised(ctx context.Context) error {
	t := &b.m.Sides[0]
	if t.Unknown != "" {
		b.box.Unknown++
		b.box.Note = "the target's mailbox cannot be looked at: " + t.Unknown
		return b.close()
	}
	if b.missing() {
		return nil
	}
	var known bool
	if b.place, known = b.p.where(b.m.Name); !known {
		return nil
	}
	if err := b.look(ctx); err != nil {
		return err
	}
	defer b.uids.close()
	folders := slices.Clone(t.Mailbox.Folders)
	slices.SortFunc(folders, func(x, y manifest.Folder) int { return strings.Compare(x.Name, y.Name) })
	for i := range folders {
		f := &folderPlan{name: folders[i].Name, dir: folders[i].Dir, there: &folders[i]}
		s, err := b.uids.state(f)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			b.box.Unknown++
			b.box.Note = "the server's files cannot be read: " + err.Error()
			continue
		}
		if s == nil || s.planted || !s.there || s.broken != nil {
			continue // no list that could be raised; restore looks after what is lost
		}
		from := b.p.spool.size
		for _, a := range b.uids.raise(f, s) {
			if err := b.emit(&a); err != nil {
				return err
			}
		}
		if to := b.p.spool.size; from < to {
			b.parts = append(b.parts, extent{from, to})
			b.stamp(f)
		}
	}
	return b.close()
}
