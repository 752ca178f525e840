package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"mailsync/manifest"
	"mailsync/scan/message"
)

// settle turns the finished tasks of a batch into entries, findings and
// absences. It returns false when the consumer wants no more.
func (v *View) settle(ctx context.Context, b *batch, yield func(manifest.Entry, error) bool) (bool, error) {
	before := v.counts
	defer func() {
		c := &v.counts
		v.o.Progress.note(c.Messages-before.Messages, c.Bytes-before.Bytes, c.ReadBytes-before.ReadBytes)
	}()
	for tasks := b.tasks; len(tasks) > 0; {
		fl, unique := tasks[0].fl, tasks[0].unique()
		n := 1
		for n < len(tasks) && tasks[n].fl == fl && tasks[n].unique() == unique {
			n++
		}
		entries, err := fl.settleGroup(ctx, tasks[:n])
		if err != nil {
			return false, err
		}
		for i := range entries {
			if !yield(entries[i], nil) {
				return false, nil
			}
		}
		fl.pending -= n
		if fl.produced && fl.pending == 0 {
			fl.close()
		}
		tasks = tasks[n:]
	}
	return true, nil
}

func (t *task) unique() string {
	if t.gone {
		return t.old.Unique
	}
	return t.entry.Unique
}

// settleGroup judges all files of one unique name together. What it returns is
// valid until the next call.
func (fl *folderLook) settleGroup(ctx context.Context, tasks []task) ([]manifest.Entry, error) {
	v := fl.v
	if len(tasks) == 1 && !tasks[0].gone && tasks[0].out < vanished { // the usual case
		v.one[0] = v.conclude(&tasks[0])
		return v.one[:], nil
	}
	var out []manifest.Entry
	live := make([]*task, 0, len(tasks))
	var lost []*task // were recorded or listed, and are not there now
	for i := range tasks {
		switch t := &tasks[i]; {
		case t.gone, t.out == vanished:
			lost = append(lost, t)
		case t.out == refused:
			v.finding(manifest.Finding{
				Folder: fl.info.Name, File: t.entry.File(), Kind: manifest.NotRegular,
				Certainty: manifest.Proof, Detail: t.err.Error(),
			})
			if t.old != nil {
				lost = append(lost, t)
			}
		default:
			live = append(live, t)
		}
	}
	live, moved := fl.distinct(live)
	lost = append(lost, moved...)
	for _, t := range lost {
		if len(live) > 0 {
			// A flag or a move from new to cur renames a file: the listing may
			// have shown both names. What is left is the message.
			fl.superseded(t, live)
			continue
		}
		found, err := fl.lookAgain(ctx, t)
		if err != nil {
			return nil, err
		}
		if found != nil {
			live = append(live, found)
		}
	}
	fl.duplicates(live)
	for _, t := range live {
		out = append(out, v.conclude(t))
	}
	slices.SortFunc(out, func(a, b manifest.Entry) int { return a.Compare(&b) })
	return out, nil
}

// distinct takes out of live what is one file seen under two names, because it
// was renamed between the two looks. Hard links stay: they are two names at
// the same time.
func (fl *folderLook) distinct(live []*task) (kept, moved []*task) {
	if len(live) < 2 {
		return live, nil
	}
	there := func(t *task) bool {
		st, err := fl.dirs.of(t.entry.Sub).Stat(t.entry.Name)
		return err != nil && !errors.Is(err, fs.ErrNotExist) || err == nil && st.Inode == t.entry.Inode
	}
	for _, t := range live {
		same := func(o *task) bool { return o != t && o.entry.Inode == t.entry.Inode && t.entry.Inode != 0 }
		first := slices.IndexFunc(kept, same)
		switch {
		case !slices.ContainsFunc(live, same):
			kept = append(kept, t)
		case first < 0 && there(t), first >= 0 && there(t) && there(kept[first]) && there(t):
			kept = append(kept, t)
		default:
			moved = append(moved, t)
		}
	}
	return kept, moved
}

// superseded deals with a recorded file whose unique name another file of the
// folder still has.
func (fl *folderLook) superseded(t *task, live []*task) {
	if t.old == nil {
		return
	}
	for _, l := range live {
		if l.old == nil {
			if t.old.Digest.IsZero() || t.old.Digest.Alg == fl.v.alg {
				l.old = t.old // what is there now is compared with it
			}
			return
		}
		if l.old.Content() == t.old.Content() || t.old.Digest.IsZero() {
			return // a second file of the same message, as after a crash
		}
	}
	fl.absent(t.old)
}

