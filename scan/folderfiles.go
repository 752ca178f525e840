package scan

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// What the server's own files say of a folder: its UID list, keywords, index.

// uidListName returns the name of the folder's UID list: Dovecot's, or
// Courier's where only that is there.
func uidListName(files map[string]bool) string {
	if files[maildir.CourierUIDDB] && !files[maildir.UIDListFile] {
		return maildir.CourierUIDDB
	}
	return maildir.UIDListFile
}

// keywordsName returns where the folder's keywords are: Dovecot's table, or
// Courier's directory where only that is there.
func keywordsName(files map[string]bool) string {
	if files[maildir.CourierKeywordDir] && !files[maildir.KeywordsFile] {
		return maildir.CourierKeywordDir
	}
	return maildir.KeywordsFile
}

// maxSmallFile bounds the server's small files other than UID lists.
const maxSmallFile = 16 << 20

// small opens one of the server's small files, nil where it is not there.
// Where it cannot be opened a finding is reported, and its error returned.
// stamp is its state, not safe yet.
func (fl *folderLook) small(d *beneath.Dir, files map[string]bool, name string) (f *beneath.File, stamp manifest.DirStamp, err error) {
	if files != nil && !files[name] {
		return nil, stamp, nil
	}
	f, err = d.OpenFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, stamp, nil
	}
	if err != nil {
		fl.smallFailed(name, err)
		return nil, stamp, err
	}
	return f, stampOf(f.Opened()), nil
}

// noFile tells whether something else than a file lies in a file's place.
func noFile(err error) bool {
	return errors.Is(err, beneath.ErrNotRegular) || errors.Is(err, beneath.ErrEscape)
}

func (fl *folderLook) smallFailed(name string, err error) {
	kind, certainty := manifest.Unreadable, manifest.NotKnown
	if noFile(err) {
		kind, certainty = manifest.NotRegular, manifest.Proof
	}
	fl.v.finding(manifest.Finding{Folder: fl.info.Name, File: name, Kind: kind, Certainty: certainty, Detail: err.Error()})
}

// maxDuplicates is how many UIDs of one list are told one by one that share
// their file name with another: the list is its mailbox' owner's to write.
const maxDuplicates = 100

// readUIDs reads the folder's UID list.
func (fl *folderLook) readUIDs(d *beneath.Dir, files map[string]bool) {
	name := uidListName(fl.branch.files)
	// The server rewrites and appends to the list all the time; a torn end is
	// looked at again before it is called damage.
	for try := 0; ; try++ {
		f, st, err := fl.small(d, files, name)
		if err != nil {
			fl.halfUIDs = true
			fl.keepUIDs(noFile(err))
		}
		if f == nil {
			return
		}
		index, header, next, err := parseUIDs(f)
		after, serr := f.Stat()
		_ = f.Close()
		moved := serr == nil && stampOf(&after) != st
		var broken *maildir.Broken
		if err != nil && errors.As(err, &broken) && (moved || try == 0) && try < 3 {
			continue
		}
		st = settled(st, fl.v.began, fl.v.margin)
		st.Safe = st.Safe && !moved && err == nil
		fl.info.UIDListStamp = st
		fl.uids, fl.halfUIDs = index, err != nil
		fl.info.UIDValidity, fl.info.UIDNext, fl.info.GUID = header.UIDValidity, next, header.GUID
		switch {
		case err == nil:
		case errors.Is(err, maildir.ErrUIDList):
			fl.v.finding(manifest.Finding{
				Folder: fl.info.Name, File: name, Kind: manifest.UIDListBroken, Certainty: manifest.Proof, Detail: err.Error(),
			})
		default:
			fl.smallFailed(name, err)
		}
		if err != nil {
			fl.keepUIDs(errors.Is(err, maildir.ErrUIDList))
		}
		if index != nil {
			dups := index.Duplicates()
			for i, dup := range dups {
				detail := fmt.Sprintf("UIDs %d and %d belong to the same file name; the server keeps %d", dup.Lost, dup.Kept, dup.Kept)
				if i == maxDuplicates {
					detail = fmt.Sprintf("%d more UIDs belong to the file name of another one", len(dups)-i)
				}
				fl.v.finding(manifest.Finding{
					Folder: fl.info.Name, File: name, Kind: manifest.UIDDuplicate, Certainty: manifest.Proof, Detail: detail,
				})
				if i == maxDuplicates {
					break
				}
			}
		}
		return
	}
}

func parseUIDs(f *beneath.File) (*maildir.UIDIndex, maildir.UIDHeader, uint32, error) {
	l, err := maildir.ReadUIDList(f)
	if err != nil {
		return nil, maildir.UIDHeader{}, 0, err
	}
	index, err := maildir.IndexUIDs(l)
	return index, l.Header(), l.Next(), err
}

