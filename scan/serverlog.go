package scan

import (
	"errors"
	"io/fs"

	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// evidence says what the server's log and its UID list know of a message that
// is gone, and mailsync's own journals. Without any it is NoEvidence, and the
// share of what went with it decides later. unsure tells that one of them could
// not be read, so that even this is not known.
func (fl *folderLook) evidence(old *manifest.Entry) (ev manifest.Evidence, unsure bool) {
	base := maildir.ParseName(old.Name).ServerBase
	log, gone := fl.log, maildir.NotInLog
	if log != nil {
		gone = fl.logged(log, old, base)
	}
	if gone != maildir.Requested && (log == nil || !fl.logStands(log)) {
		// Not read yet, or before what it may say of this message.
		log = fl.readLog()
		fl.log = log
		gone = fl.logged(log, old, base)
	}
	unsure = log.unsure
	nameless := fl.nameless(log)
	if gone != maildir.Requested {
		saved := fl.savedLog()
		gone = max(gone, fl.logged(saved, old, base))
		unsure = unsure || saved.unsure
		nameless = nameless || fl.nameless(saved)
	}
	switch {
	case gone == maildir.Requested:
		return manifest.ServerExpunge, false
	case unsure:
		// The request may stand in what could not be read.
		return manifest.NoEvidence, true
	}
	back, err := fl.takenBack(old, base)
	switch {
	case back:
		return manifest.OwnJournal, false
	case gone == maildir.Noticed:
		return manifest.ServerNoticed, false
	case fl.uids != nil && fl.uids.UID(base) != 0:
		if fl.expunged(fl.uids.UID(base)) {
			return manifest.NoEvidence, true
		}
		return manifest.ServerUnaware, false
	}
	return manifest.NoEvidence, fl.halfUIDs || nameless || err != nil
}

// takenBack tells whether mailsync itself has moved a message away since it was
// last recorded.
func (fl *folderLook) takenBack(old *manifest.Entry, base string) (bool, error) {
	f := fl.v.s.opt.TakenBack
	if f == nil {
		return false, nil
	}
	return f(fl.v.mb.Name, old.Folder, base, fl.v.rec.Began)
}

// serverLog is what one reading of the server's transaction log told.
type serverLog struct {
	maildir.IndexLog
	stamps [len(logNames)]manifest.DirStamp
	unsure bool // some of it could not be read: what it does not say is not known
}

// logNames are the files of the log, the older first.
var logNames = [2]string{maildir.IndexLogOldFile, maildir.IndexLogFile}

// logged asks a log about a message.
func (fl *folderLook) logged(log *serverLog, old *manifest.Entry, base string) maildir.Gone {
	if !fl.concerns(log) {
		return maildir.NotInLog
	}
	gone := log.GUID(maildir.GUID("", base))
	if gone != maildir.NotInLog {
		return gone
	}
	// A copy keeps the GUID of what it is a copy of, so its name does not tell it;
	// and of what a server only notices it writes no GUID.
	if old.UID != 0 {
		gone = log.UID(old.UID)
	}
	if fl.uids != nil && fl.info.UIDValidity == fl.rec.UIDValidity {
		// Given since it was recorded: it had none yet, or was lost and came back.
		if uid := fl.uids.UID(base); uid != 0 && uid != old.UID {
			gone = max(gone, log.UID(uid))
		}
	}
	return gone
}

// concerns tells whether a log is about the folder that was recorded.
func (fl *folderLook) concerns(log *serverLog) bool {
	return fl.rec != nil && (log.UIDValidity == 0 || fl.rec.UIDValidity == 0 || log.UIDValidity == fl.rec.UIDValidity)
}

// nameless tells whether a log shows the loss of messages that cannot be named:
// the server had given them their UIDs after the record was made. A recorded
// message whose loss it notices, and which is put back, gets such a UID; of its
// second loss the log says no more than that, and the UID list soon nothing.
func (fl *folderLook) nameless(log *serverLog) bool {
	return fl.concerns(log) && log.LostFrom(fl.rec.UIDNext)
}

// expunged tells whether the server's index shows that it knows of a message
// that it is gone, although its UID list, which it writes anew only now and then,
// still has the line. Whether somebody had asked for that stood in a log that it
// has thrown away.
func (fl *folderLook) expunged(uid uint32) bool {
	if fl.index == nil {
		fl.index = fl.indexed()
	}
	return fl.index.UIDValidity == fl.info.UIDValidity && fl.index.Expunged(uid)
}

// indexed reads the server's index. Where there is none, or it cannot be read,
// it knows nothing.
func (fl *folderLook) indexed() *maildir.Index {
	none := new(maildir.Index)
	d, err := fl.logDir()
	if err != nil {
		return none
	}
	defer d.Close()
	f, err := d.OpenFile(maildir.IndexFile)
	if err != nil {
		return none
	}
	defer f.Close()
	x, err := maildir.ReadIndex(f)
	if err != nil {
		return none
	}
	return x
}

// logDir opens the directory of the folder's log.
func (fl *folderLook) logDir() (*beneath.Dir, error) {
	v := fl.v
	at := v.place.MessageDir(fl.info.Dir)
	if v.place.Index != "" {
		at = v.place.IndexDir(fl.info.Dir)
	}
	return v.s.openAt(at)
}

// logStands tells whether the log is as it was when it was read.
func (fl *folderLook) logStands(log *serverLog) bool {
	d, err := fl.logDir()
	if err != nil {
		return false
	}
	defer d.Close()
	now, err := logStamps(d)
	return err == nil && now == log.stamps
}

func logStamps(d *beneath.Dir) (stamps [len(logNames)]manifest.DirStamp, err error) {
	for i, name := range logNames {
		st, err := d.Stat(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return stamps, err
		}
		stamps[i] = stampOf(&st)
	}
	return stamps, nil
}

// logTries is how often a log that is rotated while it is read is read again.
const logTries = 3

// readLog reads the server's transaction log. Where there is none it is empty.
func (fl *folderLook) readLog() *serverLog {
	d, err := fl.logDir()
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return new(serverLog)
		}
		fl.logFailed(logNames[1], err)
		return &serverLog{unsure: true}
	}
	defer d.Close()
	for try := 1; ; try++ {
		log, rotated := fl.readLogIn(d)
		if !rotated {
			return log
		}
		if try == logTries {
			log.unsure = true
			return log
		}
	}
}