// duplicates reports files with the same base name.
func (fl *folderLook) duplicates(live []*task) {
	for i, t := range live {
		for _, first := range live[:i] {
			if t.name.ServerBase != first.name.ServerBase {
				continue
			}
			how := "another file"
			if t.entry.Inode == first.entry.Inode && t.entry.Inode != 0 {
				how = "the same file (hard link)"
			}
			fl.v.finding(manifest.Finding{
				Folder: fl.info.Name, File: t.entry.File(), Kind: manifest.DuplicateName, Certainty: manifest.Proof,
				Detail: fmt.Sprintf("%s has the same base name in %s", how, first.entry.Sub),
			})
			break
		}
	}
}

// baseline returns the digests that a message must still have: those that
// were recorded when nothing spoke against it. ok is false where there are none.
func baseline(old *manifest.Entry) (digest, plain manifest.Digest, ok bool) {
	if old == nil || old.Digest.IsZero() {
		return
	}
	switch old.Status {
	case manifest.Sound, manifest.Unread:
	case manifest.Damaged:
		if !old.Good {
			return
		}
	case manifest.Suspect:
		// What was suspicious may be whole now; only a change of content that
		// could not be proven keeps its old digest.
		if old.Damage != manifest.ContentChanged {
			return
		}
	}
	return old.Digest, old.Plain, true
}

// conclude makes the entry of a file that is there, and reports what is wrong.
func (v *View) conclude(t *task) manifest.Entry {
	e := t.entry
	e.Digest, e.Plain, e.HeaderID, e.Opaque = manifest.Digest{}, manifest.Digest{}, manifest.HeaderID{}, false
	e.Status, e.Damage, e.Good, e.Detail = manifest.Unread, manifest.NoKind, false, ""
	switch t.out {
	case taken:
		e.Digest, e.Plain, e.HeaderID, e.Opaque = t.old.Digest, t.old.Plain, t.old.HeaderID, t.old.Opaque
		e.Status, e.Damage, e.Good, e.Checked = t.old.Status, t.old.Damage, t.old.Good, t.old.Checked
		v.counts.Reused++
		v.again(t, &e)
	case left:
		v.keep(t.old, &e)
	case holed:
		v.hollow(t, &e)
	case failed:
		v.keep(t.old, &e)
		e.Damage, e.Detail = manifest.Unreadable, t.err.Error()
		v.finding(manifest.Finding{Folder: e.Folder, File: e.File(), Kind: manifest.Unreadable, Detail: e.Detail})
	case examined:
		v.judge(t, &e)
	}
	t.fl.keptUID(t, &e)
	v.counts.ReadBytes += t.read
	v.counts.Messages++
	v.counts.Bytes += e.Size
	v.quota.add(&e, &t.name)
	if t.old == nil {
		if v.rec != nil {
			v.seenNames.add(e.Folder, e.Unique)
			if c := e.Content(); !c.IsZero() {
				v.seenBody.add(string(c.Sum[:]))
			}
		}
	}
	v.tmp.see(t.fl, &e)
	return e
}

// keep carries what is recorded of a file whose bytes were not looked at.
func (v *View) keep(old *manifest.Entry, e *manifest.Entry) {
	e.Status = manifest.Unread
	if old == nil {
		return
	}
	if _, _, ok := baseline(old); ok {
		e.Digest, e.Plain, e.HeaderID, e.Opaque, e.Checked = old.Digest, old.Plain, old.HeaderID, old.Opaque, old.Checked
	}
}

// again repeats what the record says is wrong with a file that was not read again.
func (v *View) again(t *task, e *manifest.Entry) {
	switch {
	case e.Status == manifest.Damaged, e.Status == manifest.Suspect:
		certainty := manifest.Suspicion
		if e.Status == manifest.Damaged {
			certainty = manifest.Proof
		}
		e.Detail = "recorded " + time.Unix(e.Checked, 0).UTC().Format(time.RFC3339)
		v.finding(manifest.Finding{Folder: e.Folder, File: e.File(), Kind: e.Damage, Certainty: certainty, Detail: e.Detail})
	case e.Status == manifest.Sound && t.name.HasS && t.name.S != e.Size && e.Plain.IsZero() && !e.Opaque:
		v.finding(manifest.Finding{
			Folder: e.Folder, File: e.File(), Kind: manifest.WrongSizeName, Certainty: manifest.Proof,
			Detail: fmt.Sprintf("the name says %d bytes, the file has %d and its content is as recorded", t.name.S, e.Size),
		})
	}
}

// claim gathers what name, UID list and record say about the file.
func claim(t *task) message.Claim {
	c := message.Claim{S: t.name.S, W: t.name.W, HasS: t.name.HasS, HasW: t.name.HasW}
	if t.fl.uids != nil && t.entry.UID != 0 {
		z := t.fl.uids.Sizes(t.entry.UID)
		c.ListS, c.ListW, c.HasListS, c.HasListW = z.S, z.W, z.HasS, z.HasW
	}
	if digest, plain, ok := baseline(t.old); ok {
		c.Digest, c.Plain, c.Size = digest, plain, t.old.Size
		// The recorded size of a damaged file is that of the damaged file.
		c.HasSize = t.old.Status == manifest.Sound
	}
	return c
}