// readKeywords reads the folder's table of keyword names.
func (fl *folderLook) readKeywords(d *beneath.Dir, files map[string]bool) {
	name := keywordsName(fl.branch.files)
	if name == maildir.CourierKeywordDir {
		fl.readCourier(d)
		return
	}
	f, st, err := fl.small(d, files, name)
	if f == nil {
		if rec := fl.here(); err == nil && rec != nil && !rec.KeywordsStamp.IsZero() && len(rec.Keywords) > 0 {
			fl.tableGone = name
			fl.info.KeywordsStamp = rec.KeywordsStamp // the next look tells it, too
			fl.info.KeywordsStamp.Safe = false
		}
		fl.keepWords(err == nil || noFile(err))
		return
	}
	defer f.Close()
	table, err := maildir.ParseKeywords(bufio.NewReader(io.LimitReader(f, maxSmallFile)))
	fl.info.KeywordsStamp = settled(st, fl.v.began, fl.v.margin)
	fl.info.Keywords = table
	if err == nil {
		return
	}
	fl.info.KeywordsStamp.Safe = false
	broken := errors.Is(err, maildir.ErrKeywords)
	if broken {
		fl.v.finding(manifest.Finding{
			Folder: fl.info.Name, File: name, Kind: manifest.KeywordsBroken, Certainty: manifest.Proof, Detail: err.Error(),
		})
	} else {
		fl.smallFailed(name, err)
	}
	fl.keepWords(broken)
}

// readIndex takes the highest mod-sequence from the header of the server's
// index. The index is derived data: what cannot be read is left out.
func (fl *folderLook) readIndex(d *beneath.Dir, b *branch) {
	dir, files := d, b.files
	if fl.v.place.Index != "" {
		x, err := fl.v.s.openAt(fl.v.place.IndexDir(b.dir))
		if err != nil {
			return
		}
		defer x.Close()
		dir, files = x, nil
	}
	if files != nil && !files[maildir.IndexFile] {
		return
	}
	f, err := dir.OpenFile(maildir.IndexFile)
	if err != nil {
		return
	}
	defer f.Close()
	if h, err := maildir.ReadIndexHeader(f); err == nil && h.UIDValidity == fl.info.UIDValidity {
		fl.info.HighestModSeq = max(fl.info.HighestModSeq, h.HighestModSeq)
	}
}

// checkUIDList reports a UID list that was recorded, or that the server's index
// presupposes, and is not there: the server would give every message another
// UID. What was recorded stands until there is a list again, so that the next
// look tells it, too.
func (fl *folderLook) checkUIDList(control *beneath.Dir, b *branch) {
	if fl.uids != nil || fl.halfUIDs {
		return
	}
	f := manifest.Finding{
		Folder: fl.info.Name, File: uidListName(b.files), Kind: manifest.UIDListBroken, Certainty: manifest.Proof,
		Detail: "it was recorded, and is gone: the server will give every message another UID",
	}
	rec := fl.here()
	switch {
	case rec != nil && !rec.UIDListStamp.IsZero():
	case fl.v.place.Control == "" && b.files[maildir.IndexLogFile] && fl.rests(control, maildir.IndexLogFile):
		f.Certainty = manifest.Suspicion
		f.Detail = "there is an index and no UID list: the server will give every message another UID"
	default:
		return
	}
	// A list that is being replaced, or that came meanwhile, is none that is lost.
	if control != nil {
		if fl.readUIDs(control, nil); fl.uids != nil || fl.halfUIDs {
			return
		}
	}
	fl.halfUIDs = true
	if rec != nil {
		fl.info.UIDListStamp = rec.UIDListStamp
		fl.info.UIDListStamp.Safe = false
	}
	fl.keepUIDs(true)
	fl.v.finding(f)
}

// restsFor is how long a server has not touched a folder whose files are all
// there that will be: it makes the log of a new folder before the UID list.
const restsFor = time.Minute

// rests tells whether a file has not been touched for a while.
func (fl *folderLook) rests(d *beneath.Dir, name string) bool {
	st, err := d.Stat(name)
	return err == nil && settled(stampOf(&st), fl.v.began, restsFor).Safe
}

// checkUIDNext compares the next UID with the record: a lower one gives UIDs
// away that clients know as other messages.
func (fl *folderLook) checkUIDNext() {
	if fl.rec == nil || fl.info.UIDNext == 0 || fl.info.UIDValidity != fl.rec.UIDValidity || fl.info.UIDNext >= fl.rec.UIDNext {
		return
	}
	fl.v.finding(manifest.Finding{
		Folder: fl.info.Name, File: uidListName(fl.branch.files), Kind: manifest.UIDNextLow, Certainty: manifest.Proof,
		Detail: fmt.Sprintf("next UID is %d, and was %d when it was recorded", fl.info.UIDNext, fl.rec.UIDNext),
	})
}
