package verify

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"mailsync/manifest"
	"mailsync/scan"
	"mailsync/scan/maildir"
)

// teller gives what the looks showed to the consumer.
type teller struct {
	v       *Verification
	id      StageID
	yield   func(Event) bool
	stopped bool

	// While it is not certain that the store is not half gone, nothing is told.
	hold        bool
	held        []*outcome
	heldCount   int
	present     int64
	unexplained int64
}

// maxHeld bounds the findings that are held back.
const maxHeld = 100_000

// halfFloor is the number of messages from which on a store can look half gone.
const halfFloor = 10

func (t *teller) take(o *outcome) error {
	t.present += o.counts.Messages
	t.unexplained += o.unexplained
	if !t.hold {
		return t.tell(o)
	}
	t.held = append(t.held, o)
	t.heldCount += len(o.findings) + 1
	if t.present*2 > t.v.recorded() || t.heldCount > maxHeld {
		return t.release()
	}
	return nil
}

func (t *teller) release() error {
	t.hold = false
	for _, o := range t.held {
		if err := t.tell(o); err != nil || t.stopped {
			return err
		}
	}
	t.held = nil
	return nil
}

// finish ends a stage: what is still held back is told, or the store is
// refused.
func (t *teller) finish() error {
	if !t.hold {
		return nil
	}
	n := t.v.recorded()
	if !t.v.result.Ended && t.unexplained >= halfFloor && t.unexplained*2 > n && t.present*2 < n {
		t.v.result.Refused = true
		t.v.partial(fmt.Sprintf("%s: of %d recorded messages %d are not there, and nothing says that anybody deleted them (is everything mounted?)",
			scan.ErrHalfGone, n, t.unexplained))
		return nil
	}
	return t.release()
}

// tell counts what a look showed and gives it to the consumer.
func (t *teller) tell(o *outcome) error {
	v := t.v
	c := &v.result.Counts
	before := v.result.told()
	if o.at < 0 {
		err := t.findings(o)
		what := v.result.since(&before)
		v.place.Told.add(&what)
		return err
	}
	if t.id == Structure {
		c.Mailboxes++
		c.Folders += o.counts.Folders
		c.Messages += o.counts.Messages
		c.Bytes += o.counts.Bytes
	}
	c.ReadBytes += o.counts.ReadBytes
	v.progress.Bytes.Add(o.counts.ReadBytes)
	v.targets[o.at].bad = v.targets[o.at].bad || o.bad
	v.targets[o.at].packed = o.packed
	for _, why := range o.partial {
		if v.once("", "partial", why) {
			v.partial(why)
		}
	}
	if err := t.findings(o); err != nil || t.stopped {
		return err
	}
	for i := range o.vanished {
		c.Vanished++
		if !t.yield(Event{Vanished: &o.vanished[i]}) {
			t.stopped = true
			return nil
		}
	}
	return v.passed(t.id, o.at, v.result.since(&before))
}

// findings counts the findings that are new and gives them to the consumer.
func (t *teller) findings(o *outcome) error {
	slices.SortStableFunc(o.findings, func(a, b manifest.Finding) int {
		return cmp.Or(strings.Compare(a.Folder, b.Folder), strings.Compare(a.File, b.File))
	})
	unread := 0
	for i := range o.findings {
		f := &o.findings[i]
		if !t.wants(f) {
			continue
		}
		if f.Kind.Class() == manifest.Unknown && f.Folder != "" {
			unread++
		}
		t.v.finding(f)
		if !t.yield(Event{Finding: f}) {
			t.stopped = true
			return nil
		}
	}
	if unread > 0 {
		t.v.partial(fmt.Sprintf("mailbox %q: %d of its files and folders could not be read", t.v.targets[o.at].name, unread))
	}
	return nil
}

// wants tells whether a finding is new: a file is damaged once, however often
// it is read, and what cannot be read is told once.
func (t *teller) wants(f *manifest.Finding) bool {
	switch {
	case f.Kind == manifest.Missing:
		return t.v.once(f.Mailbox, f.Folder, "missing/"+f.File)
	case f.Kind.Class() == manifest.Damage, f.Kind == manifest.WrongSizeName:
		dir, name, _ := strings.Cut(f.File, "/")
		if dir == "cur" || dir == "new" {
			return t.v.once(f.Mailbox, f.Folder, "damage/"+maildir.ParseName(name).ServerBase)
		}
	case f.Kind.Class() == manifest.Unknown:
		return t.v.once(f.Mailbox, f.Folder, "unreadable/"+f.File)
	}
	return true
}

var seed = maphash.MakeSeed()

// once tells whether something is told for the first time.
func (v *Verification) once(parts ...string) bool {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, p := range parts {
		_, _ = h.WriteString(p)
		_ = h.WriteByte(0)
	}
	if k := h.Sum64(); v.told[k] {
		return false
	} else {
		v.told[k] = true
	}
	return true
}
