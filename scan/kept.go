package scan

import (
	"fmt"

	"mailsync/manifest"
	"mailsync/scan/maildir"
)

// A look that is recorded must not forget what a lost file held: a second scan
// after a crash would otherwise take away what a restore rebuilds the UID list
// and the keyword names from. So where LookOptions.Keep is set, the record's
// UIDs and names are carried on until the server has a whole file again, whose
// word is then the truth. The stamp of what was carried on says that it is not
// what is on disk (manifest.KeptStamp).

// here returns what is recorded of this very directory; nil where nothing is.
func (fl *folderLook) here() *manifest.Folder {
	if fl.rec == nil || fl.v.o.Adopted || fl.rec.SelfStamp.Inode != fl.info.SelfStamp.Inode {
		return nil
	}
	return fl.rec
}

// keepUIDs carries the record's UIDs on. lost tells that the list is proven to
// be gone or broken; otherwise it could not be read.
func (fl *folderLook) keepUIDs(lost bool) {
	rec := fl.here()
	if !fl.v.o.Keep || rec == nil || rec.UIDListStamp.IsZero() {
		return
	}
	fl.keptUIDs = true
	f := &fl.info
	if f.UIDValidity != 0 && f.UIDValidity == rec.UIDValidity {
		// A torn list whose header is whole: its lines are newer than the record's.
		f.UIDNext, f.HighestModSeq = max(f.UIDNext, rec.UIDNext), rec.HighestModSeq
		if f.GUID == "" {
			f.GUID = rec.GUID
		}
		return
	}
	fl.uids = nil
	f.UIDValidity, f.UIDNext, f.GUID, f.HighestModSeq = rec.UIDValidity, rec.UIDNext, rec.GUID, rec.HighestModSeq
	f.UIDListStamp = manifest.KeptStamp(rec.UIDListStamp.Inode, lost)
}

// keepWords carries the record's keyword names on, for letters that the table
// on disk does not name.
func (fl *folderLook) keepWords(lost bool) {
	rec := fl.here()
	if !fl.v.o.Keep || rec == nil || rec.KeywordsStamp.IsZero() || len(rec.Keywords) == 0 {
		return
	}
	table := fl.info.Keywords
	for i, name := range rec.Keywords {
		switch {
		case i >= len(table):
			table = append(table, name)
		case table[i] == "":
			table[i] = name
		}
	}
	fl.info.Keywords = table
	fl.info.KeywordsStamp = manifest.KeptStamp(rec.KeywordsStamp.Inode, lost)
}

// keptUID gives a message the UID that it was recorded with, where the list
// that would say it is lost. A server knows a message by its base name: under
// another one it is another message to it.
func (fl *folderLook) keptUID(t *task, e *manifest.Entry) {
	if !fl.keptUIDs || e.UID != 0 || t.old == nil || t.old.UID == 0 {
		return
	}
	was := maildir.ParseName(t.old.Name)
	if was.ServerBase == t.name.ServerBase {
		e.UID = t.old.UID
	}
}

// lostTable reports a keyword table that was recorded, and is gone while
// letters in file names need it. Where none does, nothing is lost.
func (v *View) lostTable(fl *folderLook) {
	switch {
	case fl.tableGone == "" || fl.blind != nil:
	case fl.lettered == 0:
		fl.info.Keywords, fl.info.KeywordsStamp = nil, manifest.DirStamp{}
		v.setFolder(fl)
	default:
		v.finding(manifest.Finding{
			Folder: fl.info.Name, File: fl.tableGone, Kind: manifest.KeywordsBroken, Certainty: manifest.Proof,
			Detail: fmt.Sprintf("it was recorded, and is gone: keywords of %d messages have no names", fl.lettered),
		})
	}
}
