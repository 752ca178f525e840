package verify

import (
	"errors"

	"mailsync/manifest"
)

// overtaken is what the record of a mailbox calls gone in the course of things,
// and what may have gone in the crash that the operator names: a scan that ran
// after the crash knew nothing of it. The key is the content; the value, when it
// was seen last; the zero digest stands for contents that are not known.
type overtaken map[manifest.Digest]int64

// overtaken reads what the record of a mailbox says of the crash.
func (v *Verification) overtaken(mailbox string) (overtaken, error) {
	if v.o.CrashAt.IsZero() {
		return nil, nil
	}
	r, err := v.o.Record.OpenMailbox(mailbox)
	if errors.Is(err, manifest.ErrNoMailbox) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var o overtaken
	for a, err := range r.Absences() {
		if err != nil {
			return nil, err
		}
		if !v.byCrash(&a) {
			continue
		}
		if o == nil {
			o = make(overtaken)
		}
		c := a.Entry.Content()
		o[c] = max(o[c], a.LastSeen.UnixNano())
	}
	return o, nil
}

// byCrash tells whether a message of which nothing else is known went in the
// crash that the operator names, as far as its record tells.
func (v *Verification) byCrash(a *manifest.Absence) bool {
	switch a.Evidence {
	case manifest.NoEvidence, manifest.OrdinaryAbsence, manifest.MassDisappearing:
		return a.Spans(v.o.CrashAt)
	}
	return false
}

// moved strikes out what turned up elsewhere in the mailbox after it had been
// seen last. A copy that lay there before explains nothing.
func (o overtaken) moved(e *manifest.Entry) {
	if c := e.Content(); !c.IsZero() {
		if seen, ok := o[c]; ok && e.CTime > seen {
			delete(o, c)
		}
	}
}

// has tells whether an absence of which byCrash is true is still to be told.
func (o overtaken) has(a *manifest.Absence) bool {
	_, ok := o[a.Entry.Content()]
	return ok
}
