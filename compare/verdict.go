package compare

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mailsync/manifest"
)

// content judges the contents. It returns the kind of difference that they
// make, "" for none.
func (j *trial) content() Kind {
	j.v.Damaged = slices.Clone(j.damaged)
	if len(j.damaged) == 0 && len(j.classes) <= 1 {
		return j.equal()
	}
	if j.v.Incomparable && len(j.damaged) == 0 {
		j.v.Reason = "the digests are of different algorithms, and nobody can read the messages"
		return ""
	}
	if j.g.How == ByIdentity && len(j.damaged) == 0 {
		return j.otherHeaders()
	}
	if recorded, who, when := j.recorded(); len(recorded) == 1 {
		if decided, kind := j.byRecord(recorded[0], who, when); decided {
			return kind
		}
	}
	if j.opaque {
		return j.encrypted()
	}
	switch len(j.classes) {
	case 0:
		j.v.Reason = j.nobody()
		return DamagedCopy
	case 1:
		return j.onlyOne()
	}
	return j.conflict()
}

// equal is the verdict where all contents that are known are the same.
func (j *trial) equal() Kind {
	if len(j.classes) == 1 {
		j.v.Basis = Equal
		if j.classes[0].sound {
			j.v.Good = j.classes[0].sides
		}
	}
	if len(j.unread) > 0 && len(j.unread)+len(j.classes) > 1 {
		j.v.Incomparable = true
		j.v.Reason = fmt.Sprintf("%s could not be read", j.list(j.unread))
	}
	return ""
}

// otherHeaders is the verdict on copies that were matched by their identity:
// their bytes differ because they came on different ways. That one of them is
// what was recorded of its own store proves nothing against the others, which
// nobody ever recorded with those bytes.
func (j *trial) otherHeaders() Kind {
	j.v.Reason = "the same message, with other transport headers or line ends"
	return Content
}

// byRecord decides by the one content that was recorded while the message was sound.
func (j *trial) byRecord(content manifest.Digest, who int, when time.Time) (bool, Kind) {
	k := slices.IndexFunc(j.classes, func(c class) bool { return c.content == content })
	said := "the digest recorded of " + j.name(who)
	if !when.IsZero() {
		said += " at " + when.Format(time.RFC3339)
	}
	if k < 0 {
		if len(j.damaged) == 0 {
			return false, ""
		}
		// Whatever the others hold, it is not what was recorded.
		j.v.Reason = j.wrong()
		if len(j.classes) > 0 {
			var others []int
			for _, c := range j.classes {
				others = append(others, c.sides...)
			}
			slices.Sort(others)
			j.v.Reason += fmt.Sprintf("; %s not what was recorded either (%s)", j.do(others, "is", "are"), said)
		} else {
			j.v.Reason += "; " + j.none()
		}
		return true, DamagedCopy
	}
	j.v.Basis, j.v.Good = Record, j.classes[k].sides
	if j.opaque && len(j.damaged) == 0 {
		j.v.Opaque = true
		j.v.Basis, j.v.Good = Undecided, nil
		j.v.Reason = "encrypted by the server: contents cannot be compared"
		return true, Content
	}
	j.v.Reason = fmt.Sprintf("%s with %s", j.do(j.v.Good, "agrees", "agree"), said)
	if !j.opaque {
		if others := j.condemn(k); len(others) > 0 {
			j.v.Reason += "; " + j.do(others, "differs", "differ") + " from it"
		}
	}
	if w := j.wrong(); w != "" {
		j.v.Reason += "; " + w
	}
	return true, DamagedCopy
}

// encrypted is the verdict where the bytes prove nothing.
func (j *trial) encrypted() Kind {
	j.v.Opaque = true
	if len(j.damaged) > 0 {
		j.v.Reason = j.wrong() + "; encrypted by the server: the other copies prove nothing about it"
		return DamagedCopy
	}
	j.v.Reason = "encrypted by the server: contents cannot be compared"
	return Content
}

// onlyOne decides between proven damage and the one content that is left.
func (j *trial) onlyOne() Kind {
	c := &j.classes[0]
	if c.sound {
		j.v.Basis, j.v.Good = Proof, c.sides
		j.v.Reason = fmt.Sprintf("%s; nothing speaks against %s", j.wrong(), j.list(c.sides))
		return DamagedCopy
	}
	if ev, ok := j.evidence(c, DKIMBody); ok && ev.Holds == Yes {
		j.v.Basis, j.v.Good = DKIM, c.sides
		j.v.Reason = fmt.Sprintf("%s; %s with its DKIM body hash", j.wrong(), j.do(c.sides, "agrees", "agree"))
		return DamagedCopy
	}
	j.v.Reason = fmt.Sprintf("%s; %s suspect", j.wrong(), j.do(c.sides, "is", "are"))
	return DamagedCopy
}

