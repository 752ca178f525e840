package compare

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mailsync/manifest"
)

// line starts a difference of this group.
func (j *trial) line(kind Kind) Difference {
	g := j.g
	d := Difference{Mailbox: g.Mailbox, Kind: kind, Copies: slices.Clone(g.Copies)}
	for i := range d.Copies {
		if e := d.Copies[i].Entry; e != nil && e.Status == manifest.Unread {
			d.Copies[i] = Copy{Unknown: unreadable(e)}
		}
	}
	if e, _ := g.First(); e != nil {
		d.Folder, d.File = e.Folder, e.File()
	}
	return d
}

func unreadable(e *manifest.Entry) string {
	if e.Detail != "" {
		return e.Detail
	}
	return "its content could not be read"
}

// missing makes the line of a message that some sides lack.
func (j *trial) missing() (Difference, bool) {
	var lack []int
	for i := range j.g.Copies {
		if j.g.Copies[i].Absent() && !j.g.Whole[i] {
			lack = append(lack, i)
		}
	}
	if len(lack) == 0 {
		return Difference{}, false
	}
	d := j.line(Missing)
	d.Good = j.v.Good
	reason := j.list(lack) + " lacks it"
	if len(lack) > 1 {
		reason = j.list(lack) + " lack it"
	}
	for k := range j.g.Absences {
		a := &j.g.Absences[k]
		if s := j.goneBecause(a); s != "" {
			reason += "; " + s
		}
		if k == 2 {
			break
		}
	}
	if len(j.v.Good) == 0 && len(j.classes) > 0 && j.v.Reason == "" {
		reason += "; the copy that is left is suspect"
	}
	for _, i := range lack {
		if at := j.c.Infos[i].Recorded; !at.IsZero() {
			reason += fmt.Sprintf("; %s as recorded %s", j.name(i), at.UTC().Format(time.RFC3339))
		}
	}
	d.Reason = reason
	return d, true
}

// goneBecause says in words what an absence tells.
func (j *trial) goneBecause(a *Gone) string {
	where := j.name(a.Side)
	if !a.ByName {
		where += " (folder " + a.Entry.Folder + ")"
	}
	day := a.FirstAbsent.UTC().Format(time.RFC3339)
	switch a.Evidence {
	case manifest.ServerExpunge:
		return "deleted by its owner in " + where + " (server's log)"
	case manifest.OwnJournal:
		return "taken back by an undo in " + where
	case manifest.OrdinaryAbsence:
		return "gone from " + where + " in ordinary operation, noticed " + day
	case manifest.ServerNoticed:
		return "lost in " + where + ": its server noticed, and nobody asked for it"
	case manifest.ServerUnaware:
		return "lost in " + where + ": its server still lists it"
	case manifest.InsideCrash:
		return "gone from " + where + " since the crash"
	case manifest.MassDisappearing:
		return "gone from " + where + " with most of the mailbox"
	}
	return "gone from " + where + " since " + day
}

