package scan

import (
	"context"
	"errors"
	"iter"
	"slices"

	"mailsync/manifest"
)

// absent records that a message is proven gone. What the absence means is
// decided when the whole mailbox has been seen.
func (fl *folderLook) absent(old *manifest.Entry) {
	v := fl.v
	if v.o.Adopted {
		return // another file system: what it lacks was never on it
	}
	a := absence{Absence: manifest.Absence{Entry: *old, LastSeen: v.rec.Ended, FirstAbsent: v.began.UTC()}}
	if a.LastSeen.IsZero() {
		a.LastSeen = v.rec.Began
	}
	if fl.rec != nil {
		a.UIDValidity = fl.rec.UIDValidity
	}
	a.Evidence, a.unsure = fl.evidence(old)
	v.gone = append(v.gone, a)
}

// absence is a message that this look found gone.
type absence struct {
	manifest.Absence
	// unsure: what would tell why it is gone could not be read. Then the course
	// of things makes no deletion of it.
	unsure bool
}

// most is the share of a mailbox whose going at once is no ordinary operation,
// and the number of messages from which on that is looked at.
const (
	most      = 0.5
	mostFloor = 10
)

// weigh decides what the absences without evidence mean, once all are known.
func (v *View) weigh(ctx context.Context) error {
	var open int64
	for i := range v.gone {
		a := &v.gone[i]
		if (a.Evidence == manifest.NoEvidence || a.Evidence.Lost()) && v.seenElsewhere(&a.Entry) {
			a.Evidence = manifest.OrdinaryAbsence // moved to another folder
		}
		if a.Evidence == manifest.NoEvidence {
			open++
		}
	}
	defer v.countVanished()
	if open == 0 {
		return nil
	}
	verdict := manifest.OrdinaryAbsence
	switch {
	case v.o.Crashed, v.insideCrash():
		verdict = manifest.InsideCrash
	case v.o.Adopted, v.rec.RootInode != 0 && v.rec.RootInode != v.mb.RootInode:
		verdict = manifest.NoEvidence
	case open >= mostFloor && float64(open) > most*float64(v.rec.Messages):
		verdict = manifest.MassDisappearing
	case v.o.alone:
		massive, err := v.s.massive(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			verdict = manifest.NoEvidence // how much is gone is not known
		case massive:
			verdict = manifest.MassDisappearing
		}
	}
	for i := range v.gone {
		a := &v.gone[i]
		if a.Evidence == manifest.NoEvidence && !(a.unsure && verdict == manifest.OrdinaryAbsence) {
			a.Evidence = verdict
		}
	}
	return nil
}

// countVanished counts what is gone without evidence either way.
func (v *View) countVanished() {
	for i := range v.gone {
		if v.Vanished(&v.gone[i].Absence) {
			v.counts.Vanished++
		}
	}
}

// Vanished tells whether this look found a message gone without evidence
// either way.
func (v *View) Vanished(a *manifest.Absence) bool {
	switch a.Evidence {
	case manifest.NoEvidence, manifest.OrdinaryAbsence, manifest.MassDisappearing:
		return a.FirstAbsent.Equal(v.mb.Began) && !v.seenElsewhere(&a.Entry)
	}
	return false
}

// insideCrash tells whether the interval in which the absences fall holds the
// crash.
func (v *View) insideCrash() bool {
	if v.o.CrashAt.IsZero() {
		return false
	}
	since := v.rec.Ended
	if since.IsZero() {
		since = v.rec.Began
	}
	// What was recorded after the crash was seen after it.
	return !since.After(v.o.CrashAt)
}

// seenElsewhere tells whether the content of a message that is gone turned up
// as a new file in the same mailbox.
func (v *View) seenElsewhere(e *manifest.Entry) bool {
	c := e.Content()
	return !c.IsZero() && v.seenBody.has(string(c.Sum[:]))
}

// Unexplained counts the messages that this look found gone and that no
// evidence calls deleted, loss included. It is valid after Entries.
func (v *View) Unexplained() int64 {
	var n int64
	for i := range v.gone {
		switch v.gone[i].Evidence {
		case manifest.ServerExpunge, manifest.OwnJournal:
		default:
			if !v.seenElsewhere(&v.gone[i].Entry) {
				n++
			}
		}
	}
	return n
}

// Mass tells whether the mailbox lost most of its mail at once without
// evidence. It is valid after Entries.
func (v *View) Mass() bool {
	return slices.ContainsFunc(v.gone, func(a absence) bool { return a.Evidence == manifest.MassDisappearing })
}

// Absences implements compare.View: what this look found gone, and what
// earlier ones found gone and is still not back, in the order of entries.
func (v *View) Absences(ctx context.Context) iter.Seq2[manifest.Absence, error] {
	return func(yield func(manifest.Absence, error) bool) {
		if !v.ended {
			yield(manifest.Absence{}, errors.New("absences are known only after all entries"))
			return
		}
		i := 0
		if v.record != nil && !v.o.Adopted {
			limit := v.began.Add(-v.s.cfg.KeepAbsences)
			for a, err := range v.record.Absences(ctx) {
				if err != nil {
					yield(manifest.Absence{}, err)
					return
				}
				if a.FirstAbsent.Before(limit) || v.seenNames.has(a.Entry.Folder, a.Entry.Unique) {
					continue
				}
				for i < len(v.gone) && v.gone[i].Entry.Compare(&a.Entry) <= 0 {
					if v.gone[i].Entry.Compare(&a.Entry) == 0 {
						a.Entry.Folder = "" // gone again: the newer one holds
					}
					if !yield(v.gone[i].Absence, nil) {
						return
					}
					i++
				}
				if a.Entry.Folder != "" && !yield(a, nil) {
					return
				}
			}
		}
		for ; i < len(v.gone); i++ {
			if !yield(v.gone[i].Absence, nil) {
				return
			}
		}
	}
}

// MissingFinding makes the finding that an absence is, by the rule that both
// scan and verify follow: a loss that is evidenced, or one that a crash can have
// caused. ok is false for what is no finding.
func MissingFinding(store, mailbox string, a *manifest.Absence) (f manifest.Finding, ok bool) {
	detail := ""
	switch a.Evidence {
	case manifest.ServerUnaware:
		detail = "recorded, gone, and still in the server's UID list"
	case manifest.ServerNoticed:
		detail = "recorded and gone; the server's log shows that nobody asked for it"
	case manifest.InsideCrash:
		detail = "recorded before the crash and gone after it"
	default:
		return f, false
	}
	return manifest.Finding{
		Store: store, Mailbox: mailbox, Folder: a.Entry.Folder, File: a.Entry.File(),
		Kind: manifest.Missing, Certainty: manifest.Suspicion, Detail: detail,
	}, true
}