// conflict decides between several contents none of which is proven damaged.
func (j *trial) conflict() Kind {
	var verify, doubtful []int
	for k := range j.classes {
		// The copies are read again, with all their checks: the record may know
		// them from before.
		j.evidence(&j.classes[k], OwnProofs)
	}
	for k := range j.classes {
		ev, ok := j.evidence(&j.classes[k], DKIMBody)
		switch {
		case !ok:
			doubtful = append(doubtful, k)
		case ev.Holds == Yes:
			verify = append(verify, k)
		}
	}
	if len(verify) == 1 && len(doubtful) == 0 {
		w := &j.classes[verify[0]]
		j.v.Basis, j.v.Good = DKIM, w.sides
		j.condemn(verify[0])
		j.v.Reason = fmt.Sprintf("only %s with its DKIM body hash", j.do(w.sides, "agrees", "agree"))
		if s := j.wrong(); s != "" {
			j.v.Reason += "; " + s
		}
		return DamagedCopy
	}
	same := true
	for k := range j.classes[1:] {
		same = same && j.sameBody(&j.classes[0], &j.classes[k+1]) == Yes
	}
	why := "nothing proves which is right"
	switch {
	case same:
		why = "the same message, with other transport headers or line ends"
	case j.v.Incomparable:
		why = "the digests are of different algorithms, and nobody can read the messages"
	default:
		if k := j.agreement(); k >= 0 {
			w := &j.classes[k]
			j.v.Basis, j.v.Good = Agreement, w.sides
			others := j.condemn(k)
			j.v.Reason = fmt.Sprintf("independent replicas agree: %s; %s differs", j.list(w.sides), j.list(others))
			if s := j.wrong(); s != "" {
				j.v.Reason += "; " + s
			}
			return DamagedCopy
		}
		if w := j.dependent(); w != "" {
			why += " (" + w + ")"
		}
	}
	if len(j.damaged) > 0 {
		j.v.Reason = j.wrong() + "; the others differ, and " + why
		return DamagedCopy
	}
	j.v.Reason = why
	return Content
}

// condemn calls every content but one damaged and returns their sides.
func (j *trial) condemn(winner int) (others []int) {
	for k, c := range j.classes {
		if k != winner {
			others = append(others, c.sides...)
		}
	}
	slices.Sort(others)
	j.v.Damaged = append(j.v.Damaged, others...)
	slices.Sort(j.v.Damaged)
	return others
}

// agreement returns the content that at least two independent replicas hold,
// while each other content has one witness only; -1 where there is none. A
// suspicion is not outvoted: a replica may have copied the damage.
func (j *trial) agreement() int {
	best := -1
	for k := range j.classes {
		switch n := j.voices(&j.classes[k]); {
		case n < 2:
		case best >= 0:
			return -1
		default:
			best = k
		}
	}
	if best >= 0 && !j.classes[best].sound {
		return -1
	}
	return best
}

func (j *trial) voices(c *class) int {
	var seen []int
	for _, i := range c.sides {
		if one := j.g.One[i]; !slices.Contains(seen, one) {
			seen = append(seen, one)
		}
	}
	return len(seen)
}

// dependent says which copies of one content are not independent.
func (j *trial) dependent() string {
	for k := range j.classes {
		if c := &j.classes[k]; len(c.sides) > 1 && j.voices(c) == 1 {
			return j.list(c.sides) + " are not independent"
		}
	}
	return ""
}

// wrong says what is proven wrong with which copy.
func (j *trial) wrong() string {
	var parts []string
	for _, i := range j.damaged {
		e := j.g.Copies[i].Entry
		kind := e.Damage
		if e.Status != manifest.Damaged {
			kind = j.c.Evidence[Need{i, OwnProofs}].Finding
		}
		parts = append(parts, fmt.Sprintf("%s is damaged (%s)", j.name(i), kind))
	}
	return strings.Join(parts, ", ")
}

func (j *trial) none() string {
	if len(j.unread) > 0 {
		return j.list(j.unread) + " could not be read"
	}
	return "no good copy is known"
}

func (j *trial) nobody() string { return j.wrong() + "; " + j.none() }

// do is what one or several sides do, or are.
func (j *trial) do(sides []int, one, many string) string {
	if len(sides) == 1 {
		return j.list(sides) + " " + one
	}
	return j.list(sides) + " " + many
}

func (j *trial) list(sides []int) string {
	names := make([]string, len(sides))
	for k, i := range sides {
		names[k] = j.name(i)
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
