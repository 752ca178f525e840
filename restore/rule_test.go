package restore

import (
	"testing"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/maildir"
)

// at is a moment of the table below: hours after the epoch.
func at(h int) time.Time { return epoch.Add(time.Duration(h) * time.Hour) }

func gone(side int, byName bool, e manifest.Evidence, seen, absent int) compare.Gone {
	return compare.Gone{Side: side, ByName: byName, Absence: manifest.Absence{LastSeen: at(seen), FirstAbsent: at(absent), Evidence: e}}
}

// The whole decision table for a message that the source has and the target
// lacks. The target was scanned at hour 10, the crash came at hour 20.
func TestRule(t *testing.T) {
	const (
		early = 5
		late  = 15
	)
	facts := boxFacts{recorded: true, scanned: at(10), crash: at(20)}
	with := func(change func(*boxFacts)) boxFacts {
		f := facts
		change(&f)
		return f
	}
	empty := with(func(f *boxFacts) { f.whole = true })
	fresh := with(func(f *boxFacts) { f.recorded, f.scanned = false, time.Time{} })
	other := with(func(f *boxFacts) { f.recreated = "another owner" })
	for _, c := range []struct {
		name     string
		facts    boxFacts
		absences []compare.Gone
		ctime    int
		log      maildir.Gone
		before   bool
		undelete bool
		want     ruling
	}{
		{"a client asked for the expunge", facts, []compare.Gone{gone(0, true, manifest.ServerExpunge, 8, 9)}, early, 0, false, false, ruleDeleted},
		{"… at another store", facts, []compare.Gone{gone(2, true, manifest.ServerExpunge, 8, 9)}, early, 0, false, false, ruleDeleted},
		{"… though the target lost it", facts, []compare.Gone{gone(0, true, manifest.ServerNoticed, 8, 21), gone(2, true, manifest.ServerExpunge, 8, 9)}, early, 0, false, false, ruleDeleted},
		{"… says the log only", facts, nil, late, maildir.Requested, false, false, ruleDeleted},
		{"… in an empty mailbox", empty, []compare.Gone{gone(0, true, manifest.ServerExpunge, 8, 9)}, early, 0, false, false, ruleDeleted},
		{"… and it is wanted all the same", facts, []compare.Gone{gone(0, true, manifest.ServerExpunge, 8, 9)}, early, 0, false, true, ruleRestore},
		{"ordinary absence", facts, []compare.Gone{gone(0, true, manifest.OrdinaryAbsence, 8, 9)}, early, 0, false, false, ruleDeleted},
		{"ordinary absence at another store", facts, []compare.Gone{gone(1, true, manifest.OrdinaryAbsence, 8, 9)}, late, 0, false, false, ruleDeleted},
		{"ordinary absence across the crash", facts, []compare.Gone{gone(0, true, manifest.OrdinaryAbsence, 10, 21)}, early, 0, false, false, ruleRestore},
		{"absence without evidence across the crash", facts, []compare.Gone{gone(0, true, manifest.NoEvidence, 10, 21)}, early, 0, false, false, ruleRestore},
		{"absence without evidence before the crash", facts, []compare.Gone{gone(0, true, manifest.NoEvidence, 8, 9)}, early, 0, false, false, ruleUndecided},
		{"mass disappearance", facts, []compare.Gone{gone(0, true, manifest.MassDisappearing, 8, 9)}, early, 0, false, false, ruleUndecided},
		{"mass disappearance, mailbox empty", empty, []compare.Gone{gone(0, true, manifest.MassDisappearing, 8, 9)}, early, 0, false, false, ruleRestore},
		{"the server has not noticed", facts, []compare.Gone{gone(0, true, manifest.ServerUnaware, 8, 9)}, early, 0, false, false, ruleRestore},
		{"an external expunge only", facts, []compare.Gone{gone(0, true, manifest.ServerNoticed, 8, 9)}, early, 0, false, false, ruleRestore},
		{"an external expunge, says the log only", facts, nil, early, maildir.Noticed, false, false, ruleRestore},
		{"lost here, an ordinary absence there", facts, []compare.Gone{gone(0, true, manifest.ServerUnaware, 8, 9), gone(1, true, manifest.OrdinaryAbsence, 8, 9)}, early, 0, false, false, ruleRestore},
		{"undo took it back", facts, []compare.Gone{gone(0, true, manifest.OwnJournal, 8, 9)}, early, 0, false, false, ruleRestore},
		{"moved, then lost from its new place", facts, []compare.Gone{gone(0, true, manifest.OrdinaryAbsence, 8, 9), gone(0, false, manifest.InsideCrash, 10, 21)}, early, 0, false, false, ruleRestore},
		{"deleted here by name, equal content deleted elsewhere", facts, []compare.Gone{gone(0, true, manifest.OrdinaryAbsence, 8, 9), gone(0, false, manifest.ServerExpunge, 8, 9)}, early, 0, false, false, ruleDeleted},
		{"moved, then deleted from its new place", facts, []compare.Gone{gone(0, false, manifest.ServerExpunge, 8, 9)}, early, 0, false, false, ruleDeleted},
		{"somebody else's mailbox", other, []compare.Gone{gone(0, true, manifest.ServerUnaware, 8, 9)}, late, 0, false, false, ruleUndecided},
		{"somebody else's mailbox, deleted", other, []compare.Gone{gone(0, true, manifest.ServerExpunge, 8, 9)}, late, 0, false, false, ruleDeleted},
		{"empty mailbox", empty, nil, early, 0, false, false, ruleRestore},
		{"empty mailbox, never scanned", with(func(f *boxFacts) { f.whole, f.recorded = true, false }), nil, early, 0, false, false, ruleRestore},
		{"never scanned", fresh, nil, late, 0, false, false, ruleUndecided},
		{"came after the scan", facts, nil, late, 0, false, false, ruleRestore},
		{"was there before the scan", facts, nil, early, 0, false, false, ruleUndecided},
		{"renamed after the scan, but the source's record had it before", facts, nil, late, 0, true, false, ruleUndecided},
		{"nothing tells when it came", facts, nil, -1, 0, false, false, ruleUndecided},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := manifest.Entry{CTime: at(c.ctime).UnixNano()}
			if c.ctime < 0 {
				src.CTime = 0
			}
			g := compare.Group{Absences: c.absences}
			got, why := c.facts.rule(&g, &src, c.log, c.before, c.undelete)
			if got != c.want {
				t.Errorf("ruling %d (%s), want %d", got, why, c.want)
			}
			if why == "" {
				t.Error("no reason given")
			}
		})
	}
}

func TestRecreated(t *testing.T) {
	box := func(owner, validity uint32, guid string) *manifest.Mailbox {
		return &manifest.Mailbox{Owner: owner, Folders: []manifest.Folder{{Name: "INBOX", UIDValidity: validity, GUID: guid}}}
	}
	for _, c := range []struct {
		now, then *manifest.Mailbox
		want      bool
	}{
		{box(1, 7, "g"), box(1, 7, "g"), false},
		{box(2, 7, "g"), box(1, 7, "g"), true},
		{box(1, 8, "g"), box(1, 7, "g"), true},
		{box(1, 0, ""), box(1, 7, "g"), false}, // the list is lost, which is no new mailbox
		{box(1, 7, "h"), nil, false},
		{nil, box(1, 7, "h"), false},
	} {
		if got := recreated(c.now, c.then) != ""; got != c.want {
			t.Errorf("%+v against %+v: %v", c.now, c.then, got)
		}
	}
}