// sameAlg puts a claim of another algorithm into the words of this one: what
// was digested in the record's algorithm too is equal, or is not.
func (t *task) sameAlg(c *message.Claim) {
	now := t.facts.Stored.Digest
	if c.Digest.IsZero() || c.Digest.Alg == now.Alg {
		return
	}
	equal := t.oldAlg == c.Digest
	c.Digest, c.Plain = now, manifest.Digest{}
	if !equal {
		c.Digest.Sum[0] ^= 0xff
	}
}

// judge concludes from facts, name and record.
func (v *View) judge(t *task, e *manifest.Entry) {
	f := &t.facts
	e.Digest, e.Plain, e.HeaderID, e.Opaque = f.Stored.Digest, f.Plain(), f.HeaderID, f.Opaque()
	e.Status = manifest.Sound
	c := claim(t)
	t.sameAlg(&c)
	verdict := message.Damage(f, &c)
	base, basePlain, known := baseline(t.old)
	// Converted line ends are the recorded message, too: Damage has proved that
	// against the recorded digest where it says so.
	same := !known || c.Digest == f.Stored.Digest || sameContent(f, base, basePlain) || verdict.Kind == manifest.WrongSizeName

	kind, certainty, detail := verdict.Kind, verdict.Certainty, verdict.Detail
	if !same && (kind.Class() != manifest.Damage || certainty != manifest.Proof) {
		// Never launder: whatever else was concluded, other bytes under a
		// known name are a finding.
		if kind.Class() != manifest.Damage || kind > manifest.ContentChanged {
			kind, detail = manifest.ContentChanged, "the bytes are not those that were recorded"
		}
		certainty = manifest.Proof
		if e.Opaque || t.old.Opaque {
			certainty = manifest.Suspicion // ciphertext differs without any damage
		}
	}
	if !same && v.o.Accept && acceptable(kind) {
		if v.o.Accepted != nil {
			v.o.Accepted(Acceptance{
				Ref:  manifest.Ref{Store: v.s.cfg.Name, Mailbox: v.mb.Name, Folder: e.Folder, Unique: e.Unique},
				File: e.File(), Old: base, New: e.Digest,
			})
		}
		return
	}
	if t.old != nil && t.old.Status == manifest.Suspect && !known && t.old.Digest.Alg == e.Digest.Alg &&
		t.old.Digest != e.Digest && kind.Class() == manifest.Damage && certainty != manifest.Proof {
		// Suspicious then and suspicious now, with other bytes.
		kind, certainty, detail = manifest.ContentChanged, manifest.Proof, "the bytes are not those that were recorded"
		base, basePlain, same = t.old.Digest, t.old.Plain, false
	}
	if kind == manifest.NoKind {
		if verdict.Unchecked != "" {
			// The bytes are recorded, and what they hold is not known.
			e.Status, e.Damage, e.Detail = manifest.Unread, manifest.Unreadable, verdict.Unchecked
			v.finding(manifest.Finding{Folder: e.Folder, File: e.File(), Kind: manifest.Unreadable, Detail: verdict.Unchecked})
		}
		return
	}
	v.finding(manifest.Finding{Folder: e.Folder, File: e.File(), Kind: kind, Certainty: certainty, Detail: detail})
	if kind.Class() != manifest.Damage {
		return
	}
	e.Damage, e.Detail, e.Status = kind, detail, manifest.Suspect
	if certainty == manifest.Proof {
		e.Status = manifest.Damaged
	}
	if !same {
		e.Held = e.Digest
		e.Digest, e.Plain, e.HeaderID, e.Opaque = base, basePlain, t.old.HeaderID, t.old.Opaque
		e.Good = e.Status == manifest.Damaged
	}
}

// sameContent tells whether a file holds the recorded message, however it is
// compressed now and was then.
func sameContent(f *message.Facts, digest, plain manifest.Digest) bool {
	was := digest
	if !plain.IsZero() {
		was = plain
	}
	now := f.Stored.Digest
	if p := f.Plain(); !p.IsZero() {
		now = p
	}
	return was == now && !was.IsZero()
}

// acceptable tells whether an operator can accept a change as intended. What
// only damage leaves behind cannot be.
func acceptable(k manifest.Kind) bool {
	switch k {
	case manifest.ContentChanged, manifest.Truncated, manifest.Grown, manifest.LineCount, manifest.WrongSizeName, manifest.NoKind:
		return true
	}
	return false
}
