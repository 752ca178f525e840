package compare

import (
	"slices"
	"time"

	"mailsync/manifest"
)

// Need is evidence that Judge asks for.
type Need struct {
	Side int
	Kind EvidenceKind
}

// Case is what Judge knows beside the group itself.
type Case struct {
	Infos []Info
	// Can tells which sides have a Witness that may be asked; nil: none.
	Can      []bool
	Evidence map[Need]Evidence
	// Lacks tells whether a side lacks a folder as a whole; nil: none does.
	Lacks func(side int, folder string) bool
	// Dark tells whether the keyword names of a side's folder could not be
	// read; nil: all could. Its keywords are not compared.
	Dark func(side int, folder string) bool
}

// Judge decides which copies of a group are good and what differs, and writes
// both into the group. It is pure: where a verdict needs evidence that the case
// lacks, it returns the needs, and the verdict is only preliminary.
//
// The order is fixed: a digest recorded while the message was sound; the
// message's own proofs; a DKIM body hash, where exactly one content agrees with
// it; agreement of independent replicas. What comes later never outvotes what
// comes before. Bytes that the server encrypted prove nothing.
func Judge(g *Group, c *Case) []Need {
	j := trial{g: g, c: c}
	j.hear()
	kind := j.content()
	g.Verdict = j.v
	g.Differences = g.Differences[:0]
	if d, ok := j.missing(); ok {
		g.Differences = append(g.Differences, d)
	}
	if kind != "" {
		d := j.line(kind)
		d.Good, d.Reason = j.v.Good, j.v.Reason
		g.Differences = append(g.Differences, d)
	}
	g.Differences = append(g.Differences, j.marks()...)
	return j.needs
}

// class is the copies with one content.
type class struct {
	content manifest.Digest
	sides   []int
	sound   bool // nothing speaks against it
}

// trial is one run of Judge.
type trial struct {
	g       *Group
	c       *Case
	v       Verdict
	needs   []Need
	classes []class // of the copies that are not proven damaged
	damaged []int
	unread  []int
	opaque  bool
}

func (j *trial) name(side int) string { return j.c.Infos[side].Name }

// hear sorts the copies into what is proven damaged, what could not be read,
// and contents.
func (j *trial) hear() {
	for i := range j.g.Copies {
		e := j.g.Copies[i].Entry
		if e == nil {
			continue
		}
		j.opaque = j.opaque || e.Opaque
		ev, heard := j.c.Evidence[Need{i, OwnProofs}]
		switch {
		case e.Status == manifest.Damaged, heard && ev.Known && ev.Holds == No:
			j.damaged = append(j.damaged, i)
			continue
		case e.Status == manifest.Unread, e.Digest.IsZero():
			j.unread = append(j.unread, i)
			continue
		}
		sound := e.Status == manifest.Sound
		k := slices.IndexFunc(j.classes, func(c class) bool { return c.content == e.Content() })
		if k < 0 {
			k = len(j.classes)
			j.classes = append(j.classes, class{content: e.Content(), sound: true})
		}
		j.classes[k].sides = append(j.classes[k].sides, i)
		j.classes[k].sound = j.classes[k].sound && sound
	}
	if len(j.classes) > 1 {
		j.foldAlgorithms()
	}
}

// foldAlgorithms makes contents with digests of different algorithms
// comparable, by the identity of their bodies.
func (j *trial) foldAlgorithms() {
	alg := j.classes[0].content.Alg
	if !slices.ContainsFunc(j.classes, func(c class) bool { return c.content.Alg != alg }) {
		return
	}
	for k := 1; k < len(j.classes); {
		merged := false
		for m := range k {
			a, b := &j.classes[m], &j.classes[k]
			if a.content.Alg == b.content.Alg {
				continue
			}
			switch j.sameBody(a, b) {
			case Yes:
				a.sides = append(a.sides, b.sides...)
				slices.Sort(a.sides)
				a.sound = a.sound && b.sound
				j.classes = slices.Delete(j.classes, k, k+1)
				merged = true
			case Maybe:
				j.v.Incomparable = true
			}
			if merged {
				break
			}
		}
		if !merged {
			k++
		}
	}
}

// sameBody tells whether two contents are one message by canonical identity.
func (j *trial) sameBody(a, b *class) Tri {
	x, okX := j.evidence(a, BodyIdentity)
	y, okY := j.evidence(b, BodyIdentity)
	if !okX || !okY {
		return Maybe
	}
	if !x.Exact.IsZero() && x.Exact == y.Exact || !x.Delivery.IsZero() && x.Delivery == y.Delivery {
		return Yes
	}
	return No
}

// evidence returns what is established of a content by one of its copies, or
// asks for it.
func (j *trial) evidence(c *class, kind EvidenceKind) (Evidence, bool) {
	open := -1
	for _, i := range c.sides {
		ev, heard := j.c.Evidence[Need{i, kind}]
		if heard && ev.Known {
			return ev, true
		}
		if !heard && open < 0 && i < len(j.c.Can) && j.c.Can[i] {
			open = i
		}
	}
	if open >= 0 {
		j.needs = append(j.needs, Need{open, kind})
	}
	return Evidence{}, false
}

// recorded returns the contents that were recorded of this message while it
// was sound, and who says so.
func (j *trial) recorded() (contents []manifest.Digest, who int, when time.Time) {
	who = -1
	add := func(d manifest.Digest, side int, at time.Time) {
		if d.IsZero() || slices.Contains(contents, d) {
			return
		}
		contents = append(contents, d)
		who, when = side, at
	}
	for i := range j.g.Copies {
		c := &j.g.Copies[i]
		if e := c.Entry; e != nil && e.Status == manifest.Damaged && e.Good {
			add(e.Content(), i, checked(e))
		}
	}
	for i := range j.g.Copies {
		c := &j.g.Copies[i]
		info := &j.c.Infos[i]
		if e := c.Entry; e != nil && !info.Recorded.IsZero() && e.Status == manifest.Sound && j.before(e, info.Recorded) {
			add(e.Content(), i, checked(e))
		}
		if e := c.Base; e != nil && (e.Status == manifest.Sound || e.Status == manifest.Damaged && e.Good) && j.before(e, time.Time{}) {
			add(e.Content(), i, checked(e))
		}
	}
	for i := range j.g.Absences {
		a := &j.g.Absences[i]
		if d, ok := trusted(&a.Entry); ok && a.ByName && a.Entry.Status != manifest.Suspect && j.before(&a.Entry, a.LastSeen) {
			add(d, a.Side, a.LastSeen)
		}
	}
	return contents, who, when
}

func checked(e *manifest.Entry) time.Time {
	if e.Checked == 0 {
		return time.Time{}
	}
	return time.Unix(e.Checked, 0).UTC()
}

// before tells whether a recorded digest was taken before the crash, where one
// is known.
func (j *trial) before(e *manifest.Entry, seen time.Time) bool {
	at := checked(e)
	if at.IsZero() {
		at = seen
	}
	for i := range j.c.Infos {
		if crash := j.c.Infos[i].CrashAt; !crash.IsZero() && !at.IsZero() && !at.Before(crash) {
			return false
		}
	}
	return true
}