// readLogIn reads both files. rotated tells that one was replaced meanwhile, so
// that a third may have been missed.
func (fl *folderLook) readLogIn(d *beneath.Dir) (log *serverLog, rotated bool) {
	log = new(serverLog)
	var err error
	if log.stamps, err = logStamps(d); err != nil {
		log.unsure = true
	}
	for i, name := range logNames {
		f, err := d.OpenFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			rotated = rotated || !log.stamps[i].IsZero()
			continue
		}
		if err != nil {
			log.unsure = true
			fl.logFailed(name, err)
			continue
		}
		rotated = rotated || f.Opened().Inode != log.stamps[i].Inode
		// A log that contradicts its format is evidence up to there.
		if err := log.Read(f); err != nil {
			log.unsure = true
			if !errors.Is(err, maildir.ErrIndexLog) {
				fl.logFailed(name, err)
			}
		}
		_ = f.Close()
	}
	after, err := logStamps(d)
	for i := range after {
		rotated = rotated || err == nil && after[i].Inode != log.stamps[i].Inode
	}
	return log, rotated
}

// savedLog reads the copies of the log that were saved before the server could
// throw it away. Those that were last written to before the record was made say
// nothing of what was there then.
func (fl *folderLook) savedLog() *serverLog {
	if fl.saved == nil {
		fl.saved = new(serverLog)
		if f := fl.v.s.opt.SavedLogs; f != nil {
			err := f(fl.v.mb.Name, fl.info.Dir, fl.v.rec.Began, fl.saved.Read)
			fl.saved.unsure = err != nil
		}
	}
	return fl.saved
}

// logFailed reports once that a log cannot be read.
func (fl *folderLook) logFailed(name string, err error) {
	if fl.log == nil {
		fl.smallFailed(name, err)
	}
}