// marks makes the lines about what lies beside the content.
func (j *trial) marks() []Difference {
	var have []int
	for i := range j.g.Copies {
		if j.g.Copies[i].Entry != nil {
			have = append(have, i)
		}
	}
	if len(have) < 2 {
		return nil
	}
	var out []Difference
	entry := func(i int) *manifest.Entry { return j.g.Copies[i].Entry }
	differ := func(have []int, same func(a, b *manifest.Entry) bool) bool {
		for _, i := range have[min(1, len(have)):] {
			if !same(entry(have[0]), entry(i)) {
				return true
			}
		}
		return false
	}
	named := have // where the names of the keywords could be read
	if j.c.Dark != nil {
		named = slices.DeleteFunc(slices.Clone(have), func(i int) bool { return j.c.Dark(i, entry(i).Folder) })
	}
	dated := slices.DeleteFunc(slices.Clone(have), j.accident)
	sameFolder := func(a, b *manifest.Entry) bool { return a.Folder == b.Folder }
	if differ(have, sameFolder) && !j.wholeMove(have) {
		d := j.line(Moved)
		var folders []string
		for _, i := range have {
			folders = append(folders, fmt.Sprintf("%s: %s", j.name(i), entry(i).Folder))
		}
		d.Good, d.Reason = j.changed(have, sameFolder)
		d.Reason = strings.Join(folders, ", ") + "; " + d.Reason
		out = append(out, d)
	}
	for _, m := range []struct {
		kind Kind
		have []int
		same func(a, b *manifest.Entry) bool
	}{
		{Flags, have, func(a, b *manifest.Entry) bool { return a.Flags == b.Flags }},
		{Keywords, named, func(a, b *manifest.Entry) bool { return slices.Equal(a.Keywords, b.Keywords) }},
		{Date, dated, func(a, b *manifest.Entry) bool { return second(a.MTime) == second(b.MTime) }},
	} {
		if !differ(m.have, m.same) {
			continue
		}
		d := j.line(m.kind)
		d.Good, d.Reason = j.changed(m.have, m.same)
		if m.kind == Keywords && slices.ContainsFunc(have, func(i int) bool { return nameless(entry(i).Keywords) }) {
			d.Reason += "; a keyword letter has no name in its folder's table"
		}
		out = append(out, d)
	}
	if a, b, ok := j.uids(have); ok {
		d := j.line(UID)
		d.Reason = fmt.Sprintf("UID %d in %s, %d in %s, under the same UIDVALIDITY", entry(a).UID, j.name(a), entry(b).UID, j.name(b))
		out = append(out, d)
	}
	return out
}

// accident tells whether a copy bears the date at which it was damaged, and not
// its own: it differs from the recorded one, or, with no record of the time before,
// is later than that of a copy which is not damaged.
func (j *trial) accident(side int) bool {
	if !slices.Contains(j.v.Damaged, side) {
		return false
	}
	c := &j.g.Copies[side]
	if c.Base != nil && c.Base.Status != manifest.Damaged { // else it was recorded after the accident
		return second(c.Entry.MTime) != second(c.Base.MTime)
	}
	for i := range j.g.Copies {
		if e := j.g.Copies[i].Entry; e != nil && !slices.Contains(j.v.Damaged, i) && second(e.MTime) < second(c.Entry.MTime) {
			return true
		}
	}
	return false
}

// wholeMove tells whether a message lies in different folders only because
// each side lacks the other's folder: the folders' lines say it.
func (j *trial) wholeMove(have []int) bool {
	for _, i := range have {
		for _, k := range have {
			a, b := j.g.Copies[i].Entry, j.g.Copies[k].Entry
			if a.Folder != b.Folder && !(j.lacksFolder(i, b.Folder) && j.lacksFolder(k, a.Folder)) {
				return false
			}
		}
	}
	return true
}

func (j *trial) lacksFolder(side int, folder string) bool {
	return j.c.Lacks != nil && j.c.Lacks(side, folder)
}

func nameless(keywords []string) bool {
	return slices.ContainsFunc(keywords, func(k string) bool { return len(k) == 2 && k[0] == '?' })
}

// changed tells which sides changed something since it was recorded, where the
// record of every side is known and only one change was made.
func (j *trial) changed(have []int, same func(a, b *manifest.Entry) bool) ([]int, string) {
	var moved []int
	for _, i := range have {
		c := &j.g.Copies[i]
		if c.Base == nil {
			return nil, "no record says which was changed"
		}
		if !same(c.Entry, c.Base) {
			moved = append(moved, i)
		}
	}
	for _, i := range moved {
		if !same(j.g.Copies[moved[0]].Entry, j.g.Copies[i].Entry) {
			return nil, "changed on several sides: " + j.list(moved)
		}
	}
	if len(moved) == 0 {
		return nil, "it differed already when it was recorded"
	}
	return moved, "changed in " + j.list(moved) + " since it was recorded"
}

// uids finds two copies of one folder with different UIDs under the same UIDVALIDITY.
func (j *trial) uids(have []int) (int, int, bool) {
	g := j.g
	for n, i := range have {
		for _, k := range have[:n] {
			a, b := g.Copies[k].Entry, g.Copies[i].Entry
			if a.Folder == b.Folder && a.UID != 0 && b.UID != 0 && a.UID != b.UID &&
				g.UIDValidity[i] != 0 && g.UIDValidity[i] == g.UIDValidity[k] {
				return k, i, true
			}
		}
	}
	return 0, 0, false
}
