package restore

import (
	"fmt"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/maildir"
)

// ruling says what becomes of a message that a source has and the target lacks.
type ruling uint8

const (
	ruleUndecided ruling = iota
	ruleRestore
	ruleDeleted
)

// boxFacts are what is known of the target's mailbox as a whole when a missing
// message is ruled on.
type boxFacts struct {
	whole     bool      // empty or absent, or an unfinished run had begun to fill it
	recorded  bool      // the target was scanned before
	scanned   time.Time // when that scan began; of a crash known, the last one before it
	crash     time.Time // zero: none known
	recreated string    // why the mailbox may be somebody else's by now
}

// rule decides by what the records and logs of all stores say, in this order:
//
//	a deletion that somebody asked for, at any store           deleted
//	a mailbox that may be somebody else's                      undecided
//	a loss evidenced at the target, or inside the crash        restore
//	an ordinary absence at any store                           deleted
//	nothing else is in the mailbox                             restore
//	arrived in the source after the target was last looked at  restore
//	anything else                                              undecided
//
// What is undecided by this may be decided for a backup: see missed.
//
// log is what the target's server remembers of the message. before tells that
// the source's own record shows the message before the target's last scan.
func (f *boxFacts) rule(g *compare.Group, src *manifest.Entry, log maildir.Gone, before, undelete bool) (ruling, string) {
	target, others := evidence(g, f.crash)
	if !undelete {
		if log == maildir.Requested {
			return ruleDeleted, "the server's log shows that a client asked for the expunge"
		}
		for _, a := range append(target, others...) {
			if a.Evidence == manifest.ServerExpunge {
				return ruleDeleted, "deleted: " + a.Evidence.String() + seen(&a)
			}
		}
	}
	if f.recreated != "" {
		return ruleUndecided, f.recreated
	}
	for _, a := range target {
		if a.Evidence == manifest.OwnJournal {
			// All that mailsync ever moves aside is what its own run had added:
			// undo brings back the loss, and is no deletion by anybody.
			return ruleRestore, "lost: an undo took back what had restored it" + seen(&a)
		}
		if a.Evidence.Lost() || a.Evidence == manifest.InsideCrash {
			return ruleRestore, "lost: " + a.Evidence.String() + seen(&a)
		}
	}
	if !undelete {
		for _, a := range append(target, others...) {
			if a.Evidence == manifest.OrdinaryAbsence {
				return ruleDeleted, "deleted: " + a.Evidence.String() + seen(&a)
			}
		}
	}
	switch {
	case f.whole:
		return ruleRestore, "the mailbox is empty in the target"
	case undelete && len(target) > 0:
		return ruleRestore, "asked for, deleted or not"
	case len(target) > 0:
		return ruleUndecided, "gone from the target without evidence of loss or deletion" + seen(&target[0])
	case log == maildir.Noticed:
		return ruleRestore, "lost: the server noticed that it was gone, nobody asked for an expunge"
	case !f.recorded:
		return ruleUndecided, "the target was never scanned: nothing tells whether it had the message"
	case src.CTime == 0:
		return ruleUndecided, "nothing tells when the message came into the source"
	case before:
		return ruleUndecided, "the source had it before the target was last scanned, and the target's record does not know it"
	case src.CTime > f.scanned.UnixNano():
		return ruleRestore, "came after the target's last scan of " + f.scanned.UTC().Format(time.RFC3339)
	}
	return ruleUndecided, "the source had it before the target was last scanned, and the target's record does not know it"
}

// evidence sorts the absences that concern a group: the target's and the
// others'. Of one store, an absence by name outweighs those of equal content
// elsewhere, which may have been another message; except that a message which
// left its place in ordinary operation and was lost from another was moved, and
// is lost. What vanished across the crash is not an ordinary absence.
func evidence(g *compare.Group, crash time.Time) (target, others []compare.Gone) {
	named := map[int]bool{}
	asked := false // somebody asked for the deletion of the target's own
	for i := range g.Absences {
		if a := &g.Absences[i]; a.ByName {
			named[a.Side] = true
			asked = asked || a.Side == 0 && a.Evidence == manifest.ServerExpunge
		}
	}
	for _, a := range g.Absences {
		if !crash.IsZero() && a.Spans(crash) {
			switch a.Evidence {
			case manifest.OrdinaryAbsence, manifest.NoEvidence, manifest.MassDisappearing:
				a.Evidence = manifest.InsideCrash
			}
		}
		if named[a.Side] && !a.ByName && (a.Side != 0 || asked || !a.Evidence.Lost() && a.Evidence != manifest.InsideCrash) {
			continue
		}
		if a.Side == 0 {
			target = append(target, a)
		} else {
			others = append(others, a)
		}
	}
	return target, others
}

func seen(a *compare.Gone) string {
	if a.LastSeen.IsZero() {
		return ""
	}
	return fmt.Sprintf(", last seen %s", a.LastSeen.UTC().Format(time.RFC3339))
}

// recreated tells why a mailbox that is there may be somebody else's than the
// recorded one of the same name.
func recreated(now, then *manifest.Mailbox) string {
	if now == nil || then == nil {
		return ""
	}
	if now.Owner != then.Owner {
		return fmt.Sprintf("the mailbox belongs to another owner than recorded (%d, was %d): it may be somebody else's by now", now.Owner, then.Owner)
	}
	a, b := now.Folder("INBOX"), then.Folder("INBOX")
	if a == nil || b == nil {
		return ""
	}
	if a.UIDValidity != 0 && b.UIDValidity != 0 && a.UIDValidity != b.UIDValidity {
		return fmt.Sprintf("UIDVALIDITY is another than recorded (%d, was %d): the mailbox may have been made anew", a.UIDValidity, b.UIDValidity)
	}
	if a.GUID != "" && b.GUID != "" && a.GUID != b.GUID && a.UIDValidity != b.UIDValidity {
		return "the folder GUID is another than recorded: the mailbox may have been made anew"
	}
	return ""
}
